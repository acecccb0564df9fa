"""Runs that the scripted driver plays for the command line: figures and a curve as a trainer tells them."""

from __future__ import annotations

import asyncio
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.cluster.operator_harness import Harness, eventually, report, success

from cluster.driver import Driver
from sftrun_api.names import LABEL_RUN
from sftrun_api.reports import Outcome, Stage
from sftrun_api.statuses import Progress

COLUMNS = ["step", "loss", "learningRate", "gradNorm", "seconds", "tokensPerSecond"]
WAIT_SECONDS = 240.0


def loss_of(step: int, *, lowest: float = 0.5) -> float:
    """Returns a loss as real ones look: falling, with some noise."""
    return lowest + 2.5 * math.exp(-step / 8) + 0.03 * math.sin(step * 2.7)


def curve_of(
    run: Mapping[str, Any], *, last: int, lowest: float = 0.5, restarts: Sequence[int] = ()
) -> dict[str, Any]:
    """Returns what the trainer would answer at `/curve` after step `last`."""
    identity = {"name": run["metadata"]["name"], "uid": run["metadata"]["uid"]}
    points = [[step, loss_of(step, lowest=lowest), 1e-4, 1.0, 0.5, 2000.0] for step in range(1, last + 1)]
    evaluations = [[step, loss_of(step, lowest=lowest) + 0.1] for step in range(8, last + 1, 8)]
    return {
        "run": identity, "columns": COLUMNS, "numSteps": len(points), "points": points,
        "restarts": list(restarts), "nonFinite": [], "evaluations": evaluations,
    }  # fmt: skip


def progress_of(step: int, *, total: int = 24, lowest: float = 0.5) -> Progress:
    """Returns the figures after a step."""
    return Progress(
        stage="Train", done=step, total=total, percent=100 * step / total, step=step, total_steps=total,
        epoch=3 * step / total, loss=loss_of(step, lowest=lowest), grad_norm=0.8, learning_rate=1e-4,
        tokens_per_second=2000.0, step_seconds_p50=0.5, step_seconds_p95=0.7, gpu_memory_gi_b=61.5,
        gpu_utilization=83.0, remaining_seconds=(total - step) // 2,
    )  # fmt: skip


def said(run: Mapping[str, Any], pod: Any, *, step: int, **rest: Any) -> Any:
    """Returns what the trainer says while it trains."""
    return report(run, pod, Stage.TRAIN, message=f"step {step} of 24", **rest).model_copy(
        update={"progress": progress_of(step)}
    )


async def trained(
    here: Harness, driver: Driver, name: str, *, lowest: float = 0.5, **spec: Any
) -> dict[str, Any]:
    """Plays a run from `apply` to Succeeded, its curve kept. Returns the object."""
    run = await here.apply(name, **spec)
    pod = await driver.pod(labels={LABEL_RUN: name})
    await pod.run(said(run, pod, step=3))
    pod.say(curve_of(run, last=3, lowest=lowest), path="/curve")
    await here.phase(name, "Training")
    await finish(here, run, pod, lowest=lowest)
    found = await here.run(name)
    assert found is not None
    return found


async def finish(here: Harness, run: Mapping[str, Any], pod: Any, *, lowest: float = 0.5) -> None:
    """Lets the pod say its end, waits until the operator has fetched the last curve, and ends it."""
    pod.say(curve_of(run, last=24, lowest=lowest), path="/curve")
    pod.say(report(run, pod, Stage.COLLECT, step=24, outcome=Outcome.SUCCEEDED))
    asked = pod.num_requests

    async def requests() -> int:
        return int(pod.num_requests)

    await eventually(requests, lambda count: count >= asked + 3, what="the last curve was fetched")
    await pod.end(0, message=success(run, pod))
    await here.phase(run["metadata"]["name"], "Succeeded")


async def command(
    here: Harness, *arguments: str, kubeconfig: Path | None = None, namespace: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs the program in the harness' namespace as the cluster's administrator, or as another user."""
    process = start(here, *arguments, kubeconfig=kubeconfig, namespace=namespace)
    out, err = await asyncio.to_thread(process.communicate, timeout=WAIT_SECONDS)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def start(
    here: Harness, *arguments: str, kubeconfig: Path | None = None, namespace: str | None = None
) -> subprocess.Popen[str]:
    """Starts the program."""
    scope = ["--kubeconfig", str(kubeconfig or here.cluster.kubeconfig)]
    scope += ["-n", namespace or here.namespace]
    words = [sys.executable, "-m", "sftrun_cli", *arguments, *scope]
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
