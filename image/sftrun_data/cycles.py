"""Python's search for cycles of objects, while many are made that know none.

A conversation is thousands of objects that are made at once and stay for a while. Every 700 of them Python
looks through the youngest, and now and then through all, which took an eighth of the time of converting
request logs; but what is read from JSON refers to nothing that refers back.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_OBJECTS = 50_000
"""So many new ones before the youngest are looked through: some megabytes."""


def seek_seldom() -> None:
    """Has Python look for cycles less often from now on."""
    young, *older = gc.get_threshold()
    gc.set_threshold(max(_OBJECTS, young) if young else 0, *older)


@contextmanager
def seldom_sought() -> Iterator[None]:
    """Has Python look for cycles less often until the context ends."""
    before = gc.get_threshold()
    seek_seldom()
    try:
        yield
    finally:
        gc.set_threshold(*before)
