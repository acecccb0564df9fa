"""Stands between one operator and the API server, names every call, and does to one what a case says."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web
from tests.faults.calls import Call, Counting, call_of
from tests.faults.cases import Case, Fault

from sftrun_operator.connections import Connection


class Away(enum.StrEnum):
    """How an API server is away."""

    CUT = "cut"
    """Connections break."""
    HANGS = "hangs"
    """Nothing is ever answered."""
    UNAVAILABLE = "503"
    STORE = "store"
    """The server lives and its store does not: 500 to everything that is stored, also to /readyz."""


STALE_SECONDS = 3.0
REASONS = {409: "Conflict", 410: "Expired", 429: "TooManyRequests", 500: "InternalError"}
REASONS |= {503: "ServiceUnavailable", 504: "Timeout"}
ERRORS = {Fault.ERROR_EVENT: 500, Fault.GONE_EVENT: 410}
"""What a watch may end with in the middle."""
HOP_BY_HOP = {"connection", "content-length", "transfer-encoding", "host", "keep-alive", "content-encoding"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One call, as it went through."""

    call: Call
    nth: int
    at: float
    """On the event loop's clock."""


class Proxy:
    """One operator's way to the API server. Use as an async context manager."""

    def __init__(self, *, upstream: Connection, kill: Callable[[], None], case: Case | None = None) -> None:
        self._upstream = upstream
        self._kill = kill
        self._case = case
        self._counting = Counting()
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self.url = ""
        self.seen: list[Seen] = []
        self._away: Away | None = None
        self._open: set[asyncio.Transport] = set()
        self._struck_at: float | None = None

    async def __aenter__(self) -> Self:
        self._session = self._upstream.session(limit=0)
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner is not None and self._session is not None
        await self._runner.cleanup()
        await self._session.close()

    @property
    def away(self) -> Away | None:
        """How the API server is away, `None` while it is there."""
        return self._away

    @away.setter
    def away(self, way: Away | None) -> None:
        """Connections that are open break at the change: so do those under the watches."""
        self._away = way
        for transport in self._open:
            transport.abort()

    def writes(self) -> list[str]:
        """Returns what went through and changes something, in order."""
        return [str(seen.call) for seen in self.seen if seen.call.writes]

    @property
    def struck(self) -> bool:
        """Whether the case's call came and was dealt with."""
        return self._struck_at is not None

    def seconds_since_strike(self) -> float:
        """Returns how long ago that was; infinity before it and where there is no case."""
        return math.inf if self._struck_at is None else asyncio.get_running_loop().time() - self._struck_at

    def quiet_seconds(self) -> float:
        """Returns how long nothing was written."""
        last = max((seen.at for seen in self.seen if seen.call.writes), default=0.0)
        return asyncio.get_running_loop().time() - last

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        self._open.add(transport)
        try:
            return await self._answer(request)
        finally:
            self._open.discard(transport)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        call = call_of(request.method, request.path, request.query, body_name=_name_in(request.method, body))
        nth = self._counting.number(call)
        self.seen.append(Seen(call=call, nth=nth, at=asyncio.get_running_loop().time()))
        if self._away is not None:
            return await self._stay_away(request, call)
        fault = self._strike(call, nth)
        if fault is Fault.KILL_BEFORE:
            self._kill()
            return _cut(request)
        if fault is not None and fault.isdigit():
            return _refusal(int(fault), call)
        if call.is_watch:
            return await self._watch(request, fault)
        return await self._forward(request, body, fault)

    async def _stay_away(self, request: web.Request, call: Call) -> web.StreamResponse:
        if self._away is Away.CUT:
            return _cut(request)
        if self._away is Away.HANGS:
            await asyncio.Event().wait()
        if self._away is Away.STORE:
            storeless = request.path == "/version" or request.path.startswith("/openapi")
            return web.json_response({}) if storeless else _refusal(500, call)
        return _refusal(503, call)

    def _strike(self, call: Call, nth: int) -> Fault | None:
        case = self._case
        if self.struck or case is None or (case.call, case.nth) != (call, nth):
            return None
        self._struck_at = asyncio.get_running_loop().time()
        return case.fault

    async def _forward(self, request: web.Request, body: bytes, fault: Fault | None) -> web.StreamResponse:
        assert self._session is not None
        async with self._session.request(
            request.method,
            self._upstream.server + request.path_qs,
            data=body or None,
            headers=_passed_on(request.headers),
            allow_redirects=False,
        ) as answer:
            content = await answer.read()
        if fault is Fault.KILL_AFTER:
            self._kill()
        if fault is not None:
            return _cut(request)
        return web.Response(status=answer.status, body=content, headers=_passed_on(answer.headers))

    async def _watch(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        assert self._session is not None
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        async with self._session.get(
            self._upstream.server + request.path_qs, headers=_passed_on(request.headers)
        ) as answer:
            if answer.status != 200:
                return web.Response(status=answer.status, body=await answer.read())
            loop = asyncio.get_running_loop()
            try:
                await response.prepare(request)
                if fault is Fault.KILL_AFTER:
                    self._kill()
                    return response
                if fault is Fault.DROP_ANSWER:
                    return _cut(request)
                async for line in answer.content:
                    if fault in ERRORS:
                        await response.write(line + _error_event(ERRORS[fault]))
                        return response
                    if fault is Fault.SILENT:
                        continue
                    if fault is Fault.STALE:
                        loop.call_later(STALE_SECONDS, _tell_late, response, line)
                        continue
                    await response.write(line)
            except (aiohttp.ClientError, ConnectionError):
                pass  # either end is gone: so is the watch
        return response


def _tell_late(response: web.StreamResponse, line: bytes) -> None:
    async def tell() -> None:
        with contextlib.suppress(ConnectionError, RuntimeError):  # nobody listens any more
            await response.write(line)

    _LATE.add(task := asyncio.ensure_future(tell()))
    task.add_done_callback(_LATE.discard)


_LATE: set[asyncio.Future[None]] = set()


def _name_in(method: str, body: bytes) -> str:
    if method != "POST" or not body:
        return ""
    found: Any = json.loads(body)
    return str(found.get("metadata", {}).get("name") or "")


def _passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in headers.items() if name.lower() not in HOP_BY_HOP}
    return kept | {"Accept-Encoding": "identity"}


def _status(code: int) -> dict[str, Any]:
    reason = REASONS[code]
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
            "message": f"injected {reason}"}  # fmt: skip


def _error_event(code: int) -> bytes:
    return json.dumps({"type": "ERROR", "object": _status(code)}).encode() + b"\n"


def _refusal(code: int, call: Call) -> web.Response:
    status = _status(code)
    if code == 409 and call.verb == "create":
        status["reason"] = "AlreadyExists"
    headers = {"Retry-After": "1"} if code == 429 else {}
    return web.json_response(status, status=code, headers=headers)


def _cut(request: web.Request) -> web.StreamResponse:
    """Closes the connection without a word, as a load balancer that dies does."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=499)
