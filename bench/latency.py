"""From apply to a visible Job, with the writes that it takes: `make bench-latency`.

A light cluster (real API server, etcd, Job controller), the operator as a process of its own with the rights
of its chart. 200 runs are created one after another; before each, a bare Job of the same shape is, as the
baseline: what the API server itself takes. A watch tells when each Job is visible. Then all runs get pods
that run and answer, and for a while nothing changes: what the operator writes in that time is the idle cost.
Writes are counted from the API server's audit log, events and leases apart.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "hack")]

from bench.stages import quantile, say, stage  # noqa: E402
from tests.cluster.operator_harness import Harness, eventually, report  # noqa: E402

from cluster.driver import Driver  # noqa: E402
from cluster.scripts import Run, play  # noqa: E402
from sftrun_api.names import LABEL_RUN  # noqa: E402
from sftrun_api.reports import Stage  # noqa: E402
from sftrun_operator import connections, kube  # noqa: E402

GOAL_SECONDS = 0.5
GOAL_WRITES = 3
BASELINE_LABEL = "sftrun.dev/baseline"


class Sightings:
    """When each Job of the namespace was first seen by a watch."""

    def __init__(self) -> None:
        self.seen: dict[str, float] = {}
        """By the name of the run, or of the bare Job."""
        self._news = asyncio.Event()

    async def watch(self, here: Harness) -> None:
        """Follows the Jobs until cancelled."""
        connection = await connections.load(str(here.cluster.kubeconfig))
        url = f"{connection.server}{kube.JOBS.path(here.namespace)}?watch=true"
        async with connection.session(limit=1) as session, session.get(url) as response:
            async for line in response.content:
                now = time.monotonic()
                labels = json.loads(line)["object"]["metadata"].get("labels", {})
                self.seen.setdefault(labels.get(LABEL_RUN) or labels.get(BASELINE_LABEL) or "", now)
                self._news.set()

    async def of(self, name: str) -> float:
        """Waits until the Job was seen, and returns when."""
        async with asyncio.timeout(60):
            while name not in self.seen:
                self._news.clear()
                await self._news.wait()
        return self.seen[name]


def bare_job(model: dict[str, Any], name: str) -> dict[str, Any]:
    """Returns a Job as large as the operator's, owned by nobody."""
    template = copy.deepcopy(model["spec"]["template"])
    template["metadata"] = {"labels": {BASELINE_LABEL: name}}
    spec = {"template": template, "suspend": True, "backoffLimit": 3}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": {BASELINE_LABEL: name}},
        "spec": spec,
    }


async def measure(here: Harness, *, num_runs: int) -> tuple[list[float], list[float]]:
    """Returns the seconds from apply to visible Job, and those of the bare Jobs."""
    sightings = Sightings()
    watching = asyncio.create_task(sightings.watch(here))
    try:
        await here.create("warm-up")
        await sightings.of("warm-up")
        (model,) = await here.jobs("warm-up", 1)
        ours, bare = [], []
        for number in range(num_runs):
            name = f"bare-{number}"
            begin = time.monotonic()
            await here.api.create(kube.JOBS, here.namespace, bare_job(model, name))
            bare.append(await sightings.of(name) - begin)
            name = f"run-{number}"
            begin = time.monotonic()
            await here.create(name)
            ours.append(await sightings.of(name) - begin)
    finally:
        watching.cancel()
    return ours, bare


def starting_writes(here: Harness, *, num_runs: int) -> list[int]:
    """Returns how many writes of the operator each run took up to its Job."""
    counts: Counter[str] = Counter()
    begun: set[str] = set()
    for write in here.writes():
        verb, resource, name = write.split()
        run = name if resource == "sftruns" else name.rsplit("-", 2)[0]
        if run not in begun:
            counts[run] += 1
        if (verb, resource) == ("create", "jobs"):
            begun.add(run)
    return [counts[f"run-{number}"] for number in range(num_runs)]


async def idle_writes(here: Harness, *, num_runs: int, seconds: float) -> list[str]:
    """Lets every run's pod run and answer, waits until the statuses say so, and returns the writes after."""
    async with Driver(here.cluster.kubeconfig, namespace=here.namespace, script=play(Run())) as driver:
        names = ["warm-up", *(f"run-{number}" for number in range(num_runs))]
        for name in names:
            pod = await driver.pod(labels={LABEL_RUN: name}, where=lambda pod: bool(pod.address), seconds=120)
            run = await here.run(name)
            assert run is not None
            pod.say(report(run, pod, Stage.TRAIN, step=3))
        for name in names:
            await here.phase(name, "Training", seconds=120)
        await quiet(here)
        before = here.writes()
        say(f"all {len(names)} runs train and are polled; nothing changes for {seconds:.0f} s")
        await asyncio.sleep(seconds)
        return here.writes()[len(before) :]


async def quiet(here: Harness) -> None:
    """Waits until the operator has written nothing for 12 seconds: longer than one poll."""
    last, since = -1, time.monotonic()

    async def still() -> float:
        nonlocal last, since
        count = len(here.writes())
        if count != last:
            last, since = count, time.monotonic()
        await asyncio.sleep(0.5)
        return time.monotonic() - since

    await eventually(still, lambda age: age >= 12, what="an operator that has said everything", seconds=180)


async def bench(*, num_runs: int, idle_seconds: float) -> dict[str, Any]:
    """Runs it all and returns the line for machines."""
    async with stage("bench-latency") as here:
        process = here.process(folder=Path(tempfile.mkdtemp(prefix="bench-latency-")))
        try:
            ours, bare = await measure(here, num_runs=num_runs)
            writes = starting_writes(here, num_runs=num_runs)
            idle = await idle_writes(here, num_runs=num_runs, seconds=idle_seconds)
        finally:
            process.terminate()
    for name, values in (("apply → Job visible", ours), ("bare Job, POST → visible", bare)):
        middle, high, most = quantile(values, 0.5), quantile(values, 0.99), max(values)
        say(f"{name:26} p50 {middle * 1e3:6.1f} ms   p99 {high * 1e3:6.1f} ms   max {most * 1e3:6.1f} ms")
    say(f"writes to start a run: most {max(writes)}, mean {statistics.mean(writes):.2f}")
    say(f"writes while idle: {len(idle)} in {idle_seconds:.0f} s over {num_runs + 1} runs {idle[:5] or ''}")
    value, baseline = quantile(ours, 0.99), quantile(bare, 0.99)
    return {
        "name": "latency: apply to Job visible, p99",
        "value": round(value, 4),
        "unit": "s",
        "baseline": round(baseline, 4),
        "ratio": round(value / baseline, 2),
        "goal": GOAL_SECONDS,
        "holds": value < GOAL_SECONDS and max(writes) <= GOAL_WRITES and not idle,
    }


def main() -> int:
    """Prints the figures, and at last their line of JSON. Returns 1 when the goal is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--idle-seconds", type=float, default=45.0)
    options = parser.parse_args()
    result = asyncio.run(bench(num_runs=options.runs, idle_seconds=options.idle_seconds))
    print(json.dumps(result))
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
