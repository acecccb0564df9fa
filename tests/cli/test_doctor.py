"""`kubectl sft doctor`: each thing as it may be, and what the user may not see."""

from __future__ import annotations

import datetime
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.cli.api_servers import Canned, serving, status
from typer.testing import CliRunner

from sftrun_api import crd_generation
from sftrun_cli.cluster import transports
from sftrun_cli.doctoring import contracts, findings, machines, namespaces, operators, queues
from sftrun_cli.doctoring.findings import Finding, Result
from sftrun_cli.doctoring.looks import Answer
from sftrun_cli.main import app

UNSEEN = Answer(unseen="no permission to list things")
NOTHING = Answer()
SCHEMA = {"type": "object"}
NOW = 1_800_000_000.0


def some(*items: Any) -> Answer:
    return Answer(items=items)


def crd(*, established: str = "True", schema: Any = SCHEMA) -> Answer:
    version = {"name": "v1alpha1", "schema": {"openAPIV3Schema": schema}}
    conditions = [{"type": "Established", "status": established, "message": "not yet"}]
    return some({"spec": {"versions": [version]}, "status": {"conditions": conditions}})


def deployment(
    *args: str, name: str = "op", ready: int = 1, replicas: int = 1, version: str = "1.0"
) -> dict[str, Any]:
    labels = {"app.kubernetes.io/version": version}
    container = {"image": "x/sftrun-operator:9", "args": list(args)}
    return {
        "metadata": {"name": name, "namespace": "sys", "labels": labels},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": [container]}}},
        "status": {"readyReplicas": ready},
    }


def lease(*, seconds: float = 5.0, holder: str = "op-1") -> dict[str, Any]:
    renewed = datetime.datetime.fromtimestamp(NOW - seconds, datetime.UTC).isoformat()
    return {"metadata": {"name": "op"}, "spec": {"holderIdentity": holder, "renewTime": renewed}}


def node(
    name: str,
    gpus: int = 8,
    *,
    ready: str = "True",
    cordoned: bool = False,
    resource: str = "nvidia.com/gpu",
    **labels: str,
) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "labels": {f"nvidia.com/gpu.{key}": value for key, value in labels.items()},
        },
        "spec": {"unschedulable": cordoned},
        "status": {
            "allocatable": {"cpu": "64"} | ({resource: str(gpus)} if gpus else {}),
            "conditions": [{"type": "Ready", "status": ready, "message": "kubelet stopped"}],
        },
    }


def pod(on: str, gpus: int, *, phase: str = "Running", resource: str = "nvidia.com/gpu") -> dict[str, Any]:
    resources = {"limits": {resource: str(gpus)}}
    return {"spec": {"nodeName": on, "containers": [{"resources": resources}]}, "status": {"phase": phase}}


def quota(name: str, **hard: tuple[str, str]) -> dict[str, Any]:
    keys = {"gpu": "requests.nvidia.com/gpu", "pods": "pods"}
    return {
        "metadata": {"name": name},
        "status": {
            "hard": {keys[key]: most for key, (_, most) in hard.items()},
            "used": {keys[key]: used for key, (used, _) in hard.items()},
        },
    }


def claim(name: str, *, phase: str = "Bound", mode: str = "ReadWriteMany") -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {"accessModes": [mode]},
        "status": {"phase": phase, "capacity": {"storage": "2Ti"}},
    }


def run(phase: str = "Training", *, claim: str = "training", progress: str = "True") -> dict[str, Any]:
    conditions = [{"type": "ProgressAvailable", "status": progress, "message": "port 8080 is not reached"}]
    workspace = {"persistentVolumeClaim": {"claimName": claim}}
    return {"spec": {"workspace": workspace}, "status": {"phase": phase, "conditions": conditions}}


def queue(*, active: str) -> dict[str, Any]:
    return {
        "metadata": {"name": "q"},
        "status": {
            "pendingWorkloads": 3,
            "conditions": [{"type": "Active", "status": active, "message": "no ClusterQueue"}],
        },
    }


def storage(name: str, *, default: bool = False) -> dict[str, Any]:
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    return {"metadata": {"name": name, "annotations": annotations}}


def of_operators(answer: Answer, runs: Answer = NOTHING) -> list[Finding]:
    return list(operators.operators(answer, namespace="team", version="1.0", runs=runs))


def of_crd(answer: Answer, *served: str) -> list[Finding]:
    return list(contracts.crd(answer, served=served, schema=SCHEMA))


ELECTS = deployment("--leader-elect", "--lease-name=op")


def of_leader(answer: Answer, found: dict[str, Any] = ELECTS) -> list[Finding]:
    return list(operators.leader([found], answer, now=NOW))


EVERYTHING = dict.fromkeys((*namespaces.NEEDED, *namespaces.USEFUL), True)
CASES: dict[str, tuple[list[Finding], list[str]]] = {
    "api server": ([contracts.api_server("v1.34.1")], ["Pass v1.34.1"]),
    "old api server": ([contracts.api_server("v1.29.0+k3s1")], ["Fail older than 1.31"]),
    "api server of no version": ([contracts.api_server("")], ["Pass Kubernetes"]),
    "crd": (of_crd(crd(), "v1alpha1"), ["Pass this program's own"]),
    "no crd": (of_crd(NOTHING), ["Fail has no sftruns.sftrun.dev"]),
    "another crd": (of_crd(crd(schema={}), "v1alpha1"), ["Warn another version's"]),
    "another api": (of_crd(crd(), "v1"), ["Fail served as v1"]),
    "crd to be": (of_crd(crd(established="False"), "v1alpha1"), ["Fail not yet"]),
    "crd unseen": (of_crd(UNSEEN, "v1alpha1"), ["Pass cannot be seen"]),
    "operator": (
        of_operators(some(deployment())),
        ["Pass sys/op: 1 of 1 ready", "Pass operator and this program"],
    ),
    "no operator": (of_operators(Answer()), ["Fail no operator is installed"]),
    "operator of others": (
        of_operators(some(deployment("--namespace=x"))),
        ["Fail does not serve namespace team"],
    ),
    "operator of ours": (
        of_operators(some(deployment("--namespace=x", "--namespace=team"))),
        ["Pass", "Pass"],
    ),
    "two operators": (
        of_operators(some(deployment(), deployment(name="b"))),
        ["Warn 2 serve", "Pass", "Pass", "Pass", "Pass"],
    ),
    "operator down": (of_operators(some(deployment(ready=0))), ["Fail 0 of 1 replicas", "Pass"]),
    "one of two": (of_operators(some(deployment(replicas=2))), ["Warn 1 of 2 ready", "Pass"]),
    "another version": (
        of_operators(some(deployment(version="0.9"))),
        ["Pass", "Warn is 0.9, this program 1.0"],
    ),
    "operator unseen": (of_operators(UNSEEN), ["Unseen no permission"]),
    "operator unseen, at work": (of_operators(UNSEEN, some(run())), ["Pass has judged 1 of 1"]),
    "operator unseen, idle": (
        of_operators(UNSEEN, some({"spec": {}})),
        ["Warn none of 1 runs here has a status"],
    ),
    "rights": ([namespaces.rights(EVERYTHING, namespace="team")], ["Pass everything"]),
    "few rights": (
        [namespaces.rights(EVERYTHING | {("get", "pods/log"): False}, namespace="t")],
        ["Warn get pods/log"],
    ),
    "no rights": ([namespaces.rights({}, namespace="team")], ["Fail create sftruns, get sftruns"]),
    "restricted": (
        [
            namespaces.pod_security(
                some({"metadata": {"labels": {namespaces.ENFORCE: "restricted"}}}), namespace="t"
            )
        ],
        ["Pass enforces restricted"],
    ),
    "no namespace": ([namespaces.pod_security(Answer(), namespace="t")], ["Fail there is no namespace t"]),
    "a namespace that ends": (
        [namespaces.pod_security(some({"metadata": {"deletionTimestamp": "x"}}), namespace="t")],
        ["Fail being deleted"],
    ),
    "namespace unseen": ([namespaces.pod_security(UNSEEN, namespace="t")], ["Unseen"]),
    "no quota": (list(namespaces.quota(Answer())), ["Pass none"]),
    "quota": (
        list(namespaces.quota(some(quota("q", gpu=("8", "16"))))),
        ["Pass requests.nvidia.com/gpu 8/16"],
    ),
    "quota used up": (
        list(namespaces.quota(some(quota("q", gpu=("12", "16"))))),
        ["Warn 12 of 16 used, a run takes 8"],
    ),
    "no more pods": (list(namespaces.quota(some(quota("q", pods=("5", "5"))))), ["Warn pods: 5 of 5"]),
    "quota unseen": (list(namespaces.quota(UNSEEN)), ["Unseen"]),
    "storage": (
        [namespaces.storage_class(some(storage("a", default=True), storage("b")))],
        ["Pass a is the default"],
    ),
    "no default": ([namespaces.storage_class(some(storage("b")))], ["Warn none is the default"]),
    "no storage": ([namespaces.storage_class(Answer())], ["Warn there is none"]),
    "claim": (
        list(namespaces.claims(some(claim("training")), Answer())),
        ["Pass training: Bound, 2Ti, ReadWriteMany"],
    ),
    "claim of one node": (
        list(namespaces.claims(some(claim("training", mode="ReadWriteOnce")), Answer())),
        ["Pass one node at a time"],
    ),
    "claim that waits": (
        list(namespaces.claims(some(claim("training", phase="Pending")), Answer())),
        ["Warn first pod"],
    ),
    "claim that is lost": (
        list(namespaces.claims(some(claim("training", phase="Lost")), Answer())),
        ["Fail gone"],
    ),
    "claim that is not there": (
        list(namespaces.claims(some(claim("x")), some(run()))),
        ["Fail runs name it, and it is not there"],
    ),
    "no claim": (list(namespaces.claims(Answer(), Answer())), ["Warn every run needs one"]),
    "gpus": (
        list(
            machines.gpus(
                some(node("a", product="NVIDIA-H100-80GB-HBM3"), node("b", 0)),
                some(pod("a", 8, phase="Failed")),
            )
        ),
        [
            "Pass 8 nvidia.com/gpu on 1 node, 8 free",
            "Pass a: 8 GPUs, 8 free, NVIDIA-H100-80GB-HBM3, 75 GiB each",
        ],
    ),
    "gpus in use": (
        list(machines.gpus(some(node("a"), node("b")), some(pod("a", 8), pod("b", 2)))),
        ["Warn no node has 8 free now", "Pass a: 8 GPUs, 0 free", "Pass b: 8 GPUs, 6 free"],
    ),
    "few gpus": (
        list(machines.gpus(some(node("a", 4)), Answer())),
        ["Warn no node has 8, which", "Pass a: 4 GPUs"],
    ),
    "another vendor's gpus": (
        list(
            machines.gpus(some(node("a", resource="amd.com/gpu")), some(pod("a", 2, resource="amd.com/gpu")))
        ),
        ["Warn 8 amd.com/gpu on 1 node, 6 free; runs ask for them with", "Pass a: 8 GPUs, 6 free"],
    ),
    "slices": (
        list(machines.gpus(some(node("a", resource="nvidia.com/mig-1g.10gb")), Answer())),
        ["Pass gpuResourceName: nvidia.com/mig-1g.10gb", "Pass a: 8 GPUs"],
    ),
    "no gpus": (list(machines.gpus(some(node("a", 0)), Answer())), ["Fail none of 1 nodes offers"]),
    "gpus of a node that is away": (
        list(machines.gpus(some(node("a", ready="Unknown"), node("b", cordoned=True)), Answer())),
        ["Warn no node has 8 free now", "Warn not ready: kubelet stopped", "Warn cordoned"],
    ),
    "others' pods unseen": (
        list(machines.gpus(some(node("a")), UNSEEN)),
        ["Pass free ones cannot be seen", "Pass free ones unseen"],
    ),
    "nodes unseen": (list(machines.gpus(UNSEEN, Answer())), ["Unseen"]),
    "runtime class": (
        [machines.runtime_class(some({"metadata": {"name": "nvidia"}}), Answer())],
        ["Pass nvidia; set"],
    ),
    "no runtime class": ([machines.runtime_class(Answer(), some(node("a")))], ["Pass must be NVIDIA's"]),
    "no kueue": (list(queues.kueue(Answer(unknown_kind=True), namespace="t")), ["Pass not installed"]),
    "kueue": (
        list(queues.kueue(some(queue(active="True")), namespace="t")),
        ["Pass queue q: active, 3 waiting"],
    ),
    "kueue without a queue": (list(queues.kueue(Answer(), namespace="t")), ["Warn has no LocalQueue"]),
    "a queue that stands": (
        list(queues.kueue(some(queue(active="False")), namespace="t")),
        ["Fail no ClusterQueue"],
    ),
    "progress": (list(queues.progress(some(run()))), ["Pass reaches"]),
    "no progress": (
        list(queues.progress(some(run(progress="False"), run()))),
        ["Warn 1 of 2 runs at work: port 8080"],
    ),
    "nothing at work": (list(queues.progress(some(run("Succeeded")))), []),
    "leader": (of_leader(some(lease())), ["Pass op-1, renewed 5 s ago"]),
    "a leader that is gone": (
        of_leader(some(lease(seconds=300))),
        ["Fail nobody has renewed the Lease op for 300 s"],
    ),
    "no leader": (of_leader(NOTHING), ["Fail nobody"]),
    "none elected": (of_leader(NOTHING, deployment()), []),
}


@pytest.mark.parametrize(("found", "expected"), CASES.values(), ids=CASES)
def test_findings(found: list[Finding], expected: list[str]) -> None:
    assert len(found) == len(expected), found
    for finding, words in zip(found, expected, strict=True):
        result, _, part = words.partition(" ")
        assert (finding.result, part in finding.message) == (result, True), finding
        if finding.result in (Result.WARN, Result.FAIL):
            assert finding.remedy


def test_of_a_pod_only_what_is_counted_is_kept() -> None:
    whole = pod("a", 3) | {"metadata": {"annotations": {"long": "x" * 1000}}}
    kept = machines.of_pod(whole)
    assert len(json.dumps(kept)) < 200
    counted = [
        machines.machines([node("a")], some(each), resource="nvidia.com/gpu") for each in (kept, whole)
    ]
    assert counted[0] == counted[1]
    assert counted[0][0].free == 5


def test_many_nodes_stay_few_lines() -> None:
    found = list(machines.gpus(some(*(node(f"n{number:04}") for number in range(1000))), Answer()))
    assert len(found) == machines.SHOWN + 2
    assert "980 more nodes with 7840 GPUs" in found[-1].message


def test_lines_say_in_words_what_colours_do() -> None:
    console = Console(width=200, file=io.StringIO())
    bad = Finding(name="CRD", result=Result.FAIL, message="a\x1b[2Jb", remedy="install it")
    for line in findings.lines([bad]):
        console.print(line)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "Fail   CRD  a\\u001b[2Jb\n       → install it\n"


FORBIDDEN = status(
    403, 'x is forbidden: User "u" cannot list resource "x" in API group "" at the cluster scope'
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transports, "PAUSES", (0.0, 0.0, 0.0))


def test_what_may_not_be_seen_is_said_and_fails_nothing(tmp_path: Path) -> None:
    allowed = Canned(body={"status": {"allowed": True}})
    group = Canned(body={"versions": [{"version": "v1alpha1"}]})
    answers: dict[str, Any] = {
        "/version": Canned(body={"gitVersion": "v1.34.0"}),
        "/apis/sftrun.dev": group,
        "/apis/sftrun.dev/v1alpha1/namespaces/team/sftruns": Canned(body={"items": [run()]}),
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": allowed,
        "/api/v1/namespaces/team/persistentvolumeclaims": Canned(body={"items": [claim("training")]}),
    }
    closed = [
        f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{contracts.NAME}",
        *("/apis/apps/v1/deployments", "/api/v1/namespaces/team", "/api/v1/nodes", "/api/v1/pods"),
        *("/api/v1/namespaces/team/resourcequotas", "/apis/node.k8s.io/v1/runtimeclasses"),
        "/apis/storage.k8s.io/v1/storageclasses",
    ]
    with serving(**answers, **dict.fromkeys(closed, FORBIDDEN)) as server:
        words = ["doctor", "-o", "json", "--kubeconfig", str(server.kubeconfig(tmp_path))]
        done = CliRunner().invoke(app, words)
        assert all(not each.startswith(("PATCH", "DELETE")) for each in server.asked)
    assert done.exit_code == 0, done.stderr
    found = {each["name"]: each["result"] for each in json.loads(done.stdout)["findings"]}
    assert found == {
        "API server": "Pass", "CRD": "Pass", "operator": "Pass", "rights": "Pass", "Pod Security": "Unseen",
        "quota": "Unseen", "GPUs": "Unseen", "runtime class": "Unseen", "storage class": "Unseen",
        "claim": "Pass", "Kueue": "Pass", "progress": "Pass",
    }  # fmt: skip


def test_the_schema_that_is_compared_is_the_one_that_is_shipped() -> None:
    version = crd_generation.custom_resource_definition()["spec"]["versions"][0]
    assert version["schema"]["openAPIV3Schema"] == crd_generation.object_schema()
