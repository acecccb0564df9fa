"""A run as `describe` tells it: what kubectl cannot show, section by section. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sftrun_cli.runs import figures, times
from sftrun_cli.runs.views import View

DIAGNOSIS = "diagnosis"
"""The group of `status.checks` with what the curve showed at the end."""
PROGRAM = "kubectl sft"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt, and what is left of it."""

    number: int
    last_step: int | None
    pods: tuple[str, ...]
    current: bool


def head(run: View, *, now: float) -> Iterator[str]:
    """Yields what the run is about now."""
    end = times.seconds_of(run.text("status", "completionTime"))
    age = times.age(run.text("status", "startTime"), now=end if end is not None else now)
    parts = [
        run.phase,
        f"attempt {run.attempt}" if run.attempt else "",
        f"{run.gpus} GPUs" if run.gpus else "",
        age,
    ]
    yield f"{run.namespace}/{run.name}  {'  '.join(part for part in parts if part)}"
    yield f"  {run.message}"
    if line := figures.line(run):
        yield f"  {line}"


def diagnosis(run: View) -> Iterator[str]:
    """Yields what the trainer reads from the curve."""
    healthy = run.condition("Healthy")
    if healthy is not None and healthy.status != "Unknown":
        word = "healthy" if healthy.status == "True" else "NOT healthy"
        yield f"{word}: {_sentence(healthy.reason, healthy.message)}"
    for check in checks(run):
        if check["group"] == DIAGNOSIS:
            yield f"{check['result']:<5}{check['name']}: {check['message']}"
    failure = run.at("status", "failure")
    if isinstance(failure, Mapping):
        yield f"failed: {_sentence(str(failure.get('reason') or ''), str(failure.get('message') or ''))}"


def checks(run: View) -> list[dict[str, str]]:
    """Returns `status.checks`, every part a text."""
    found = run.at("status", "checks")
    return [
        {key: str(each.get(key) or "") for key in ("group", "name", "result", "message")}
        for each in (found if isinstance(found, list) else [])
        if isinstance(each, Mapping)
    ]


def check_lines(run: View, *, whole: bool) -> Iterator[str]:
    """Yields the checks before training: how many passed, and those that did not; with `whole` all."""
    found = [check for check in checks(run) if check["group"] != DIAGNOSIS]
    counts = {
        result: sum(check["result"] == result for check in found) for result in ("Pass", "Warn", "Fail")
    }
    if found:
        yield f"{counts['Pass']} passed, {counts['Warn']} warn, {counts['Fail']} failed"
    for check in found:
        if whole or check["result"] != "Pass":
            yield f"{check['result']:<5}{check['group']} / {check['name']}: {check['message']}"


def data(run: View) -> Iterator[str]:
    """Yields the account of the data."""
    converted = run.number("status", "dataset", "converted")
    if converted is None:
        return
    held, cut = (run.number("status", "dataset", name) or 0 for name in ("validation", "truncated"))
    line = f"{converted:,.0f} records"
    line += f", {held:,.0f} of them for validation" if held else ""
    line += f", {cut:,.0f} cut to cutoffLen" if cut else ""
    yield line
    excluded = run.at("status", "dataset", "excluded")
    for each in excluded if isinstance(excluded, list) else []:
        if isinstance(each, Mapping):
            yield f"left out {each.get('count', 0):>7,}  {each.get('reason', '')}"
    if path := run.text("status", "dataset", "path"):
        yield path


def attempts(found: Sequence[Attempt]) -> Iterator[str]:
    """Yields a line an attempt."""
    for each in found:
        parts = [f"attempt {each.number}"]
        parts.append(f"curve to step {each.last_step:,}" if each.last_step is not None else "no curve kept")
        parts.append(", ".join(each.pods) if each.pods else "its pods are gone")
        yield "  ".join(parts) + ("  (current)" if each.current else "")


def outputs(run: View) -> Iterator[str]:
    """Yields what the run has produced, as paths in its pods."""
    for key, label in (("modelPath", "model"), ("checkpointPath", "checkpoint")):
        if path := run.text("status", "outputs", key):
            yield f"{label:<16}{path}"
    best = run.at("status", "outputs", "bestCheckpoint")
    if isinstance(best, Mapping):
        at = f"{best.get('metric', '')} {best.get('value', '')} at step {best.get('step', '')}"
        yield f"{'best':<16}{best.get('path', '')}  ({at})"
    artifacts = run.at("status", "outputs", "artifacts")
    for key, path in (artifacts if isinstance(artifacts, Mapping) else {}).items():
        yield f"{_words(key):<16}{path}"
    if url := run.text("status", "outputs", "trainingCurves", "url"):
        yield f"{'W&B':<16}{url}"


def next_command(run: View) -> str:
    """Returns the command that helps most now, with its reason."""
    scope = f"{run.name} -n {run.namespace}"
    failed = run.text("status", "failure", "reason")
    commands: dict[str, str] = {
        "Succeeded": f"{PROGRAM} plot {scope} --out {run.name}.svg    the curve as a picture",
        "Failed": f"{PROGRAM} logs {scope} --tail 50    what was printed before {failed or 'it failed'}",
        "Rejected": "correct the spec as the message says, and kubectl apply it again",
        "Suspended": f"{PROGRAM} resume {scope}    goes on from the last checkpoint",
        "Queued": f"kubectl describe workloads -n {run.namespace}    why Kueue does not admit it",
    }
    return commands.get(run.phase, f"{PROGRAM} watch {scope}    until it ends")


def as_object(
    run: View, *, attempts: Sequence[Attempt], losses: Sequence[tuple[int, float]]
) -> dict[str, Any]:
    """Returns it for programs."""
    return {
        "name": run.name,
        "namespace": run.namespace,
        "phase": run.phase,
        "message": run.message,
        "diagnosis": list(diagnosis(run)),
        "checks": checks(run),
        "dataset": run.at("status", "dataset") or {},
        "attempts": [
            {"attempt": each.number, "lastStep": each.last_step, "pods": list(each.pods)} for each in attempts
        ],
        "outputs": run.at("status", "outputs") or {},
        "losses": [list(each) for each in losses],
        "next": next_command(run).partition("    ")[0],
    }


def _sentence(reason: str, message: str) -> str:
    return f"{reason}: {message}" if message else reason


def _words(key: str) -> str:
    """Returns `train results` for `trainResults`."""
    return "".join(f" {char.lower()}" if char.isupper() else char for char in key)
