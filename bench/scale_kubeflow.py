"""Kubeflow Trainer with JobSet under the same load: both managers as processes, with the rights, limits and
webhooks that they publish."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import statistics
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from bench import audits, footprints, kubeflow_manifests, pods
from bench.audits import AuditLog, Call
from bench.footprints import Footprint
from bench.kubeflow_manifests import (
    CERTIFICATES,
    JOBSET,
    LOOPBACK,
    MANAGERS,
    NAMESPACE,
    TRAINER,
    Manager,
    Ports,
)
from bench.scale_goals import ALL, CPU, MEMORY, WRITES
from bench.scale_operators import Create, audit_log, cluster_cpu
from bench.scale_runs import Figures, create_all, span, starts, tell_cluster
from bench.stages import say, stage
from tests.cluster.operator_harness import Harness, eventually

from cluster import ports, processes, programs, states
from cluster.certificates import Authority
from cluster.processes import Process
from sftrun_api.models import JsonObject
from sftrun_operator import kube

TRAIN_JOBS = kube.Resource(kind="TrainJob", prefix="/apis/trainer.kubeflow.org/v1alpha1", plural="trainjobs")
READY_SECONDS = 120.0
QUIET_SECONDS = 3.0
USERS = tuple(manager.user for manager in MANAGERS)


async def kubeflow(*, num_runs: int, creators: int = 16) -> Figures:
    """Returns the figures of so many TrainJobs by parallel creators.

    Memory and CPU seconds are those of both managers until nothing is left to do, as our operator's are: one
    writes a JobSet, the other makes the Job of it. What each had taken at the last Job stands beside them.
    """
    await asyncio.to_thread(programs.ensure, programs.BASELINE)
    async with stage("bench-scale", brisk=False) as here:
        log, folder = audit_log(here), Path(tempfile.mkdtemp(prefix="bench-scale-"))
        async with _serving(here, folder=folder) as managers:
            say(f"{num_runs} TrainJobs by {creators} creators")
            before, others = _footprints(managers), cluster_cpu(here)
            calls = await create_all(
                log, _train_jobs(here), user=JOBSET.user, num_runs=num_runs, creators=creators, seconds=300
            )
            last = _footprints(managers)
            tell_cluster(here, others)
            more = await _until_quiet(log, calls, seconds=240)
            after = _footprints(managers)
            tell_cluster(here, others)
    refused = Counter(call.code for user in USERS for call in audits.refused(calls, user=user))
    say(f"refused writes, by their code: {dict(refused)}")
    taken = sum((audits.counts(calls, user=user) for user in USERS), Counter[str]())
    return {
        **starts(calls, user=JOBSET.user),
        ALL: round(span(calls, user=JOBSET.user), 2),
        WRITES: max(taken.values()),
        "writes a run, mean": round(statistics.fmean(taken.values()), 2),
        **_spent(before, after),
        "seconds from the last Job until then": round(more, 1),
        **{f"{name}, at the last Job": value for name, value in _spent(before, last).items()},
    }


@asynccontextmanager
async def _serving(here: Harness, *, folder: Path) -> AsyncIterator[Mapping[Manager, Process]]:
    """Installs both and starts their managers; gives them once a TrainJob has got its Job."""
    cluster = here.cluster
    assert cluster.folder is not None
    manifests = await asyncio.to_thread(kubeflow_manifests.read, cluster, folder / "kustomization")
    chosen = _ports()
    authority = Authority(cluster.folder.pki)
    trusted = base64.b64encode(authority.files.certificate.read_bytes()).decode()
    kept = kubeflow_manifests.without_pods(manifests, ports=chosen, authority=trusted)
    await asyncio.to_thread(_install, here, kept)
    certificate = authority.issue("kubeflow", user="kubeflow", hosts=[LOOPBACK])
    running: dict[Manager, Process] = {}
    try:
        for manager in MANAGERS:
            certificates = folder / manager.program / CERTIFICATES
            certificates.mkdir(parents=True)
            shutil.copy(certificate.certificate, certificates / "tls.crt")
            shutil.copy(certificate.key, certificates / "tls.key")
            configured = kubeflow_manifests.configuration(
                manifests, manager, ports=chosen[manager.program], certificates=certificates
            )
            settings = folder / manager.program / "configuration.json"
            settings.write_text(json.dumps(configured))
            words = kubeflow_manifests.arguments(manifests, manager, configuration=settings)
            running[manager] = await asyncio.to_thread(
                _start, here, manager, words, folder=folder / manager.program
            )
        for manager, process in running.items():
            await asyncio.to_thread(_until_ready, here, manager, process, port=chosen[manager.program].health)
        await asyncio.to_thread(_apply, here, [kubeflow_manifests.runtime()])
        await _train_jobs(here)(0, "first")
        await eventually(
            lambda: here.api.get(kube.JOBS, here.namespace, "first-node-0"), bool, what="a first Job"
        )
        yield running
    finally:
        for process in running.values():
            await asyncio.to_thread(processes.stop, process, records=cluster.folder.processes)


def _ports() -> dict[str, Ports]:
    found = iter(ports.choose(3 * len(MANAGERS), taken=states.ports_in_use()))
    return {
        manager.program: Ports(webhooks=next(found), health=next(found), metrics=next(found))
        for manager in MANAGERS
    }


def _apply(here: Harness, objects: list[JsonObject]) -> None:
    """By the server: their CRDs are too large for what a client notes down."""
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    here.cluster.kubectl("apply", "--server-side", "-f", "-", stdin=document)


def _install(here: Harness, objects: list[JsonObject]) -> None:
    _apply(here, objects)
    crds = [
        f"crd/{each['metadata']['name']}" for each in objects if each["kind"] == "CustomResourceDefinition"
    ]
    here.cluster.kubectl("wait", "--for=condition=Established", "--timeout=180s", *crds)


def _start(here: Harness, manager: Manager, words: list[str], *, folder: Path) -> Process:
    """Starts a manager as its pod would. It is written down with the cluster's programs, which go with it."""
    run = here.cluster.folder
    assert run is not None
    account = pods.service_account(
        here.cluster, manager.deployment, namespace=NAMESPACE, folder=folder / "account"
    )
    return processes.start(
        manager.program,
        pods.command(account, str(programs.binary(manager.program)), *words),
        records=run.processes,
        logs=run.logs,
        environment={**pods.environment(here.cluster), "TMPDIR": str(folder)},
    )


def _until_ready(here: Harness, manager: Manager, process: Process, *, port: int) -> None:
    run = here.cluster.folder
    assert run is not None

    def ready() -> bool:
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    what = f"{manager.program} to be ready"
    processes.wait_until(what, ready, seconds=READY_SECONDS, process=process, logs=run.logs)


def _train_jobs(here: Harness) -> Create:
    async def create(number: int, name: str) -> None:
        await here.api.create(TRAIN_JOBS, here.namespace, kubeflow_manifests.train_job(number, name))

    return create


async def _until_quiet(log: AuditLog, calls: list[Call], *, seconds: float) -> float:
    """Takes in calls until the managers have nothing left to write. Returns the seconds until then."""
    last = began = time.monotonic()
    while time.monotonic() - last < QUIET_SECONDS:
        if time.monotonic() - began > seconds:
            raise AssertionError(f"Kubeflow Trainer and JobSet still write after {seconds:.0f} s")
        new = list(log.read())
        calls += new
        if any(audits.writes(new, user=user) for user in USERS):
            last = time.monotonic()
        await asyncio.sleep(0.5)
    return last - began


def _footprints(managers: Mapping[Manager, Process]) -> dict[Manager, Footprint]:
    return {manager: footprints.of(process.pid) for manager, process in managers.items()}


def _spent(before: Mapping[Manager, Footprint], after: Mapping[Manager, Footprint]) -> Figures:
    """Returns the managers' memory and CPU seconds: of both together, and Kubeflow Trainer's own."""
    cpu = {each: after[each].cpu_seconds - before[each].cpu_seconds for each in MANAGERS}
    memory = {each: after[each].peak_mib for each in MANAGERS}
    return {
        MEMORY: round(sum(memory.values()), 1),
        CPU: round(sum(cpu.values()), 2),
        "MiB of Trainer's manager": round(memory[TRAINER], 1),
        "CPU s of Trainer's manager": round(cpu[TRAINER], 2),
    }
