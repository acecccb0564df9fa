"""Writes the lower part of docs/troubleshoot.md: `python -m generate_troubleshooting_page`.

A heading for every reason that a status can show, from the contract's table. What stands above the mark is
written by hand. With `--check` nothing is written, and a page that differs is an error.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

from sftrun_api.reasons import MESSAGES, Reason

PAGE = Path(__file__).parents[1] / "docs" / "troubleshoot.md"
MARK = "<!-- Below: generated from crds/sftrun_api/reasons.py by `make generate`. -->\n"
GROUPS = {
    Reason.ACCEPTED: ("Acceptance", "Nothing is created and no quota is held before a run is accepted."),
    Reason.QUEUED: ("The ordinary course", "Nothing is wrong."),
    Reason.VOLUME_CLAIM_MISSING: (
        "Waiting for something",
        "The phase is Pending. The run goes on by itself once the cause is gone; no GPU is held, but for a "
        "volume, a Secret or an image that a pod on a node waits for (`lifecycle.startTimeoutSeconds`).",
    ),
    Reason.PROGRESS_UNREACHABLE: ("Health", "Of a run that trains, in `ProgressAvailable` and `Healthy`."),
    Reason.OUT_OF_MEMORY: (
        "Tried again",
        "The next pod goes on from the last checkpoint, up to `lifecycle.maxRetries` times; then the run is "
        "Failed with this cause. `status.failure` has the exit code and the log's tail.",
    ),
    Reason.NO_PROGRESS: (
        "Failed",
        "Another try by itself cannot help. Remove the cause, then raise `spec.restartRequest` by one, or "
        "create another run where the spec itself was wrong. Stages that are done are not done again.",
    ),
}
"""Each group by its first reason: they stand in the order of `Reason`."""


MORE = {
    Reason.INVALID_SPEC: "All mistakes at once, each with field, value and remedy: [the rules](rules.md).",
    Reason.POLICY_DENIED: "What your platform engineers allow: [the policy](policy.md).",
    Reason.WAITING_FOR_POD: "If it stays so: `kubectl describe job` of that name says who refuses the pod.",
    Reason.PROGRESS_UNREACHABLE: "[Install](install.md#networkpolicies) has which port to open, and to whom.",
    Reason.STALLED: "The stacks of all ranks stand in the stage's log, in the output folder.",
    Reason.DIVERGED: "[Choose parameters](choose-parameters.md), spikes.",
    Reason.NON_FINITE_LOSS: "[Choose parameters](choose-parameters.md), NaN.",
    Reason.GPU_OUT_OF_MEMORY: "[Will it fit](fit-and-advice.md) has the parts of the memory.",
    Reason.NO_PROGRESS: "[Resume](resume.md) has what is counted.",
    Reason.NO_TRAJECTORIES_LEFT: "[The reasons of the conversion](data.md#reasons).",
    Reason.BAD_REQUEST: "A source asks for what its data does not allow; the text names the field.",
    Reason.UNKNOWN_FORMAT: "[What is read](data.md#what-is-read).",
    Reason.LENGTH_OVERFLOW: "[Long context](long-context.md).",
    Reason.CANNOT_RESUME: "[Resume](resume.md).",
    Reason.PREFLIGHT_FAILED: "Each of them is a line of `status.checks`.",
}
"""What is worth knowing beyond the message."""
_FIELD = re.compile(
    r"(?<![\w`*/.])(?=[a-z])((?:\w+\.)*(?:spec|infrastructure|training|lifecycle|credentials|dataset|deepspeed)"
    r"\.[\w.]*\w|[a-z]+[A-Z]\w+)"
)


def sections() -> Iterator[str]:
    """Yields the page's lower part in pieces."""
    for reason in Reason:
        if reason in GROUPS:
            title, text = GROUPS[reason]
            yield f"\n## {title}\n\n{text}\n"
        more = f"\n{MORE[reason]}\n" if reason in MORE else ""
        yield f"\n### {reason}\n\n> {_message(reason)}\n{more}"


def _message(reason: Reason) -> str:
    """Returns the message: fields marked as such, a word in italics for each value that is filled in."""
    pieces = []
    for text, name, _, _ in Formatter().parse(MESSAGES[reason]):
        pieces.append(_FIELD.sub(r"`\1`", text))
        if name:
            pieces.append(f"*{name.replace('_', ' ')}*")
    return "".join(pieces)


def page() -> str:
    """Returns the whole page. Raises `ValueError` where the mark is missing."""
    above, mark, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
    if not mark:
        raise ValueError(f"{PAGE.name} lacks the line {MARK!r}")
    return above + MARK + "".join(sections())


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="generate_troubleshooting_page", description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit with 1 where the page differs")
    made = page()
    if parser.parse_args(arguments).check:
        if made == PAGE.read_text(encoding="utf-8"):
            return 0
        sys.stderr.write("docs/troubleshoot.md is not what the reasons say; run `make generate`\n")
        return 1
    PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
