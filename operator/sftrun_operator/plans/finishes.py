"""A Job at its end: the result is read from its pod, or by a helper Job from the claim, before anything is
said."""

from __future__ import annotations

from dataclasses import replace

from sftrun_api.reasons import Reason, explain
from sftrun_api.reports import Outcome, Report
from sftrun_operator import manifests
from sftrun_operator.manifests.jobs import COLLECT_SECONDS
from sftrun_operator.observations import JobView
from sftrun_operator.plans import accounts, contracts, failures, outcomes, reports, states
from sftrun_operator.plans.contracts import Contract
from sftrun_operator.plans.drafts import Draft
from sftrun_operator.plans.views import View, completed, failed, finished

LOOK_SECONDS = 10.0
GRACE_SECONDS = 120.0
"""How much longer than its own deadline the helper is waited for."""


def settle(view: View, draft: Draft, job: JobView) -> None:
    """Turns a finished Job into Succeeded, Failed, or the collection of its result. Only from what was read
    live."""
    if not draft.need_proof():
        return
    draft.put("retries", max(job.failed - 1, 0) if failed(job) else job.failed)
    draft.put("jobUID", job.uid)
    _take_over(view, draft)
    if not completed(job):
        outcomes.fail(view, draft, outcomes.of_job(view, job))
        return
    report = next(
        (found for pod in reversed(view.ended_pods) if (found := outcomes.report_of(view, pod)) is not None),
        None,
    )
    if report is None:
        _collect(view, draft, job)
        return
    _judge(view, draft, report)


def _take_over(view: View, draft: Draft) -> None:
    """Writes what the last pod told of data, checks and progress: while it ran in full, at its end
    shortened."""
    last = view.ended_pods[-1] if view.ended_pods else None
    if last is None:
        return
    answer = view.seen.answer
    heard = answer.report if answer is not None and answer.pod_uid == last.uid else None
    if heard is not None and not reports.refused(view, heard, pod_uid=last.uid):
        accounts.write(view, draft, heard)
    report = outcomes.report_of(view, last)
    if report is not None:
        accounts.write(view, draft, report)


def _judge(view: View, draft: Draft, report: Report) -> None:
    if report.outcome == Outcome.SUCCEEDED:
        outcomes.succeed(view, draft, report)
        return
    accounts.write(view, draft, report)
    pod = view.ended_pods[-1] if view.ended_pods else None
    told = outcomes.told(report, pod)
    if told is None:
        told = failures.failure(
            Reason.RESULT_LOST, pod, details=f"the report says {report.outcome or 'no outcome'}"
        )
    outcomes.fail(view, draft, told)


def _collect(view: View, draft: Draft, job: JobView) -> None:
    """The pod and its last words are gone, or unreadable: a helper reads the report from the claim."""
    helper = view.seen.collect_job
    if helper is not None and helper.owner_uid != view.run.uid:
        _lost(view, draft, f"Job {helper.name} is somebody else's")
        return
    if helper is None:
        error = view.seen.apply_error
        late = view.now - job.conditions["Complete"].since > COLLECT_SECONDS + GRACE_SECONDS
        if error is not None and error.verb == "create" and late:
            _lost(view, draft, error.message)
        else:
            _start_collecting(view, draft)
        return
    _await(view, draft, helper)


def collecting(view: View) -> bool:
    """Whether a helper still reads the result of a Job that is gone: it was Complete when that began."""
    known = view.status
    begun = known.holds("Running") and known.reason("Running") == Reason.COLLECTING_RESULT
    return view.job is None and view.helper is not None and begun


def collect(view: View, draft: Draft) -> None:
    """Goes on waiting for the helper, though the Job whose result it reads was deleted meanwhile."""
    if draft.need_proof():
        assert view.helper is not None, "asked for only while there is one"
        _await(view, draft, view.helper)


def _await(view: View, draft: Draft, helper: JobView) -> None:
    report = _collected(view, helper)
    if report is not None:
        _judge(view, draft, report)
        draft.delete(helper)
        return
    if finished(helper) or view.now - helper.created_at > COLLECT_SECONDS + GRACE_SECONDS:
        _lost(view, draft, f"Job {helper.name} found no report")
        draft.delete(helper)
        return
    draft.look_again_in(LOOK_SECONDS)


def _start_collecting(view: View, draft: Draft) -> None:
    contract = contracts.draw_up(view)
    if not isinstance(contract, Contract):
        _lost(view, draft, f"the spec can no longer be read: {contract.message}")
        return
    waiting = view.status.reason("Running") == Reason.COLLECTING_RESULT and view.status.holds("Running")
    if not waiting:
        draft.event(
            "Normal", Reason.COLLECTING_RESULT, "the pod's last words are gone; a helper reads its report"
        )
    states.running(draft, Reason.COLLECTING_RESULT, explain(Reason.COLLECTING_RESULT))
    draft.say(explain(Reason.COLLECTING_RESULT))
    attempt = contract.attempt(view, view.status.attempt)
    # An image of another report version would only say again what cannot be read: ours judges by the files.
    reader = replace(contract, image=view.config.trainer_image) if outcomes.foreign(view) else contract
    draft.create(
        manifests.config_map(attempt), manifests.collect_job(reader.attempt(view, view.status.attempt))
    )
    draft.look_again_in(LOOK_SECONDS)


def _collected(view: View, helper: JobView) -> Report | None:
    spoken = (
        pod
        for pod in view.seen.pods
        if pod.role == "collect" and pod.run_uid == view.run.uid and pod.job_uid == helper.uid
    )
    return next(
        (found for pod in spoken if (found := outcomes.report_of(view, pod, any_pod=True)) is not None), None
    )


def _lost(view: View, draft: Draft, details: str) -> None:
    pod = view.ended_pods[-1] if view.ended_pods else None
    outcomes.fail(view, draft, failures.failure(Reason.RESULT_LOST, pod, details=details))
