"""A share of the time for what is good to have: the more an answer costs, the more seldom it is asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Allowance:
    """Time that may be spent: so many seconds at once, and a share of what passes."""

    def __init__(self, *, share: float, at_once: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._share = share
        self._at_once = at_once
        self._clock = clock
        self._left = at_once
        self._counted_at = clock()
        self._beginnings: list[float] = []
        """Of what is being spent now."""

    def is_left(self) -> bool:
        """Whether some may be spent now."""
        now = self._clock()
        self._left = min(self._at_once, self._left + self._share * (now - self._counted_at))
        self._counted_at = now
        return self._left > sum(now - began for began in self._beginnings)

    @contextmanager
    def spend(self) -> Iterator[None]:
        """Takes what the block lasts off, as it goes on, also when it fails. Those side by side each count in
        full."""
        began = self._clock()
        self._beginnings.append(began)
        try:
            yield
        finally:
            self._beginnings.remove(began)
            self._left -= self._clock() - began
