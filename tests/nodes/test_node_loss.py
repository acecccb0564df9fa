"""A node of two goes away under a run, on a real cluster: `make node-loss`, three minutes.

First its kubelet alone, so that the pod runs on and nobody can know; then all of it. A program that waits
stands for the trainer: what becomes of training itself is tested where processes are killed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from tests.e2e import specs

from cluster import full, handles, processes, programs, registries, states
from cluster.handles import RESTRICTED, ClusterHandle
from cluster.images import Image
from cluster.nodes import Node
from cluster.paths import RunFolder
from rig import claims, images, releases
from rig.apis import Api, JsonObject
from rig.runs import Run

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(1200)]

NAME = "node-loss"
LOOK_SECONDS = 30
"""How long it is looked on that no second pod comes: longer than the collector of dead pods sleeps."""


@pytest.fixture(scope="module")
def folder() -> Iterator[RunFolder]:
    """A cluster of two nodes of this test's own."""
    pid = os.getpid()
    made = full.up(NAME, num_nodes=2, owner=(pid, processes.start_ticks(pid) or 0))
    yield made
    if not os.environ.get("E2E_KEEP"):
        full.down(made, purge=True)


@pytest.fixture(scope="module")
def cluster(folder: RunFolder) -> ClusterHandle:
    """The same with the operator in it, and what stands for the trainer in its registry."""
    handle = handles.of_folder(folder)
    assert handle.registry is not None
    registry = images.Registry.of(handle.registry, own=True)
    waits = programs.binary("pause").read_bytes()
    trainer = images.Image(repository=f"{handle.registry}/sftrun/trainer", tag="waits")
    image = Image(files={"/bin/python": waits}, folders=("/tmp",), command=["/bin/python"])
    registries.push(image, registry=handle.registry, name="sftrun/trainer:waits")
    operator = images.publish("operator", registry=registry)
    releases.install(handle.kubeconfig, operator=operator, trainer=trainer)
    return handle


def test_the_run_says_so_and_goes_on_elsewhere_only_when_the_pod_is_surely_dead(
    folder: RunFolder, cluster: ClusterHandle
) -> None:
    api = Api(cluster.kubeconfig)
    namespace = cluster.create_namespace(prefix="nodes", labels=RESTRICTED)
    (operator,) = (
        pod for pod in api.list("pods", namespace=releases.NAMESPACE) if pod["status"]["phase"] == "Running"
    )
    stays = operator["spec"]["nodeName"]
    run = Run(api=api, namespace=namespace, name="lost")
    claim = claims.Claim(cluster=cluster, namespace=namespace, name=specs.CLAIM)
    for document in claims.objects(claim):
        cluster.apply(document)
    # The operator's own node stays; else nobody would be there to say anything.
    cluster.kubectl("cordon", stays)
    cluster.apply(specs.sftrun(run.name), namespace=namespace)
    run.wait(lambda _: [pod for pod in live(run) if runs(pod)], what="its pod runs", timeout=300)
    cluster.kubectl("uncordon", stays)
    (pod,) = live(run)
    lost = nodes(folder)[pod["spec"]["nodeName"]]
    assert lost.name != stays

    kubelet = lost.process("kubelet")
    assert kubelet is not None
    processes.stop(kubelet, records=folder.processes, seconds=0)
    began = time.monotonic()
    status = run.wait(lambda now: reason(now) == "NodeLost", what="NodeLost", timeout=300)
    print(f"NodeLost {time.monotonic() - began:.0f} s after the kubelet's end: {status['message']}")
    assert lost.name in status["message"] and pod["metadata"]["name"] in status["message"]
    assert status["phase"] == "Pending"

    until = time.monotonic() + LOOK_SECONDS
    while time.monotonic() < until:
        assert [each["metadata"]["uid"] for each in live(run)] == [pod["metadata"]["uid"]]
        time.sleep(0.5)

    lost.stop()
    cluster.kubectl("taint", "node", lost.name, "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute")
    began = time.monotonic()
    run.wait(lambda _: [each for each in live(run) if runs(each)], what="another pod runs", timeout=300)
    print(f"another pod runs {time.monotonic() - began:.0f} s after the taint")
    (second,) = live(run)
    assert second["spec"]["nodeName"] == stays
    assert second["metadata"]["uid"] != pod["metadata"]["uid"]
    status = run.wait(lambda now: now.get("nodeName") == stays, what="the status follows", timeout=60)
    assert (status["attempt"], status["podName"]) == (1, second["metadata"]["name"])
    assert reason(status) != "NodeLost"


def nodes(folder: RunFolder) -> dict[str, Node]:
    state = states.read(folder)
    assert state is not None
    return {node.name: node for node in full.nodes_of(folder, full.network_of(folder, state))}


def live(run: Run) -> list[JsonObject]:
    return [pod for pod in run.pods() if pod["status"]["phase"] in ("Pending", "Running")]


def reason(status: JsonObject) -> str:
    found = {each["type"]: each for each in status.get("conditions", ())}
    return str(found.get("Running", {}).get("reason", ""))


def runs(pod: JsonObject) -> bool:
    """Returns whether its kubelet, and its node, say that it runs."""
    conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", ())}
    return pod["status"]["phase"] == "Running" and conditions.get("Ready") == "True"
