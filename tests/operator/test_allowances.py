"""Allowance: a share of the time, and something at once."""

from __future__ import annotations

import pytest

from sftrun_operator.allowances import Allowance


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def spent(allowance: Allowance, clock: Clock, seconds: float) -> None:
    with allowance.spend():
        clock.now += seconds


@pytest.mark.parametrize(
    ("spends", "waited", "left"),
    [
        ([], 0.0, True),
        ([0.5, 0.5], 0.0, True),
        ([3.0], 0.0, False),
        ([3.0], 15.0, False),
        ([3.0], 21.0, True),
        ([10.0], 150.0, False),
        ([10.0], 161.0, True),
    ],
)
def test_what_was_spent_comes_back_with_time(spends: list[float], waited: float, left: bool) -> None:
    clock = Clock()
    allowance = Allowance(share=0.05, at_once=2.0, clock=clock)
    for seconds in spends:
        spent(allowance, clock, seconds)
    clock.now += waited
    assert allowance.is_left() is left


def test_idle_time_is_not_saved_beyond_what_may_be_spent_at_once() -> None:
    clock = Clock()
    allowance = Allowance(share=0.05, at_once=2.0, clock=clock)
    clock.now += 1_000_000
    assert allowance.is_left()
    spent(allowance, clock, 3.0)
    assert not allowance.is_left()


def test_what_is_being_spent_counts_already() -> None:
    clock = Clock()
    allowance = Allowance(share=0.0, at_once=2.0, clock=clock)
    with allowance.spend():
        clock.now += 0.9
        assert allowance.is_left()
        with allowance.spend():
            clock.now += 0.5
            assert allowance.is_left()
            clock.now += 0.1
            assert not allowance.is_left()
    assert not allowance.is_left()


def test_a_failure_is_paid_for_too() -> None:
    clock = Clock()
    allowance = Allowance(share=0.05, at_once=1.0, clock=clock)
    with pytest.raises(ValueError, match="away"), allowance.spend():
        clock.now += 5.0
        raise ValueError("away")
    assert not allowance.is_left()
