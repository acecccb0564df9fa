"""`kubectl sft` watch, plot, compare, describe and logs against a real API server, with runs that the
scripted driver plays."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.cluster import played_runs
from tests.cluster.operator_harness import Harness, harness_of
from tests.cluster.played_runs import command, said, start
from tests.cluster.relays import relayed

from cluster.driver import Driver
from cluster.handles import ClusterHandle
from cluster.scripts import MANUAL, End, Run, play
from sftrun_api.names import LABEL_RUN
from sftrun_operator import kube

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]


@pytest.fixture
async def here(light_cluster_with_crds: ClusterHandle) -> AsyncIterator[Harness]:
    async with harness_of(light_cluster_with_crds) as harness:
        yield harness


def driver_of(here: Harness) -> Driver:
    return Driver(here.cluster.kubeconfig, namespace=here.namespace, script=MANUAL)


async def test_a_run_is_watched_to_its_end_and_all_runs_until_one_stops(here: Harness) -> None:
    async with here.operator(), driver_of(here) as driver:
        run = await here.apply("x")
        one, as_json, all_of_them = (
            start(here, "watch", "x"), start(here, "watch", "x", "-o", "json"), start(here, "watch"),
        )  # fmt: skip
        assert all_of_them.stdout is not None and one.stdout is not None
        assert (await asyncio.to_thread(one.stdout.readline)).startswith("x  Pending")
        assert "x  Pending" in await asyncio.to_thread(all_of_them.stdout.readline)
        pod = await driver.pod(labels={LABEL_RUN: "x"})
        await pod.run(said(run, pod, step=3))
        await here.phase("x", "Training")
        line = await asyncio.to_thread(one.stdout.readline)
        while "Training" not in line:
            line = await asyncio.to_thread(one.stdout.readline)
        assert "step 3/24  12%  loss 2.2" in line
        await played_runs.finish(here, run, pod)
        out, _ = await asyncio.to_thread(one.communicate, timeout=played_runs.WAIT_SECONDS)
        assert (one.returncode, out.splitlines()[-1].split()[:2]) == (0, ["x", "Succeeded"])
        out, _ = await asyncio.to_thread(as_json.communicate, timeout=played_runs.WAIT_SECONDS)
        objects = [json.loads(line) for line in out.splitlines()]
        assert as_json.returncode == 0 and objects[-1]["status"]["phase"] == "Succeeded"
        line = await asyncio.to_thread(all_of_them.stdout.readline)
        while "Succeeded" not in line:
            line = await asyncio.to_thread(all_of_them.stdout.readline)
        all_of_them.send_signal(signal.SIGINT)
        _, err = await asyncio.to_thread(all_of_them.communicate, timeout=played_runs.WAIT_SECONDS)
        assert (all_of_them.returncode, err) == (130, "")


async def test_a_run_that_fails_or_is_gone_is_told_by_the_exit_code(here: Harness) -> None:
    async with here.operator(), driver_of(here):
        await here.apply("wrong", training={"template": "qwen3", "extraArgs": {"no_such": 1}})
        await here.phase("wrong", "Rejected")
        rejected, missing = await asyncio.gather(
            command(here, "watch", "wrong"), command(here, "watch", "none")
        )
        assert rejected.returncode == 1
        assert "wrong  Rejected" in rejected.stdout and "no_such" in rejected.stdout
        assert (missing.returncode, missing.stdout) == (1, "")
        assert f"there is no SFTRun none in namespace {here.namespace}" in missing.stderr
        await here.apply("y", suspend=True)
        watched = start(here, "watch", "y")
        assert watched.stdout is not None
        assert (await asyncio.to_thread(watched.stdout.readline)).startswith("y  ")
        await here.delete("sft", "y")
        _, err = await asyncio.to_thread(watched.communicate, timeout=played_runs.WAIT_SECONDS)
        assert (watched.returncode, err) == (1, "error: SFTRun y was deleted\n")


async def test_no_permission_and_no_crd_are_said_as_such(
    here: Harness, light_cluster_with_crds: ClusterHandle
) -> None:
    nobody = await asyncio.to_thread(light_cluster_with_crds.user_kubeconfig, "nobody")
    done = await command(here, "watch", "x", kubeconfig=nobody)
    assert done.returncode == 3
    assert f"no permission to get sftruns in namespace {here.namespace}" in done.stderr
    done = await command(here, "watch", kubeconfig=nobody)
    assert done.returncode == 3
    assert f"no permission to list sftruns in namespace {here.namespace}" in done.stderr


async def test_a_lost_connection_is_said_and_lived_through(here: Harness, tmp_path: Path) -> None:
    await here.apply("x", suspend=True)
    async with relayed(here.cluster.kubeconfig, folder=tmp_path) as (relay, kubeconfig):
        watched = start(here, "watch", "x", kubeconfig=kubeconfig)
        assert watched.stdout is not None
        assert (await asyncio.to_thread(watched.stdout.readline)).startswith("x  Pending")
        relay.cut()
        said = await asyncio.to_thread(watched.stdout.readline)
        assert "connection lost: the API server https://127.0.0.1" in said and "trying again in 1 s" in said
        relay.mend()
        while "connection lost" in said:
            said = await asyncio.to_thread(watched.stdout.readline)
        assert said.startswith("x  Pending")
        await here.delete("sft", "x")
        _, err = await asyncio.to_thread(watched.communicate, timeout=played_runs.WAIT_SECONDS)
        assert (watched.returncode, err) == (1, "error: SFTRun x was deleted\n")


async def test_curves_that_are_kept_are_drawn_compared_and_described(here: Harness, tmp_path: Path) -> None:
    async with here.operator(), driver_of(here) as driver:
        other = {"training": {"template": "qwen3", "cutoffLen": 2048, "learningRate": 2.0e-4}}
        await played_runs.trained(here, driver, "a")
        await played_runs.trained(here, driver, "b", lowest=0.3, **other)
        table = tmp_path / "curves.csv"
        drawn, written, compared, as_json, described = await asyncio.gather(
            command(here, "plot", "a", "b"),
            command(here, "plot", "a", "--out", str(table)),
            command(here, "compare", "a", "b"),
            command(here, "compare", "a", "b", "-o", "json"),
            command(here, "describe", "b"),
        )
        assert drawn.returncode == 0, drawn.stderr
        assert drawn.stdout.startswith("A a  loss 2.719 → 0.6521  a eval 0.7521\nB b")
        assert written.returncode == 0 and len(table.read_text().splitlines()) == 1 + 24 + 3
        assert "effective.learningRate" in compared.stdout and "0.0002" in compared.stdout
        assert "the evaluation loss of b is 0.2 below a's" in compared.stdout
        verdicts = json.loads(as_json.stdout)["verdicts"]
        assert verdicts[0]["difference"] == pytest.approx(-0.2) and "noise" not in verdicts[0]
        assert "attempt 1  curve to step 24" in described.stdout and "512 records" in described.stdout

        run = await here.run("a")
        assert run is not None
        for pod in driver.pods(labels={LABEL_RUN: "a"}):
            await here.delete("pod", pod.name)
            await asyncio.wait_for(pod.gone.wait(), 60)
        driver.use(play(Run(), End()), labels={"sftrun.dev/helper": "logs"})
        read = await command(here, "logs", "a")
        # There is no kubelet that could give a log; the pod was announced, made, and is gone.
        assert read.returncode != 0 and f"making the pod {here.namespace}/sftrun-logs-" in read.stderr
        assert "claim training for reading only" in read.stderr
        helpers = await here.api.list(kube.PODS, here.namespace, labelSelector="sftrun.dev/helper")
        assert [pod for pod in helpers["items"] if not pod["metadata"].get("deletionTimestamp")] == []
