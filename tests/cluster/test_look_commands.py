"""`kubectl sft doctor`, `render --diff` and `clean` against a real API server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.command_calls import sft
from tests.cluster.operator_harness import IMAGE, Harness, eventually, harness_of, manifest

from cluster.driver import Driver
from cluster.handles import ClusterHandle
from cluster.scripts import End, Run, play
from sftrun_operator import kube

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]


@pytest.fixture
async def here(light_cluster_with_crds: ClusterHandle) -> AsyncIterator[Harness]:
    async with harness_of(light_cluster_with_crds) as harness:
        yield harness


async def test_what_the_operator_made_is_no_difference_and_what_changed_is_one(
    here: Harness, tmp_path: Path
) -> None:
    file = tmp_path / "run.yaml"
    whole = manifest("x", infrastructure={"gpusPerNode": 8, "env": [{"name": "A", "value": "1"}]})
    file.write_text(yaml.safe_dump(whole))
    words = ("render", str(file), "--diff", "--trainer-image", IMAGE)
    said = await sft(here, *words)
    assert said.code == 1, said.err
    assert "the run is not on the cluster" in said.err
    assert not [line for line in said.out.splitlines() if line.startswith("-") and line[:3] != "---"]

    async with here.operator():
        await here.apply("x", **{"infrastructure": whole["spec"]["infrastructure"]})
        await here.jobs("x", 1)
        said = await sft(here, *words)
        assert (said.code, said.out) == (0, ""), said.out
        assert "attempt 1 of the run on the cluster" in said.err

        whole["spec"]["infrastructure"]["env"] = []
        whole["spec"]["training"]["learningRate"] = 2e-5
        file.write_text(yaml.safe_dump(whole))
        said = await sft(here, *words)
        assert said.code == 1
        changed = [line[1:].strip() for line in said.out.splitlines() if line[:1] in "+-"]
        assert "learning_rate: 2.0e-05" in changed
        assert "- name: A" in changed
        assert not [line for line in changed if "completionMode" in line or "uid:" in line]

        whole["spec"]["training"]["template"] = "nonsense"
        file.write_text(yaml.safe_dump(whole))
        said = await sft(here, *words)
        assert (said.code, said.out) == (2, "")
        assert "would refuse" in said.err


async def test_the_doctor_looks_with_the_users_own_rights(here: Harness) -> None:
    quota: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "few"},
        "spec": {"hard": {"requests.nvidia.com/gpu": "4"}},
    }
    await here.api.create(
        kube.Resource(kind="ResourceQuota", prefix="/api/v1", plural="resourcequotas"), here.namespace, quota
    )

    async def found(kubeconfig: Path | None = None) -> dict[str, tuple[str, str]]:
        said = await sft(here, "doctor", "-o", "json", kubeconfig=kubeconfig)
        listed = json.loads(said.out)["findings"]
        assert said.code == any(each["result"] == "Fail" for each in listed), said.err
        return {each["name"]: (each["result"], each["message"]) for each in listed}

    async def judged() -> dict[str, tuple[str, str]]:
        return await found()

    seen = await eventually(judged, lambda each: "few" in each["quota"][1], what="a quota", seconds=180)
    assert seen["CRD"] == ("Pass", "sftruns.sftrun.dev v1alpha1, this program's own")
    assert seen["operator"] == ("Fail", "no operator is installed")
    assert seen["rights"][0] == "Pass"
    assert seen["quota"][0] == "Warn"
    assert seen["GPUs"][0] == "Fail"
    assert (seen["Kueue"][0], seen["claim"][0]) == ("Pass", "Warn")

    unseen = await found(here.cluster.user_kubeconfig("somebody"))
    assert unseen["CRD"][0] == "Pass"
    assert unseen["rights"][0] == "Fail"
    for name in ("operator", "GPUs", "quota", "storage class", "claim", "Pod Security"):
        assert unseen[name][0] == "Unseen", name
        assert "no permission" in unseen[name][1]


async def test_clean_makes_a_small_pod_says_so_and_deletes_it(here: Harness) -> None:
    """What the pod prints needs a kubelet: the end-to-end tests see it."""
    said = await sft(here, "clean", "--claim", "training")
    assert said.code == 1
    assert "no run of namespace" in said.err
    async with here.operator():
        await here.apply("x")
        await here.jobs("x", 1)
    script = play(Run(), End(exit_code=0))
    async with Driver(here.cluster.kubeconfig, namespace=here.namespace, script=script):
        said = await sft(here, "clean", "--run", "x")
    assert said.code != 0  # no kubelet, no log
    assert f"making the pod {here.namespace}/sftrun-clean-" in said.err
    assert f"image {IMAGE}, no GPU, claim training for reading only" in said.err
    left = (await here.api.list(kube.PODS, here.namespace))["items"]
    assert not [
        each
        for each in left
        if each["metadata"]["name"].startswith("sftrun-clean") and "deletionTimestamp" not in each["metadata"]
    ]
    said = await sft(here, "clean")
    assert said.code == 2
    assert "say whose workspace" in said.err and "training" in said.err
