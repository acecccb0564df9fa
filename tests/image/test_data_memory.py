"""How memory is managed changes while something is converted, and no longer."""

from __future__ import annotations

import gc

import pytest

from sftrun_data import memory


@pytest.mark.parametrize(
    ("before", "meanwhile"),
    [((700, 10, 10), 50_000), ((90_000, 5, 5), 90_000), ((0, 10, 10), 0)],
    ids=["as by default", "seldom already", "never"],
)
def test_cycles_are_sought_seldom_until_the_end(before: tuple[int, int, int], meanwhile: int) -> None:
    own = gc.get_threshold()
    gc.set_threshold(*before)
    try:
        with pytest.raises(KeyboardInterrupt), memory.prepared():
            assert gc.get_threshold() == (meanwhile, *before[1:])
            raise KeyboardInterrupt
        assert gc.get_threshold() == before
    finally:
        gc.set_threshold(*own)
