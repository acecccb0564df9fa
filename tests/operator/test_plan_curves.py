"""The curve is kept once, when nothing of its attempt can add to it, and never holds anything else up."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from tests.operator import plan_factories as f

from sftrun_operator.observations import CurveAnswer, Observed

KEPT_NAME = "swe-abcde-1-curve"
TEXT = '{"run":{"uid":"u"},"points":[[1,0.5]]}'


def answered(attempt: int = 1, **report: Any) -> Any:
    curve = CurveAnswer(attempt=attempt, packed=zlib.compress(TEXT.encode()))
    return f.answer(f.success(attempt=attempt, **report), curve=curve)


def second_attempt() -> dict[str, Any]:
    status = f.training()
    return status | {"attempt": 2}


KEPT: list[tuple[str, dict[str, Any], Observed, list[str]]] = [
    ("the pod trains", f.training(), f.running(answer=answered(outcome=None)), []),
    ("the pod has trained", f.training(), f.running(answer=answered()), [KEPT_NAME]),
    ("and told from the cache", f.training(), f.running(proven=False, answer=answered()), [KEPT_NAME]),
    ("the pod fails for good", f.training(), f.running(answer=answered(outcome="Failed")), [KEPT_NAME]),
    ("the pod will be followed", f.training(), f.running(answer=answered(outcome="Retry")), []),
    ("the pod was told to stop", f.training(), f.running(answer=answered(outcome="Stopped")), []),
    ("another pod has said so", f.training(), f.running(answer=answered(pod_uid="pod-0")), []),
    ("a retry may come", f.training(), f.seen(job=f.job(), pods=(f.ended(code=1),), answer=answered()), []),
    (
        "it has succeeded",
        f.training(),
        f.seen(job=f.job(ended="Complete"), pods=(f.ended(message=f.said(f.success())),), answer=answered()),
        [KEPT_NAME],
    ),
    (
        "it has failed",
        f.training(),
        f.seen(job=f.job(ended="Failed"), pods=(f.ended(code=64),), answer=answered()),
        [KEPT_NAME],
    ),
    (
        "its Job is being deleted, its pod ended",
        f.training(),
        f.seen(job=f.job(deleting=True), pods=(f.ended(code=75),), answer=answered()),
        [KEPT_NAME],
    ),
    ("its end is told already", f.succeeded(), f.seen(answer=answered()), [KEPT_NAME]),
    ("told from the cache", f.succeeded(), f.seen(proven=False, answer=answered()), [KEPT_NAME]),
    ("no curve", f.succeeded(), f.seen(answer=f.answer(f.success())), []),
    (
        "the next attempt runs",
        second_attempt(),
        f.running(job=f.job(attempt=2, active=1), pods=(f.pod(attempt=2),), answer=answered(1)),
        [KEPT_NAME],
    ),
    (
        "an attempt that nobody knows",
        f.succeeded(),
        f.seen(answer=answered(7)),
        [],
    ),
]


@pytest.mark.parametrize(("status", "observed", "names"), [row[1:] for row in KEPT], ids=[r[0] for r in KEPT])
def test_when_it_is_kept(status: dict[str, Any], observed: Observed, names: list[str]) -> None:
    made = f.look(f.run(status), observed)
    assert [manifest["metadata"]["name"] for manifest in made.keep] == names


def test_what_is_kept() -> None:
    (kept,) = f.look(f.run(f.succeeded()), f.seen(answer=answered())).keep
    assert kept["kind"] == "ConfigMap" and kept["immutable"] is True
    assert kept["data"] == {"curve.json": TEXT}
    assert kept["metadata"]["ownerReferences"][0]["uid"] == f.UID
    assert kept["metadata"]["labels"]["sftrun.dev/role"] == "curve"


def test_a_pass_that_needs_proof_keeps_nothing_yet() -> None:
    made = f.look(f.run(f.training()), f.seen(proven=False, answer=answered()))
    assert made.prove and made.keep == ()
