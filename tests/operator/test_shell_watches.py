"""kopf as the watch, against an API server that breaks it in every known way: all news come through."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from tests.operator.shell_fakes import serving, sftrun

from sftrun_operator import watches
from sftrun_operator.caches import Caches, Listing, News, news_of
from sftrun_operator.connections import Connection
from sftrun_operator.kopf_sessions import Session, kopf_settings
from sftrun_operator.logs import tame_kopf
from sftrun_operator.watches import Watch

JsonObject = dict[str, Any]
Fault = Callable[[web.Request], Awaitable[web.StreamResponse]]
PATHS = {
    "/apis/sftrun.dev/v1alpha1/sftruns": ("sftrun.dev", "v1alpha1", "sftruns", "SFTRun"),
    "/apis/batch/v1/jobs": ("batch", "v1", "jobs", "Job"),
    "/api/v1/pods": ("", "v1", "pods", "Pod"),
}


def resource(plural: str, kind: str, *, namespaced: bool = True) -> JsonObject:
    verbs = ["get", "list", "watch", "patch"]
    return {
        "name": plural,
        "kind": kind,
        "singularName": kind.lower(),
        "namespaced": namespaced,
        "verbs": verbs,
    }


class Server:
    """Discovery, lists and watches, with a fault to come for the next list or watch of runs."""

    def __init__(self) -> None:
        self.version = 10
        self.runs: list[JsonObject] = []
        self.faults: dict[str, list[Fault]] = {"list": [], "watch": []}
        self.queries: list[tuple[str, dict[str, str]]] = []
        self.methods: set[str] = set()
        self._watchers: list[asyncio.Queue[JsonObject | None]] = []

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Connection]:
        async with serving(self._answer) as connection:
            yield connection
            for watcher in self._watchers:
                watcher.put_nowait(None)

    def create(self, name: str) -> None:
        self.version += 1
        run = sftrun(name, uid=f"uid-{name}", version=str(self.version))
        run["apiVersion"] = "sftrun.dev/v1alpha1"
        self.runs.append(run)
        for watcher in self._watchers:
            watcher.put_nowait({"type": "ADDED", "object": run})

    def delete(self, name: str) -> None:
        """Deletes, and tells those who watch at this moment."""
        self.version += 1
        gone = [run for run in self.runs if run["metadata"]["name"] == name]
        self.runs = [run for run in self.runs if run not in gone]
        for run in gone:
            run["metadata"]["resourceVersion"] = str(self.version)
            for watcher in self._watchers:
                watcher.put_nowait({"type": "DELETED", "object": run})

    @property
    def watched(self) -> bool:
        return bool(self._watchers)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.methods.add(request.method)
        if request.path in PATHS:
            return await self._objects(request)
        return web.json_response(_discovery(request.path))

    async def _objects(self, request: web.Request) -> web.StreamResponse:
        plural = PATHS[request.path][2]
        verb = "watch" if request.query.get("watch") == "true" else "list"
        self.queries.append((f"{verb} {plural}", dict(request.query)))
        if plural == "sftruns" and self.faults[verb]:
            return await self.faults[verb].pop(0)(request)
        if verb == "list":
            items = self.runs if plural == "sftruns" else []
            return web.json_response({"metadata": {"resourceVersion": str(self.version)}, "items": items})
        return await self._watch(request, runs=plural == "sftruns")

    async def _watch(self, request: web.Request, *, runs: bool) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        queue: asyncio.Queue[JsonObject | None] = asyncio.Queue()
        since = int(request.query["resourceVersion"])
        for run in self.runs if runs else ():
            if int(run["metadata"]["resourceVersion"]) > since:
                queue.put_nowait({"type": "ADDED", "object": run})
        if runs:
            self._watchers.append(queue)
        try:
            while (event := await queue.get()) is not None:
                await response.write(json.dumps(event).encode() + b"\n")
        finally:
            if runs:
                self._watchers.remove(queue)
        return response


def _discovery(path: str) -> JsonObject:
    groups = {group: version for group, version, _, _ in PATHS.values() if group}
    if path == "/api":
        return {"versions": ["v1"]}
    if path == "/apis":
        listed = [
            {"name": group, "versions": [{"version": version}], "preferredVersion": {"version": version}}
            for group, version in groups.items()
        ]
        return {"groups": listed}
    known = [
        resource(plural, kind)
        for group, version, plural, kind in PATHS.values()
        if path == (f"/apis/{group}/{version}" if group else f"/api/{version}")
    ]
    return {"resources": [*known, resource("namespaces", "Namespace", namespaced=False)]}


async def _status(code: int) -> web.Response:
    body = {"kind": "Status", "code": code, "message": "fault", "reason": "Fault"}
    return web.json_response(body, status=code)


def status(code: int) -> Fault:
    return lambda _: _status(code)


def line(content: bytes) -> Fault:
    async def fault(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(content)
        return response

    return fault


def error_event(code: int) -> Fault:
    return line(json.dumps({"type": "ERROR", "object": {"code": code, "message": "fault"}}).encode() + b"\n")


async def cut(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


class Listener:
    """What the watch told."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.caches = Caches()
        self.vanished: list[str] = []
        self.restarts = 0
        self.prepared = 0
        self._news = asyncio.Event()

    def hear(self, news: News) -> None:
        self.caches.take(news)
        self.names.add(news.entry.key.name)
        self._news.set()

    def listed(self, listing: Listing) -> None:
        self.vanished += [str(news.entry.key) for news in self.caches.sweep(listing)]

    def restarted(self) -> None:
        self.restarts += 1

    async def prepare(self) -> None:
        self.prepared += 1

    async def has(self, name: str) -> None:
        async with asyncio.timeout(60):
            while name not in self.names:
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def watching(server: Server, *, known: Iterable[News] = ()) -> AsyncIterator[tuple[Watch, Listener]]:
    tame_kopf()
    listener = Listener()
    for news in known:
        listener.caches.take(news)
    async with server.serve() as connection:
        watch = Watch(
            connection=connection,
            namespaces=(),
            heard=listener.hear,
            listed=listener.listed,
            knows=listener.caches.knows,
            restarted=listener.restarted,
        )
        task = asyncio.create_task(watch.run(prepare=listener.prepare))
        try:
            yield watch, listener
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def until(good: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not good():  # noqa: ASYNC110 - the server of the test has no event for it
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "FIRST_BACKOFF_SECONDS", 0.02)

    def settings() -> Any:
        made = kopf_settings()
        made.networking.error_backoffs = (0.01, 0.01)
        made.watching.reconnect_backoff = 0.01
        return made

    monkeypatch.setattr(watches, "kopf_settings", settings)


@pytest.mark.parametrize(
    ("verb", "faults", "ends"),
    [
        ("watch", [error_event(500)], True),
        ("watch", [error_event(410)], False),
        ("watch", [status(410)], True),
        ("watch", [status(500)] * 9, True),
        ("watch", [status(503)], False),
        ("watch", [status(429)], False),
        ("watch", [status(403)] * 9, True),
        ("watch", [status(404)], True),
        ("watch", [status(401)] * 4, True),
        ("list", [status(401)], True),
        ("watch", [cut] * 3, False),
        ("watch", [line(b'{"type": "ADDED", "obj')], True),
        ("watch", [line(b'{"type": "ADDED", "object": {}}\n')], True),
        ("watch", [line(b'{"type": "MODIFIED"}\n')], True),
        ("list", [status(410)], True),
        ("list", [status(500)] * 9, True),
        ("list", [cut] * 9, False),
    ],
)
async def test_news_come_through_after_every_fault(verb: str, faults: list[Fault], ends: bool) -> None:
    server = Server()
    server.create("before")
    server.faults[verb] = list(faults)
    async with watching(server) as (_, listener):
        await listener.has("before")
        await until(lambda: not server.faults[verb] and server.watched)
        server.create("after")
        await listener.has("after")
    assert (listener.restarts > 0) is ends, "kopf ends itself for some faults, and is started again"
    assert listener.prepared == listener.restarts + 1
    assert server.methods == {"GET"}, "kopf writes nothing"


async def test_what_vanishes_while_a_watch_is_down_is_found_when_it_comes_back() -> None:
    """After a restart of the API server a watch begins anew from a list, and the list says nothing of what is
    gone. The other watches may be up again already, so nothing else tells either."""
    server = Server()
    server.create("stays")
    server.create("goes")

    async def away(request: web.Request) -> web.StreamResponse:
        server.delete("goes")
        return await error_event(410)(request)

    server.faults["watch"] = [away]
    async with watching(server) as (_, listener):
        await until(lambda: bool(listener.vanished))
        server.create("after")
        await listener.has("after")
    assert listener.vanished == ["default/goes"]
    assert (listener.restarts, listener.prepared) == (0, 1), "within one life of kopf"
    assert sorted(key.name for key in listener.caches.runs) == ["after", "stays"]


async def test_a_list_tells_only_what_is_not_known_yet() -> None:
    """What a start has listed once is not taken apart again by the list that the watch begins with."""
    server = Server()
    server.create("known")
    server.create("new")
    known = news_of("SFTRun", server.runs[0])
    async with watching(server, known=[known]) as (watch, listener):
        await listener.has("new")
        await until(lambda: "SFTRun" in watch.last_heard and server.watched)
    assert listener.names == {"new"}
    assert sorted(key.name for key in listener.caches.runs) == ["known", "new"]


async def test_jobs_and_pods_are_selected_by_the_server_and_lists_are_paged() -> None:
    server = Server()
    async with watching(server):
        await until(lambda: len({query for query, _ in server.queries}) >= 6)
    for query, params in server.queries:
        verb, plural = query.split()
        assert params.get("labelSelector") == (None if plural == "sftruns" else "sftrun.dev/run"), query
        if verb == "list":
            assert params["limit"] == "100"


async def test_a_deaf_watch_is_started_again_on_request() -> None:
    server = Server()
    async with watching(server) as (watch, listener):
        await until(lambda: server.watched)
        watch.restart()
        await until(lambda: listener.restarts == 1 and server.watched)
        server.create("after")
        await listener.has("after")


async def test_the_end_of_kopf_ends_no_task_of_ours_and_is_told_in_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """In its own event loop kopf cancels every task that is younger than itself when it ends."""
    server = Server()
    server.faults["watch"] = [error_event(500)]
    async with watching(server) as (_, listener):
        bystander = asyncio.create_task(asyncio.sleep(3600))
        await until(lambda: listener.restarts > 0)
        server.create("after")
        await listener.has("after")
        assert not bystander.done()
        bystander.cancel()
    said = [each for each in caplog.records if each.name.startswith(("kopf", "sftrun"))]
    assert [each.levelname for each in said] == ["WARNING"]
    assert "'code': 500" in said[0].getMessage()


async def test_all_that_is_told_is_heard_in_its_order_with_one_wake() -> None:
    heard: list[int] = []
    wakes = 0
    loop = asyncio.get_running_loop()
    wake = loop.call_soon_threadsafe

    def counted(*arguments: Any) -> asyncio.Handle:
        nonlocal wakes
        wakes += 1
        return wake(*arguments)

    told = threading.Event()

    async def tell_much(session: Session) -> None:
        for number in range(10_000):
            session.tell(heard.append, number)
        told.set()

    loop.call_soon_threadsafe = counted  # type: ignore[method-assign, assignment]
    session = Session(tell_much)
    session.start()
    assert told.wait(60), "our loop is kept from listening meanwhile"
    assert await session.wait() == "kopf returned"
    session.stop()
    assert heard == list(range(10_000))
    assert wakes == 2, "for all news, and for the end"


async def test_no_thread_stays_behind() -> None:
    before = threading.active_count()
    server = Server()
    async with watching(server):
        await until(lambda: server.watched)
    await until(lambda: not [each for each in threading.enumerate() if each.name == "kopf"])
    assert threading.active_count() <= before + 1


def test_kopf_neither_writes_nor_kills() -> None:
    tame_kopf()
    settings = kopf_settings()
    assert settings.posting.enabled is False
    assert settings.scanning.disabled is True
    assert settings.process.ultimate_exiting_timeout is None
    assert logging.getLogger("kopf.objects").level >= logging.ERROR
