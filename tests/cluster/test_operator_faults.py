"""Operators that are killed, doubled, cut off from the API server, or started too early: the same end each
time."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.operator_harness import Harness, eventually, harness_of, manifest
from tests.cluster.relays import Relay, relayed

from cluster import handles, light, processes
from cluster.driver import Driver
from cluster.handles import ClusterHandle
from cluster.kube_api import KubeApi
from cluster.scripts import End, Run, play
from sftrun_api.names import attempt_name
from sftrun_operator import kube

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

KILLS = 12
GUARD = "OwnerReferencesPermissionEnforcement"


@pytest.fixture
async def here(light_cluster_with_crds: ClusterHandle) -> AsyncIterator[Harness]:
    async with harness_of(light_cluster_with_crds) as harness:
        yield harness


@pytest.fixture
def own_cluster() -> Iterator[ClusterHandle]:
    """A cluster without our CRD, whose API server this test may restart, and which guards owners as OpenShift
    does."""
    owner = os.getpid()
    started = processes.start_ticks(owner)
    assert started is not None
    folder = light.up(f"restarts-{owner}", owner=(owner, started), admission=(GUARD,))
    yield handles.of_folder(folder)
    light.down(folder)


async def _jobs_of(here: Harness) -> Counter[str]:
    listed = await here.objects(kube.JOBS)
    return Counter(job["metadata"]["ownerReferences"][0]["uid"] for job in listed)


async def test_two_operators_at_once_make_one_job_a_run(here: Harness) -> None:
    async with here.operator(), here.operator():
        runs = await asyncio.gather(*(here.create(f"r{number}") for number in range(20)))
        uids = {run["metadata"]["uid"] for run in runs}
        await eventually(lambda: _count(here), lambda count: count >= 20, what="20 Jobs")
        await asyncio.sleep(1)
        assert await _jobs_of(here) == Counter(dict.fromkeys(uids, 1))
        for run in runs:
            found = await here.run(run["metadata"]["name"])
            assert found is not None
            assert found["status"]["attempt"] == 1


async def _count(here: Harness) -> int:
    return len(await here.objects(kube.JOBS))


async def test_killed_again_and_again_every_run_still_has_one_job_and_one_end(
    here: Harness, tmp_path: Path
) -> None:
    """kill -9 at random moments while runs are created, run and end."""
    chance = random.Random(20261121)
    names = [f"r{number}" for number in range(24)]
    script = play(Run(), End(exit_code=64, message="no report"))
    async with Driver(here.cluster.kubeconfig, namespace=here.namespace, script=script):
        for number in range(KILLS):
            process = here.process(folder=tmp_path)
            await _says(process.log, "serving")
            for name in names[2 * number : 2 * number + 2]:
                await here.create(name)
            await asyncio.sleep(chance.random() * 0.4)  # from before the first write to after the last
            process.kill()
        process = here.process(folder=tmp_path)
        try:
            for name in names:
                status = await here.phase(name, "Failed", seconds=120)
                assert status["attempt"] == 1
        finally:
            assert process.terminate() == 0
    jobs = await here.objects(kube.JOBS)
    assert Counter(job["metadata"]["labels"]["sftrun.dev/run"] for job in jobs) == Counter(names)
    runs = [await here.run(name) for name in names]
    expected = {attempt_name(run["metadata"]["name"], run["metadata"]["uid"], 1) for run in runs if run}
    assert {job["metadata"]["name"] for job in jobs} == expected
    creations = Counter(write for write in here.writes() if write.startswith("create jobs"))
    assert len(creations) == len(names)


async def test_sigterm_in_the_middle_of_work_ends_with_0_in_time(here: Harness, tmp_path: Path) -> None:
    process = here.process(folder=tmp_path)
    await asyncio.gather(*(here.create(f"r{number}") for number in range(40)))
    await eventually(lambda: _count(here), lambda count: count >= 5, what="5 Jobs")
    status = await asyncio.to_thread(process.terminate)
    assert status == 0, process.log.read_text()
    assert "Traceback" not in process.log.read_text()
    accepted = [run for run in await _runs(here) if run.get("status", {}).get("attempt")]
    jobs = await _jobs_of(here)
    assert {run["metadata"]["uid"] for run in accepted} == set(jobs), "passes under way were finished"


async def _runs(here: Harness) -> list[dict[str, Any]]:
    listed = await here.api.list(kube.SFTRUNS, here.namespace)
    found: list[dict[str, Any]] = listed["items"]
    return found


async def test_started_before_the_crd_and_through_restarts_of_the_api_server(
    own_cluster: ClusterHandle, tmp_path: Path
) -> None:
    async with (
        harness_of(own_cluster) as here,
        relayed(here.kubeconfig, folder=tmp_path) as (relay, kubeconfig),
    ):
        process = here.process("--kubeconfig", str(kubeconfig), folder=tmp_path)
        try:
            await _says(process.log, "install the CRD")
            await asyncio.to_thread(own_cluster.install_crds)
            await here.apply("early")
            await here.jobs("early", 1, seconds=120)
            for number in range(2):
                await asyncio.to_thread(_restart_api_server, own_cluster)
                await eventually(partial(_create, here, f"after-{number}"), bool, what="the API server")
                await here.jobs(f"after-{number}", 1, seconds=120)
            await _loses_a_job_while_it_sees_nothing(here, relay)
        finally:
            assert process.terminate() == 0
        log = process.log.read_text()
        assert "Traceback" not in log
        assert log.count("WARNING") < 20, "an outage is said, not repeated"
        await _where_owners_are_guarded(here, tmp_path)


async def _loses_a_job_while_it_sees_nothing(here: Harness, relay: Relay) -> None:
    """An API server that was restarted knows no old resourceVersions: the watch of Jobs begins anew from a
    list, which says nothing of what is gone.

    The new Job is the same attempt's or the next one's: it depends on whether the lost one's pod, which never
    had a node, is seen before it is collected.
    """
    lost = (await here.jobs("early", 1))[0]["metadata"]
    relay.cut()
    await asyncio.to_thread(_restart_api_server, here.cluster)
    await here.delete("job", lost["name"])
    await here.jobs("early", 0)
    relay.mend()
    await eventually(
        lambda: here.objects(kube.JOBS, "early"),
        lambda jobs: [job["metadata"]["uid"] for job in jobs] not in ([], [lost["uid"]]),
        what="another Job",
        seconds=60,
    )


async def _where_owners_are_guarded(here: Harness, folder: Path) -> None:
    """Without the right on `sftruns/finalizers` the guard refuses our objects: the status says so, and it
    heals when the right is there."""
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{here.namespace}/roles/operator"
    async with KubeApi(here.cluster.kubeconfig) as admin:
        whole = (await admin.get(path))["rules"]
        less = [rule for rule in whole if "sftruns/finalizers" not in rule["resources"]]
        assert len(less) == len(whole) - 1
        await admin.patch(path, {"rules": less}, strategic=False)
        process = here.process(folder=folder)
        try:
            await here.create("guarded")
            status = await here.status(
                "guarded",
                lambda status: "finalizers" in str(status.get("message")),
                what="the refusal",
                seconds=120,
            )
            assert status["phase"] == "Pending"
            assert await here.objects(kube.JOBS, "guarded") == []
            await admin.patch(path, {"rules": whole}, strategic=False)
            await here.jobs("guarded", 1, seconds=180)
        finally:
            assert process.terminate() == 0


async def _create(here: Harness, name: str) -> bool:
    try:
        await here.api.create(kube.SFTRUNS, here.namespace, manifest(name))
    except Exception as error:
        return "already exists" in str(error)
    return True


async def _says(log: Path, words: str) -> None:
    await eventually(lambda: asyncio.to_thread(log.read_text), lambda text: words in text, what=words)


def _restart_api_server(cluster: ClusterHandle) -> None:
    assert cluster.folder is not None
    process = processes.find(cluster.folder.processes, "kube-apiserver")
    assert process is not None
    processes.stop(process, records=cluster.folder.processes, seconds=10.0)
    light.up(cluster.folder.name)
