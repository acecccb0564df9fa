"""A thousand running pods, a few of them sick: how old is what the operator knows, and what does it write?"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
from bench import audits
from bench.audits import AuditLog, Call
from bench.scale_operators import Loaded, audit_log, create_many, loaded, sft_runs
from bench.stages import quantile, say, stage
from tests.cluster.operator_harness import Harness, eventually, report

from cluster.driven_pods import DrivenPod
from cluster.driver import Driver
from cluster.progress_servers import Answer
from cluster.scripts import Run, play
from sftrun_api.models import JsonObject
from sftrun_api.names import LABEL_RUN
from sftrun_api.reports import Stage
from sftrun_operator import kube

STEP_SECONDS = 5.0
"""How often each pod has another step to tell."""
CURVE_POINTS = 400
HANGS = Answer(delay=36_000)
TRICKLES = Answer(body=b" ", repeat=100_000, pause=0.5)
SICK_EVERY = 50
"""One pod of so many never answers, and one answers a byte at a time; one more takes 1.5 seconds."""
SLOW_SECONDS = 1.5


async def polls(*, num_runs: int, seconds: float = 180.0) -> dict[str, float]:
    """Returns the figures of so many pods that are polled."""
    async with stage("bench-scale") as here:
        log, folder = audit_log(here), Path(tempfile.mkdtemp(prefix="bench-scale-"))
        driver = Driver(here.cluster.kubeconfig, namespace=here.namespace, script=play(Run()))
        async with driver, loaded(here, folder=folder) as operator:
            await create_many(sft_runs(here), [f"run-{number:04}" for number in range(num_runs)], creators=16)
            pods = await _running(driver, num_runs=num_runs)
            telling = asyncio.create_task(_tell(await _reports(here, pods)))
            try:
                await _until_training(operator, num_runs=num_runs - len(_sick(pods)))
                return await _measure(here, driver, operator, log, pods, seconds=seconds)
            finally:
                telling.cancel()


async def _running(driver: Driver, *, num_runs: int) -> list[DrivenPod]:
    async def running() -> int:
        await asyncio.sleep(0.5)
        return sum(bool(pod.address) for pod in driver.pods())

    await eventually(running, lambda count: count >= num_runs, what="running pods", seconds=300)
    say(f"{num_runs} pods run")
    return sorted(driver.pods(), key=lambda pod: pod.labels[LABEL_RUN])


def _sick(pods: list[DrivenPod]) -> list[DrivenPod]:
    """Returns the pods that never give a whole answer."""
    return [pod for number, pod in enumerate(pods) if number % SICK_EVERY in (0, 1)]


def _slow(pods: list[DrivenPod]) -> list[DrivenPod]:
    return pods[2::SICK_EVERY]


async def _reports(here: Harness, pods: list[DrivenPod]) -> list[tuple[DrivenPod, JsonObject, float]]:
    """Has every pod answer; returns what the well ones say, to be changed step by step, and how slowly."""
    runs: dict[str, Any] = {}
    async for page in here.api.pages(kube.SFTRUNS, here.namespace):
        runs |= {run["metadata"]["name"]: run for run in page["items"]}
    for number, pod in enumerate(_sick(pods)):
        pod.say(TRICKLES if number % 2 else HANGS)
    sick, slow = {pod.uid for pod in _sick(pods)}, {pod.uid for pod in _slow(pods)}
    found = []
    for pod in pods:
        run = runs[pod.labels[LABEL_RUN]]
        points = [[step, 1.0 / (step + 1), 1e-5] for step in range(CURVE_POINTS)]
        curve = {
            "run": {"uid": run["metadata"]["uid"]},
            "columns": ["step", "loss", "rate"],
            "points": points,
        }
        if pod.uid not in sick:
            pod.say(curve, path="/curve")
            told = report(run, pod, Stage.TRAIN, step=1, total=100_000).to_json_object()
            found.append((pod, told, SLOW_SECONDS if pod.uid in slow else 0.0))
    return found


async def _tell(reports: list[tuple[DrivenPod, JsonObject, float]]) -> None:
    """Has every pod make a step now and then, for ever."""
    step = 1
    while True:
        for number, (pod, told, delay) in enumerate(reports):
            told["progress"] |= {"step": step, "done": step}
            pod.say(Answer(body=orjson.dumps(told), delay=delay))
            if number % 50 == 0:
                await asyncio.sleep(0)
        step += 1
        await asyncio.sleep(STEP_SECONDS)


async def _until_training(operator: Loaded, *, num_runs: int) -> None:
    async def training() -> float:
        await asyncio.sleep(1)
        return (await operator.metrics()).total("sftrun_runs", phase="Training")

    await eventually(training, lambda count: count >= num_runs, what="runs that train", seconds=300)


async def _measure(
    here: Harness, driver: Driver, operator: Loaded, log: AuditLog, pods: list[DrivenPod], *, seconds: float
) -> dict[str, float]:
    sick = {pod.uid for pod in _sick(pods)}
    well = [pod for pod in pods if pod.uid not in sick]
    ages, loop = list[float](), asyncio.get_running_loop()
    await asyncio.sleep(60)  # the first writes of all of them lie close together
    log.skip()
    before, began = operator.footprint, time.monotonic()
    say(f"{len(well)} pods answer, {len(sick)} never do; for {seconds:.0f} s")
    while time.monotonic() - began < seconds:
        now = loop.time()
        ages += [now - (driver.servers.answered_at(pod.address) or 0.0) for pod in well]
        await asyncio.sleep(1)
    after, calls = operator.footprint, list(log.read())
    return {
        "age of what is known, p50": round(quantile(ages, 0.5), 1),
        "age of what is known, p95": round(quantile(ages, 0.95), 1),
        "age of what is known, most": round(max(ages), 1),
        "status writes a run and minute": most_a_minute(audits.writes(calls, user=here.user)),
        "status writes a run and minute, mean": round(
            len(audits.writes(calls, user=here.user)) / len(well) / seconds * 60, 2
        ),
        "errors": (await operator.metrics()).errors + len(audits.refused(calls, user=here.user)),
        "CPU share": round((after.cpu_seconds - before.cpu_seconds) / seconds, 3),
        "peak MB": round(after.peak_bytes / 1e6, 1),
    }


def most_a_minute(calls: Iterable[Call]) -> float:
    """Returns the most writes of one run within any minute."""
    moments = defaultdict[str, list[float]](list)
    for call in calls:
        moments[call.run].append(call.received)
    most = 0
    for found in moments.values():
        found.sort()
        for number, moment in enumerate(found):
            most = max(most, sum(moment <= other < moment + 60 for other in found[number:]))
    return most
