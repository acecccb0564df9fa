"""What the probes say while something is wrong on the way to a real API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from tests.cluster.operator_harness import Harness, eventually, harness_of
from tests.cluster.relays import relayed

from cluster.handles import ClusterHandle
from sftrun_operator import kube, kube_errors, passes, pulses, vitals
from sftrun_operator.elections import Seat
from sftrun_operator.operators import Operator

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

RELIST_SECONDS = 0.5


@pytest.fixture
async def here(light_cluster_with_crds: ClusterHandle) -> AsyncIterator[Harness]:
    async with harness_of(light_cluster_with_crds) as harness:
        yield harness


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Minutes become seconds."""
    monkeypatch.setattr(pulses, "ASK_EVERY_SECONDS", 0.3)
    monkeypatch.setattr(pulses, "SILENT_SECONDS", 3.0)
    monkeypatch.setattr(vitals, "LIST_SECONDS", 1.0)
    monkeypatch.setattr(vitals, "STUCK_SECONDS", 2.0)


async def _probe(operator: Operator, path: str) -> str:
    url = f"http://{operator.address}/{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        text = (await response.text()).strip()
        assert (response.status == 200) == (text == "ok")
        return text


async def _says(operator: Operator, path: str, words: str) -> None:
    await eventually(lambda: _probe(operator, path), lambda said: words in said, what=f"{path}: {words}")


async def test_an_api_server_that_is_away_makes_unready_and_never_unhealthy(
    here: Harness, tmp_path: Path
) -> None:
    async with relayed(here.kubeconfig, folder=tmp_path) as (relay, kubeconfig):
        here.kubeconfig = kubeconfig
        async with here.operator(relist_every=RELIST_SECONDS) as operator:
            relay.cut()
            await _says(operator, "readyz", "has not answered")
            assert await _probe(operator, "healthz") == "ok"
            relay.mend()
            await _says(operator, "readyz", "ok")


async def test_lists_that_are_never_answered_while_a_plain_question_is_make_unhealthy(
    here: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with here.operator(relist_every=RELIST_SECONDS) as operator:
        assert await _probe(operator, "healthz") == "ok"

        async def unheard(*_: object, **__: object) -> AsyncIterator[None]:
            raise kube_errors.UnreachableError("the answer never came")
            yield

        with monkeypatch.context() as broken:
            broken.setattr(kube.Kube, "pages", unheard)
            await _says(operator, "healthz", "nothing could be listed")
            await _says(operator, "readyz", "nothing could be listed")
        await _says(operator, "healthz", "ok")


async def test_a_queue_that_does_not_drain_makes_unhealthy(
    here: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> float | None:
        await asyncio.Event().wait()
        return None

    monkeypatch.setattr(passes.Passes, "look", never)
    async with here.operator(num_workers=1) as operator:
        await here.create("held")
        await here.create("waits")
        await _says(operator, "healthz", "for its turn")


async def test_nobody_who_leads_makes_unready(here: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    seat = Seat(namespace=here.namespace, name="sftrun-operator", identity="me")
    async with here.operator(seat=seat) as operator:
        await _says(operator, "readyz", "ok")

        async def refused(*_: object) -> None:
            raise kube_errors.from_response(call="get leases", code=403, body=b"{}")

        monkeypatch.setattr("sftrun_operator.elections.Election._read", refused)
        await _says(operator, "readyz", "nobody is known to lead")
        assert await _probe(operator, "healthz") == "ok", "a restart would not bring the right back"
