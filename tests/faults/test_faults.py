"""A spread sample of the fault matrix; `make faults` goes through all of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.faults import matrices
from tests.faults.calls import Call, Counting, call_of
from tests.faults.cases import LISTS, REQUESTS, WATCHES, Case, Fault, matrix, spread

from cluster.handles import ClusterHandle

SAMPLE = 30

CALLS = [
    ("GET", "/apis/sftrun.dev/v1alpha1/namespaces/a/sftruns", {"limit": "500"}, "", "list sftruns all"),
    ("GET", "/apis/sftrun.dev/v1alpha1/namespaces/a/sftruns", {"watch": "true"}, "", "watch sftruns all"),
    ("GET", "/api/v1/namespaces/a/pods", {"labelSelector": "sftrun.dev/run=x"}, "", "list pods of-run"),
    ("GET", "/api/v1/pods", {"labelSelector": "sftrun.dev/run"}, "", "list pods all"),
    ("GET", "/apis/batch/v1/namespaces/a/jobs/x-1f3ab-2", {}, "", "get jobs attempt-2"),
    ("POST", "/apis/batch/v1/namespaces/a/jobs", {}, "x-1f3ab-1", "create jobs attempt-1"),
    ("GET", "/apis/batch/v1/namespaces/a/jobs/x-1f3ab-2-collect", {}, "", "get jobs attempt-2-collect"),
    ("POST", "/api/v1/namespaces/a/configmaps", {}, "x-1f3ab-2-curve", "create configmaps attempt-2-curve"),
    ("POST", "/api/v1/namespaces/a/events", {}, "x.1f3ab", "create events event"),
    ("PATCH", "/apis/sftrun.dev/v1alpha1/namespaces/a/sftruns/x/status", {}, "", "patch sftruns/status run"),
    ("DELETE", "/apis/batch/v1/namespaces/a/jobs/x-1f3ab-1", {}, "", "delete jobs attempt-1"),
    ("GET", "/apis/sftrun.dev/v1alpha1", {}, "", "get discovery /apis/sftrun.dev/v1alpha1"),
    ("GET", "/version", {}, "", "get discovery /version"),
]


@pytest.mark.parametrize(("method", "path", "query", "body_name", "name"), CALLS)
def test_calls_are_named_alike_in_every_life(
    method: str, path: str, query: dict[str, str], body_name: str, name: str
) -> None:
    assert str(call_of(method, path, query, body_name=body_name)) == name


def test_calls_are_numbered_by_kind() -> None:
    a, b = (Call(verb="get", resource="jobs", object=name) for name in ("attempt-1", "attempt-2"))
    counting = Counting()
    assert [counting.number(call) for call in (a, b, a, a)] == [1, 1, 2, 3]


def test_the_matrix_has_each_fault_that_fits_a_call() -> None:
    calls = [Call(verb=verb, resource="jobs", object="all") for verb in ("create", "list", "watch")]
    cases = matrix([(call, 1) for call in calls])
    assert [case.fault for case in cases] == [*REQUESTS, *LISTS, *WATCHES]
    assert str(cases[0]) == "create jobs all #1: kill-before"


def test_a_sample_is_spread_over_calls_and_faults() -> None:
    calls = [(Call(verb="get", resource="jobs", object=f"attempt-{n}"), 1) for n in range(60)]
    sample = spread(matrix(calls), SAMPLE)
    assert len(set(sample)) == SAMPLE
    assert {case.fault for case in sample} == set(REQUESTS)
    assert len({case.call for case in sample}) > SAMPLE * 0.8


@pytest.mark.cluster
@pytest.mark.timeout(600)
async def test_a_run_ends_the_same_whatever_befalls_one_call(
    light_cluster_with_crds: ClusterHandle, tmp_path: Path
) -> None:
    reference = await matrices.golden(light_cluster_with_crds, tmp_path)
    cases = _sample(matrix(matrices.calls_of(reference)))
    endings = await matrices.judge(
        cases, cluster=light_cluster_with_crds, folder=tmp_path, reference=reference
    )
    assert len(endings) == len(cases)
    assert [f"{ending.case}: {ending.trouble}" for ending in endings if ending.trouble] == []
    assert sum(ending.struck for ending in endings) > len(cases) * 0.8


def _sample(cases: list[Case]) -> list[Case]:
    """Every tenth case or so, and each fault at least once."""
    sample = spread(cases, SAMPLE)
    missing = set(Fault) - {case.fault for case in sample}
    return sample + [next(case for case in cases if case.fault is fault) for fault in sorted(missing)]
