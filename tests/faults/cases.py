"""What can happen to a call, and the matrix of all calls of a life with all that can happen to each."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.faults.calls import Call


class Fault(enum.StrEnum):
    """One misfortune."""

    KILL_BEFORE = "kill-before"
    """The operator is killed before the call is sent on."""
    KILL_AFTER = "kill-after"
    """The operator is killed when the call is carried out and not yet answered."""
    DROP_ANSWER = "drop-answer"
    CONFLICT = "409"
    TOO_MANY = "429"
    INTERNAL = "500"
    UNAVAILABLE = "503"
    TIMEOUT = "504"
    GONE = "410"
    ERROR_EVENT = "error-event"
    """A watch that tells one thing and then an ERROR of code 500."""
    GONE_EVENT = "gone-event"
    """The same of code 410: the version that it was to go on from is forgotten."""
    SILENT = "silent"
    """A watch that is open and says nothing."""
    STALE = "stale"
    """A watch that tells everything, three seconds late."""


REQUESTS = (
    Fault.KILL_BEFORE,
    Fault.KILL_AFTER,
    Fault.DROP_ANSWER,
    Fault.CONFLICT,
    Fault.TOO_MANY,
    Fault.INTERNAL,
    Fault.UNAVAILABLE,
    Fault.TIMEOUT,
)
LISTS = (*REQUESTS, Fault.GONE)
WATCHES = (
    Fault.KILL_BEFORE,
    Fault.KILL_AFTER,
    Fault.DROP_ANSWER,
    Fault.TOO_MANY,
    Fault.INTERNAL,
    Fault.UNAVAILABLE,
    Fault.TIMEOUT,
    Fault.GONE,
    Fault.ERROR_EVENT,
    Fault.GONE_EVENT,
    Fault.SILENT,
    Fault.STALE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One fault of one call."""

    call: Call
    nth: int
    fault: Fault

    def __str__(self) -> str:
        return f"{self.call} #{self.nth}: {self.fault}"


def matrix(calls: Iterable[tuple[Call, int]]) -> list[Case]:
    """Returns every fault of every call, in the calls' order."""
    return [Case(call=call, nth=nth, fault=fault) for call, nth in calls for fault in _faults_of(call)]


def _faults_of(call: Call) -> Sequence[Fault]:
    if call.is_watch:
        return WATCHES
    return LISTS if call.verb == "list" else REQUESTS


def spread(cases: Sequence[Case], count: int) -> list[Case]:
    """Returns `count` cases that are spread evenly over the life's calls and over their faults.

    By the golden section: whatever the number of faults a call has, neighbours in the sample differ in both.
    """
    if count >= len(cases):
        return list(cases)
    step = next(n for n in range(int(len(cases) * 0.618), len(cases) + 1) if math.gcd(n, len(cases)) == 1)
    return [cases[index] for index in sorted(number * step % len(cases) for number in range(count))]
