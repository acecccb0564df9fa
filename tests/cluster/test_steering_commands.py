"""`kubectl sft suspend`, `resume`, `retry` and `delete` against a real API server and a real operator."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.cluster.command_calls import sft
from tests.cluster.operator_harness import Harness, harness_of, report

from cluster.driver import Driver
from cluster.handles import ClusterHandle
from cluster.scripts import End, Run, play
from sftrun_api.exit_codes import ExitCode
from sftrun_api.names import LABEL_RUN
from sftrun_api.reports import Stage

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]


@pytest.fixture
async def here(light_cluster_with_crds: ClusterHandle) -> AsyncIterator[Harness]:
    async with harness_of(light_cluster_with_crds) as harness:
        yield harness


async def test_a_run_is_suspended_resumed_restarted_and_deleted(here: Harness) -> None:
    script = play(Run(), on_delete=(End(exit_code=ExitCode.STOPPED),))
    async with (
        here.operator(),
        Driver(here.cluster.kubeconfig, namespace=here.namespace, script=script) as driver,
    ):
        run = await here.apply("x")
        pod = await driver.pod(labels={LABEL_RUN: "x"}, where=lambda pod: bool(pod.address))
        pod.say(report(run, pod, Stage.TRAIN, step=3))
        await here.phase("x", "Training")

        said = await sft(here, "retry", "x", "--yes")
        assert (said.code, said.out) == (1, "")
        assert "x: cannot retry: it is not over (Training)" in said.err
        said = await sft(here, "suspend", "x")
        assert (said.code, said.out) == (2, "")
        assert "say --yes" in said.err

        said = await sft(here, "suspend", "x", "--yes", "--wait")
        assert (said.code, said.out) == (0, "sftrun.sftrun.dev/x suspended\n"), said.err
        assert "8 GPUs are free then" in said.err
        assert "x: Suspended" in said.err
        assert pod.gone.is_set() or pod.ended
        said = await sft(here, "suspend", "x", "--yes")
        assert said.code == 0 and "nothing to do, it is suspended" in said.err

        said = await sft(here, "resume", "x", "--yes", "--wait", "-o", "name")
        assert (said.code, said.out) == (0, "sftrun.sftrun.dev/x\n"), said.err
        assert "attempt 2 asks for 8 GPUs" in said.err
        second = await driver.pod(
            labels={LABEL_RUN: "x"}, where=lambda each: each.uid != pod.uid and bool(each.address)
        )
        await second.end(int(ExitCode.FINAL))
        await here.phase("x", "Failed")

        said = await sft(here, "retry", "x", "--yes", "--wait")
        assert (said.code, said.out) == (0, "sftrun.sftrun.dev/x restarted\n"), said.err
        assert "it failed with " in said.err
        status = await here.status("x", lambda found: found.get("attempt") == 3, what="a third attempt")
        assert status["handledRestartRequest"] == 1

        said = await sft(here, "delete", "x", "--yes", "--wait")
        assert (said.code, said.out) == (0, "sftrun.sftrun.dev/x deleted\n"), said.err
        assert "kept: every file, on claim training" in said.err
        assert await here.run("x") is None


async def test_who_may_only_look_is_told_what_right_is_missing(here: Harness) -> None:
    await here.apply("x")
    nobody = here.cluster.user_kubeconfig("somebody")
    said = await sft(here, "suspend", "x", "--yes", kubeconfig=nobody)
    assert said.code == 3
    assert f"no permission to get sftruns in namespace {here.namespace}" in said.err
    said = await sft(here, "suspend", "y", "-y")
    assert (said.code, said.out) == (1, "")
    assert "there is no SFTRun y" in said.err
