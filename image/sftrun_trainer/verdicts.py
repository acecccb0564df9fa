"""Why a child ended badly, and whether another try can help: pure, from what is known of its end.

In this order: what the child said itself, what the kernel did, what the log shows, and the bare exit code.
"""

from __future__ import annotations

import signal
from pathlib import Path

from sftrun_api.exit_codes import ExitCode
from sftrun_api.reasons import Reason, explain
from sftrun_api.reports import Outcome, Stage
from sftrun_trainer import events, logs, signatures
from sftrun_trainer.children import ChildEnding
from sftrun_trainer.endings import Ending, stopped


def judge(
    *,
    stage: Stage,
    step: int,
    ending: ChildEnding,
    failure: events.Failure | None,
    silent_for: float,
    folder: Path,
    model: str,
    memory_limit: int | None = None,
) -> Ending:
    """Returns how the run ends after a child that did not finish its stage.

    `model` is where the model lies or what the hub calls it.
    """
    if ending.how in ("Stopped", "Killed"):
        # What a child says while it is being stopped is about the stop.
        return stopped(f"stopped in stage {stage.value} at step {step}; it goes on from there")
    log = logs.without_samples(ending.tail)
    finding = signatures.find(log)
    tail = logs.excerpt(log, around=finding.position if finding else None)
    if ending.how == "Stalled" and ending.stacks:
        tail = logs.excerpt(ending.stacks)  # where each rank was; the whole stacks are in the log
    memory = f"{memory_limit / (1 << 30):.1f} GiB" if memory_limit else None
    final, reason, values = _cause(ending, failure, finding, silent_for)
    outcome = Outcome.FAILED if final else Outcome.RETRY
    if reason is None:
        assert failure is not None
        return Ending(outcome=outcome, reason=failure.reason, message=failure.message, log_tail=tail)
    about_model = reason in (Reason.MISSING_MODEL, Reason.BAD_MODEL)
    path = model if about_model else str(folder)
    known = {"stage": stage.value, "step": step, "path": path, "limit": memory, "name": model}
    return Ending(
        outcome=outcome, reason=reason, message=explain(reason, **{**known, **values}), log_tail=tail
    )


def _cause(
    ending: ChildEnding,
    failure: events.Failure | None,
    finding: signatures.Finding | None,
    silent_for: float,
) -> tuple[bool, Reason | None, dict[str, object]]:
    """Returns whether it is final, the reason (`None`: the child's own words stand), and the message's
    values."""
    if ending.how == "Stalled":
        return False, Reason.STALLED, {"seconds": f"{silent_for:.0f}"}
    if ending.out_of_memory and not (failure is not None and failure.final):
        # The processes that were left alive complain about the one that was killed.
        return False, Reason.OUT_OF_MEMORY, {}
    if failure is not None:
        return failure.final, None, {}
    if finding is not None:
        return finding.final, finding.reason, {"details": finding.details}
    if ending.returncode == -signal.SIGKILL:
        return False, Reason.KILLED, {}
    final = ending.returncode == ExitCode.FINAL
    return final, Reason.CRASHED, {"details": describe(ending.returncode)}


def describe(returncode: int) -> str:
    """Returns words for an exit code or a signal."""
    if returncode >= 0:
        return f"exit code {returncode}" + (" and without a result" if returncode == 0 else "")
    try:
        return f"signal {signal.Signals(-returncode).name}"
    except ValueError:
        return f"signal {-returncode}"
