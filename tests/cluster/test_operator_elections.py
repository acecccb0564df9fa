"""Two operators with a Lease on a real API server: one works, and its death is noticed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.cluster.operator_harness import Harness, OperatorProcess, eventually, harness_of, manifest, report
from tests.faults.keepers import LEASE, Keeper, Settings
from tests.faults.proxies import Away, Proxy, Seen

from cluster.driver import Driver
from cluster.handles import ClusterHandle
from cluster.scripts import MANUAL
from sftrun_api.names import LABEL_RUN
from sftrun_api.reports import Stage
from sftrun_operator import connections, kube
from sftrun_operator.elections import LEASE_SECONDS, RETRY_SECONDS

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
RUNS = 12


@pytest.fixture
async def here(light_cluster_with_crds: ClusterHandle) -> AsyncIterator[Harness]:
    async with harness_of(light_cluster_with_crds) as harness:
        yield harness


def _candidate(here: Harness, folder: Path) -> OperatorProcess:
    return here.process("--leader-elect", "--lease-namespace", here.namespace, folder=folder)


async def _holder(here: Harness) -> str:
    lease = await here.api.get(kube.LEASES, here.namespace, LEASE)
    return str((lease or {}).get("spec", {}).get("holderIdentity") or "")


def _leads(candidate: OperatorProcess) -> bool:
    return "leading, as" in candidate.log.read_text()


async def _has_job(here: Harness, name: str) -> None:
    await here.jobs(name, 1)


async def test_the_other_takes_over_from_a_killed_leader_and_from_one_that_ends(
    here: Harness, tmp_path: Path
) -> None:
    first = _candidate(here, tmp_path)
    candidates = [first]
    try:
        await eventually(lambda: _holder(here), bool, what="a leader")
        second = _candidate(here, tmp_path)
        candidates.append(second)
        await here.apply("before")
        await _has_job(here, "before")
        held_by = await _holder(here)
        assert (_leads(first), _leads(second)) == (True, False)

        first.kill()
        await here.apply("after")
        await _has_job(here, "after")
        assert _leads(second) and await _holder(here) != held_by

        third = _candidate(here, tmp_path)
        candidates.append(third)
        await eventually(lambda: _stands_by(third), bool, what="a third that stands by")
        assert await asyncio.to_thread(second.terminate, seconds=15.0) == 0
        await here.apply("handed-over")
        await _has_job(here, "handed-over")
        assert _leads(third)
        assert all("unexpected" not in each.log.read_text() for each in candidates)
    finally:
        for each in candidates:
            each.kill()


async def _stands_by(candidate: OperatorProcess) -> bool:
    return "serving" in candidate.log.read_text()


@dataclass(kw_only=True)
class Cut:
    """A candidate behind a proxy that can cut it off."""

    name: str
    keeper: Keeper
    proxy: Proxy

    def writes(self) -> list[Seen]:
        """Returns what it sent to change something, the Lease apart."""
        return [seen for seen in self.proxy.seen if seen.call.writes and seen.call.resource != "leases"]


@contextlib.asynccontextmanager
async def _behind_a_proxy(here: Harness, name: str, folder: Path) -> AsyncIterator[Cut]:
    settings = Settings(candidate=name)
    keeper = Keeper(here.namespace, str(folder / f"{name}.log"), settings=settings)
    upstream = await connections.load(str(here.kubeconfig))
    async with Proxy(upstream=upstream, kill=keeper.kill) as proxy:
        keeper.url = proxy.url
        keeper.start()
        try:
            yield Cut(name=name, keeper=keeper, proxy=proxy)
        finally:
            await keeper.end()


async def test_a_leader_that_is_cut_off_stops_writing_before_the_other_starts(
    here: Harness, tmp_path: Path
) -> None:
    """Its pods can be reached and go on telling, so it has something to write all the time."""
    async with (
        _behind_a_proxy(here, "a", tmp_path) as a,
        _behind_a_proxy(here, "b", tmp_path) as b,
        Driver(here.cluster.kubeconfig, namespace=here.namespace, script=MANUAL) as driver,
    ):
        leader = await eventually(lambda: _holder(here), bool, what="a leader")
        cut, other = (a, b) if leader == "a" else (b, a)
        for number in range(RUNS):
            await here.api.create(kube.SFTRUNS, here.namespace, manifest(f"r{number}"))
        pods = []
        for number in range(RUNS):
            run = await here.run(f"r{number}")
            pod = await driver.pod(labels={LABEL_RUN: f"r{number}"}, seconds=120)
            assert run is not None
            await pod.run(report(run, pod, Stage.PREPARE))
            pods.append((run, pod))
        for number in range(RUNS):
            await here.phase(f"r{number}", "Preparing")
        assert other.writes() == []

        cut.proxy.away = Away.HANGS
        await here.create("meanwhile")
        for run, pod in pods:  # over the whole time in which the cut-off one may still believe that it leads
            pod.say(report(run, pod, Stage.TRAIN, step=1))
            await asyncio.sleep(1)
        await here.jobs("meanwhile", 1)
        for number in range(RUNS):
            await here.phase(f"r{number}", "Training")
        assert await _holder(here) == other.name
        last = max(seen.at for seen in cut.writes())
        assert last < min(seen.at for seen in other.writes())

        num_writes = len(cut.writes())
        cut.proxy.away = None  # it hears again, and follows
        await here.create("afterwards")
        await here.jobs("afterwards", 1)
        lists = [seen for seen in cut.proxy.seen if str(seen.call) == "list sftruns all"]
        await eventually(
            lambda: _lists(cut), lambda found: found > len(lists), what="the other one to list again"
        )
        assert len(cut.writes()) == num_writes
        assert (cut.keeper.num_started, other.keeper.num_started) == (1, 1)


async def _lists(cut: Cut) -> int:
    return sum(str(seen.call) == "list sftruns all" for seen in cut.proxy.seen)


def test_a_killed_leader_is_followed_within_twenty_seconds() -> None:
    """What the simulations of `tests/operator/test_shell_elections.py` and `make bench-failover` rely on."""
    assert LEASE_SECONDS + RETRY_SECONDS < 20
