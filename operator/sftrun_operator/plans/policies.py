"""`plan` reads as a table of contents: one policy after another, until one has settled the pass."""

from __future__ import annotations

from collections.abc import Callable

from sftrun_operator.decisions import Plan
from sftrun_operator.observations import Observed, OperatorConfig, Run
from sftrun_operator.plans import (
    attempts,
    curves,
    endings,
    finishes,
    follows,
    limits,
    recorded,
    states,
    suspensions,
    wishes,
)
from sftrun_operator.plans.acceptance import Verdict
from sftrun_operator.plans.contracts import draw_up
from sftrun_operator.plans.drafts import Draft
from sftrun_operator.plans.views import View, finished

Policy = Callable[[View, Draft], bool]
"""Returns whether the pass is settled."""
ENDING_SECONDS = 5.0


def plan(run: Run, observed: Observed, *, now: float, config: OperatorConfig) -> Plan:
    """Returns what should be done about `run`, given what exists.

    Pure: the same arguments give the same plan. Total: every object, status and report has one, however
    malformed. Carrying a plan out twice changes nothing. A plan that asks for proof does nothing else.
    """
    if run.deleting:
        return Plan()  # ownerReferences take everything along, and nothing new may come
    view = View(
        run=run,
        seen=observed,
        now=now,
        config=config,
        status=recorded.read(run.status),
        wishes=wishes.read(run.spec),
    )
    draft = Draft(view)
    curves.keep(view, draft)
    for policy in POLICIES:
        if policy(view, draft):
            break
    return draft.finish()


def _ended(view: View, draft: Draft) -> bool:
    """A run that has ended stays so."""
    if not view.status.terminal:
        return False
    endings.keep(view, draft)
    return True


def _judged(view: View, draft: Draft) -> bool:
    """A spec that was not accepted yet is judged, and begins its first attempt."""
    if view.status.accepted:
        return False
    contract = draw_up(view)
    if isinstance(contract, Verdict):
        states.rejected(view, draft, contract)
    elif view.wishes.suspend:
        attempts.accept(view, draft, contract)
        suspensions.stand_still(view, draft)
    elif draft.need_proof():
        follows.begin_again(view, draft, contract=contract)
    return True


def _finished(view: View, draft: Draft) -> bool:
    """A Job at its end decides the run's."""
    if finishes.collecting(view):
        finishes.collect(view, draft)
        return True
    if view.job is None or not finished(view.job):
        return False
    finishes.settle(view, draft, view.job)
    return True


def _ending(view: View, draft: Draft) -> bool:
    """An attempt that has just come to its end is neither suspended nor ended by a limit."""
    if not view.about_to_end:
        return False
    draft.look_again_in(ENDING_SECONDS)
    return True


def _suspended(view: View, draft: Draft) -> bool:
    """The user wants nothing to run."""
    if not view.wishes.suspend:
        return False
    suspensions.suspend(view, draft)
    return True


def _limited(view: View, draft: Draft) -> bool:
    """A Job that may not go on is ended."""
    return view.job is not None and not view.job.deleting and limits.enforced(view, draft, view.job)


def _begun(view: View, draft: Draft) -> bool:
    """A run without a Job gets one: the same attempt's if it never had it, else the next one's."""
    if view.job is not None:
        return False
    if draft.need_proof():
        follows.begin_again(view, draft)
    return True


def _followed(view: View, draft: Draft) -> bool:
    """A Job that goes on is told about."""
    assert view.job is not None, "a run without a Job was settled before"
    follows.follow(view, draft, view.job)
    return True


POLICIES: tuple[Policy, ...] = (
    _ended,
    _judged,
    _finished,
    _ending,
    _suspended,
    _limited,
    _begun,
    _followed,
)
