"""Fetching curves: seldom while training, once more at the end, refused where it is no curve of the run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.operator.shell_fakes import KEY, UID, FakeKube, error, owned, run_of, sftrun

from sftrun_api.reports import CURVE_BYTES
from sftrun_operator import kube, kube_errors
from sftrun_operator.apply import Applier
from sftrun_operator.caches import Caches, Key
from sftrun_operator.decisions import Plan
from sftrun_operator.polls import BadAnswerError, Polls, Target, check_curve

TARGET = Target(pod_uid="p", run_uid=UID, ip="127.0.0.1")
RUN = {"namespace": "default", "name": "x", "uid": UID, "attempt": 1}
CURVE = {"run": RUN, "columns": ["step", "loss"], "points": [[1, 0.5]]}
KEPT = {"kind": "ConfigMap", "metadata": {"name": "x-11111-1-curve", "namespace": "default"}}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no JSON"),
        (b'{"run": NaN}', "no JSON"),
        (b"[]", "another run"),
        (orjson.dumps({"points": []}), "another run"),
        (orjson.dumps({"run": RUN | {"uid": "else"}}), "another run"),
        (orjson.dumps({"run": RUN, "points": 2**60}), "number above"),
    ],
)
def test_what_is_no_curve_of_the_run_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(BadAnswerError, match=why):
        check_curve(content, target=TARGET)


class Pod:
    """Answers both paths, and counts what it was asked for."""

    def __init__(self) -> None:
        self.stage = "Train"
        self.outcome: str | None = None
        self.step = 0
        self.curve: bytes = orjson.dumps(CURVE)
        self.asked: list[str] = []
        self.changed = asyncio.Condition()

    async def handle(self, request: web.Request) -> web.Response:
        async with self.changed:
            self.asked.append(request.path)
            self.changed.notify_all()
        if request.path == "/curve":
            return web.Response(body=self.curve)
        self.step += 1
        progress = {"stage": "Train", "done": self.step, "step": self.step}
        answer = {"run": RUN, "podUid": "p", "stage": self.stage, "progress": progress}
        return web.json_response(answer | ({"outcome": self.outcome} if self.outcome else {}))

    async def until(self, path: str, times: int) -> None:
        async with asyncio.timeout(60), self.changed:
            await self.changed.wait_for(lambda: self.asked.count(path) >= times)


@pytest.fixture
async def pod() -> AsyncIterator[tuple[Pod, Target]]:
    made = Pod()
    app = web.Application()
    app.router.add_get("/{path}", made.handle)
    server = TestServer(app)
    async with server:
        assert server.port is not None
        yield made, Target(pod_uid="p", run_uid=UID, ip="127.0.0.1", port=server.port)


def polls_of(**options: Any) -> tuple[Polls, asyncio.Queue[Key]]:
    woken: asyncio.Queue[Key] = asyncio.Queue()
    return Polls(moved=woken.put_nowait, counted=lambda _: None, every=0.01, timeout=60.0, **options), woken


async def test_a_curve_is_fetched_seldom_and_once_more_with_the_last_report(pod: tuple[Pod, Target]) -> None:
    server, target = pod
    polls, _ = polls_of(curve_every=3600.0)
    polls.follow(KEY, target)
    await server.until("/progress", 5)
    assert server.asked.count("/curve") == 1
    server.stage, server.outcome = "Collect", "Succeeded"
    server.curve = orjson.dumps(CURVE | {"points": [[1, 0.5], [2, 0.4]]})
    await server.until("/curve", 2)
    await server.until("/progress", server.asked.count("/progress") + 3)
    assert server.asked.count("/curve") == 2
    answer = polls.answer(KEY)
    assert answer is not None and answer.curve is not None
    assert (answer.curve.attempt, answer.curve.text.encode()) == (1, server.curve)
    await polls.close()


@pytest.mark.parametrize("bad", [b"no", b"{}", b"[" + b"1," * CURVE_BYTES + b"1]"])
async def test_a_bad_curve_changes_nothing_of_the_progress(pod: tuple[Pod, Target], bad: bytes) -> None:
    server, target = pod
    server.curve = bad
    polls, _ = polls_of(curve_every=0.0)
    polls.follow(KEY, target)
    await server.until("/curve", 3)
    answer = polls.answer(KEY)
    assert answer is not None and answer.report is not None
    assert (answer.curve, answer.unreachable_since) == (None, None)
    await polls.close()


async def test_a_fetch_that_fails_is_made_up_for_with_the_next_report(pod: tuple[Pod, Target]) -> None:
    server, target = pod
    server.curve, server.stage, server.outcome = b"no", "Collect", "Succeeded"
    polls, _ = polls_of(curve_every=3600.0)
    polls.follow(KEY, target)
    await server.until("/curve", 2)
    server.curve = orjson.dumps(CURVE)
    async with asyncio.timeout(60):
        while (answer := polls.answer(KEY)) is None or answer.curve is None:
            await server.until("/progress", server.asked.count("/progress") + 1)
    asked = server.asked.count("/curve")
    await server.until("/progress", server.asked.count("/progress") + 3)
    assert server.asked.count("/curve") <= asked + 1, "the last one is fetched once"
    await polls.close()


async def test_no_curve_is_asked_for_before_there_is_training(pod: tuple[Pod, Target]) -> None:
    server, target = pod
    server.stage = "Prepare"
    polls, _ = polls_of(curve_every=0.0)
    polls.follow(KEY, target)
    await server.until("/progress", 4)
    assert "/curve" not in server.asked
    await polls.close()


async def test_the_next_pod_hands_on_what_it_has_not_been_asked_for(pod: tuple[Pod, Target]) -> None:
    server, target = pod
    polls, _ = polls_of(curve_every=3600.0)
    polls.follow(KEY, target)
    await server.until("/progress", 2)
    polls.follow(KEY, None)
    ended = polls.answer(KEY)
    assert ended is not None and ended.curve is not None
    polls.follow(KEY, Target(pod_uid="p2", run_uid=UID, ip="127.0.0.1", port=1))
    handed = polls.answer(KEY)
    assert handed is not None and (handed.pod_uid, handed.curve) == ("p2", ended.curve)
    polls.drop_curve(KEY)
    after = polls.answer(KEY)
    assert after is not None and after.curve is None
    await polls.close()


CREATE, LOOK = "create ConfigMap x-11111-1-curve", "get ConfigMap x-11111-1-curve"
OURS = owned("ConfigMap", "x-11111-1-curve", uid="c")
FOREIGN = owned("ConfigMap", "x-11111-1-curve", uid="c", owner="else")


@pytest.mark.parametrize(
    ("trouble", "there", "raised", "calls"),
    [
        (None, None, None, [CREATE]),
        (error(409, "AlreadyExists"), OURS, None, [CREATE, LOOK]),
        (error(409, "AlreadyExists"), FOREIGN, None, [CREATE, LOOK]),
        (error(409, "AlreadyExists"), None, kube_errors.UnreachableError, [CREATE, LOOK]),
        (error(403, "Forbidden"), None, None, [CREATE]),
        (kube_errors.UnreachableError("away"), None, kube_errors.UnreachableError, [CREATE]),
    ],
)
async def test_keeping_is_tried_again_only_where_that_helps(
    trouble: Exception | None,
    there: dict[str, Any] | None,
    raised: type[Exception] | None,
    calls: list[str],
) -> None:
    fake, caches = FakeKube(sftrun(), *([there] if there else [])), Caches()
    fake.failures["create ConfigMap"] = [trouble] if trouble else []
    applier = Applier(client=cast(kube.Kube, fake), caches=caches)
    plan, run = Plan(keep=(KEPT,)), run_of(sftrun())
    if raised is not None:
        with pytest.raises(raised):
            await applier.apply(plan, run=run, now=0.0)
    else:
        await applier.apply(plan, run=run, now=0.0)
    assert fake.calls == calls
