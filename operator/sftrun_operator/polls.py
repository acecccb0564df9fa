"""Asks running pods how far they are. Best effort: it never changes a phase, and one slow pod delays no
other.

What a pod answers is hostile: read to 64 KiB and no further, no redirect followed, numbers that would fail a
status write refused, parsed by the contract's model only, and believed only about the pod and the run that
were asked. A run is looked at again when something moved, not with every answer.
"""

from __future__ import annotations

import asyncio
import random
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import orjson
from pydantic import ValidationError

from sftrun_api.names import PROGRESS_PORT
from sftrun_api.reports import CURVE_BYTES, PROGRESS_BYTES, Report, Stage
from sftrun_operator.caches import Key
from sftrun_operator.observations import CurveAnswer, ProgressAnswer

POLL_EVERY_SECONDS = 10.0
CURVE_EVERY_SECONDS = 60.0
CURVE_STAGES = (Stage.TRAIN, Stage.COLLECT)
POLL_SECONDS = 2.0
MAX_POLLS_AT_ONCE = 256
MAX_KEPT_ANSWERS = 256
MAX_DEPTH = 16
MAX_NUMBER = 2**53
ERROR_CHARACTERS = 200


class BadAnswerError(Exception):
    """The pod answered, and not with a report about itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Whom to ask, and about what."""

    pod_uid: str
    run_uid: str
    ip: str
    port: int = PROGRESS_PORT

    @property
    def url(self) -> str:
        """Where the progress is."""
        return self.url_of("progress")

    def url_of(self, path: str) -> str:
        """Returns where another of its answers is."""
        host = f"[{self.ip}]" if ":" in self.ip else self.ip
        return f"http://{host}:{self.port}/{path}"


@dataclass(slots=True)
class _Subject:
    target: Target
    answer: ProgressAnswer
    timer: asyncio.TimerHandle | None = None
    task: asyncio.Task[None] | None = None
    curve_at: float | None = None
    """When the curve was last asked for, on the event loop's clock."""
    final_curve: bool = False


class Polls:
    """The pods that are asked, one a run."""

    def __init__(
        self,
        *,
        moved: Callable[[Key], None],
        counted: Callable[[str], None],
        every: float = POLL_EVERY_SECONDS,
        timeout: float = POLL_SECONDS,
        curve_every: float = CURVE_EVERY_SECONDS,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._moved = moved
        self._counted = counted
        self._every = every
        self._curve_every = curve_every
        self._now = now
        self._subjects: dict[Key, _Subject] = {}
        self._ended: OrderedDict[Key, ProgressAnswer] = OrderedDict()
        self._slots = asyncio.Semaphore(MAX_POLLS_AT_ONCE)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            timeout=aiohttp.ClientTimeout(total=timeout),
            auto_decompress=False,
            headers={"Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    def __len__(self) -> int:
        return len(self._subjects)

    def answer(self, key: Key) -> ProgressAnswer | None:
        """Returns what polling has given for the run's present pod, or the one before."""
        subject = self._subjects.get(key)
        return subject.answer if subject is not None else self._ended.get(key)

    def follow(self, key: Key, target: Target | None) -> None:
        """Polls the target from now on, and nothing else of the run; `None` ends it. What the pod said last
        is kept for a while: its end is judged a moment after its last breath."""
        subject = self._subjects.get(key)
        if subject is not None and target == subject.target:
            return
        if subject is not None:
            self._end(self._subjects.pop(key))
            self._keep(key, subject.answer)
        if target is None:
            return
        kept = self._ended.pop(key, None)
        if kept is None or kept.pod_uid != target.pod_uid:
            # The next pod goes on with the curve; if it ends before it was asked, this is the last one.
            kept = ProgressAnswer(pod_uid=target.pod_uid, curve=kept.curve if kept is not None else None)
        self._subjects[key] = _Subject(target=target, answer=kept)
        self._plan_next(key, delay=self._every * random.uniform(0.05, 0.15))  # noqa: S311 - spreads load

    def drop_curve(self, key: Key) -> None:
        """Forgets the run's curve: it is kept elsewhere."""
        if (subject := self._subjects.get(key)) is not None:
            subject.answer = replace(subject.answer, curve=None)
        if (answer := self._ended.get(key)) is not None:
            self._ended[key] = replace(answer, curve=None)

    def forget(self, key: Key) -> None:
        """Ends polling for a run that is gone, and drops what was said."""
        self.follow(key, None)
        self._ended.pop(key, None)

    def rest(self) -> None:
        """Asks nobody any more, until told whom again."""
        for key in list(self._subjects):
            self.follow(key, None)

    async def close(self) -> None:
        """Ends all polling."""
        for subject in self._subjects.values():
            self._end(subject)
        self._subjects.clear()
        await self._session.close()

    def _keep(self, key: Key, answer: ProgressAnswer) -> None:
        if answer.report is not None:
            self._ended[key] = answer
        while len(self._ended) > MAX_KEPT_ANSWERS:
            self._ended.popitem(last=False)

    def _end(self, subject: _Subject) -> None:
        if subject.timer is not None:
            subject.timer.cancel()
        if subject.task is not None:
            subject.task.cancel()

    def _plan_next(self, key: Key, *, delay: float) -> None:
        subject = self._subjects[key]
        subject.timer = asyncio.get_running_loop().call_later(delay, self._start, key, subject)

    def _start(self, key: Key, subject: _Subject) -> None:
        subject.task = asyncio.get_running_loop().create_task(self._poll(key, subject))

    async def _poll(self, key: Key, subject: _Subject) -> None:
        async with self._slots:
            before = subject.answer
            answer = await self._ask(subject.target, before)
            subject.answer = await self._with_curve(subject, answer)
        self._plan_next(key, delay=self._every * random.uniform(0.95, 1.05))  # noqa: S311 - spreads load
        if _significant(before) != _significant(subject.answer):
            self._moved(key)

    async def _ask(self, target: Target, before: ProgressAnswer) -> ProgressAnswer:
        now = self._now
        try:
            report = parse_report(await self._fetch(target.url, most=PROGRESS_BYTES), target=target)
        except (aiohttp.ClientError, TimeoutError, OSError, BadAnswerError, ValueError) as error:
            self._counted("bad" if isinstance(error, BadAnswerError) else "unreachable")
            since = before.unreachable_since if before.unreachable_since is not None else now()
            said = f"{type(error).__name__}: {error}" if not isinstance(error, BadAnswerError) else str(error)
            return replace(before, unreachable_since=since, error=said[:ERROR_CHARACTERS])
        self._counted("ok")
        return replace(before, report=report, received_at=now(), unreachable_since=None, error="")

    async def _with_curve(self, subject: _Subject, answer: ProgressAnswer) -> ProgressAnswer:
        """Returns the answer with the pod's curve: fetched now and then while steps are made, and once more
        with the last report, after which the pod ends. A fetch that fails is made up for with the next
        report: the pod may not live long enough for the next one that is due."""
        report, clock = answer.report, asyncio.get_running_loop().time()
        if report is None or answer.unreachable_since is not None or report.stage not in CURVE_STAGES:
            return answer
        due = subject.curve_at is None or clock - subject.curve_at >= self._curve_every
        final = report.outcome is not None and not subject.final_curve
        if not due and not final:
            return answer
        try:
            content = await self._fetch(subject.target.url_of("curve"), most=CURVE_BYTES)
            check_curve(content, target=subject.target)
        except (aiohttp.ClientError, TimeoutError, OSError, BadAnswerError):
            self._counted("no curve")
            return answer
        subject.curve_at, subject.final_curve = clock, report.outcome is not None
        return replace(answer, curve=CurveAnswer(attempt=report.run.attempt, packed=zlib.compress(content)))

    async def _fetch(self, url: str, *, most: int) -> bytes:
        path = url.rpartition("/")[2]
        async with self._session.get(url, allow_redirects=False) as response:
            if response.status != 200:
                raise BadAnswerError(f"GET /{path} answered {response.status}")
            content = bytearray()
            async for chunk in response.content.iter_chunked(16_384):
                content += chunk
                if len(content) > most:
                    raise BadAnswerError(f"GET /{path} answered more than {most} bytes")
            return bytes(content)


def parse_report(content: bytes, *, target: Target) -> Report:
    """Returns the report that `content` holds.

    Raises:
        BadAnswerError: It is no report, or one about another run or pod.
    """
    try:
        raw = orjson.loads(content)
        _check_bounds(raw, depth=0)
        report = Report.model_validate(raw)
    except orjson.JSONDecodeError as error:
        raise BadAnswerError(f"the answer is no JSON: {error}") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadAnswerError(f"the answer is no report: {where}: {first['msg']}") from error
    if report.run.uid != target.run_uid or report.pod_uid != target.pod_uid:
        raise BadAnswerError("the answer is about another run or pod")
    return report


def check_curve(content: bytes, *, target: Target) -> None:
    """Raises `BadAnswerError` for what is no curve of the target's run. Its text is kept as it is."""
    try:
        raw = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise BadAnswerError(f"the curve is no JSON: {error}") from error
    _check_bounds(raw, depth=0)
    run = raw.get("run") if isinstance(raw, dict) else None
    if not isinstance(run, dict) or run.get("uid") != target.run_uid:
        raise BadAnswerError("the curve is about another run")


def _check_bounds(value: Any, *, depth: int) -> None:
    """Refuses what JSON allows and an API server's int64 or a reader's stack does not."""
    if depth > MAX_DEPTH:
        raise BadAnswerError(f"the answer is nested deeper than {MAX_DEPTH}")
    if isinstance(value, dict):
        for each in value.values():
            _check_bounds(each, depth=depth + 1)
    elif isinstance(value, list):
        for each in value:
            _check_bounds(each, depth=depth + 1)
    elif isinstance(value, int) and abs(value) > MAX_NUMBER:
        raise BadAnswerError(f"the answer holds a number above {MAX_NUMBER}")


def _significant(answer: ProgressAnswer) -> tuple[Any, ...]:
    report, unreachable = answer.report, answer.unreachable_since is not None
    if report is None:
        return (unreachable,)
    progress = report.progress
    moved = (
        (progress.stage, progress.done, progress.step, progress.non_finite) if progress is not None else None
    )
    return (unreachable, report.stage, report.outcome, report.health, moved, len(report.checks))
