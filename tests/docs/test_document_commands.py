"""The pages' kubectl and helm commands, run against a real API server.

A watch or a log that never ends is run until its first words. What needs a pod's log is run against the node
by the end-to-end tests.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.docs import documents
from tests.docs.documents import Command

from cluster import programs
from cluster.handles import ClusterHandle
from sftrun_api import names

pytestmark = pytest.mark.cluster

NEEDS_A_POD = "kubectl logs"
KUBECTL = [
    each for each in documents.commands() if each.words[0] == "kubectl" and NEEDS_A_POD not in each.text
]
STATUSES = {
    "wrong": {"failure": {"reason": "MissingJobFolder", "message": "not there"}},
    "qwen3-8b-swe": {"message": "pod x trains", "dataset": {"name": "qwen3-8b-swe", "converted": 512}},
}
CURVE = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {
        "name": "qwen3-8b-swe-01234-1-curve",
        "labels": {names.LABEL_MANAGED_BY: names.MANAGED_BY},
    },
}
HELM = [each for each in documents.commands() if each.words[0] == "helm"]


@pytest.fixture(scope="module")
def environment(light_cluster_with_crds: ClusterHandle) -> dict[str, str]:
    """A shell of somebody whose cluster holds the documents' runs, in the namespaces that they name."""
    demo = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}}
    runs = [yaml.safe_load(block.text) for block in documents.blocks("yaml") if "kind: SFTRun" in block.text]
    light_cluster_with_crds.apply(demo)
    light_cluster_with_crds.apply(*runs, namespace="demo")
    light_cluster_with_crds.apply(*runs, runs[0] | {"metadata": {"name": "wrong"}})
    for name, status in STATUSES.items():
        patch = json.dumps({"status": status})
        light_cluster_with_crds.kubectl(
            "patch", "sftrun", name, "--subresource=status", "--type=merge", "-p", patch
        )
    light_cluster_with_crds.apply(CURVE)
    return {**os.environ, "KUBECONFIG": str(light_cluster_with_crds.kubeconfig)}


@pytest.mark.parametrize("command", KUBECTL, ids=lambda command: command.text)
def test_kubectl(command: Command, environment: dict[str, str]) -> None:
    started = subprocess.Popen(
        ["bash", "-c", f"exec {command.text}"],
        cwd=documents.ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    with started:
        said = started.stdout.readline()
        if " -w" in command.text:
            started.terminate()
        _, errors = started.communicate()  # reads both: a full pipe stops who writes on
    assert (said != "", errors) == (True, "")


@pytest.fixture(scope="module")
def helm() -> Path:
    """The real helm."""
    programs.ensure(["helm"])
    return programs.binary("helm")


def test_helm_installs_and_upgrades(environment: dict[str, str], helm: Path) -> None:
    assert [command.words[1] for command in HELM] == ["install", "upgrade"]
    for command in HELM:
        done = subprocess.run(
            [helm, *command.words[1:]],
            cwd=documents.ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "STATUS: deployed" in done.stdout
