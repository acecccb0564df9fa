"""Keeps the curve of an attempt that is over: its pod answers no more, and its folder may be far away."""

from __future__ import annotations

from sftrun_api.reports import Outcome
from sftrun_api.run_files import RunIdentity
from sftrun_operator import manifests
from sftrun_operator.plans.drafts import Draft
from sftrun_operator.plans.views import View, finished


def keep(view: View, draft: Draft) -> None:
    """Creates the ConfigMap once nothing of the attempt can add to its curve.

    A pod that is replaced within its attempt hands the curve on to the next one, which goes on with it. One
    that says how training has ended adds nothing more; the sooner its curve is kept, the less is lost with an
    operator that dies between the pod's end and the Job's.
    """
    curve = view.seen.answer.curve if view.seen.answer is not None else None
    if curve is None or not _over(view, curve.attempt):
        return
    identity = RunIdentity(
        namespace=view.run.namespace, name=view.run.name, uid=view.run.uid, attempt=curve.attempt
    )
    draft.keep(manifests.curve(identity, curve.text))


def _over(view: View, attempt: int) -> bool:
    if attempt < view.status.attempt:
        return True
    if attempt > view.status.attempt:
        return False
    if view.pod is not None:
        return _has_said_all(view, attempt)
    if view.job is None:
        return view.seen.proven or view.status.terminal or view.status.holds("Suspended")
    return finished(view.job) or view.job.deleting


def _has_said_all(view: View, attempt: int) -> bool:
    """Whether the pod that lives has told its training's end, and that no other pod will go on with it."""
    report = view.seen.answer.report if view.seen.answer is not None else None
    if report is None or view.pod is None or report.pod_uid != view.pod.uid or report.run.attempt != attempt:
        return False
    return report.outcome in (Outcome.SUCCEEDED, Outcome.FAILED)
