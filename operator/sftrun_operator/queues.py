"""A queue of keys in which a key stands at most once and is never worked on twice at a time.

Level-triggered: a hundred events about a run while it is being looked at make one more look. Each key has one
timer, for the next look that its plan asked for or for the retry after an error, whichever comes first;
taking the key cancels it, because the look that follows decides anew.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

K = TypeVar("K")

FIRST_RETRY_SECONDS = 0.25
LAST_RETRY_SECONDS = 120.0
PATIENCE_SECONDS = 30.0


class ClosedError(Exception):
    """Nothing will be handed out any more."""


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[K]):
    key: K
    since: float
    turn: float
    """When its turn would be if everybody's came at once: the earliest is next."""


class KeyedQueue(Generic[K]):
    """Keys to look at, in order of arrival. Lives in one event loop.

    Keys that are added as patient, because nobody waits for them (all that a start finds, what failed
    before), let those go ahead that came up to `PATIENCE_SECONDS` after them.
    """

    def __init__(
        self, *, jitter: Callable[[], float] = random.random, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._jitter = jitter
        self._clock = clock
        self._lanes: tuple[deque[_Waiting[K]], deque[_Waiting[K]]] = (deque(), deque())
        """The prompt and the patient."""
        self._queued: dict[K, _Waiting[K]] = {}
        """The one entry in the lanes that counts, a key; others there were overtaken. In order of `since`."""
        self._working: set[K] = set()
        self._dirty: dict[K, bool] = {}
        """Keys that are out and were added meanwhile, and whether they are patient."""
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._arrival = asyncio.Event()
        self._closed = False
        self._began = 0.0

    def begin(self) -> None:
        """Counts waiting from now on: up to here nobody was there to take keys."""
        self._began = self._clock()

    def __len__(self) -> int:
        return len(self._queued)

    @property
    def oldest_seconds(self) -> float:
        """How long the key that has waited longest has done so; 0 when none waits."""
        oldest = next(iter(self._queued.values()), None)
        return self._clock() - max(oldest.since, self._began) if oldest is not None else 0.0

    @property
    def num_working(self) -> int:
        """Keys that are out."""
        return len(self._working)

    def add(self, key: K, *, patient: bool = False) -> None:
        """Queues the key, or marks it for one more look when it is being worked on."""
        if key in self._working:
            self._dirty[key] = patient and self._dirty.get(key, True)
            return
        now = self._clock()
        entry = _Waiting(key, since=now, turn=now + PATIENCE_SECONDS * patient)
        known = self._queued.get(key)
        if known is not None:
            if known.turn <= entry.turn:
                return
            entry = replace(entry, since=known.since)
        self._queued[key] = entry
        self._lanes[patient].append(entry)
        self._arrival.set()

    def add_in(self, key: K, delay: float, *, patient: bool = False) -> None:
        """Queues the key after `delay` seconds, unless it comes up earlier."""
        loop = asyncio.get_running_loop()
        due = loop.time() + max(delay, 0.0)
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= due:
                return
            timer.cancel()
        self._timers[key] = loop.call_at(due, self._ring, key, patient)

    def retry(self, key: K, *, at_least: float = 0.0, at_most: float = LAST_RETRY_SECONDS) -> float:
        """Queues the key after a delay that doubles with every failure in a row, up to `at_most` seconds.
        Returns the delay in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        ceiling = min(FIRST_RETRY_SECONDS * 2.0 ** min(failures, 16), at_most)
        delay = max(ceiling * (0.5 + self._jitter() / 2), at_least)
        self.add_in(key, delay, patient=failures > 0)
        return delay

    def succeeded(self, key: K) -> None:
        """Forgets the failures in a row."""
        self._failures.pop(key, None)

    def forget(self, key: K) -> None:
        """Drops timer and failures of a key that is gone for good."""
        self._failures.pop(key, None)
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    async def take(self) -> K:
        """Waits for the next key and hands it out; give it back with `done`.

        Raises:
            ClosedError: The queue was closed.
        """
        while not self._queued:
            if self._closed:
                raise ClosedError
            self._arrival.clear()
            await self._arrival.wait()
        if self._closed:
            raise ClosedError
        lane = min((lane for lane in self._fresh_lanes() if lane), key=lambda lane: lane[0].turn)
        key = lane.popleft().key
        del self._queued[key]
        self._working.add(key)
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        return key

    def done(self, key: K) -> None:
        """Gives a key back; if it was added meanwhile it is queued again."""
        self._working.discard(key)
        patient = self._dirty.pop(key, None)
        if patient is not None:
            self.add(key, patient=patient)

    def close(self) -> None:
        """Ends all waiting. Keys that are out may still be given back."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._arrival.set()

    def _fresh_lanes(self) -> Iterable[deque[_Waiting[K]]]:
        """Returns the lanes without overtaken entries at their heads."""
        for lane in self._lanes:
            while lane and self._queued.get(lane[0].key) is not lane[0]:
                lane.popleft()
        return self._lanes

    def _ring(self, key: K, patient: bool) -> None:
        self._timers.pop(key, None)
        self.add(key, patient=patient)
