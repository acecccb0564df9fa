"""The golden life of a run, create → progress → suspend → resume → success → delete, and what holds in it.

The pods are the scripted driver's; everything else is real. The same life is lived once undisturbed, which
gives the calls and the final state, and then once a case.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.cluster.operator_harness import manifest, report, success
from tests.faults.cases import Case
from tests.faults.keepers import Keeper
from tests.faults.oracles import Broken, Onlooker, final_state
from tests.faults.proxies import Proxy, Seen

from cluster.driven_pods import DrivenPod
from cluster.driver import Driver
from cluster.kube_api import KubeApi
from sftrun_api.exit_codes import ExitCode
from sftrun_api.models import JsonObject
from sftrun_api.names import LABEL_RUN, curve_name
from sftrun_api.reports import Outcome, Stage
from sftrun_operator import kube
from sftrun_operator.connections import Connection

WAIT_SECONDS = 90.0
QUIET_SECONDS = 1.0
"""So long nothing may be written for the state to count as steady."""
RECOVERY_SECONDS = 4.0
"""So long a call that was struck may wait to be made again: Retry-After, and the operator's own back-off."""


@dataclass(kw_only=True)
class World:
    """A namespace, the driver of its pods, and an administrator who looks on."""

    namespace: str
    api: kube.Kube
    user: KubeApi
    driver: Driver
    onlooker: Onlooker
    upstream: Connection
    """The operator's identity."""
    log: str


@dataclass(kw_only=True)
class Life:
    """How a run lived."""

    final: JsonObject
    seen: list[Seen]
    struck: bool
    writes: list[str]


async def live(world: World, name: str, *, case: Case | None = None) -> Life:
    """Lives the golden life once. Raises `Broken` when an oracle says no."""
    keeper = Keeper(world.namespace, world.log)
    async with Proxy(upstream=world.upstream, kill=keeper.kill, case=case) as proxy:
        keeper.url = proxy.url
        keeper.start()
        try:
            final = await _Golden(world, name, keeper=keeper, proxy=proxy).live()
            keeper.check()
            world.onlooker.check(name)
        finally:
            await keeper.end()
        return Life(final=final, seen=proxy.seen, struck=proxy.struck, writes=proxy.writes())


class _Golden:
    """One life under way."""

    def __init__(self, world: World, name: str, *, keeper: Keeper, proxy: Proxy) -> None:
        self._world = world
        self._name = name
        self._keeper = keeper
        self._proxy = proxy
        self._labels = {LABEL_RUN: name}
        self._asked_before_kill = 0
        keeper.on_kill = self._note_kill

    async def live(self) -> JsonObject:
        """Returns the state before the run is deleted."""
        world = self._world
        await world.api.create(kube.SFTRUNS, world.namespace, manifest(self._name))
        first = await world.driver.pod(labels=self._labels, seconds=WAIT_SECONDS)
        await first.run(report(await self._run(), first, Stage.PREPARE))
        await self._phase("Preparing")
        first.say(curve(await self._run(), 3), path="/curve")
        first.say(report(await self._run(), first, Stage.TRAIN, step=3))
        await self._phase("Training")

        excused = await self._suspend(first)
        await self._rest("Suspended")

        await self._change({"spec": {"suspend": False}})
        second = await world.driver.pod(
            labels=self._labels, where=lambda pod: pod.uid != first.uid, seconds=WAIT_SECONDS
        )
        await second.run(report(await self._run(), second, Stage.TRAIN, step=10))
        await self._phase("Training")
        await self._succeed(second)
        await self._rest("Succeeded")

        ended = await self._run()
        final = await final_state(world.api, ended)
        if "ConfigMap <run>-1-curve" not in final and excused:
            anybody = {"metadata": {"namespace": "<namespace>", "name": "<run>", "uid": "<uid>"}}
            text = json.dumps(curve(anybody, 3), separators=(",", ":"))
            final["ConfigMap <run>-1-curve"] = {"curve.json": text}
        await self._delete(str(ended["metadata"]["uid"]))
        return final

    async def _suspend(self, pod: DrivenPod) -> bool:
        """Suspends the run, and ends its pod as the trainer would. Returns whether the operator that had the
        curve may have been killed with it, after the pod was gone: nobody else can know it then."""
        await self._change({"spec": {"suspend": True}})
        await self._until(pod.deleted.is_set, what="the pod to be told to end")
        # The pod writes its checkpoint; an operator that has just been started asks it meanwhile.
        await self._until(lambda: self._asked(pod) > self._asked_before_kill, what="a question")
        kills = self._keeper.kills
        await pod.end(ExitCode.STOPPED)
        pod.release()
        await self._phase("Suspended")
        return self._keeper.kills > kills

    def _note_kill(self) -> None:
        pods = self._world.driver.pods(labels=self._labels)
        self._asked_before_kill = sum(self._asked(pod) for pod in pods)

    def _asked(self, pod: DrivenPod) -> int:
        return pod.num_answered("/curve")

    async def _succeed(self, pod: DrivenPod) -> None:
        """Ends the pod well, as the trainer would: not before its last curve was fetched."""
        run = await self._run()
        pod.say(curve(run, 24), path="/curve")
        pod.say(report(run, pod, Stage.COLLECT, step=24, outcome=Outcome.SUCCEEDED))
        name = curve_name(self._name, run["metadata"]["uid"], 2)

        await self._until(lambda: name in self._world.onlooker.names(self._name), what="the curve to be kept")
        await pod.end(0, message=success(run, pod))
        await self._phase("Succeeded")

    async def _rest(self, what: str) -> None:
        """Waits until nothing is written, has the run looked at once more, and then nothing may be
        written."""

        def quiet() -> bool:
            recovered = self._proxy.seconds_since_strike() >= RECOVERY_SECONDS
            return recovered and self._proxy.quiet_seconds() >= QUIET_SECONDS

        await self._until(quiet, what=f"an end of the writes, {what}")
        before = self._proxy.writes()
        await self._change({"metadata": {"annotations": {"test/look": what}}})
        await asyncio.sleep(QUIET_SECONDS)
        if more := self._proxy.writes()[len(before) :]:
            raise Broken(f"writes although nothing changed, {what}: {more}")

    async def _run(self) -> JsonObject:
        found = await self._world.api.get(kube.SFTRUNS, self._world.namespace, self._name)
        return found or {}

    async def _phase(self, wanted: str) -> None:
        def reached() -> bool:
            status = self._world.onlooker.run(self._name).get("status", {})
            return bool(status.get("phase") == wanted)

        await self._until(reached, what=wanted)

    async def _change(self, body: JsonObject) -> None:
        path = kube.SFTRUNS.path(self._world.namespace, self._name)
        await self._world.user.patch(path, body, strategic=False)

    async def _delete(self, uid: str) -> None:
        world = self._world
        await world.api.delete(kube.SFTRUNS, world.namespace, self._name, uid=uid, propagation="Foreground")

        await self._until(lambda: not world.onlooker.names(self._name), what="everything to be gone")

    async def _until(self, good: Callable[[], bool], *, what: str) -> None:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while not good():
                    self._keeper.check()
                    await asyncio.sleep(0.02)
        except TimeoutError as error:
            there = sorted(self._world.onlooker.names(self._name))
            status = str((await self._run()).get("status"))[:1500]
            raise Broken(
                f"not in {WAIT_SECONDS:.0f} s: {what}; there are {there}; its status: {status}"
            ) from error


def curve(run: Mapping[str, Any], step: int) -> JsonObject:
    """Returns what a pod of the run answers at /curve."""
    metadata = run["metadata"]
    identity = {key: metadata[key] for key in ("namespace", "name", "uid")}
    return {"run": identity, "columns": ["step", "loss"], "points": [[step, 0.5]]}
