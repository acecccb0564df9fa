"""What suspending, resuming, retrying or deleting a run comes to, and whether it can be done at all: decided
from the object alone, and said in sentences before anything is done."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sftrun_cli.steering.facts import OVER, Run, counted, duration


class Verb(enum.StrEnum):
    """What may be done with a run."""

    SUSPEND = "suspend"
    RESUME = "resume"
    RETRY = "retry"
    DELETE = "delete"


PAST = {Verb.SUSPEND: "suspended", Verb.RESUME: "resumed", Verb.RETRY: "restarted", Verb.DELETE: "deleted"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is to be done with one run."""

    verb: Verb
    run: Run
    consequences: tuple[str, ...] = ()
    patch: Mapping[str, Any] = field(default_factory=dict)
    """A merge patch. Empty with `delete`, and where there is nothing to do."""
    already: str = ""
    """Why nothing has to be done: it is so already."""
    refused: str = ""
    """Why it cannot be done, and what to do instead."""

    @property
    def acts(self) -> bool:
        """Whether something is to be done."""
        return not self.already and not self.refused


def judge(verb: Verb, run: Run) -> Verdict:
    """Returns what a verb comes to for a run."""
    if run.deleting:
        why = "it is being deleted"
        return Verdict(verb=verb, run=run, already=why) if verb is Verb.DELETE else _refused(verb, run, why)
    return _JUDGES[verb](run)


def _suspend(run: Run) -> Verdict:
    if run.phase in OVER:
        return _refused(Verb.SUSPEND, run, f"it is over ({run.phase}) and holds nothing")
    if run.suspended:
        return Verdict(verb=Verb.SUSPEND, run=run, already=f"it is {_still(run)}")
    patch = _pinned(run, {"spec": {"suspend": True}})
    return Verdict(verb=Verb.SUSPEND, run=run, patch=patch, consequences=tuple(_of_suspending(run)))


def _still(run: Run) -> str:
    return "suspended" if run.phase == "Suspended" else f"to be suspended already ({run.phase} now)"


def _of_suspending(run: Run) -> Iterator[str]:
    if run.phase in ("Pending", "Rejected"):
        yield "no pod of it runs; none is started until it is resumed"
        return
    if run.phase == "Queued":
        yield "it leaves the queue, and comes to its end when it is resumed"
        return
    yield from _of_stopping(run)
    yield "kept: output folder, converted and tokenised data, and the object; kubectl sft resume goes on"


def _of_stopping(run: Run) -> Iterator[str]:
    """What the end of a pod means that is at work."""
    if run.phase == "Training":
        patience = duration(run.grace_seconds)
        yield f"the pod ends after its current step with a checkpoint; it has {patience} for it"
        yield _again(run)
    elif run.phase == "Preparing":
        yield "the pod ends; stages that are done are kept, the one under way is begun again"
    elif run.phase == "Collecting":
        yield "training is done and its weights are kept; only the last report would be made again"
    if run.gpus:
        yield f"{counted(run.gpus, 'GPU')} are free then" if run.gpus > 1 else "1 GPU is free then"


def _again(run: Run) -> str:
    if run.weights_only:
        return (
            "training.save.onlyModel: its checkpoints hold weights only, so training would begin anew: "
            f"{counted(run.step, 'step')} lost"
        )
    found = run.checkpoint
    if found is None:
        return (
            "without that checkpoint it would go on from the last one in the output folder, if there is one"
        )
    step, said = found
    again = max(run.step - step, 0)
    place = f"checkpoint-{step}" if step else "the start"
    about = "" if said else "about "
    return f"without that checkpoint it would go on from {place}: {about}{counted(again, 'step')} done again"


def _resume(run: Run) -> Verdict:
    if run.phase in OVER:
        remedy = "; kubectl sft retry starts it again" if run.phase == "Failed" else ""
        return _refused(Verb.RESUME, run, f"it is over ({run.phase}){remedy}")
    if not run.suspended:
        return Verdict(verb=Verb.RESUME, run=run, already=f"it is not suspended ({run.phase})")
    patch = _pinned(run, {"spec": {"suspend": False}})
    return Verdict(verb=Verb.RESUME, run=run, patch=patch, consequences=tuple(_of_starting(run)))


def _of_starting(run: Run) -> Iterator[str]:
    if run.phase == "Suspending":
        yield "its old pod still ends; the next attempt follows it"
    if run.phase == "Rejected":
        yield "it is refused as it is, so nothing starts until its spec is corrected"
        return
    asks = f"asks for {counted(run.gpus, 'GPU')}" if run.gpus else "asks for no GPU"
    yield (
        f"attempt {run.attempt + 1} {asks}, and waits where they are not free"
        if run.gpus
        else (f"attempt {run.attempt + 1} {asks}")
    )
    yield _from_where(run)
    yield "kept: image and rendered values of its first attempt, converted and tokenised data"


def _from_where(run: Run) -> str:
    if not run.step:
        return "training has not begun: stages that are done are not done again"
    if run.weights_only:
        return (
            f"training begins anew: its checkpoints hold weights only (training.save.onlyModel), "
            f"{counted(run.step, 'step')} are done again"
        )
    found = run.checkpoint
    if found is None or not found[1]:
        return "it goes on from its last whole checkpoint in the output folder"
    step = found[0]
    again = max(run.step - step, 0)
    rest = f"; {counted(again, 'step')} are done again" if again else "; no step is done again"
    return f"it goes on from checkpoint-{step}{rest}"


def _retry(run: Run) -> Verdict:
    if run.phase == "Succeeded":
        why = (
            "it has succeeded: apply it under another name, or with another training.outputDir, to train anew"
        )
        return _refused(Verb.RETRY, run, why)
    if run.phase == "Suspended" or (run.suspended and run.phase != "Failed"):
        return _refused(Verb.RETRY, run, "it is suspended; kubectl sft resume goes on with it")
    if run.phase == "Rejected":
        why = "its spec was refused; correct it and apply it, it is then judged again by itself"
        return _refused(Verb.RETRY, run, why)
    if run.phase != "Failed":
        why = f"it is not over ({run.phase}); kubectl sft suspend and resume start another attempt"
        return _refused(Verb.RETRY, run, why)
    if run.requested > run.handled:
        why = f"restart {run.requested} is asked for already, and the operator has not acted on it yet"
        return Verdict(verb=Verb.RETRY, run=run, already=why)
    body = {"spec": {"restartRequest": max(run.requested, run.handled) + 1}}
    return Verdict(
        verb=Verb.RETRY,
        run=run,
        # Two who retry at once must not start two attempts.
        patch=_pinned(run, body, version=run.version),
        consequences=tuple(_of_retrying(run)),
    )


def _of_retrying(run: Run) -> Iterator[str]:
    failure = run.status.get("failure")
    if isinstance(failure, dict) and failure.get("reason"):
        yield f"it failed with {failure['reason']}: {failure.get('message', '')}".rstrip(": ")
        yield "its spec stays as it is: another try helps only where the cause is mended, in data or cluster"
    if run.suspended:
        yield "suspend is true: nothing starts before kubectl sft resume"
    yield from _of_starting(run)


def _delete(run: Run) -> Verdict:
    return Verdict(verb=Verb.DELETE, run=run, consequences=tuple(_of_deleting(run)))


def _of_deleting(run: Run) -> Iterator[str]:
    if run.phase not in (*OVER, "Pending", "Suspended", "Rejected"):
        yield f"it is at work ({run.where()}) and ends"
        yield from _of_stopping(run)
    yield "gone: the object with status and events, its Jobs, pods, ConfigMaps and curves"
    yield f"kept: every file, on claim {run.claim or '(none named)'}: {run.output}, its archives, its data"
    if run.phase != "Succeeded":
        yield (
            "a new run of this name goes on from its checkpoints only with training.existingOutput: Resume; "
            "kubectl sft suspend keeps it"
        )


def _refused(verb: Verb, run: Run, why: str) -> Verdict:
    return Verdict(verb=verb, run=run, refused=why)


def _pinned(run: Run, body: Mapping[str, Any], *, version: str = "") -> dict[str, Any]:
    """Of this very object only: another one of its name was not what was looked at."""
    metadata = {"uid": run.uid} | ({"resourceVersion": version} if version else {})
    return {"metadata": metadata, **body}


_JUDGES = {Verb.SUSPEND: _suspend, Verb.RESUME: _resume, Verb.RETRY: _retry, Verb.DELETE: _delete}
