"""Probes: unhealthy only where a restart helps, unready where nobody's runs are looked after."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, cast

import pytest

from sftrun_operator.kube import Kube
from sftrun_operator.kube_errors import UnreachableError
from sftrun_operator.pulses import FIRST_LULL_SECONDS, LAST_LULL_SECONDS, SILENT_SECONDS, Pulse
from sftrun_operator.vitals import Vitals, trouble, unready

# What the process knows; what liveness says; what readiness says. Empty is well.
TABLE: list[tuple[str, Vitals, str, str]] = [
    ("all is well", Vitals(list_seconds=10), "", ""),
    ("just started", Vitals(listed=False), "", "not been listed"),
    ("not listed, runs wait", Vitals(listed=False, oldest_seconds=301), "", "not been listed"),
    ("a task died", Vitals(ended=("watch",)), "ended: watch", "ended: watch"),
    ("API server away", Vitals(answers=False, silent_seconds=60), "", "not answered for 60 s"),
    ("away for ten minutes", Vitals(answers=False, silent_seconds=600, list_seconds=5000), "", "600 s"),
    ("away, runs wait", Vitals(answers=False, oldest_seconds=900), "", "not answered"),
    ("answers, no list", Vitals(list_seconds=1021), "nothing could be listed", "nothing could be listed"),
    ("answers, list soon", Vitals(list_seconds=1019), "", ""),
    ("answers, queue stands", Vitals(oldest_seconds=301), "waiting 301 s", "waiting 301 s"),
    ("stands by, queue stands", Vitals(oldest_seconds=301, leads=False), "", ""),
    ("nobody leads", Vitals(leads=False, leader_known=False), "", "nobody is known to lead"),
]


@pytest.mark.parametrize(("vitals", "live", "ready"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE])
def test_probes(vitals: Vitals, live: str, ready: str) -> None:
    assert live in trouble(vitals) and bool(live) == bool(trouble(vitals))
    assert ready in unready(vitals) and bool(ready) == bool(unready(vitals))


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("code", "answers"), [("200", True), ("403", True), ("404", True), ("503", False)])
def test_an_answer_is_anything_but_no_answer_and_5xx(code: str, answers: bool) -> None:
    told: list[str] = []
    pulse = Pulse(told=lambda *call: told.append(call[2]), clock=Clock())
    assert not pulse.answers
    pulse.told("get", "readyz", code, 0.1)
    assert (pulse.answers, told) == (answers, [code])


def test_an_answer_that_needs_no_store_is_none() -> None:
    pulse = Pulse(told=lambda *_: None, clock=Clock())
    pulse.told("get", "openapi", "200", 0.1)
    assert not pulse.answers


def test_silence_is_counted_from_the_last_answer() -> None:
    clock = Clock()
    pulse = Pulse(told=lambda *_: None, clock=clock)
    clock.now += 7
    assert pulse.silent_seconds == 7
    pulse.told("get", "readyz", "200", 0.1)
    clock.now += SILENT_SECONDS
    pulse.told("get", "readyz", "unreachable", 0.1)
    assert (pulse.answers, pulse.silent_seconds) == (False, SILENT_SECONDS)


async def test_the_plain_question_is_asked_only_when_nothing_else_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, asked = Clock(), list[float]()
    pulse = Pulse(told=lambda *_: None, clock=clock)

    class Server:
        async def ready(self) -> None:
            asked.append(clock.now)
            if len(asked) > 2:
                raise LookupError("enough seen")
            if len(asked) > 1:
                raise UnreachableError("away")
            pulse.told("get", "readyz", "200", 0.1)

    async def sleep(seconds: float) -> None:
        assert 9 <= seconds <= 11
        clock.now += 10
        if clock.now == 120:
            pulse.told("list", "pods", "200", 0.1)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    with pytest.raises(LookupError):
        await pulse.run(cast(Kube, Server()))
    assert asked == [110, 130, 140], "at 120 a list was answered; a server that is away is asked again"


class Waits:
    """Stands for the event loop's patience: notes how long somebody would wait, and lets time pass."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
        self.seconds: list[float] = []
        self._clock = clock
        monkeypatch.setattr(asyncio, "wait_for", self._wait)

    async def _wait(self, waiting: Coroutine[Any, Any, Any], seconds: float) -> None:
        waiting.close()
        self.seconds.append(seconds)
        self._clock.now += seconds
        raise TimeoutError


async def test_who_fails_waits_as_long_again_as_the_outage_has_lasted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    pulse, waits = Pulse(told=lambda *_: None, clock=clock), Waits(monkeypatch, clock)
    await pulse.lull()
    assert waits.seconds == [], "nothing has failed"
    for _ in range(600):
        pulse.told("patch", "sftruns", "503", 0.1)
        began = clock.now
        await pulse.lull()
        if began > 700:
            break
    assert 0.5 * FIRST_LULL_SECONDS <= waits.seconds[0] <= 1.5 * FIRST_LULL_SECONDS
    assert all(later <= 1.5 * LAST_LULL_SECONDS for later in waits.seconds)
    assert len(waits.seconds) < 35, "in ten minutes"
    assert len(set(waits.seconds)) > 10, "with jitter"


async def test_a_short_outage_is_waited_for_shortly_and_an_answer_ends_it() -> None:
    clock = Clock()
    pulse = Pulse(told=lambda *_: None, clock=clock)
    pulse.told("get", "jobs", "unreachable", 0.1)
    clock.now += 3600
    waiting = [asyncio.create_task(pulse.lull()) for _ in range(8)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    pulse.told("get", "readyz", "200", 0.1)
    await asyncio.wait_for(asyncio.gather(*waiting), 5)
    await pulse.lull()


async def test_who_is_no_scout_waits_until_somebody_was_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    pulse, waits = Pulse(told=lambda *_: None, clock=clock), Waits(monkeypatch, clock)
    await pulse.lull(scout=False)
    pulse.told("patch", "sftruns", "503", 0.1)
    waiting = asyncio.create_task(pulse.lull(scout=False))
    for _ in range(5):
        await pulse.lull(scout=True)
    assert len(waits.seconds) == 5
    assert not waiting.done()
    pulse.told("patch", "sftruns", "200", 0.1)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert waiting.done()
