"""The end of a Job: what its pod left as a report decides, never an exit code alone."""

from __future__ import annotations

from sftrun_api.reasons import Reason, explain
from sftrun_api.reports import Report
from sftrun_api.statuses import Failure
from sftrun_operator.observations import JobView, PodView
from sftrun_operator.plans import accounts, clocks, failures, memories, reports, states, texts
from sftrun_operator.plans.drafts import Draft
from sftrun_operator.plans.failures import exit_code, failure
from sftrun_operator.plans.views import View


def report_of(view: View, pod: PodView, *, any_pod: bool = False) -> Report | None:
    """Returns the report in a pod's termination message, if it is this attempt's."""
    container = pod.container
    if container is None or container.state != "terminated":
        return None
    report = reports.read(container.message)
    if report is None or reports.refused(view, report, pod_uid=None if any_pod else pod.uid):
        return None
    return report


def foreign(view: View) -> bool:
    """Whether the last pod's last words are of a report version that this operator does not read."""
    last = view.ended_pods[-1] if view.ended_pods else None
    if last is None or last.container is None:
        return False
    report = reports.read(last.container.message)
    return report is not None and reports.unsupported(report)


def succeed(view: View, draft: Draft, report: Report) -> None:
    """The run has reached its end and its weights are written."""
    accounts.write(view, draft, report)
    steps = report.progress.step if report.progress is not None else None
    metrics = report.outputs.training_metrics if report.outputs is not None else None
    if metrics is not None and metrics.total_steps is not None:
        steps = metrics.total_steps
    path = report.outputs.model_path if report.outputs is not None else None
    message = texts.clean(explain(Reason.COMPLETED, steps=steps, path=path))
    if path is None:
        message = texts.clean(report.message) or "the run has succeeded"
    _end(view, draft, message)
    draft.condition("Succeeded", "True", Reason.COMPLETED, message)
    draft.condition("Failed", "False", Reason.COMPLETED, message)
    draft.put("failure", None)
    draft.put_model("display", states.display(draft).model_copy(update={"progress": "100%", "eta": None}))
    draft.event("Normal", "Succeeded", message)


def fail(view: View, draft: Draft, found: Failure) -> None:
    """The run has failed; `found` says why and what to do."""
    _end(view, draft, found.message)
    draft.condition("Failed", "True", found.reason, found.message)
    draft.condition("Succeeded", "False", found.reason, found.message)
    draft.put_model("failure", found)
    draft.put_model("display", states.display(draft).model_copy(update={"eta": None}))
    draft.event("Warning", found.reason, found.message)


def _end(view: View, draft: Draft, message: str) -> None:
    pod = view.pod
    left = explain(Reason.NOT_RUNNING) if pod is None else f"the run has ended; pod {pod.name} is being ended"
    states.no_container(draft, Reason.NOT_RUNNING, texts.clean(left))
    states.not_suspended(draft)
    draft.put("completionTime", clocks.stamp(view.now))
    draft.say(message)


def told(report: Report, pod: PodView | None) -> Failure | None:
    """Returns the failure that a pod's report tells, made fit for the status."""
    found = report.failure
    if found is None:
        return None
    return Failure(
        reason=texts.word(found.reason),
        message=texts.clean(found.message),
        exit_code=exit_code(pod),
        pod=failures.name(pod),
        log_tail=texts.clean_lines(found.log_tail, 2048) if found.log_tail else None,
    )


def of_job(view: View, job: JobView) -> Failure:
    """Returns why the attempt's Job failed: what its last pod told, or else how that ended."""
    ended = view.ended_pods
    pod = ended[-1] if ended else None
    condition = job.conditions["Failed"]
    cause = of_pod(view, pod) if pod is not None else None
    if condition.reason == "BackoffLimitExceeded":
        return _exhausted(view, pod, cause)
    if cause is not None:
        return cause
    details = ending(pod) if pod is not None else texts.clean(condition.message or condition.reason, 300)
    return failure(Reason.JOB_FAILED, pod, job=job.name, details=details)


def of_pod(view: View, pod: PodView) -> Failure | None:
    """Returns the failure that a pod told, or that its end shows."""
    report = report_of(view, pod)
    if report is not None and report.failure is not None:
        return told(report, pod)
    return memories.failure(view, pod) if memories.killed(pod) else None


def _exhausted(view: View, pod: PodView | None, cause: Failure | None) -> Failure:
    words = texts.cut(cause.message if cause is not None else ending(pod), 500)
    retries = view.wishes.lifecycle.max_retries
    exhausted = failure(Reason.RETRIES_EXHAUSTED, pod, retries=retries, cause=words)
    if cause is None:
        return exhausted
    if not retries:
        return cause
    return exhausted.model_copy(update={"reason": cause.reason, "log_tail": cause.log_tail})


def ending(pod: PodView | None) -> str:
    """Returns how a pod ended, in words."""
    if pod is None:
        return "a pod that is gone"
    container = pod.container
    disruption = pod.conditions.get("DisruptionTarget")
    if disruption is not None and disruption.status == "True":
        return texts.clean(f"a disruption, {disruption.reason}: {disruption.message}", 300)
    if container is None or container.state != "terminated":
        return texts.clean(pod.message or pod.reason or "no word of its container", 300)
    if memories.killed(pod):
        return "its container killed for memory (OOMKilled)"
    told_by_pod = f", {texts.clean(pod.reason, 64)}: {texts.clean(pod.message, 200)}" if pod.reason else ""
    return f"exit code {container.exit_code}{told_by_pod}"
