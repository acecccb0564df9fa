"""What `helm test` says, of replicas that answer, that do not, and of an API that is not served."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web
from tests.operator.shell_fakes import error
from tests.operator.test_served_schemas import document, without

from sftrun_operator.installation_checks import Installation, look, until_good

WHAT = Installation(namespace="ops", selector="app=x", lease="sftrun")


@dataclass
class Cluster:
    """An API server with the operator's pods and its Lease."""

    served: dict[str, Any] | Exception = field(default_factory=document)
    pods: list[dict[str, Any]] = field(default_factory=list)
    lease: dict[str, Any] | None = None

    async def schema(self) -> dict[str, Any]:
        if isinstance(self.served, Exception):
            raise self.served
        return self.served

    async def list(self, *_: Any, **selectors: str) -> dict[str, Any]:
        assert selectors == {"labelSelector": "app=x"}
        return {"items": self.pods}

    async def get(self, *_: Any) -> dict[str, Any] | None:
        return self.lease


def pod(name: str, *, phase: str = "Running", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "uid": name},
        "status": {"phase": phase, "podIP": "127.0.0.1"} | status,
    }


LEASE = {"spec": {"holderIdentity": "op-a_5e0c"}}


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A replica that answers, on a port of this machine."""
    app = web.Application()
    app.router.add_get("/readyz", _well)
    async for found in _served(app):
        yield found


async def _well(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _unwell(_: web.Request) -> web.Response:
    return web.Response(text="nobody is known to lead\n", status=503)


async def _served(app: web.Application) -> AsyncIterator[int]:
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


def at(port: int) -> Installation:
    return replace(WHAT, port=port)


async def said(cluster: Cluster, what: Installation) -> list[str]:
    client: Any = cluster
    return [str(line) for line in await look(client, what)]


async def test_all_is_well(port: int) -> None:
    cluster = Cluster(pods=[pod("op-a"), pod("op-b"), pod("old", phase="Failed")], lease=LEASE)
    assert await said(cluster, at(port)) == [
        "ok   SFTRuns are served, with every field of this version",
        "ok   op-a answers: runs are looked after",
        "ok   op-b answers: runs are looked after",
        "ok   op-a leads",
    ]


async def test_only_the_crd_is_asked_about_where_nothing_else_may_be_read() -> None:
    assert len(await said(Cluster(), Installation(namespace="ops"))) == 1


@pytest.mark.parametrize(
    ("served", "words"),
    [
        (error(404, "NotFound"), "FAIL SFTRuns are not served: apply the CRD"),
        (error(403, "Forbidden"), "FAIL the API server: call: 403"),
        (
            without("spec", "mode"),
            "FAIL the CRD that is served is older than this operator and drops spec.mode",
        ),
    ],
)
async def test_what_is_wrong_with_the_crd_is_said(served: Any, words: str) -> None:
    (line,) = await said(Cluster(served=served), Installation(namespace="ops"))
    assert line.startswith(words)


async def test_replicas_that_are_none_are_said() -> None:
    app = web.Application()
    app.router.add_get("/readyz", _unwell)
    async for port in _served(app):
        lines = await said(Cluster(pods=[pod("op-a"), pod("op-b", podIP="")]), at(port))
        assert lines[1:] == [
            "FAIL op-a is not ready: nobody is known to lead",
            "FAIL op-b has no address yet",
            "FAIL nobody leads",
        ]
    lines = await said(Cluster(pods=[pod("op-a")], lease=LEASE), at(1))
    assert "FAIL op-a does not answer on port 1 (" in lines[1] and "NetworkPolicies" in lines[1]
    assert "FAIL no pod of the operator in ops (app=x)" in await said(Cluster(lease=LEASE), WHAT)


async def test_it_is_asked_until_all_is_well_or_time_is_up(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sftrun_operator.installation_checks.TRY_EVERY_SECONDS", 0.0)
    slow: Any = Cluster(pods=[pod("op-a")])
    ticks = itertools.count()
    lines = await until_good(slow, at(port), seconds=3, clock=lambda: float(next(ticks)))
    assert [line.good for line in lines] == [True, True, False]
    assert next(ticks) == 4

    slow.lease = LEASE
    assert all(line.good for line in await until_good(slow, at(port), seconds=60))
