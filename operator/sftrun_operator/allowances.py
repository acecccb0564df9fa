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
        self._num_spending = 0
        """Blocks that are going on."""

    def is_left(self) -> bool:
        """Whether some may be spent now."""
        self._count()
        return self._left > 0

    @contextmanager
    def spend(self) -> Iterator[None]:
        """Takes what the block lasts off, as it goes on, also when it fails. Those side by side each count in
        full."""
        self._count()
        self._num_spending += 1
        try:
            yield
        finally:
            self._count()
            self._num_spending -= 1

    def _count(self) -> None:
        """Counts what was given and spent since it was last counted."""
        now = self._clock()
        change = (self._share - self._num_spending) * (now - self._counted_at)
        self._left = min(self._at_once, self._left + change)
        self._counted_at = now
