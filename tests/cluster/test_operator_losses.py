"""Pods that are lost: on a node that went away, and in a crash loop. API server, Job controller and the
collector of dead pods are real."""

from __future__ import annotations

import asyncio
import datetime
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from tests.cluster.operator_harness import Harness, harness_of, report

from cluster.driver import Driver
from cluster.handles import ClusterHandle
from cluster.scripts import Hold, Run, play
from sftrun_api.names import LABEL_RUN
from sftrun_api.reports import Outcome, Stage
from sftrun_api.statuses import Failure
from sftrun_operator import kube

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]


@pytest.fixture
async def here(light_cluster_with_crds: ClusterHandle) -> AsyncIterator[Harness]:
    async with harness_of(light_cluster_with_crds) as harness:
        yield harness


def running_reason(status: Mapping[str, Any]) -> str:
    found = {each["type"]: each for each in status.get("conditions", ())}
    return str(found.get("Running", {}).get("reason", ""))


async def goes_silent(here: Harness, driver: Driver, pod: Any) -> None:
    """What the node controller does when a kubelet is silent: the node's state is unknown, and its pods are
    not ready; nothing else is known."""

    def change(what: str, name: str, kind: str, status: str) -> None:
        value: dict[str, Any] = json.loads(
            here.cluster.kubectl(*_scope(what, here), "get", what, name, "-ojson")
        )
        for condition in value["status"]["conditions"]:
            if condition["type"] == kind:
                condition["status"] = status
                condition.pop("reason", None)
                condition["lastTransitionTime"] = datetime.datetime.now(datetime.UTC).isoformat()
        patch = json.dumps({"status": {"conditions": value["status"]["conditions"]}})
        here.cluster.kubectl(
            *_scope(what, here), "patch", what, name, "--subresource=status", "--type=merge", "-p", patch
        )

    await asyncio.to_thread(change, "node", driver.node, "Ready", "Unknown")
    await asyncio.to_thread(change, "pod", pod.name, "Ready", "False")


def _scope(what: str, here: Harness) -> tuple[str, ...]:
    return ("--namespace", here.namespace) if what == "pod" else ()


async def test_a_pod_on_a_lost_node_is_replaced_only_when_it_is_surely_dead(here: Harness) -> None:
    script = play(Run(), on_delete=(Hold(),))  # the kubelet is gone: nobody ends the pod
    async with (
        here.operator(),
        Driver(here.cluster.kubeconfig, namespace=here.namespace, script=script) as driver,
    ):
        run = await here.apply("x")
        pod = await driver.pod(labels={LABEL_RUN: "x"}, where=lambda each: bool(each.address))
        pod.say(report(run, pod, Stage.TRAIN, step=3))
        await here.phase("x", "Training")

        await goes_silent(here, driver, pod)
        status = await here.status("x", lambda now: running_reason(now) == "NodeLost", what="NodeLost")
        assert status["phase"] == "Pending"
        for words in (driver.node, pod.name, "out-of-service"):
            assert words in status["message"]

        # After five minutes the taint controller evicts it; the pod stays, because no kubelet confirms.
        await here.delete("pod", pod.name)
        await asyncio.wait_for(pod.deleted.wait(), 60)
        status = await here.status("x", lambda now: now.get("phase") == "Pending", what="Pending")
        assert running_reason(status) == "NodeLost"
        pods = await here.objects(kube.PODS, "x")
        assert [each["metadata"]["uid"] for each in pods] == [pod.uid], "a second writer beside a live one"

        # An administrator knows that the machine is off, and says so.
        taint = "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"
        await asyncio.to_thread(here.cluster.kubectl, "taint", "node", driver.node, taint)
        second = await driver.pod(
            labels={LABEL_RUN: "x"}, where=lambda each: each.uid != pod.uid and bool(each.address), seconds=90
        )
        # The collector of dead pods says that it has failed, and deletes it: the next one comes after either.
        await asyncio.wait_for(pod.gone.wait(), 60)
        second.say(report(run, second, Stage.TRAIN, step=4))
        status = await here.phase("x", "Training")
        assert (status["podName"], status["attempt"]) == (second.name, 1)


async def test_a_crash_loop_backs_off_and_ends_with_the_tries(here: Harness) -> None:
    async with here.operator(), Driver(here.cluster.kubeconfig, namespace=here.namespace) as driver:
        run = await here.apply("x", lifecycle={"maxRetries": 1})
        ended: list[str] = []
        for _ in range(2):
            pod = await driver.pod(
                labels={LABEL_RUN: "x"}, where=lambda each: each.uid not in ended and bool(each.address)
            )
            ended.append(pod.uid)
            words = report(run, pod, Stage.TRAIN, step=3, outcome=Outcome.RETRY)
            failure = Failure(reason="GPUFault", message="a GPU reported a fault", exit_code=1)
            words = words.model_copy(update={"failure": failure})
            await pod.end(1, message=words.model_dump_json(by_alias=True, exclude_none=True))
        status = await here.phase("x", "Failed")
        # The pod's own words, and that there were enough tries.
        assert status["failure"]["reason"] == "GPUFault"
        for words_of_it in ("a GPU reported a fault", "lifecycle.maxRetries"):
            assert words_of_it in status["failure"]["message"], status
        pods = await here.objects(kube.PODS, "x")
        first, second = sorted(_moment(each) for each in pods)
        assert second - first >= datetime.timedelta(seconds=5), (
            "Kubernetes waits between tries, and so longer each"
        )
        assert len(pods) == 2


def _moment(pod: dict[str, Any]) -> datetime.datetime:
    return datetime.datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
