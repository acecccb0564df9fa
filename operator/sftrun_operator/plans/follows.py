"""An attempt between its creation and its end: waiting, running, between two tries, or gone without a
word."""

from __future__ import annotations

from sftrun_api.reasons import Reason, explain
from sftrun_operator import manifests
from sftrun_operator.observations import JobView, PodView
from sftrun_operator.plans import (
    attempts,
    causes,
    contracts,
    failures,
    limits,
    memories,
    outcomes,
    progressions,
    states,
    texts,
)
from sftrun_operator.plans.contracts import Contract
from sftrun_operator.plans.drafts import Draft
from sftrun_operator.plans.views import View

PATIENCE_SECONDS = 5.0
"""How long the ordinary course of things may take before a cause is looked for."""
RETRY_PATIENCE_SECONDS = 60.0
ATTEMPTS_AT_ONCE = 5
ATTEMPT_SECONDS = 60.0
"""Attempts that follow deleted Jobs: a few at once, then one a minute of the run's age."""
LOOK_SECONDS = 10.0
IDLE_SECONDS = 60.0


def begin_again(view: View, draft: Draft, *, contract: Contract | None = None) -> None:
    """Starts the attempt that the run needs now: there is no Job, and that was seen live.

    An attempt whose Job has existed is over, and the next one follows. One whose Job was never made (the
    operator ended between two calls, or an earlier pod had to be waited for) is made now; but a ConfigMap
    that was written before the run was suspended may not hold what was changed since, and stays as it is.
    `contract` is what the spec was found to be, if this pass has judged it already.
    """
    known = view.status
    resumed = known.holds("Suspended") or known.reason("Suspended") == Reason.SUSPENDING
    had_job = bool(known.job_uid) or bool(view.attempt_pods)
    outdated = resumed and view.seen.config_map_owner_uid == view.run.uid
    number = known.attempt + 1 if had_job or outdated or not known.attempt else known.attempt
    if had_job and not resumed and _held_back(view, draft, number):
        return
    if not attempts.begin(view, draft, number=number, contract=contract):
        return
    if resumed:
        draft.event("Normal", "Resumed", f"the run goes on as attempt {number}")
    elif had_job:
        draft.event(
            "Warning", "JobGone", f"the Job of attempt {known.attempt} was deleted; attempt {number} follows"
        )


def _held_back(view: View, draft: Draft, number: int) -> bool:
    """Whether the next attempt has to wait because somebody deletes Jobs faster than any person would: each
    attempt costs three writes, and none of them trains."""
    left = view.run.created_at + (number - ATTEMPTS_AT_ONCE) * ATTEMPT_SECONDS - view.now
    if left <= 0:
        return False
    message = explain(Reason.JOB_DELETED, attempt=view.status.attempt)
    states.waiting(view, draft, Reason.JOB_DELETED, message)
    draft.look_again_in(left)
    return True


def follow(view: View, draft: Draft, job: JobView) -> None:
    """Tells how a Job that has not ended is doing."""
    draft.put("jobUID", job.uid)
    draft.put("retries", job.failed)
    draft.look_again_in(IDLE_SECONDS)
    pod = view.pod
    if job.deleting:
        _stopping(view, draft, pod)
    elif job.suspended:
        states.waiting(view, draft, Reason.QUEUED, explain(Reason.QUEUED, queue=view.wishes.queue))
    elif pod is None:
        _between(view, draft, job)
    elif (lost := causes.of_node(pod)) is not None:
        states.silent(draft, *lost)
        draft.poll(pod.uid)
    elif pod.container is not None and pod.container.state == "running":
        progressions.follow(view, draft, pod)
    elif pod.container is None or pod.container.state == "waiting":
        _starting(view, draft, job, pod)


def _stopping(view: View, draft: Draft, pod: PodView | None) -> None:
    """The Job is being deleted: the next attempt follows when nothing of this one lives."""
    draft.look_again_in(LOOK_SECONDS)
    if view.status.reason("Suspended") == Reason.SUSPENDING:
        return  # the user has taken it back: when the pod is gone, the run is resumed
    if pod is not None:
        states.waiting(view, draft, *attempts.blocked((pod,)))


def _between(view: View, draft: Draft, job: JobView) -> None:
    """A Job without a living pod: not yet made, forbidden, or between two tries."""
    ended = view.ended_pods[-1] if view.ended_pods else None
    if ended is not None and failures.exit_code(ended) == 0:
        return  # the Job controller has not counted it yet
    if ended is None:
        usual = Reason.WAITING_FOR_POD, explain(Reason.WAITING_FOR_POD, job=job.name)
        since, patience = job.created_at, PATIENCE_SECONDS
    else:
        usual = Reason.RETRYING, explain(Reason.RETRYING, pod=ended.name, cause=_cause(view, ended))
        since, patience = _ended_at(ended), RETRY_PATIENCE_SECONDS
    if _patient(view, draft, since=since, patience=patience):
        if ended is not None:
            states.waiting(view, draft, *usual)
        return
    if draft.is_explained():
        states.waiting(view, draft, *(causes.of_job(view) or usual))


def _cause(view: View, ended: PodView) -> str:
    """Returns how a pod ended: in its own words where it left some."""
    found = outcomes.of_pod(view, ended)
    if found is None or memories.killed(ended):
        return outcomes.ending(ended)
    return f"{found.reason}: {texts.cut(found.message, 500)}"


def _starting(view: View, draft: Draft, job: JobView, pod: PodView) -> None:
    """A pod without a running container: it waits for a node, a volume, an image, or just starts."""
    draft.put("podName", pod.name)
    draft.put("nodeName", pod.node)
    cause = causes.of_pod(view, pod)
    if cause is None and pod.node is None:
        cause = Reason.WAITING_FOR_POD, explain(Reason.WAITING_FOR_POD, job=job.name)
    if cause is None:
        if _patient(view, draft, since=limits.bound_at(pod), patience=PATIENCE_SECONDS):
            return
        if not draft.is_explained():
            return
        cause = Reason.STARTING, _starting_message(view, pod)
    states.waiting(view, draft, *cause)
    if cause[0] is Reason.CONFIG_MAP_MISSING:
        _restore_config_map(view, draft)


def _starting_message(view: View, pod: PodView) -> str:
    """Returns that the pod starts, with the first trouble that was heard of: its wording changes from try to
    try."""
    usual = explain(Reason.STARTING, pod=pod.name, node=pod.node)
    known = view.status.conditions["Running"].message if view.status.holds("Running", "False") else ""
    trouble = causes.trouble(view, pod)
    if known.startswith(f"{usual}: ") or not trouble:
        return known if known.startswith(usual) else usual
    return f"{usual}: {trouble}"


def _patient(view: View, draft: Draft, *, since: float, patience: float) -> bool:
    """Whether the ordinary course of things may still be at work; if not, the run is looked at ever less
    often."""
    age = view.now - since
    if age < patience:
        draft.look_again_in(patience - age)
        return True
    draft.look_again_in(min(max(age / 2, LOOK_SECONDS), IDLE_SECONDS))
    return False


def _ended_at(pod: PodView) -> float:
    finished = pod.container.finished_at if pod.container is not None else None
    return finished if finished is not None else pod.created_at


def _restore_config_map(view: View, draft: Draft) -> None:
    """The attempt's own ConfigMap was deleted: the pod that waits for it gets the same one again."""
    if not draft.need_proof() or view.seen.config_map_owner_uid is not None:
        return
    contract = contracts.draw_up(view)
    if isinstance(contract, Contract):
        draft.create(manifests.config_map(contract.attempt(view, view.status.attempt)))
