"""A thousand runs that are none, among runs that are: do these get their Jobs as if they were alone?

Most of the malformed ones are made while the CRD takes anything, as an older one might have; then the real
CRD is back, and they are what an upgrade leaves behind. Others pass it, and only the operator sees them.
"""

from __future__ import annotations

import asyncio
import copy
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from bench import audits
from bench.audits import AuditLog, Call
from bench.scale_operators import audit_log, create_many, loaded, sft_runs, varied
from bench.stages import quantile, say, stage
from tests.cluster.operator_harness import Harness, eventually, manifest

from cluster.handles import CRD_FILE, ClusterHandle
from sftrun_api.models import JsonObject
from sftrun_operator import kube

NUM_GOOD = 100
OPEN: JsonObject = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
Spoil = Callable[[JsonObject], object]


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"x": value}
    return value


SPECS: tuple[Spoil, ...] = (
    lambda run: run.pop("spec"),
    lambda run: run.update(spec={}),
    lambda run: run.update(spec="text"),
    lambda run: run.update(spec=[1, 2, 3]),
    lambda run: run["spec"].update(sources={"a": "map"}),
    lambda run: run["spec"].update(sources=[None, 7, "x", []]),
    lambda run: run["spec"].update(sources=[{}] * 100),
    lambda run: run["spec"].update(training={"template": 7, "cutoffLen": "long", "learningRate": True}),
    lambda run: run["spec"].update(
        training={"template": "qwen3", "learningRate": 1e300, "cutoffLen": -(2**62)}
    ),
    lambda run: run["spec"].update(model=_deep(200)),
    lambda run: run["spec"].update(
        infrastructure={"gpusPerNode": 8.5, "accelerator": "TPU", "processesPerNode": {}}
    ),
    lambda run: run["spec"].update(suspend="yes", restartRequest="again", lifecycle="none"),
    lambda run: run["spec"].update(workspace={"mountPath": "x" * 50_000}),
    lambda run: run["spec"].update(
        volumes=[{"mountPath": "/opt/sftrun/v", "persistentVolumeClaim": {"claimName": "v"}}]
    ),
    lambda run: run["metadata"].update(name=run["metadata"]["name"] + "-" + "n" * 200),
)
STATUSES: tuple[JsonObject, ...] = (
    {},
    {},
    {"conditions": "none", "attempt": "five", "phase": 7},
    {"conditions": [{"type": "Accepted", "status": "True"}], "attempt": 3, "jobName": "gone", "jobUID": "x"},
    {"conditions": [1, {}, {"type": []}], "progress": {"step": "last"}, "effective": _deep(100)},
    {"phase": "Training", "attempt": 2**53, "podName": ["p"], "display": "wide"},
)


def malformed(number: int) -> tuple[JsonObject, JsonObject]:
    """Returns an object and the status that it is given."""
    made = manifest(f"bad-{number:04}", **varied(number))
    SPECS[number % len(SPECS)](made)
    return made, STATUSES[number % len(STATUSES)]


async def among_malformed(*, num_runs: int, idle_seconds: float = 60.0) -> dict[str, float]:
    """Returns the figures of good runs among so many malformed ones."""
    async with stage("bench-scale") as here:
        log, folder = audit_log(here), Path(tempfile.mkdtemp(prefix="bench-scale-"))
        log.skip()
        calls: list[Call] = []
        async with loaded(here, folder=folder) as operator:
            await _one_by_one(here, "alone")
            await _until_jobs(here, log, calls, NUM_GOOD)
            await asyncio.to_thread(_open_the_crd, here.cluster)
            good = create_many(
                sft_runs(here), [f"among-{number:03}" for number in range(NUM_GOOD)], creators=2
            )
            await asyncio.gather(_create(here, num_runs), good)
            await _until_jobs(here, log, calls, 2 * NUM_GOOD)
            await asyncio.to_thread(here.cluster.install_crds)
            say(f"{num_runs} malformed runs, {NUM_GOOD} good ones; the real CRD is back")
            await asyncio.sleep(10)
            await _one_by_one(here, "beside")
            await _until_jobs(here, log, calls, 3 * NUM_GOOD)
        async with asyncio.TaskGroup() as group:
            group.create_task(_one_by_one(here, "later", pause=0.05))
            async with loaded(here, folder=folder) as operator:
                await _until_jobs(here, log, calls, 4 * NUM_GOOD)
                await operator.until_idle(seconds=120)
                calls += log.read()
                await asyncio.sleep(idle_seconds)
                idle = audits.writes(log.read(), user=here.user)
                peak = operator.footprint.peak_bytes
    if idle:
        say(f"written meanwhile: {[(call.verb, call.resource, call.name, call.code) for call in idle[:5]]}")
    return _figures(here, calls, idle=idle) | {"peak MB": round(peak / 1e6, 1)}


def _figures(here: Harness, calls: list[Call], *, idle: list[Call]) -> dict[str, float]:
    took = _good(audits.starts(calls, user=here.user))

    def of(prefix: str) -> list[float]:
        return [seconds for name, seconds in took.items() if name.startswith(prefix)]

    jobs = {call.run for call in calls if call.user == here.user and call.resource == "jobs"}
    bad = sorted(name for name in jobs if name.startswith("bad"))
    say(f"with a Job: {bad[:60]}")
    refused = audits.refused(calls, user=here.user)
    say(f"refused: {[(call.verb, call.resource, call.code, call.name) for call in refused[:5]]}")
    return {
        "good runs in a row alone, p50": round(quantile(of("alone"), 0.5), 2),
        "good runs in a row beside them, p50": round(quantile(of("beside"), 0.5), 2),
        "delay of the median": round(quantile(of("beside"), 0.5) - quantile(of("alone"), 0.5), 2),
        "good runs in a row beside them, p99": round(quantile(of("beside"), 0.99), 2),
        "good runs created among them, p99": round(quantile(of("among"), 0.99), 2),
        "good runs created while the operator restarts, most": round(max(of("later"), default=0.0), 2),
        "good runs without a Job": 4 * NUM_GOOD - len(took),
        "malformed runs with a Job": len(bad),
        "writes in 60 idle seconds": len(idle),
        "refused writes": len(refused),
    }


def _good(took: dict[str, float]) -> dict[str, float]:
    return {name: seconds for name, seconds in took.items() if not name.startswith("bad")}


async def _one_by_one(here: Harness, prefix: str, *, pause: float = 0.2) -> None:
    for number in range(NUM_GOOD):
        await here.create(f"{prefix}-{number:03}", **varied(number))
        await asyncio.sleep(pause)


async def _create(here: Harness, num_runs: int) -> None:
    waiting = iter(range(num_runs))

    async def create() -> None:
        for number in waiting:
            made, status = malformed(number)
            made = await here.api.create(kube.SFTRUNS, here.namespace, made)
            if status:
                body = {"metadata": {"uid": made["metadata"]["uid"]}, "status": status}
                await here.api.patch_status(kube.SFTRUNS, here.namespace, made["metadata"]["name"], body)

    await asyncio.gather(*(create() for _ in range(14)))


def _open_the_crd(cluster: ClusterHandle) -> None:
    """Has the API server take anything as an SFTRun."""
    crd = copy.deepcopy(yaml.safe_load(CRD_FILE.read_text()))
    for version in crd["spec"]["versions"]:
        version["schema"]["openAPIV3Schema"] = OPEN
        version.pop("selectableFields", None)
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(crd))
    probe = manifest("probe", **{"sources": "anything"})

    def taken() -> bool:
        try:
            cluster.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(probe))
        except Exception:
            return False
        return True

    while not taken():
        pass


async def _until_jobs(here: Harness, log: AuditLog, calls: list[Call], count: int) -> None:
    async def made() -> int:
        calls.extend(log.read())
        await asyncio.sleep(0.5)
        return len(_good(audits.starts(calls, user=here.user)))

    await eventually(made, lambda found: found >= count, what=f"{count} good Jobs", seconds=300)
