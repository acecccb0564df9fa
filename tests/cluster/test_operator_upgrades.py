"""Rolling upgrade and downgrade with runs in every phase: nothing restarts, nothing is written twice, and
what a newer version has written survives an older one. `other_versions` says what the newer version is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.cluster import other_versions
from tests.cluster.operator_harness import (
    IMAGE,
    Harness,
    OperatorProcess,
    eventually,
    harness_of,
    report,
    success,
)

from cluster import ports
from cluster.driven_pods import DrivenPod
from cluster.driver import Driver
from cluster.handles import ClusterHandle
from cluster.kube_api import KubeApi
from cluster.scripts import MANUAL
from sftrun_api.models import JsonObject
from sftrun_api.names import LABEL_ATTEMPT, LABEL_RUN
from sftrun_api.reports import Outcome, Stage
from sftrun_operator import kube

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

PHASES = (
    "Pending", "Queued", "Preparing", "Training", "Collecting", "Suspending", "Suspended", "Succeeded",
    "Failed", "Rejected",
)  # fmt: skip
MANY = {"accelerator": "CPU", "gpusPerNode": 8, "processesPerNode": 2}
FEW = MANY | {"gpusPerNode": 4}
OTHER_IMAGE = "trainer:later"
NARROW = "apiVersion: sftrun.dev/v1alpha1\nkind: OperatorPolicy\nrules: {maxGpus: 4}\n"
"""Denies what the older version has accepted: eight GPUs."""


@pytest.fixture
async def here(light_cluster_with_crds: ClusterHandle) -> AsyncIterator[Harness]:
    async with harness_of(light_cluster_with_crds) as harness:
        yield harness


@dataclass(kw_only=True)
class Version:
    """One operator that competes for the Lease, and where it tells its figures."""

    process: OperatorProcess
    url: str

    async def looks(self) -> int:
        """Returns how many looks at runs it has taken."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/metrics") as response:
            lines = (await response.text()).splitlines()
        counts = (line.split()[-1] for line in lines if line.startswith("sftrun_operator_reconciles_total{"))
        return int(sum(map(float, counts)))


@dataclass(kw_only=True)
class Team:
    """A run in every phase."""

    here: Harness
    driver: Driver
    user: KubeApi
    folder: Path
    names: list[str] = field(default_factory=lambda: [phase.lower() for phase in PHASES])

    def start(self, *, image: str, source: Path | None = None, policy: Path | None = None) -> Version:
        (port,) = ports.choose(1, taken=())
        arguments = [
            "--leader-elect",
            "--lease-namespace",
            self.here.namespace,
            "--liveness",
            f"127.0.0.1:{port}",
        ]
        arguments += ["--trainer-image", image] + (["--policy", str(policy)] if policy else [])
        process = self.here.process(*arguments, folder=self.folder, source=source)
        return Version(process=process, url=f"http://127.0.0.1:{port}")

    async def take_over(self, new: Version, old: Version) -> None:
        """Replaces a version by another one, as a Deployment does: the new one is there first."""
        await eventually(lambda: _says(new, "serving"), bool, what="the other version to stand by")
        assert await asyncio.to_thread(old.process.terminate) == 0, old.process.log.read_text()
        await eventually(lambda: _says(new, "leading, as"), bool, what="the other version to lead")
        await self.have_all_looked_at(new)

    async def have_all_looked_at(self, version: Version) -> None:
        """Has every run looked at once more, and waits until that is done."""
        before = await version.looks()
        for name in self.names:
            await self.change(
                name, {"metadata": {"annotations": {"test/looked-at": f"{version.url} {before}"}}}
            )
        await eventually(
            version.looks, lambda looks: looks >= before + len(self.names), what="a look at every run"
        )

        async def settled() -> bool:
            looks = await version.looks()
            await asyncio.sleep(1)
            return looks == await version.looks()

        await eventually(settled, bool, what="an end of the looks")

    async def change(self, name: str, body: JsonObject) -> None:
        path = kube.SFTRUNS.path(self.here.namespace, name)
        await self.user.patch(path, body, strategic=False)

    async def pod(self, name: str, attempt: int = 1) -> DrivenPod:
        labels = {LABEL_RUN: name, LABEL_ATTEMPT: str(attempt)}
        return await self.driver.pod(labels=labels, where=lambda pod: not pod.deleted.is_set(), seconds=120)

    async def ending_pod(self, name: str) -> DrivenPod:
        return await self.driver.pod(labels={LABEL_RUN: name}, seconds=120)

    async def run(self, name: str) -> JsonObject:
        found = await self.here.run(name)
        assert found is not None
        return found

    async def states(self) -> dict[str, Any]:
        """Returns what must not change when the version does: every status, and every object as it is."""
        found: dict[str, Any] = {}
        for name in self.names:
            found[name] = (await self.run(name))["status"]
            for resource in (kube.JOBS, kube.PODS, kube.CONFIG_MAPS):
                for obj in await self.here.objects(resource, name):
                    metadata = obj["metadata"]
                    found[f"{resource.kind} {metadata['name']}"] = (
                        metadata["uid"],
                        metadata["labels"],
                        obj.get("spec"),
                    )
        return found

    async def begin(self) -> None:
        """Brings every run to its phase."""
        await asyncio.gather(*(self._bring(phase) for phase in PHASES))

    async def _bring(self, phase: str) -> None:
        name = phase.lower()
        spec: dict[str, Any] = {}
        if phase == "Queued":
            spec = {"infrastructure": MANY | {"queueName": "team"}}
        if phase == "Rejected":
            spec = {"infrastructure": MANY | {"image": "elsewhere.example.com/trainer:1"}}
        run = await self.here.create(name, **spec)
        if phase == "Rejected":
            await self.here.phase(name, phase)
            return
        if phase == "Queued":  # as Kueue does
            (job,) = await self.here.jobs(name, 1)
            path = kube.JOBS.path(self.here.namespace, job["metadata"]["name"])
            await self.user.patch(path, {"spec": {"suspend": True}})
            await self.here.phase(name, phase)
            return
        pod = await self.pod(name)
        if phase == "Pending":
            await pod.be_unschedulable()
            await self.here.status(name, lambda status: _reason(status) == "Unschedulable", what="the cause")
            return
        await pod.run(report(run, pod, Stage.PREPARE))
        await self.here.phase(name, "Preparing")
        if phase != "Preparing":
            pod.say(report(run, pod, Stage.TRAIN, step=3))
            await self.here.phase(name, "Training")
        await _ENDINGS.get(phase, _stay)(self, name, pod, run)
        await self.here.phase(name, phase)


def _reason(status: Mapping[str, Any]) -> str:
    return next(
        (str(each["reason"]) for each in status.get("conditions", ()) if each["type"] == "Running"), ""
    )


async def _says(version: Version, words: str) -> bool:
    return words in await asyncio.to_thread(version.process.log.read_text)


async def _stay(_team: Team, _name: str, _pod: DrivenPod, _run: JsonObject) -> None:
    return


async def _collect(_team: Team, _name: str, pod: DrivenPod, run: JsonObject) -> None:
    pod.say(report(run, pod, Stage.COLLECT, step=24))


async def _suspend(team: Team, name: str, pod: DrivenPod, _run: JsonObject) -> None:
    await team.change(name, {"spec": {"suspend": True}})
    await pod.deleted.wait()


async def _suspend_wholly(team: Team, name: str, pod: DrivenPod, run: JsonObject) -> None:
    await _suspend(team, name, pod, run)
    await _stop(pod)


async def _stop(pod: DrivenPod) -> None:
    await pod.end(75)
    pod.release()


async def _succeed(_team: Team, _name: str, pod: DrivenPod, run: JsonObject) -> None:
    await pod.end(0, message=success(run, pod))


async def _fail(_team: Team, _name: str, pod: DrivenPod, _run: JsonObject) -> None:
    await pod.end(64, message="no report")


_ENDINGS: dict[str, Callable[..., Any]] = {
    "Collecting": _collect,
    "Suspending": _suspend,
    "Suspended": _suspend_wholly,
    "Succeeded": _succeed,
    "Failed": _fail,
}


def _unchanged(before: dict[str, Any], after: dict[str, Any], writes: list[str]) -> None:
    """Checks that a change of version changed nothing. What is rejected is judged by whoever is there: its
    status says what the present policy says, once."""
    changed = [key for key in before if key != "rejected" and before[key] != after.get(key)]
    assert changed == []
    assert before.keys() == after.keys()
    assert writes in ([], ["patch sftruns rejected"])


async def _go_on(team: Team) -> None:
    """Has every run take a step under the later version: it writes to each."""
    for name, stage, phase in (
        ("pending", Stage.PREPARE, "Preparing"),
        ("preparing", Stage.TRAIN, "Training"),
        ("training", Stage.COLLECT, "Collecting"),
    ):
        await _runs(team, name, stage, phase)
    (job,) = await team.here.jobs("queued", 1)
    path = kube.JOBS.path(team.here.namespace, job["metadata"]["name"])
    await team.user.patch(path, {"spec": {"suspend": False}})
    await _runs(team, "queued", Stage.TRAIN, "Training")
    await _stop(await team.ending_pod("suspending"))
    await team.here.phase("suspending", "Suspended")
    await team.change("suspended", {"spec": {"suspend": False}})
    await team.change("failed", {"spec": {"restartRequest": 1}})
    for name in ("suspended", "failed"):
        pod = await _runs(team, name, Stage.TRAIN, "Training", attempt=2)
        image = pod.manifest["spec"]["containers"][0]["image"]
        assert image == IMAGE, "what was accepted is pinned, also for attempts to come"
    await team.here.create("fresh", infrastructure=FEW)
    team.names.append("fresh")
    await _runs(team, "fresh", Stage.TRAIN, "Training")


async def _runs(team: Team, name: str, stage: Stage, phase: str, *, attempt: int = 1) -> DrivenPod:
    pod = await team.pod(name, attempt)
    await pod.run(report(await team.run(name), pod, stage, step=12))
    await team.here.phase(name, phase)
    return pod


async def _to_the_end(team: Team) -> None:
    """Ends every run well under the older version, which has never heard of what the later one wrote."""
    await team.change("suspending", {"spec": {"suspend": False}})
    later = {"suspended": 2, "failed": 2, "suspending": 2}
    for name in team.names:
        if name in ("rejected", "succeeded"):
            continue
        pod = await team.pod(name, later.get(name, 1))
        run = await team.run(name)
        await pod.run(report(run, pod, Stage.COLLECT, step=24, outcome=Outcome.SUCCEEDED))
        await pod.end(0, message=success(run, pod))
        status = await team.here.phase(name, "Succeeded")
        assert status["attempt"] == later.get(name, 1)
        if name != "collecting" and other_versions.CHANGED:
            assert status[other_versions.KEY] == other_versions.VALUE, name
            assert other_versions.CONDITION in {each["type"] for each in status["conditions"]}, name
        if name in ("training", "queued") and other_versions.CHANGED:
            assert status["progress"][other_versions.FIGURE] == 7
    assert (await team.run("fresh"))["status"]["image"] == OTHER_IMAGE


async def test_nothing_restarts_and_nothing_is_written_twice_up_and_down(
    here: Harness, tmp_path: Path
) -> None:
    later = other_versions.make(tmp_path / "later")
    policy = tmp_path / "policy.yaml"
    policy.write_text(NARROW)
    async with (
        Driver(here.cluster.kubeconfig, namespace=here.namespace, script=MANUAL) as driver,
        KubeApi(here.cluster.kubeconfig) as user,
    ):
        team = Team(here=here, driver=driver, user=user, folder=tmp_path)
        this = team.start(image=IMAGE)
        versions = [this]
        try:
            await team.begin()
            await team.have_all_looked_at(this)
            before, written = await team.states(), here.writes()

            other = team.start(image=OTHER_IMAGE, source=later, policy=policy)
            versions.append(other)
            await team.take_over(other, this)
            _unchanged(before, await team.states(), here.writes()[len(written) :])

            await _go_on(team)
            await team.have_all_looked_at(other)
            before, written = await team.states(), here.writes()

            this = team.start(image=IMAGE)
            versions.append(this)
            await team.take_over(this, other)
            _unchanged(before, await team.states(), here.writes()[len(written) :])
            await _to_the_end(team)
        finally:
            for version in versions:
                version.process.kill()
        for version in versions:
            assert "Traceback" not in version.process.log.read_text()
