"""Beginning an attempt: the write-ahead status, then ConfigMap and Job, once no earlier pod can still
write."""

from __future__ import annotations

from sftrun_api import advice
from sftrun_api.advice import Advice
from sftrun_api.reasons import Reason, explain
from sftrun_api.statuses import Check
from sftrun_operator import manifests
from sftrun_operator.observations import PodView
from sftrun_operator.plans import causes, contracts, resolutions, states
from sftrun_operator.plans.acceptance import Verdict
from sftrun_operator.plans.contracts import Contract
from sftrun_operator.plans.drafts import Draft
from sftrun_operator.plans.views import View

LOOK_SECONDS = 10.0
MOST_CHECKS = 64
"""Lines that `status.checks` holds."""


def begin(view: View, draft: Draft, *, number: int, contract: Contract | None = None) -> bool:
    """Starts attempt `number`, or says why that has to wait. Needs a proven pass. Draws the contract up,
    unless this pass has done so.

    Returns whether there is a contract to start from: `False` when the spec was refused.
    """
    assert view.seen.proven, "absence is proven live before anything is created"
    drawn_up = contract or contracts.draw_up(view)
    if isinstance(drawn_up, Verdict):
        states.rejected(view, draft, drawn_up)
        return False
    accept(view, draft, drawn_up)
    attempt = drawn_up.attempt(view, number)
    if number != view.status.attempt:
        renew(draft, number=number)
    draft.put("jobName", attempt.name)
    draft.look_again_in(LOOK_SECONDS)
    hindrance = _hindrance(view, number=number, name=attempt.name)
    if hindrance is not None:
        states.waiting(view, draft, *hindrance)
        return True
    waiting = Reason.WAITING_FOR_POD, explain(Reason.WAITING_FOR_POD, job=attempt.name)
    states.waiting(view, draft, *(causes.refusal(view) or waiting))
    draft.create(manifests.config_map(attempt), manifests.train_job(attempt))
    return True


def accept(view: View, draft: Draft, contract: Contract) -> None:
    """Records the contract: what is judged and pinned stays so for all attempts."""
    known = view.status
    draft.condition("Accepted", "True", Reason.ACCEPTED, explain(Reason.ACCEPTED, image=contract.image))
    if not known.accepted:
        draft.put("handledRestartRequest", view.wishes.restart_request)
        draft.event("Normal", "Accepted", f"the spec is accepted; image {contract.image}")
        states.first(draft)
    draft.put("specHash", contract.spec_hash)
    draft.put("image", contract.image)
    kept = {key: value for key, value in known.effective.items() if key not in resolutions.ALLOWED}
    draft.put("effective", kept | resolutions.shown(contract.spec, contract.resolved))
    draft.put_model(
        "display", states.display(draft).model_copy(update={"gpus": contract.resolved.gpus_per_node})
    )
    if not known.attempt:
        draft.put("retries", 0)
    checks = (*(_warning(*each) for each in contract.warnings), *advice.checks(contract.advice))
    if checks:
        draft.put("checks", [check.to_json_object() for check in checks][:MOST_CHECKS])
    for _, message in contract.warnings:
        draft.event("Warning", "SpecWarning", message)
    if contract.advice:
        draft.event("Normal", "Advice", _advised(contract.advice))


def _warning(name: str, message: str) -> Check:
    return Check(group="spec", name=name, result="Warn", message=message[:512])


def _advised(found: tuple[Advice, ...]) -> str:
    """Returns all advice as one event: it is no failure, and each has its line in `status.checks`."""
    listed = "; ".join(f"{each.field}: {each.value}, recommended {each.recommended}" for each in found)
    return f"{listed} (why, and from where: status.checks)"


def renew(draft: Draft, *, number: int) -> None:
    """Makes `number` the current attempt and forgets what belonged to the one before."""
    draft.put("attempt", number)
    for key in ("jobUID", "podName", "nodeName", "completionTime", "failure", "outOfMemory"):
        draft.put(key, None)
    draft.put("retries", 0)
    known = draft.value("checks")
    if isinstance(known, list):
        draft.put("checks", [c for c in known if not isinstance(c, dict) or c.get("result") != "Fail"])
    states.unfinished(draft)
    states.unseen(draft)


def _hindrance(view: View, *, number: int, name: str) -> causes.Cause | None:
    """Returns why nothing may be created now."""
    blocking = view.live_trainers
    if blocking:
        return blocked(blocking)
    if number != view.status.attempt:
        return None
    job, owner = view.seen.job, view.seen.config_map_owner_uid
    if job is not None and job.owner_uid != view.run.uid:
        return Reason.NAME_TAKEN, explain(Reason.NAME_TAKEN, kind="Job", name=name)
    if owner is not None and owner != view.run.uid:
        return Reason.NAME_TAKEN, explain(Reason.NAME_TAKEN, kind="ConfigMap", name=name)
    return None


def blocked(pods: tuple[PodView, ...]) -> causes.Cause:
    """Returns that pods which may still write keep the next one from being made, and what to do about it."""
    lost = next((cause for pod in pods if (cause := causes.of_node(pod)) is not None), None)
    if lost is not None:
        return lost
    ending = all(pod.deleting for pod in pods)
    state = "is still ending" if ending else "still runs; delete the Job or the pod if nobody wants it"
    reason = Reason.PREVIOUS_POD_TERMINATING
    return reason, explain(reason, pod=_names(pods), state=state)


def _names(pods: tuple[PodView, ...]) -> str:
    return ", ".join(sorted(pod.name for pod in pods)[:3])
