"""An operator with exactly the rights of `main.RULES` and `ELECTION_RULES`, in a namespace of the test's own
on the light cluster.

In the test's own event loop where a test looks on, as a process of its own where it is to be killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from cluster.handles import ClusterHandle
from sftrun_api.models import JsonObject
from sftrun_api.names import LABEL_RUN
from sftrun_api.reports import Outcome, Report, Stage
from sftrun_api.run_files import RunIdentity
from sftrun_api.statuses import DatasetStatus, Outputs, Progress, TrainingMetrics
from sftrun_operator import connections, kube
from sftrun_operator.main import ELECTION_RULES, RULES
from sftrun_operator.observations import OperatorConfig
from sftrun_operator.operators import Operator, Options
from sftrun_operator.plans import plan

T = TypeVar("T")
IMAGE = "trainer:test"
WAIT_SECONDS = 120.0
UNCOUNTED = ("events", "leases")
"""Writes that come at their own pace."""


def manifest(name: str, **spec: Any) -> JsonObject:
    """Returns an SFTRun as a user would write it."""
    whole = {
        "workspace": {"persistentVolumeClaim": {"claimName": "training"}},
        "sources": [{"harborJob": {"path": "jobs/quickstart"}}],
        "model": {"path": "models/tiny-qwen3"},
        "training": {"template": "qwen3", "cutoffLen": 2048},
        "infrastructure": {"accelerator": "CPU", "gpusPerNode": 8, "processesPerNode": 2},
    }
    return {
        "apiVersion": "sftrun.dev/v1alpha1",
        "kind": "SFTRun",
        "metadata": {"name": name},
        "spec": whole | spec,
    }


async def eventually(
    read: Callable[[], Awaitable[T]], good: Callable[[T], bool], *, what: str, seconds: float = WAIT_SECONDS
) -> T:
    """Waits until what is read is good, and returns it. Says what was read last when it never is."""
    last: T | None = None
    try:
        async with asyncio.timeout(seconds):
            while True:
                last = await read()
                if good(last):
                    return last
                await asyncio.sleep(0.05)
    except TimeoutError as error:
        raise AssertionError(
            f"not in {seconds:.0f} s: {what}; last seen: {json.dumps(last)[:3000]}"
        ) from error


@dataclass
class OperatorProcess:
    """`sftrun-operator` as a process of its own."""

    arguments: tuple[str, ...]
    folder: Path
    source: Path | None = None
    """Where another version of the operator lies."""
    python: tuple[str, ...] = (sys.executable,)
    """What runs it."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables besides this process' own."""
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.folder / f"operator-{uuid.uuid4().hex[:8]}.log"
        with self.log.open("wb") as log:
            command = [*self.python, "-m", "sftrun_operator", "--trainer-image", IMAGE, *self.arguments]
            environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **self.environment}
            if self.source is not None:
                environment["PYTHONPATH"] = str(self.source)
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def kill(self) -> None:
        """As the kernel would: no last words."""
        self.process.kill()
        self.process.wait(WAIT_SECONDS)

    def terminate(self, *, seconds: float = 30.0) -> int:
        """As the kubelet would. Returns the exit status; raises when it takes longer."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)


@dataclass(kw_only=True)
class Harness:
    """One namespace, and what a test does in it."""

    cluster: ClusterHandle
    namespace: str
    api: kube.Kube
    kubeconfig: Path
    """The operator's own, with the rights of `RULES` in this namespace."""
    user: str

    async def apply(self, name: str, **spec: Any) -> JsonObject:
        """Applies a run as a user would, and returns it."""
        await asyncio.to_thread(self.cluster.apply, manifest(name, **spec), namespace=self.namespace)
        found = await self.run(name)
        assert found is not None
        return found

    async def create(self, name: str, **spec: Any) -> JsonObject:
        """Creates a run by one API call: where many are wanted."""
        return await self.api.create(kube.SFTRUNS, self.namespace, manifest(name, **spec))

    async def patch(self, name: str, **spec: Any) -> None:
        """Changes fields of the run's spec."""
        body = json.dumps({"spec": spec})
        await asyncio.to_thread(
            self.cluster.kubectl, "patch", "sft", name, "--type=merge", "-p", body, namespace=self.namespace
        )

    async def delete(self, resource: str, name: str, *flags: str) -> None:
        """Deletes by kubectl without waiting."""
        await asyncio.to_thread(
            self.cluster.kubectl, "delete", resource, name, "--wait=false", *flags, namespace=self.namespace
        )

    async def run(self, name: str) -> JsonObject | None:
        return await self.api.get(kube.SFTRUNS, self.namespace, name)

    async def objects(self, resource: kube.Resource, run: str = "") -> list[JsonObject]:
        """Returns the run's objects of one kind, or those of all runs."""
        selector = f"{LABEL_RUN}={run}" if run else LABEL_RUN
        listed = await self.api.list(resource, self.namespace, labelSelector=selector)
        items: list[JsonObject] = listed["items"]
        return items

    async def status(
        self, name: str, good: Callable[[Mapping[str, Any]], bool], *, what: str, **rest: Any
    ) -> JsonObject:
        """Waits for a status that is good, and returns it."""

        async def read() -> JsonObject:
            found = await self.run(name)
            return found.get("status", {}) if found else {}

        return await eventually(read, good, what=what, **rest)

    async def phase(self, name: str, phase: str, **rest: Any) -> JsonObject:
        """Waits for a phase, and returns the status."""
        return await self.status(
            name, lambda status: status.get("phase") == phase, what=f"{name} {phase}", **rest
        )

    async def jobs(self, name: str, count: int, **rest: Any) -> list[JsonObject]:
        """Waits until the run has this many Jobs, and returns them."""
        return await eventually(
            lambda: self.objects(kube.JOBS, name),
            lambda found: len(found) == count,
            what=f"{count} Jobs",
            **rest,
        )

    def writes(self, run: str = "") -> list[str]:
        """Returns the operator's writes from the audit log, events apart: `create jobs x-abcde-1`."""
        log = self.cluster.audit_log
        assert log is not None
        found = []
        for line in log.read_text().splitlines():
            entry = json.loads(line)
            what = entry.get("objectRef", {})
            if entry["user"]["username"] != self.user or what.get("resource") in UNCOUNTED:
                continue
            name = what.get("name") or ""
            if what.get("namespace") == self.namespace and (
                not run or name == run or name.startswith(f"{run}-")
            ):
                found.append(f"{entry['verb']} {what['resource']} {name}")
        return found

    async def written(self, operator: Operator, run: str) -> list[str]:
        """Returns the run's writes once the operator has nothing to do and the audit log, which is written
        after the answer, has caught up with what the operator, alone in its namespace, has had answered."""

        async def behind() -> str:
            logged, answered = len(self.writes()), _answered(operator)
            busy = len(operator.queue) + operator.queue.num_working
            return f"{busy} looks to take" * bool(busy) or f"{logged} of {answered}" * (logged != answered)

        await eventually(behind, lambda why: not why, what="every write in the audit log")
        return self.writes(run)

    async def disturb(self, operator: Operator, run: str) -> str:
        """Changes the run in a way that asks for nothing, and waits until the operator has looked at it.
        Returns the resourceVersion after it."""
        before = _looks(operator)
        arguments = ("annotate", "sft", run, f"test/word={uuid.uuid4().hex}", "--overwrite")
        await asyncio.to_thread(self.cluster.kubectl, *arguments, namespace=self.namespace)
        found = await self.run(run)
        assert found is not None
        await eventually(lambda: _later(operator), lambda looks: looks > before, what="a look at the run")
        version: str = found["metadata"]["resourceVersion"]
        return version

    @asynccontextmanager
    async def operator(self, **options: Any) -> AsyncIterator[Operator]:
        """An operator in this event loop, until the end of the block."""
        given: dict[str, Any] = {
            "namespaces": (self.namespace,),
            "liveness": "127.0.0.1:0",
            "poll_every": 0.5,
        }
        operator = Operator(
            connection=await connections.load(str(self.kubeconfig)),
            plan=plan,
            config=OperatorConfig(trainer_image=IMAGE, version="test"),
            options=Options(**given | options),
        )
        task = asyncio.create_task(operator.run())
        try:
            await eventually(
                lambda: _unready(operator), lambda why: not why, what="an operator that is ready"
            )
            yield operator
        finally:
            operator.stop.set()
            await asyncio.wait_for(task, WAIT_SECONDS)

    def process(self, *arguments: str, folder: Path, source: Path | None = None) -> OperatorProcess:
        """Starts an operator as a process of its own, perhaps another version; end it."""
        scope = ("-n", self.namespace, "--kubeconfig", str(self.kubeconfig), "--liveness", "127.0.0.1:0")
        return OperatorProcess(arguments=(*scope, *arguments), folder=folder, source=source)


def _answered(operator: Operator) -> int:
    """Returns how many writes of the operator's were answered, whatever the answer."""
    return sum(
        int(sample.value)
        for metric in operator.metrics.api_requests.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
        and sample.labels["verb"] not in ("get", "list")
        and sample.labels["resource"] not in UNCOUNTED
        and sample.labels["code"] != "unreachable"
    )


def _looks(operator: Operator) -> int:
    """Returns how many looks have ended."""
    return sum(
        int(sample.value)
        for metric in operator.metrics.passes.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    )


async def _later(operator: Operator) -> int:
    return _looks(operator)


async def _unready(operator: Operator) -> str:
    if not operator.address:
        return "not listening yet"
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{operator.address}/readyz") as response,
    ):
        return "" if response.status == 200 else await response.text()


@asynccontextmanager
async def harness_of(cluster: ClusterHandle) -> AsyncIterator[Harness]:
    """A namespace with an operator's service account, removed at the end."""
    namespace = await asyncio.to_thread(cluster.create_namespace, prefix="operator")
    user = f"system:serviceaccount:{namespace}:operator"
    await asyncio.to_thread(cluster.apply, *_rights(namespace), namespace=namespace)
    admin = await connections.load(str(cluster.kubeconfig))
    kubeconfig = await asyncio.to_thread(cluster.user_kubeconfig, user)
    try:
        async with kube.Kube(admin, told=lambda *_: None, seconds=WAIT_SECONDS) as api:
            yield Harness(cluster=cluster, namespace=namespace, api=api, kubeconfig=kubeconfig, user=user)
    finally:
        await asyncio.to_thread(cluster.delete_namespace, namespace)


def _rights(namespace: str) -> tuple[JsonObject, JsonObject]:
    rules = [
        {"apiGroups": [group], "resources": [what], "verbs": list(verbs)}
        for group, what, verbs in (*RULES, *ELECTION_RULES)
    ]
    group = "rbac.authorization.k8s.io"
    subject = {"kind": "ServiceAccount", "name": "operator", "namespace": namespace}
    role = {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": {"name": "operator"}, "rules": rules}
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "operator"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "operator"},
        "subjects": [subject],
    }
    return role, binding


def report(
    run: Mapping[str, Any], pod: Any, stage: Stage, *, step: int = 0, total: int = 24, **rest: Any
) -> Report:
    """Returns what the trainer in `pod` would say of `run`."""
    attempt = run.get("status", {}).get("attempt") or 1
    metadata = run["metadata"]
    return Report(
        run=RunIdentity(
            namespace=metadata["namespace"], name=metadata["name"], uid=metadata["uid"], attempt=attempt
        ),
        pod_uid=pod.uid,
        pod_name=pod.name,
        stage=stage,
        progress=Progress(stage=stage, done=step, total=total, step=step, total_steps=total, loss=0.5),
        dataset=DatasetStatus(name="x", converted=512),
        **rest,
    )


def success(run: Mapping[str, Any], pod: Any) -> str:
    """Returns the termination message of a run that went well."""
    outputs = Outputs(
        model_path="/workspace/artifacts/model/x",
        training_metrics=TrainingMetrics(final_loss=0.31, mean_train_loss=0.325, total_steps=24),
    )
    last = report(run, pod, Stage.COLLECT, step=24, outcome=Outcome.SUCCEEDED, outputs=outputs)
    return json.dumps(last.to_json_object(), separators=(",", ":"))
