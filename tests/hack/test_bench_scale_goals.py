"""What `make bench-scale` compares with: Kubeflow Trainer as published, and ceilings of its figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bench import audits, kubeflow_manifests, scale, scale_goals
from bench.audits import Call
from bench.kubeflow_manifests import JOBSET, MANAGERS, TRAINER, Ports
from bench.scale_goals import ALL, CPU, MEMORY, P50, P99, WRITES

MEASURED = {P50: 20.0, P99: 40.0, ALL: 50.0, WRITES: 8, MEMORY: 100.0, CPU: 12.0}
OURS = {P50: 5.0, P99: 10.0, ALL: 14.0, WRITES: 3, MEMORY: 49.0, CPU: 5.5}
PORTS = {
    TRAINER.program: Ports(webhooks=1, health=2, metrics=3),
    JOBSET.program: Ports(webhooks=4, health=5, metrics=6),
}


def _most(measured: dict[str, float] | None) -> dict[str, float]:
    return {each.name: each.most for each in scale_goals.ceilings(measured)["thousand"]}


@pytest.mark.parametrize(
    ("measured", "most"),
    [
        (None, {P50: 3.54, P99: 6.84, ALL: 7.44, MEMORY: 90.0, CPU: 5.0, WRITES: 3.0}),
        (MEASURED, {P50: 6.0, P99: 12.0, ALL: 15.0, MEMORY: 50.0, CPU: 6.0, WRITES: 3.0}),
    ],
)
def test_ceilings_are_shares_of_what_was_measured_beside_or_else_of_what_is_known(
    measured: dict[str, float] | None, most: dict[str, float]
) -> None:
    assert _most(measured) == most
    sources = [each.source for each in scale_goals.ceilings(measured)["thousand"] if each.name != WRITES]
    assert all(("of this run" in source) == (measured is not None) for source in sources)


def test_figures_are_held_against_kubeflow_trainer_of_the_same_run() -> None:
    alone, beside = scale.line({"thousand": OURS}), scale.line({"kubeflow": MEASURED, "thousand": OURS})
    assert (alone["baseline"], beside["baseline"]) == (scale_goals.KUBEFLOW[P99], MEASURED[P99])
    assert (alone["ratio"], beside["ratio"]) == (0.439, 0.25)
    assert not beside["holds"], "a part that has not run holds nothing"


def test_missed_ceiling_is_told_with_where_it_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    scale.tell(OURS, scale_goals.ceilings()["thousand"])
    first, *_ = capsys.readouterr().err.splitlines()
    told = "p50 5 at most 3.54 s (0.3 of Kubeflow Trainer's 11.8, of another machine) MISSED"
    assert " ".join(first.split()) == told


@pytest.mark.parametrize(
    ("resource", "name"),
    [
        ("trainjobs/status", "run-007"),
        ("jobsets", "run-007"),
        ("services", "run-007"),
        ("configmaps", "run-007-runtime-snapshot"),
        ("jobs", "run-007-node-0"),
        ("sftruns/status", "run-007"),
        ("jobs", "run-007-x2b4c-1"),
    ],
)
def test_calls_are_counted_with_their_run(resource: str, name: str) -> None:
    assert _call(resource, name).run == "run-007"


def test_a_train_job_waits_for_its_job_as_a_run_does() -> None:
    calls = [
        _call("trainjobs", "run-1", user="somebody", received=1.0),
        _call("jobs", "run-1-node-0", answered=3.5),
    ]
    assert audits.starts(calls, user="manager") == {"run-1": 2.5}


def _call(
    resource: str, name: str, *, user: str = "manager", received: float = 0.0, answered: float = 0.0
) -> Call:
    return Call(
        user=user, verb="create", resource=resource, namespace="x", name=name, code=201,
        received=received, answered=answered,
    )  # fmt: skip


def _published(manager: kubeflow_manifests.Manager) -> list[dict[str, Any]]:
    settings = "leaderElection: {leaderElect: true}\nwebhook: {port: 9443}\nclientConnection: {qps: 50}\n"
    container = {"name": "manager", "args": ["--config=/settings.yaml", "--zap-log-level=2"]}
    service = {"name": manager.service, "namespace": "x", "path": "/check"}
    return [
        {"kind": "ConfigMap", "metadata": {"name": manager.settings}, "data": {"settings.yaml": settings}},
        {
            "kind": "Deployment",
            "metadata": {"name": manager.deployment},
            "spec": {"template": {"spec": {"containers": [container]}}},
        },
        {"kind": "Service", "metadata": {"name": manager.service}},
        {
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "validator"},
            "webhooks": [{"name": "a", "failurePolicy": "Fail", "clientConfig": {"service": service}}],
        },
    ]


@pytest.mark.parametrize("manager", MANAGERS, ids=lambda each: each.program)
def test_managers_are_configured_as_published_but_for_where_they_listen(
    manager: kubeflow_manifests.Manager,
) -> None:
    published = _published(manager)
    words = kubeflow_manifests.arguments(published, manager, configuration=Path("/x.json"))
    assert words == ["--config=/x.json", "--zap-log-level=2"]
    found = kubeflow_manifests.configuration(
        published, manager, ports=PORTS[manager.program], certificates=Path("/certificates")
    )
    assert found["leaderElection"] == {"leaderElect": True}
    assert found["clientConnection"] == {"qps": 50}
    assert found["webhook"] == {"port": PORTS[manager.program].webhooks, "host": "127.0.0.1"}
    assert found[manager.makes_certificates] == {"enable": False}


@pytest.mark.parametrize("manager", MANAGERS, ids=lambda each: each.program)
def test_webhooks_stay_and_are_called_on_loopback(manager: kubeflow_manifests.Manager) -> None:
    kept = kubeflow_manifests.without_pods(_published(manager), ports=PORTS, authority="Y2E=")
    assert [each["kind"] for each in kept] == ["ConfigMap", "ValidatingWebhookConfiguration"]
    (webhook,) = kept[1]["webhooks"]
    assert webhook == {
        "name": "a",
        "failurePolicy": "Fail",
        "clientConfig": {
            "url": f"https://127.0.0.1:{PORTS[manager.program].webhooks}/check",
            "caBundle": "Y2E=",
        },
    }


def test_no_two_train_jobs_are_alike() -> None:
    specs = [kubeflow_manifests.train_job(number, f"run-{number}")["spec"] for number in range(50)]
    assert len({str(spec) for spec in specs}) == 50
