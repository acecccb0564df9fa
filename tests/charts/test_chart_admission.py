"""What the chart renders, told to a real API server: strictly validated, admitted as `restricted`, granted as
written.

The API server is the oracle: schemas that are published apart from it know neither its defaults nor its
admission. Nothing but the roles is really created.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

import generate_kustomize_base
from cluster import module_files, programs, waits
from cluster.handles import RESTRICTED, ClusterHandle, KubectlFailed
from sftrun_api.models import JsonObject

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "sftrun-operator"
GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.yaml"))
NAMESPACES = ("sftrun-system", "team-a", "team-b")


@pytest.fixture(scope="module")
def cluster(light_cluster_with_crds: ClusterHandle) -> Iterator[ClusterHandle]:
    """The light cluster with the namespaces that the golden files are rendered for, and the Prometheus
    operator's kinds."""
    foreign = [f"-f={file}" for file in module_files.prometheus_operator_crds()]
    light_cluster_with_crds.kubectl("apply", "--server-side", *foreign)
    light_cluster_with_crds.kubectl("wait", "--for=condition=Established", "--timeout=60s", *foreign)
    for name in NAMESPACES:
        namespace = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": RESTRICTED},
        }
        light_cluster_with_crds.apply(namespace)
    yield light_cluster_with_crds
    for name in NAMESPACES:
        light_cluster_with_crds.delete_namespace(name)
    light_cluster_with_crds.kubectl("delete", "--wait=false", *foreign)


def _objects(file: Path) -> list[JsonObject]:
    return [item for item in yaml.safe_load_all(file.read_text()) if item]


def _dry_run(cluster: ClusterHandle, objects: list[JsonObject]) -> str:
    text = yaml.safe_dump_all(objects)
    return cluster.kubectl(
        "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text
    )


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.stem)
def test_every_object_is_taken_by_the_api_server(cluster: ClusterHandle, file: Path) -> None:
    objects = [item for item in _objects(file) if item["kind"] != "Pod"]
    assert len(_dry_run(cluster, objects).splitlines()) == len(objects)


def test_rules_of_alerts_are_taken_by_the_kinds_of_the_prometheus_operator(cluster: ClusterHandle) -> None:
    programs.ensure(["helm"])
    command: list[str | Path] = [programs.binary("helm"), "template", "x", CHART, "--namespace=sftrun-system"]
    switches = ["--set=metrics.prometheusRule.enabled=true", "--show-only=templates/monitoring.yaml"]
    done = subprocess.run([*command, *switches], capture_output=True, text=True, check=True)
    objects = [item for item in yaml.safe_load_all(done.stdout) if item]
    assert [item["kind"] for item in objects] == ["Service", "PrometheusRule"]
    assert len(_dry_run(cluster, objects).splitlines()) == len(objects)
    objects[1]["spec"]["groups"][0]["rules"][0]["four"] = "5m"  # meant: for
    with pytest.raises(KubectlFailed, match="four"):
        _dry_run(cluster, objects)


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.stem)
def test_every_pod_is_admitted_as_restricted(cluster: ClusterHandle, file: Path) -> None:
    """A Deployment is only warned about; its pods are what is refused. Their account is not here."""
    pods = [item for item in _objects(file) if item["kind"] == "Pod"]
    for item in _objects(file):
        if item["kind"] == "Deployment":
            template = item["spec"]["template"]
            metadata = template["metadata"] | {"name": "probe", "namespace": "sftrun-system"}
            pods.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
    assert len(pods) == 2
    for pod in pods:
        pod["spec"] |= {"serviceAccountName": "default", "automountServiceAccountToken": False}
    _dry_run(cluster, pods)


def test_a_pod_that_is_not_restricted_would_be_refused(cluster: ClusterHandle) -> None:
    pod: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe", "namespace": "sftrun-system"},
        "spec": {"containers": [{"name": "x", "image": "x"}]},
    }
    with pytest.raises(Exception, match="violates PodSecurity"):
        _dry_run(cluster, [pod])


def test_whoever_may_view_or_edit_a_namespace_may_do_so_with_its_sftruns(cluster: ClusterHandle) -> None:
    """The cluster's own controller puts the roles together."""
    roles = [item for item in _objects(ROOT / "deploy" / "operator.yaml") if item["kind"] == "ClusterRole"]
    cluster.apply(*roles)
    try:
        for role in ("view", "edit", "admin"):
            binding = {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": role, "namespace": "team-a"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"kind": "User", "name": f"{role}er", "apiGroup": "rbac.authorization.k8s.io"}],
            }
            cluster.apply(binding)
            listed = partial(_may, cluster, f"{role}er", "list", "sftruns")
            waits.until(listed, what=f"the right of {role} to SFTRuns", seconds=60)
        may = {
            (role, verb, what): _may(cluster, f"{role}er", verb, what)
            for role in ("view", "edit", "admin")
            for verb, what in (("list", "sftruns"), ("create", "sftruns"), ("patch", "sftruns/status"))
        }
        assert {question for question, answer in may.items() if answer} == {
            ("view", "list", "sftruns"),
            ("edit", "list", "sftruns"),
            ("edit", "create", "sftruns"),
            ("admin", "list", "sftruns"),
            ("admin", "create", "sftruns"),
        }
    finally:
        for item in roles:
            cluster.kubectl("delete", "clusterrole", item["metadata"]["name"])


def _may(cluster: ClusterHandle, user: str, verb: str, what: str) -> bool:
    resource, _, subresource = what.partition("/")
    more = [f"--subresource={subresource}"] if subresource else []
    arguments = ["auth", "can-i", verb, f"{resource}.sftrun.dev", *more, "--as", user, "-n", "team-a"]
    command = ["kubectl", "--kubeconfig", str(cluster.kubeconfig), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() == "yes"


def test_the_kustomize_base_is_what_the_chart_renders_and_is_taken_whole(cluster: ClusterHandle) -> None:
    assert generate_kustomize_base.PAGE.read_text() == generate_kustomize_base.rendered(), (
        "run: make generate"
    )
    arguments = (
        "apply",
        "--server-side",
        "--force-conflicts",
        "--dry-run=server",
        "-k",
        str(ROOT / "deploy"),
    )
    told = cluster.kubectl(*arguments).splitlines()
    assert any("sftruns.sftrun.dev" in line for line in told)
    assert any("deployment.apps/sftrun-operator" in line for line in told)
