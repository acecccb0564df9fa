"""A running container: what it tells becomes stage, progress, health, and the sentence that people read.

Progress is best effort. It is written at most every 33 seconds and only when stage, step or health changed; a
new phase is written at once. A pod that cannot be reached changes `ProgressAvailable` and nothing else.
"""

from __future__ import annotations

from typing import Literal

from sftrun_api.names import PROGRESS_PORT
from sftrun_api.reasons import Reason, explain
from sftrun_api.reports import Report, Stage
from sftrun_api.statuses import Progress
from sftrun_operator.observations import PodView, ProgressAnswer
from sftrun_operator.plans import accounts, clocks, reports, states, texts
from sftrun_operator.plans.drafts import Draft
from sftrun_operator.plans.views import View

WRITE_SECONDS = 33.0
"""At most two in any minute, though the times in a status are whole seconds, rounded down, and one write may
reach the API server some seconds later than another."""
UNREACHABLE_SECONDS = 60.0
LOOK_SECONDS = 60.0
_REASONS = {
    Stage.PREPARE: Reason.PREPARING,
    Stage.REGISTER: Reason.PREPARING,
    Stage.TRAIN: Reason.TRAINING,
    Stage.COLLECT: Reason.COLLECTING_RESULT,
}
_ORDER = (Reason.PREPARING, Reason.TRAINING, Reason.COLLECTING_RESULT)


def follow(view: View, draft: Draft, pod: PodView) -> None:
    """Tells what the running pod does."""
    draft.poll(pod.uid)
    draft.look_again_in(LOOK_SECONDS)
    draft.put("podName", pod.name)
    draft.put("nodeName", pod.node)
    if view.status.started_at is None:
        started = pod.container.started_at if pod.container is not None else None
        draft.put("startTime", clocks.stamp(started if started is not None else view.now))
    answer = view.seen.answer
    answer = answer if answer is not None and answer.pod_uid == pod.uid else None
    report = _availability(view, draft, pod, answer)
    _stage(view, draft, pod, report)
    if report is not None:
        _progress(view, draft, report)


def _availability(view: View, draft: Draft, pod: PodView, answer: ProgressAnswer | None) -> Report | None:
    """Says whether the pod can be heard; returns what it told, if that is ours."""
    if answer is None:
        return None
    if answer.report is not None:
        foreign = reports.refused(view, answer.report, pod_uid=pod.uid)
        if foreign:
            _turn(view, draft, "False", *_passed_over(pod, answer.report, foreign))
            return None
    silent_since = answer.unreachable_since
    if silent_since is not None:
        silent = view.now - silent_since
        if silent >= UNREACHABLE_SECONDS:
            details = texts.clean(answer.error, 200)
            message = explain(Reason.PROGRESS_UNREACHABLE, pod=pod.name, port=PROGRESS_PORT, details=details)
            _turn(view, draft, "False", Reason.PROGRESS_UNREACHABLE, message)
        else:
            draft.look_again_in(UNREACHABLE_SECONDS - silent)
    elif answer.report is not None:
        message = explain(Reason.PROGRESS_ANSWERED, pod=pod.name)
        _turn(view, draft, "True", Reason.PROGRESS_ANSWERED, message)
    return answer.report


def _passed_over(pod: PodView, report: Report, foreign: str) -> tuple[Reason, str]:
    if reports.unsupported(report):
        reason = Reason.REPORT_VERSION_UNSUPPORTED
        return reason, explain(reason, pod=pod.name, told=report.format_version, ours=reports.readable())
    return Reason.REPORT_NOT_OURS, explain(Reason.REPORT_NOT_OURS, pod=pod.name, details=foreign)


def _turn(view: View, draft: Draft, status: Literal["True", "False"], reason: Reason, message: str) -> None:
    """Sets `ProgressAvailable`, at most every 33 seconds. Its message stays as long as its reason does: the
    wording of a connection's failure changes from try to try."""
    known = view.status.conditions.get("ProgressAvailable")
    if known is not None and known.status != "Unknown":
        if (known.status, known.reason) == (status, reason):
            return
        waited = view.now - (clocks.read_stamp(known.last_transition_time) or 0.0)
        if 0 <= waited < WRITE_SECONDS:
            draft.look_again_in(WRITE_SECONDS - waited)
            return
    draft.condition("ProgressAvailable", status, reason, message)


def _stage(view: View, draft: Draft, pod: PodView, report: Report | None) -> None:
    """Sets `Running` to the stage. Within one pod it only goes forward, whatever the pod says."""
    told = _REASONS[report.stage] if report is not None else Reason.PREPARING
    now = view.status.reason("Running")
    same_pod = view.status.holds("Running") and view.status.raw.get("podName") == pod.name
    if same_pod and now in _ORDER and _ORDER.index(Reason(now)) >= _ORDER.index(told):
        return
    states.running(draft, told, explain(told, pod=pod.name))
    draft.say(report.message if report is not None and report.message else explain(told, pod=pod.name))
    if told is Reason.TRAINING:
        draft.event("Normal", "Training", f"pod {pod.name} trains")
    elif told is Reason.COLLECTING_RESULT:
        draft.event("Normal", told, f"pod {pod.name} has trained and collects the result")
    elif told is Reason.PREPARING:
        draft.event("Normal", "Started", f"pod {pod.name} runs on node {pod.node or 'unknown'}")


def _progress(view: View, draft: Draft, report: Report) -> None:
    """Writes what the report tells if it is time for it; otherwise has the run looked at when it is."""
    known = view.status.progress
    turned = draft.turned("Running")
    if known is not None and not turned:
        if _mark(known) == _mark(accounts.told(draft, report)) and not _health_differs(view, report):
            return
        waited = view.now - (clocks.read_stamp(known.updated_at) or 0.0)
        if 0 <= waited < WRITE_SECONDS:
            draft.look_again_in(WRITE_SECONDS - waited)
            return
    accounts.write(view, draft, report)
    if report.health is not None and not report.health.healthy and draft.turned("Healthy"):
        message = texts.clean(report.health.message, 512) or "the diagnosis sees something unusual"
        draft.event("Warning", texts.word(report.health.reason), message)
    words = sentence(report)
    if words:
        draft.say(words)


def _mark(progress: Progress) -> tuple[object, ...]:
    """Returns what has to change for a progress to be worth writing."""
    if progress.step is not None:
        return progress.stage, progress.step
    return progress.stage, progress.done


def _health_differs(view: View, report: Report) -> bool:
    if report.health is None:
        return False
    known = view.status.conditions.get("Healthy")
    status = "True" if report.health.healthy else "False"
    return known is None or (known.status, known.reason) != (status, texts.word(report.health.reason))


def sentence(report: Report) -> str:
    """Returns what is going on, in words: `step 10 of 24, loss 0.41`."""
    progress = report.progress
    if report.stage != Stage.TRAIN or progress is None or progress.step is None:
        return texts.clean(report.message, 512)
    total = f" of {progress.total_steps}" if progress.total_steps else ""
    loss = f", loss {accounts.figure(progress.loss)}" if progress.loss is not None else ""
    return f"step {progress.step}{total}{loss}"
