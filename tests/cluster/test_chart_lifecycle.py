"""Install, upgrade, rollback and uninstall of the chart by the real helm on a real API server, with objects
and with a run that trains: nothing is lost.

There is no node that could run the operator's Deployment; it runs as a process, with exactly the rights that
the chart grants at that moment. The CRD's own part is played under another API group: ours is shared.
"""

from __future__ import annotations

import asyncio
import copy
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.operator_harness import Harness, eventually, harness_of, report, success

from cluster import programs
from cluster.driver import Driver
from cluster.handles import ClusterHandle
from cluster.scripts import MANUAL
from sftrun_api.names import LABEL_RUN
from sftrun_api.reports import Stage
from sftrun_operator import kube

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

CHART = Path(__file__).parents[2] / "charts" / "sftrun-operator"
GROUP = "lifecycle.example.com"
RELEASE = "sftrun-operator"


def helm(cluster: ClusterHandle, *arguments: str | Path, namespace: str) -> str:
    """Runs the real helm; it must succeed."""
    programs.ensure(["helm"])
    command = [
        programs.binary("helm"),
        "--kubeconfig",
        cluster.kubeconfig,
        "--namespace",
        namespace,
        *arguments,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def namespace(light_cluster: ClusterHandle) -> Iterator[str]:
    name = light_cluster.create_namespace(prefix="lifecycle")
    yield name
    light_cluster.delete_namespace(name)
    light_cluster.kubectl("delete", "crd", f"sftruns.{GROUP}", "--ignore-not-found", "--wait=false")


def chart(folder: Path, *, version: str, old: bool) -> Path:
    """Returns a copy of the chart of another API group; an `old` one has an API without `spec.lifecycle`."""
    made = folder / version
    shutil.copytree(CHART, made)
    crd: dict[str, Any] = yaml.safe_load((CHART / "crds" / "sftruns.yaml").read_text())
    crd["metadata"]["name"] = f"sftruns.{GROUP}"
    crd["spec"]["group"] = GROUP
    for shared in ("shortNames", "categories"):
        del crd["spec"]["names"][shared]
    if old:
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        del schema["properties"]["spec"]["properties"]["lifecycle"]
        schema.pop("x-kubernetes-validations")
    (made / "crds" / "sftruns.yaml").write_text(yaml.safe_dump(crd))
    about = yaml.safe_load((made / "Chart.yaml").read_text()) | {"version": version, "appVersion": version}
    (made / "Chart.yaml").write_text(yaml.safe_dump(about))
    return made


def test_no_object_is_lost_by_upgrade_rollback_and_uninstall(
    light_cluster: ClusterHandle, namespace: str, tmp_path: Path
) -> None:
    cluster, scope = light_cluster, f"watchNamespaces={{{namespace}}}"
    more = ("--set", scope, "--set", "rbac.aggregate=false")
    old, new = (chart(tmp_path, version=each, old=each == "0.1.0") for each in ("0.1.0", "0.2.0"))

    def has_lifecycle() -> bool:
        crd = cluster.get("crd", f"sftruns.{GROUP}") or {}
        spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        return "lifecycle" in spec["properties"]

    def uids() -> dict[str, str]:
        found = cluster.list(f"sftruns.{GROUP}", namespace=namespace)
        return {item["metadata"]["name"]: item["metadata"]["uid"] for item in found}

    helm(cluster, "install", RELEASE, old, *more, namespace=namespace)
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", f"crd/sftruns.{GROUP}")
    quickstart: dict[str, Any] = yaml.safe_load(
        (CHART.parents[1] / "examples" / "quickstart.yaml").read_text()
    )
    for name in ("one", "two"):
        run = copy.deepcopy(quickstart) | {"apiVersion": f"{GROUP}/v1alpha1", "metadata": {"name": name}}
        cluster.apply(run, namespace=namespace)
    before = uids()
    assert set(before) == {"one", "two"}

    helm(cluster, "upgrade", RELEASE, new, "--reset-then-reuse-values", namespace=namespace)
    assert (uids(), has_lifecycle()) == (before, False), "helm leaves a CRD that is there alone"
    file = str(new / "crds" / "sftruns.yaml")
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", file)
    assert (uids(), has_lifecycle()) == (before, True)

    helm(cluster, "rollback", RELEASE, "1", namespace=namespace)
    assert (uids(), has_lifecycle()) == (before, True)

    helm(cluster, "uninstall", RELEASE, namespace=namespace)
    assert (uids(), has_lifecycle()) == (before, True)
    left = cluster.kubectl("get", "deploy,sa,cm,role,rolebinding,pdb,svc", "-o", "name", namespace=namespace)
    assert RELEASE not in left

    helm(cluster, "install", RELEASE, new, *more, namespace=namespace)
    assert (uids(), has_lifecycle()) == (before, True)

    helm(cluster, "uninstall", RELEASE, namespace=namespace)
    with pytest.raises(AssertionError, match="conflict"):
        helm(cluster, "install", RELEASE, old, *more, namespace=namespace)
    helm(cluster, "install", RELEASE, old, *more, "--skip-crds", namespace=namespace)
    assert (uids(), has_lifecycle()) == (before, True), "an older chart does not take the API back"


@pytest.fixture
async def here(light_cluster_with_crds: ClusterHandle) -> AsyncIterator[Harness]:
    """A namespace whose operator is the chart's account: it may do what the chart grants, when it does."""
    async with harness_of(light_cluster_with_crds) as harness:
        user = f"system:serviceaccount:{harness.namespace}:{RELEASE}"
        kubeconfig = await asyncio.to_thread(harness.cluster.user_kubeconfig, user)
        yield replace(harness, user=user, kubeconfig=kubeconfig)


async def test_a_run_that_trains_lives_through_upgrade_rollback_uninstall_and_a_new_installation(
    here: Harness, tmp_path: Path
) -> None:
    more = ("--skip-crds", "--set", f"watchNamespaces={{{here.namespace}}}", "--set", "rbac.aggregate=false")

    async def do(*arguments: str | Path) -> None:
        await asyncio.to_thread(helm, here.cluster, *arguments, namespace=here.namespace)

    async def step(number: int) -> None:
        pod.say(report(run, pod, Stage.TRAIN, step=number))
        await here.status(
            "x", lambda status: status.get("progress", {}).get("step") == number, what=f"step {number}"
        )

    async with Driver(here.cluster.kubeconfig, namespace=here.namespace, script=MANUAL) as driver:
        await do("install", RELEASE, CHART, *more)
        async with here.operator():
            run = await here.apply("x")
            pod = await driver.pod(labels={LABEL_RUN: "x"})
            await pod.run(report(run, pod, Stage.TRAIN, step=3))
            await here.phase("x", "Training")

        await do("upgrade", RELEASE, CHART, *more, "--set", "logLevel=debug")
        async with here.operator():
            await step(6)
        await do("rollback", RELEASE, "1")
        async with here.operator():
            await step(9)

        await do("uninstall", RELEASE)
        allowed = await asyncio.to_thread(_may_list, here)
        assert not allowed, "the rights went with the chart"
        (job,) = await here.objects(kube.JOBS, "x")
        assert job["metadata"].get("deletionTimestamp") is None
        assert (await here.phase("x", "Training"))["attempt"] == 1
        await pod.end(0, message=success(run, pod))

        await do("install", RELEASE, CHART, *more)
        async with here.operator():
            status = await here.phase("x", "Succeeded")
        assert status["attempt"] == 1
        assert status["outputs"]["trainingMetrics"]["totalSteps"] == 24
        jobs = await eventually(lambda: here.objects(kube.JOBS, "x"), bool, what="the run's Job")
        assert len(jobs) == 1, json.dumps(jobs)[:500]
        await do("uninstall", RELEASE)


def _may_list(here: Harness) -> bool:
    command = ["auth", "can-i", "list", "sftruns.sftrun.dev", "-n", here.namespace]
    done = subprocess.run(
        ["kubectl", "--kubeconfig", str(here.kubeconfig), *command],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() == "yes"
