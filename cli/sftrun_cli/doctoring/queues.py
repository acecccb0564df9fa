"""Kueue, and what runs say of the way from the operator to their pods."""

from __future__ import annotations

from collections.abc import Iterator

from sftrun_cli.doctoring.findings import Finding, Result
from sftrun_cli.doctoring.looks import Answer, condition, map_of


def kueue(answer: Answer, *, namespace: str) -> Iterator[Finding]:
    """Judges the queues of the namespace."""
    if answer.unknown_kind:
        yield Finding(
            name="Kueue", result=Result.PASS, message="not installed: leave infrastructure.queueName out"
        )
        return
    if answer.unseen:
        yield Finding(name="Kueue", result=Result.UNSEEN, message=answer.unseen)
        return
    if not answer.items:
        yield Finding(
            name="Kueue",
            result=Result.WARN,
            message=f"installed, and namespace {namespace} has no LocalQueue",
            remedy="leave infrastructure.queueName out, or have a LocalQueue created",
        )
    for each in answer.items:
        name = str(map_of(each.get("metadata")).get("name", ""))
        active = condition(each, "Active")
        waiting = map_of(each.get("status")).get("pendingWorkloads") or 0
        if active.get("status") == "True":
            message = f"queue {name}: active, {waiting} waiting"
            yield Finding(name="Kueue", result=Result.PASS, message=message)
        else:
            why = active.get("message") or "no controller has looked at it"
            yield Finding(
                name="Kueue",
                result=Result.FAIL,
                message=f"queue {name} is not active: {why}",
                remedy=f"kubectl describe localqueue {name} -n {namespace}",
            )


def progress(runs: Answer) -> Iterator[Finding]:
    """Tells whether the operator reaches the pods of runs that are at work."""
    if runs.unseen or runs.unknown_kind:
        return
    found = [condition(each, "ProgressAvailable") for each in runs.items if _at_work(each)]
    deaf = [each for each in found if each.get("status") == "False"]
    if deaf:
        yield Finding(
            name="progress",
            result=Result.WARN,
            message=f"of {len(deaf)} of {len(found)} runs at work: {deaf[0].get('message', '')}",
            remedy="let the operator's namespace reach port 8080 of the pods (NetworkPolicy, mesh)",
        )
    elif any(each.get("status") == "True" for each in found):
        yield Finding(name="progress", result=Result.PASS, message="the operator reaches the pods of runs")


def _at_work(run: object) -> bool:
    return map_of(map_of(run).get("status")).get("phase") in ("Preparing", "Training", "Collecting")
