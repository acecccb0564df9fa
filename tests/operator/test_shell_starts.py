"""What a start asks of the API server, and in which order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from tests.operator.shell_fakes import KEY, owned, serving, sftrun

from sftrun_operator import kube
from sftrun_operator.caches import news_of
from sftrun_operator.observations import OperatorConfig
from sftrun_operator.operators import Operator, Options
from sftrun_operator.plans import plan

ACCEPTED = [
    {"type": "Accepted", "status": "True", "reason": "Accepted", "lastTransitionTime": "2026-11-01T00:00:00Z"}
]
LISTS = [kube.SFTRUNS.path(None), kube.JOBS.path(None), kube.PODS.path(None)]


class Server:
    """Holds one run that has been accepted, and none of its objects. The list of pods waits to be let go."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.pods = asyncio.Event()
        self.news = asyncio.Condition()

    async def has(self, path: str) -> None:
        async with asyncio.timeout(60), self.news:
            await self.news.wait_for(lambda: path in self.asked)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        async with self.news:
            self.asked.append(request.path)
            self.news.notify_all()
        if request.path == LISTS[2]:
            await self.pods.wait()
        if request.path not in LISTS:
            return web.json_response({"kind": "Status", "code": 404, "reason": "NotFound"}, status=404)
        items: list[Any] = []
        if request.path == LISTS[0]:
            items = [sftrun(version="5", attempt=1, conditions=ACCEPTED, jobUID="j")]
        return web.json_response({"metadata": {"resourceVersion": "9"}, "items": items})


@asynccontextmanager
async def started(server: Server) -> AsyncIterator[tuple[Operator, asyncio.Task[None]]]:
    """Gives an operator that has asked for the last of its first lists."""
    async with serving(server.answer) as connection:
        operator = Operator(
            connection=connection,
            plan=plan,
            config=OperatorConfig(trainer_image="trainer:test", version="test"),
            options=Options(liveness="127.0.0.1:0"),
        )
        task = asyncio.create_task(operator.run())
        await server.has(LISTS[2])
        yield operator, task


async def test_no_run_is_looked_at_before_everything_is_listed() -> None:
    """A run whose Job is not listed yet looks like one that lost it, and each would be proven live."""
    server = Server()
    async with started(server) as (operator, task):
        assert len(operator.queue) == 1, "the run is known, and waits"
        before = list(server.asked)
        server.pods.set()
        await server.has(kube.SFTRUNS.path("default", "x"))
        operator.stop.set()
        await asyncio.wait_for(task, 60)
    assert [path for path in before if path not in LISTS and path.startswith("/api")] == []


async def test_an_operator_that_could_list_nothing_yet_ends_at_once() -> None:
    server = Server()
    async with started(server) as (operator, task):
        operator.stop.set()
        await asyncio.wait_for(task, 5)
        server.pods.set()


async def test_a_run_is_looked_at_at_once_and_what_its_pods_do_once_it_has_settled() -> None:
    server = Server()
    async with started(server) as (operator, task):
        await operator.queue.take()
        operator.queue.done(KEY)
        for number in range(3):
            operator.heard(news_of("Pod", owned("Pod", "p", uid="p", version=str(10 + number))))
            operator.heard(news_of("Job", owned("Job", "j", uid="j", version=str(10 + number))))
        assert not len(operator.queue), "six news of one run are left to settle"
        assert await asyncio.wait_for(operator.queue.take(), 60) == KEY
        operator.queue.done(KEY)
        assert not len(operator.queue), "one look saw all"
        operator.heard(news_of("SFTRun", sftrun(version="20", attempt=1, conditions=ACCEPTED, jobUID="j")))
        assert len(operator.queue) == 1, "what people want is not kept waiting"
        server.pods.set()
        operator.stop.set()
        await asyncio.wait_for(task, 60)
