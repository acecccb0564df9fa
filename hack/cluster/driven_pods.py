"""One pod of the scripted driver: what a scheduler and a kubelet would do to it, one method each."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import Mapping
from typing import Any

from cluster import pod_statuses
from cluster.errors import ClusterError
from cluster.kube_api import ApiError, KubeApi
from cluster.progress_servers import ProgressServers, answer_of
from cluster.scripts import (
    RUNS,
    Bind,
    Disrupt,
    End,
    Fail,
    Hold,
    Pause,
    Reply,
    Run,
    Say,
    Step,
    Unschedulable,
    Waiting,
)

JsonObject = dict[str, Any]
_TERMINAL = ("Succeeded", "Failed")


class PodGone(ClusterError):
    """The pod was removed while something was done to it."""


class DrivenPod:
    """A pod as the driver sees it. `manifest` is the last version that the watch delivered."""

    def __init__(self, manifest: JsonObject, *, api: KubeApi, servers: ProgressServers, node: str) -> None:
        """Takes over a pod; nothing happens to it yet."""
        self.manifest = manifest
        self.script = RUNS
        """What becomes of it; a test may replace it to change what a later deletion does."""
        self.namespace: str = manifest["metadata"]["namespace"]
        self.name: str = manifest["metadata"]["name"]
        self.uid: str = manifest["metadata"]["uid"]
        self.address = ""
        self.gone = asyncio.Event()
        """Set once the API server has removed the pod."""
        self.deleted = asyncio.Event()
        """Set once somebody has asked for its deletion."""
        self.played = asyncio.Event()
        """Set once its script's steps are done."""
        self._api, self._servers, self._node = api, servers, node
        self._path = f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"
        self._bound = bool(manifest["spec"].get("nodeName"))
        self._ended = manifest.get("status", {}).get("phase") in _TERMINAL
        self._started = ""
        self._released = asyncio.Event()

    @property
    def labels(self) -> Mapping[str, str]:
        found: Mapping[str, str] = self.manifest["metadata"].get("labels", {})
        return found

    @property
    def bound(self) -> bool:
        return self._bound

    @property
    def ended(self) -> bool:
        """Whether the driver has written its end."""
        return self._ended

    @property
    def num_requests(self) -> int:
        """How often its progress port was asked."""
        return self._servers.num_requests(self.address)

    def num_answered(self, path: str) -> int:
        """How often somebody heard its answer at one path."""
        return self._servers.num_answered(self.address, path)

    def observe(self, manifest: JsonObject) -> None:
        """Takes a newer version from the watch."""
        self.manifest = manifest
        self._bound = self._bound or bool(manifest["spec"].get("nodeName"))
        if manifest["metadata"].get("deletionTimestamp"):
            self.deleted.set()

    def release(self) -> None:
        """Lets a `Hold` step go on, also one to come."""
        self._released.set()

    async def play(self) -> None:
        """Plays its script's steps."""
        await self._play(self.script.steps)
        self.played.set()

    async def bind(self) -> None:
        """The scheduler gives it to the driver's node. Again changes nothing."""
        if self._bound:
            return
        target = {"apiVersion": "v1", "kind": "Node", "name": self._node}
        metadata = {"name": self.name, "namespace": self.namespace, "uid": self.uid}
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}
        try:
            await self._api.post(f"{self._path}/binding", binding)
        except ApiError as error:
            if not await self._has_node():  # a call whose answer was lost is made twice
                raise self._gone_or(error) from error
        self._bound = True

    async def be_unschedulable(self, message: str = Unschedulable().message) -> None:
        """The scheduler finds no node."""
        await self._write(pod_statuses.unschedulable(message=message, now=_now()))

    async def wait(self, reason: str = "ContainerCreating", message: str = "") -> None:
        """The containers do not start."""
        await self.bind()
        await self._write(pod_statuses.waiting(self.manifest, reason=reason, message=message, now=_now()))

    async def run(self, answer: Reply | None = None, *, ready: bool = True) -> None:
        """The containers run, and the progress port is open before the status says so."""
        await self.bind()
        self.address = self.address or await self._servers.listen()
        if answer is not None:
            self.say(answer)
        self._started = self._started or _now()
        status = pod_statuses.running(
            self.manifest, address=self.address, ready=ready, started=self._started, now=_now()
        )
        await self._write(status)

    def say(self, answer: Reply, *, path: str = "/progress") -> None:
        """Answers this from now on."""
        if not self.address:
            raise ClusterError(f"pod {self.name} has no address to answer at: let it run first")
        self._servers.set_answer(self.address, path, answer_of(answer))

    async def disrupt(self, reason: str = Disrupt().reason, message: str = Disrupt().message) -> None:
        """Something else than the program is about to end it."""
        await self._write(pod_statuses.disrupted(reason=reason, message=message, now=_now()))

    async def end(self, exit_code: int = 0, *, reason: str = "", message: str = "") -> None:
        """The containers end, and with them the pod; its port closes first."""
        await self.bind()
        await self.close()
        now = _now()
        await self._write(
            pod_statuses.terminated(
                self.manifest,
                exit_code=exit_code,
                reason=reason,
                message=message,
                started=self._started or now,
                now=now,
            )
        )
        self._ended = True

    async def fail(self, reason: str = Fail().reason, message: str = Fail().message) -> None:
        """The pod fails as a whole."""
        await self.close()
        await self._write(pod_statuses.failed_without_containers(reason=reason, message=message))
        self._ended = True

    async def terminate(self) -> None:
        """What a kubelet does with a deleted pod: SIGTERM, patience, SIGKILL, final status, removal."""
        if not self._ended:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._grace_seconds()):
                    await self._play(self.script.on_delete)
        if not self._ended:
            await self.end(137, reason="Error")
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}}
        try:
            await self._api.delete(self._path, options)
        except ApiError as error:
            raise self._gone_or(error) from error

    async def close(self) -> None:
        """Closes its progress port."""
        if self.address:
            await self._servers.leave(self.address)

    def _grace_seconds(self) -> float:
        return float(self.manifest["metadata"].get("deletionGracePeriodSeconds", 30))

    async def _play(self, steps: tuple[Step, ...]) -> None:
        for step in steps:
            await self._perform(step)

    async def _perform(self, step: Step) -> None:
        match step:
            case Unschedulable():
                await self.be_unschedulable(step.message)
            case Bind():
                await self.bind()
            case Waiting():
                await self.wait(step.reason, step.message)
            case Run():
                await self.run(step.answer, ready=step.ready)
            case Say():
                self.say(step.answer, path=step.path)
            case Pause():
                await asyncio.sleep(step.seconds)
            case Hold():
                await self._released.wait()
                self._released.clear()
            case Disrupt():
                await self.disrupt(step.reason, step.message)
            case End():
                await self.end(step.exit_code, reason=step.reason, message=step.message)
            case Fail():
                await self.fail(step.reason, step.message)

    async def _write(self, status: JsonObject) -> None:
        try:
            await self._api.patch(f"{self._path}/status", {"metadata": {"uid": self.uid}, "status": status})
        except ApiError as error:
            raise self._gone_or(error) from error

    async def _has_node(self) -> bool:
        try:
            found = await self._api.get(self._path)
        except ApiError as error:
            raise self._gone_or(error) from error
        return bool(found["metadata"]["uid"] == self.uid and found["spec"].get("nodeName") == self._node)

    def _gone_or(self, error: ApiError) -> ClusterError:
        """A pod that is gone (404), or another of its name (409 for the uid), ends the script in peace."""
        if error.status in (404, 409):
            return PodGone(f"pod {self.namespace}/{self.name} is gone")
        return error


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
