"""The client against a server that answers as scripted: paths, bodies, errors by kind, and always an end in
time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer

from sftrun_operator import kube, kube_errors
from sftrun_operator.connections import Connection, Token

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
TOLD: list[tuple[str, str, str]] = []


def tokens(*values: str) -> Token:
    """Returns what gives these one after the other, the last again and again."""
    waiting = list(values)

    async def token() -> str:
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    return token


def root(server: BaseTestServer) -> str:
    return str(server.make_url("")).rstrip("/")


@asynccontextmanager
async def client_of(handler: Handler, *, seconds: float = 5.0) -> AsyncIterator[kube.Kube]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app) as server:
        TOLD.clear()
        async with kube.Kube(
            Connection(server=root(server), token=tokens("secret")),
            told=lambda verb, plural, code, _: TOLD.append((verb, plural, code)),
            seconds=seconds,
        ) as client:
            yield client


def answering(code: int = 200, body: Any = None, **headers: str) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=code, body=orjson.dumps(body or {}), headers=headers)

    return handler


@pytest.mark.parametrize(
    ("call", "method", "path", "body"),
    [
        (
            lambda c: c.get(kube.SFTRUNS, "n", "x"),
            "GET",
            "/apis/sftrun.dev/v1alpha1/namespaces/n/sftruns/x",
            b"",
        ),
        (
            lambda c: c.list(kube.PODS, None, labelSelector="a=b"),
            "GET",
            "/api/v1/pods?labelSelector=a%3Db",
            b"",
        ),
        (
            lambda c: c.create(kube.JOBS, "n", {"a": 1}),
            "POST",
            "/apis/batch/v1/namespaces/n/jobs",
            b'{"a":1}',
        ),
        (
            lambda c: c.patch_status(kube.SFTRUNS, "n", "x", {"a": None}),
            "PATCH",
            "/apis/sftrun.dev/v1alpha1/namespaces/n/sftruns/x/status",
            b'{"a":null}',
        ),
        (
            lambda c: c.delete(kube.JOBS, "n", "x", uid="u", propagation="Foreground"),
            "DELETE",
            "/apis/batch/v1/namespaces/n/jobs/x",
            b'{"preconditions":{"uid":"u"},"propagationPolicy":"Foreground"}',
        ),
        (lambda c: c.get(kube.PODS, "n/../m", "x?y"), "GET", "/api/v1/namespaces/n%2F..%2Fm/pods/x%3Fy", b""),
    ],
)
async def test_each_verb_says_what_it_should(call: Any, method: str, path: str, body: bytes) -> None:
    asked: list[tuple[str, str, bytes, str]] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(
            (request.method, request.raw_path, await request.read(), request.headers["Authorization"])
        )
        return web.json_response({})

    async with client_of(handler) as client:
        await call(client)
    assert [(each[0], each[2], each[3]) for each in asked] == [(method, body, "Bearer secret")]
    assert asked[0][1].replace("a=b", "a%3Db") == path


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (400, "BadRequest", kube_errors.InvalidError),
        (401, "Unauthorized", kube_errors.BusyError),
        (403, "Forbidden", kube_errors.RefusedError),
        (404, "NotFound", kube_errors.NotFoundError),
        (409, "Conflict", kube_errors.ConflictError),
        (409, "AlreadyExists", kube_errors.AlreadyExistsError),
        (410, "Expired", kube_errors.ApiError),
        (422, "Invalid", kube_errors.InvalidError),
        (429, "TooManyRequests", kube_errors.BusyError),
        (500, "InternalError", kube_errors.BusyError),
        (504, "Timeout", kube_errors.BusyError),
        (302, "Found", kube_errors.ApiError),
    ],
)
async def test_each_answer_becomes_its_error(code: int, reason: str, kind: type[Exception]) -> None:
    handler = answering(code, {"reason": reason, "message": "why"}, Location="/elsewhere")
    async with client_of(handler) as client:
        with pytest.raises(kind) as caught:
            await client.create(kube.JOBS, "n", {})
    assert type(caught.value) is kind
    assert isinstance(caught.value, kube_errors.ApiError)
    assert (caught.value.code, caught.value.reason, caught.value.message) == (code, reason, "why")
    assert [("create", "jobs", str(code))] == TOLD


@pytest.mark.parametrize(
    "body", [b"", b"<html>bad gateway</html>", b"[]", b'"text"', b"\xff\xfe", b"{" * 100_000, b"x" * 100_000]
)
async def test_an_error_page_of_a_proxy_is_an_error_like_any_other(body: bytes) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=502, body=body)

    async with client_of(handler) as client:
        with pytest.raises(kube_errors.BusyError) as caught:
            await client.get(kube.JOBS, "n", "x")
    assert len(caught.value.message) <= kube_errors.MESSAGE_CHARACTERS


async def test_the_server_says_how_long_to_wait() -> None:
    async with client_of(answering(429, {}, **{"Retry-After": "7"})) as client:
        with pytest.raises(kube_errors.BusyError) as caught:
            await client.get(kube.JOBS, "n", "x")
    assert caught.value.retry_after == 7


async def test_every_request_carries_the_token_of_its_moment_and_only_to_its_server() -> None:
    seen: list[str | None] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.Response(status=302, headers={"Location": f"http://localhost:{request.url.port}/stolen"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app) as server:
        connection = Connection(server=root(server), token=tokens("one", "two", "late"))
        async with connection.session(limit=1) as session:
            await session.get(f"{connection.server}/a", allow_redirects=False)
            with pytest.raises(aiohttp.TooManyRedirects):
                await session.get(f"{connection.server}/b", max_redirects=2)
    assert seen == ["Bearer one", "Bearer two", None]


async def test_what_is_not_there_is_none() -> None:
    async with client_of(answering(404, {"reason": "NotFound"})) as client:
        assert await client.get(kube.JOBS, "n", "x") is None
        assert await client.delete(kube.JOBS, "n", "x", uid="u", propagation="Background") is None


async def test_a_silent_server_ends_in_time() -> None:
    async def handler(_: web.Request) -> web.Response:
        await asyncio.sleep(3600)
        return web.Response()

    async with client_of(handler, seconds=0.1) as client:
        with pytest.raises(kube_errors.SlowError):
            await asyncio.wait_for(client.get(kube.JOBS, "n", "x"), 60)
    assert TOLD == [("get", "jobs", "unreachable")]


async def test_a_cut_connection_and_half_an_answer_are_unreachable() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b'{"half":')
        assert request.transport is not None
        request.transport.close()
        return response

    async with client_of(handler) as client:
        with pytest.raises(kube_errors.UnreachableError) as caught:
            await client.get(kube.JOBS, "n", "x")
    assert not isinstance(caught.value, kube_errors.SlowError)


async def test_no_json_is_unreachable() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    async with client_of(handler) as client:
        with pytest.raises(kube_errors.UnreachableError, match="no JSON"):
            await client.get(kube.JOBS, "n", "x")


async def test_pages_follow_the_token_to_the_end() -> None:
    asked: list[dict[str, str]] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(dict(request.query))
        number = len(asked)
        metadata = {"resourceVersion": "9"} | ({"continue": f"t{number}"} if number < 3 else {})
        return web.json_response({"metadata": metadata, "items": [{"n": number}]})

    async with client_of(handler) as client:
        pages = [page async for page in client.pages(kube.PODS, None, labelSelector="l")]
    assert [page["items"][0]["n"] for page in pages] == [1, 2, 3]
    assert [each.get("continue") for each in asked] == [None, "t1", "t2"]
    assert all(each["limit"] == "100" and each["labelSelector"] == "l" for each in asked)


async def test_a_burst_shares_the_pool() -> None:
    active, most = 0, 0

    async def handler(_: web.Request) -> web.Response:
        nonlocal active, most
        active, most = active + 1, max(most, active + 1)
        await asyncio.sleep(0.02)
        active -= 1
        return web.json_response({})

    async with client_of(handler) as client:
        await asyncio.gather(*(client.get(kube.JOBS, "n", str(number)) for number in range(200)))
    assert most <= kube.MAX_CONNECTIONS
