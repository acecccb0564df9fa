"""What the chart renders, compared whole; what its values refuse; and that its rights are those that the
operator says it needs. The cluster mark: helm is built from the cluster's pinned Go modules.

New golden files: `UPDATE_GOLDEN=1 make cluster-test`, then read the difference.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster import programs
from sftrun_api.names import LABEL_ROLE, PROGRESS_PORT
from sftrun_operator import installation_checks
from sftrun_operator.main import ELECTION_RULES, RULES, parser

pytestmark = pytest.mark.cluster

CHART = Path(__file__).parents[2] / "charts" / "sftrun-operator"
GOLDEN = Path(__file__).parent / "golden"
DIGEST = "sha256:" + "0123456789abcdef" * 4

RENDERED = {
    "defaults": [],
    "two-namespaces": ["watchNamespaces={team-a,team-b}"],
    "ids-assigned-by-the-cluster": [
        "trainer.runAsUser=null",
        "trainer.runAsGroup=null",
        "trainer.fsGroup=null",
        "logFormat=json",
    ],
    "monitored": [
        "metrics.serviceMonitor.enabled=true",
        "metrics.podMonitor.enabled=true",
        "metrics.labels.release=prometheus",
    ],
    "fenced": [
        "networkPolicy.operator.enabled=true",
        "networkPolicy.operator.metricsFrom[0].namespaceSelector.matchLabels.team=monitoring",
        "networkPolicy.trainers.enabled=true",
        "networkPolicy.trainers.namespaces={team-a,team-b}",
        "networkPolicy.trainers.metricsFrom[0].namespaceSelector.matchLabels.team=monitoring",
    ],
    "one-replica-with-everything-of-its-pod": [
        "replicas=1",
        "leaderElection=false",
        "extraArgs={--workers=96}",
        "extraEnv[0].name=NO_PROXY",
        "extraEnv[0].value=10.0.0.0/8",
        "imagePullSecrets[0].name=registry",
        "priorityClassName=system-cluster-critical",
        "tolerations[0].key=infra",
        "tolerations[0].operator=Exists",
        "nodeSelector.pool=infra",
        "podLabels.team=platform",
        "podAnnotations.note=x",
    ],
    "by-digest": [f"image.digest={DIGEST}", f"trainer.image.digest={DIGEST}", "rbac.create=false"],
}
REFUSED = {
    "a name with a typo": ["replica=2"],
    "a typo further in": ["trainer.image.repo=x"],
    "a tag that is none": ["image.tag=a b"],
    "a digest that is none": ["image.digest=sha256:12"],
    "root": ["trainer.runAsUser=0"],
    "a namespace that cannot be": ["watchNamespaces={Team_A}"],
    "one namespace twice": ["watchNamespaces={a,a}"],
    "too many operators": ["replicas=50"],
    "a switch with a typo": ["metrics.podMonitor.enable=true"],
    "an interval without a unit": ["metrics.podMonitor.interval=30"],
    "a monitor of nothing": ["metrics.service.enabled=false", "metrics.serviceMonitor.enabled=true"],
    "an account that nobody names": ["serviceAccount.create=false"],
    "a resource that is none": ["resources.limits.memry=1Gi"],
    "an amount that is none": ["resources.limits.memory=lots"],
    "a toleration with a typo": ["tolerations[0].efect=NoSchedule"],
    "an affinity with a typo": ["affinity.nodeAfinity.x=1"],
    "an option that is none": ["extraArgs={workers=96}"],
    "a variable without a name": ["extraEnv[0].value=x"],
    "a source of a variable that is none": ["extraEnv[0].valueFrom.secret.name=x", "extraEnv[0].name=A"],
    "a budget with a typo": ["podDisruptionBudget.enable=true"],
    "a peer with a typo": ["networkPolicy.operator.metricsFrom[0].namespaceSelektor.matchLabels.a=b"],
    "a port that is none": ["networkPolicy.operator.apiServerPorts={0}"],
    "a policy for nowhere": ["networkPolicy.trainers.enabled=true"],
    "a role with a typo": ["rbac.agregate=false"],
}


@pytest.fixture(scope="session")
def helm() -> Path:
    """The real helm."""
    programs.ensure(["helm"])
    return programs.binary("helm")


def _template(helm: Path, values: list[str]) -> subprocess.CompletedProcess[str]:
    settings = [word for value in values for word in ("--set", value)]
    command: list[str | Path] = [
        helm,
        "template",
        "sftrun-operator",
        CHART,
        "--namespace",
        "sftrun-system",
        *settings,
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _objects(helm: Path, values: list[str]) -> list[dict[str, Any]]:
    done = _template(helm, values)
    assert done.returncode == 0, done.stderr
    return [item for item in yaml.safe_load_all(done.stdout) if item]


@pytest.mark.parametrize("name", RENDERED)
def test_renders_as_before(helm: Path, name: str) -> None:
    text = yaml.safe_dump_all(_objects(helm, RENDERED[name]), sort_keys=True)
    golden = GOLDEN / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(helm: Path, name: str) -> None:
    done = _template(helm, REFUSED[name])
    assert done.returncode != 0
    path = re.findall(r"[A-Za-z]+", REFUSED[name][0].partition("=")[0])
    assert any(word in done.stderr for word in path[-2:])


def test_passes_lint(helm: Path) -> None:
    done = subprocess.run([helm, "lint", "--strict", CHART], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("values", RENDERED.values(), ids=RENDERED)
def test_operator_understands_its_arguments(helm: Path, values: list[str]) -> None:
    deployment = next(item for item in _objects(helm, values) if item["kind"] == "Deployment")
    parser().parse_args(deployment["spec"]["template"]["spec"]["containers"][0]["args"])


@pytest.mark.parametrize(("values", "kind"), [([], "ClusterRole"), (["watchNamespaces={team-a}"], "Role")])
def test_rights_are_what_the_operator_needs(helm: Path, values: list[str], kind: str) -> None:
    roles = [item for item in _operator(_objects(helm, values)) if item["kind"] in ("Role", "ClusterRole")]
    assert [role["kind"] for role in roles] == [kind, "Role"]
    assert _granted(roles[0]) == {(group, what): sorted(verbs) for group, what, verbs in RULES}
    assert roles[1]["metadata"]["namespace"] == "sftrun-system"
    assert _granted(roles[1]) == {(group, what): sorted(verbs) for group, what, verbs in ELECTION_RULES}


def test_without_election_there_is_no_right_to_leases(helm: Path) -> None:
    objects = _objects(helm, ["leaderElection=false"])
    assert "leases" not in yaml.safe_dump(objects) and "--leader-elect" not in yaml.safe_dump(objects)


def test_monitors_look_where_runs_are(helm: Path) -> None:
    values = ["metrics.podMonitor.enabled=true", "watchNamespaces={team-a,team-b}"]
    (monitor,) = [item for item in _objects(helm, values) if item["kind"] == "PodMonitor"]
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": ["team-a", "team-b"]}
    assert monitor["spec"]["selector"]["matchLabels"] == {LABEL_ROLE: "train"}


def test_without_a_service_there_is_none(helm: Path) -> None:
    assert "Service" not in {item["kind"] for item in _objects(helm, ["metrics.service.enabled=false"])}


def test_the_values_of_the_page_switch_everything_on(helm: Path, tmp_path: Path) -> None:
    page = (CHART.parents[1] / "docs" / "metrics.md").read_text()
    (values,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    file = tmp_path / "values.yaml"
    file.write_text(values)
    command: list[str | Path] = [helm, "template", "x", CHART, "--values", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    objects = [item for item in yaml.safe_load_all(done.stdout) if item]
    monitoring = {item["kind"]: item for item in objects if "monitoring" in item["apiVersion"]}
    assert set(monitoring) == {"ServiceMonitor", "PodMonitor", "PrometheusRule"}
    assert {item["metadata"]["labels"]["release"] for item in monitoring.values()} == {"prometheus"}
    assert "sftrun.json" in done.stdout


def test_rules_and_dashboard_are_the_files(helm: Path) -> None:
    values = ["metrics.prometheusRule.enabled=true", "metrics.dashboard.enabled=true"]
    objects = {item["metadata"]["name"] + item["kind"]: item for item in _objects(helm, values)}
    rules = yaml.safe_load((CHART / "monitoring" / "alerts.yaml").read_text())
    assert objects["sftrun-operatorPrometheusRule"]["spec"] == rules
    shown = objects["sftrun-operator-dashboardConfigMap"]
    assert shown["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(shown["data"]["sftrun.json"]) == json.loads(
        (CHART / "monitoring" / "dashboard.json").read_text()
    )


def _operator(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns what the operator itself is made of: neither the tests nor the roles of its users."""
    return [
        item
        for item in objects
        if "helm.sh/hook" not in item["metadata"].get("annotations", {})
        and not any("aggregate-to" in label for label in item["metadata"]["labels"])
    ]


def test_users_get_sftruns_with_the_cluster_s_own_roles_and_never_their_status(helm: Path) -> None:
    roles = {
        label.rpartition("-")[2]: _granted(item)
        for item in _objects(helm, [])
        if item["kind"] == "ClusterRole"
        for label in item["metadata"]["labels"]
        if "aggregate-to" in label
    }
    reads = ["get", "list", "watch"]
    writes = sorted([*reads, "create", "update", "patch", "delete", "deletecollection"])
    assert {role: granted["sftrun.dev", "sftruns"] for role, granted in roles.items()} == {
        "view": reads,
        "edit": writes,
        "admin": writes,
    }
    assert all(granted["sftrun.dev", "sftruns/status"] == ["get"] for granted in roles.values())


def test_a_budget_protects_the_last_of_several_replicas_only(helm: Path) -> None:
    for values, expected in (
        ([], [1]),
        (["replicas=1"], []),
        (["podDisruptionBudget.enabled=false"], []),
    ):
        budgets = [item for item in _objects(helm, values) if item["kind"] == "PodDisruptionBudget"]
        assert [item["spec"]["minAvailable"] for item in budgets] == expected


def test_the_operator_may_reach_runs_and_nobody_else_may(helm: Path) -> None:
    """The policy's labels are those that operator and runs really have."""
    values = ["networkPolicy.trainers.enabled=true", "watchNamespaces={team-a}"]
    objects = _objects(helm, values)
    (policy,) = [item for item in objects if item["kind"] == "NetworkPolicy"]
    deployment = next(item for item in objects if item["kind"] == "Deployment")
    (rule,) = policy["spec"]["ingress"]
    (peer,) = rule["from"]
    assert policy["metadata"]["namespace"] == "team-a"
    assert policy["spec"]["podSelector"]["matchLabels"] == {LABEL_ROLE: "train"}
    assert [port["port"] for port in rule["ports"]] == [PROGRESS_PORT]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert peer["podSelector"]["matchLabels"].items() <= labels.items()
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "sftrun-system"}


def test_the_test_pod_asks_what_it_may(helm: Path) -> None:
    """`helm test` reads pods and the Lease; where no roles are made it asks for the CRD alone."""
    tests = [item for item in _objects(helm, []) if item not in _operator(_objects(helm, []))]
    (role,) = [item for item in tests if item["kind"] == "Role"]
    assert _granted(role) == {("", "pods"): ["list"], ("coordination.k8s.io", "leases"): ["get"]}
    (pod,) = [item for item in tests if item["kind"] == "Pod"]
    asked = installation_checks.parser().parse_args(pod["spec"]["containers"][0]["args"])
    selector = dict(pair.split("=") for pair in asked.selector.split(","))
    deployment = next(item for item in _objects(helm, []) if item["kind"] == "Deployment")
    assert selector == deployment["spec"]["selector"]["matchLabels"]
    assert not selector.items() <= pod["metadata"]["labels"].items()
    assert asked.lease == "sftrun-operator"
    without = next(item for item in _objects(helm, ["rbac.create=false"]) if item["kind"] == "Pod")
    asked = installation_checks.parser().parse_args(without["spec"]["containers"][0]["args"])
    assert (asked.selector, asked.lease) == ("", "")


def _granted(role: dict[str, Any]) -> dict[tuple[str, str], list[str]]:
    return {
        (group, resource): sorted(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def test_notes_name_the_next_command() -> None:
    notes = (CHART / "templates" / "NOTES.txt").read_text()
    assert "get sftruns -w" in notes and "helm test" in notes and "crds" in notes


def test_crd_is_the_contract_s() -> None:
    """The generator writes both; a chart of another API would install an operator that cannot read it."""
    assert (CHART / "crds" / "sftruns.yaml").read_bytes() == (
        CHART.parents[1] / "crds" / "sftruns.yaml"
    ).read_bytes()
