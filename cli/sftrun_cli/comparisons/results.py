"""What came out of a run, in figures that can be held against another's."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from sftrun_cli.runs import times
from sftrun_cli.runs.curves import Curve
from sftrun_cli.runs.views import View

WINDOW = 20
"""The most points of a final loss; fewer for short runs: a tenth, as in the status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One run's. What is not known is `None`."""

    name: str
    phase: str
    curve: Curve
    steps: int | None
    final_loss: float | None
    best_loss: tuple[int, float] | None
    """(step, loss) of the lowest training loss."""
    eval_loss: float | None
    """The last one."""
    best_eval: tuple[int, float] | None
    tokens_per_second: float | None
    seconds_a_step: float | None
    train_seconds: float | None
    gpu_hours: float | None
    """GPUs times the time of training; where no figure of it is known, times the time since the start."""


def result_of(run: View, curve: Curve, *, now: float) -> Result:
    """Returns a run's result so far."""
    metrics = ("status", "outputs", "trainingMetrics")
    losses, evaluations = curve.losses, curve.evaluations
    final = run.number(*metrics, "finalLoss")
    last_eval = run.number(*metrics, "evalLoss")
    seconds = run.number(*metrics, "trainRuntimeSeconds")
    if seconds is None:
        seconds = _since(run, now=now)
    step = run.number(*metrics, "totalSteps") or run.progress("step") or (losses[-1][0] if losses else None)
    return Result(
        name=run.name,
        phase=run.phase,
        curve=curve,
        steps=int(step) if step is not None else None,
        final_loss=final if final is not None else final_loss(curve),
        best_loss=min(losses, key=lambda each: each[1], default=None),
        eval_loss=last_eval if last_eval is not None else (evaluations[-1][1] if evaluations else None),
        best_eval=min(evaluations, key=lambda each: each[1], default=None),
        tokens_per_second=_median(point.tokens_per_second for point in curve.points),
        seconds_a_step=run.progress("stepSecondsP50") or _median(point.seconds for point in curve.points),
        train_seconds=seconds,
        gpu_hours=run.gpus * seconds / 3600 if run.gpus and seconds is not None else None,
    )


def window(curve: Curve) -> int:
    """Returns how many of the last points make the final loss: a tenth of the run, at most 20."""
    return max(1, min(WINDOW, len(curve.losses) // 10))


def final_loss(curve: Curve) -> float | None:
    """Returns the mean of the last losses, as `status.outputs.trainingMetrics.finalLoss` is made."""
    losses = [loss for _, loss in curve.losses[-window(curve) :]]
    return statistics.fmean(losses) if losses else None


def _since(run: View, *, now: float) -> float | None:
    started = times.seconds_of(run.text("status", "startTime"))
    ended = times.seconds_of(run.text("status", "completionTime"))
    return max(0.0, (ended if ended is not None else now) - started) if started is not None else None


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
