"""What the page shows, worked out of the lines in the order in which they were written. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sftrun_trainer import curves, figures, steps

MOST_POINTS = 4000
"""More than a printer's dots across a page."""
USUAL = 0.98
CLIP = 4.0
"""Where the highest point is so many times as far up as 98 of 100 are, those beyond are drawn at the edge."""
FEWEST = 20
"""Points below which nothing is smoothed or left off the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Training began again: another pod, or another attempt."""

    step: int
    """The first step that was trained after it."""
    attempt: int
    redone: int
    """Steps that had been trained before and were trained again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A run as it is drawn. Points are (step, value)."""

    num_steps: int
    """The last step."""
    raw: tuple[tuple[int, float], ...]
    """The loss as logged, thinned; the extremes are kept."""
    smooth: tuple[tuple[int, float], ...]
    """Means over `window` steps, each around its point; what is off the page counts as its upper edge."""
    window: int
    ceiling: float | None
    """Where the loss's axis ends when a few points would flatten all others."""
    evaluations: tuple[tuple[int, float], ...]
    rates: tuple[tuple[int, float], ...]
    non_finite: tuple[int, ...]
    restarts: tuple[Restart, ...]
    epochs: float | None
    final_loss: float | None
    seconds: float
    """Of training, over all attempts."""

    @property
    def best(self) -> tuple[int, float] | None:
        """The evaluation with the lowest loss."""
        return min(self.evaluations, key=lambda point: point[1], default=None)


def history(lines: Iterable[steps.StepRecord | steps.Evaluation], *, starts: Sequence[float] = ()) -> History:
    """Returns the history in the lines; `starts` are the times at which pods began, in epoch seconds."""
    written = tuple(lines)
    curve = steps.merge(written)
    records = curve.steps
    known = [record for record in records if record.loss is not None]
    thinned = curves.thin(known, MOST_POINTS)
    raw = [(record.step, record.loss) for record in known if record.loss is not None]
    evaluations = [(e.step, e.eval_loss) for e in curve.evaluations if e.eval_loss is not None]
    ceiling = _ceiling([value for _, value in (*raw, *evaluations)])
    window = window_of(len(raw))
    return History(
        num_steps=max((record.step for record in records), default=0),
        raw=tuple((record.step, record.loss) for record in thinned if record.loss is not None),
        smooth=_every(_smoothed(raw, window=window, ceiling=ceiling)),
        window=window,
        ceiling=ceiling,
        evaluations=tuple(evaluations),
        rates=_every([(r.step, r.learning_rate) for r in records if r.learning_rate is not None]),
        non_finite=tuple(record.step for record in records if record.non_finite),
        restarts=_restarts(written, starts),
        epochs=next((record.epoch for record in reversed(records) if record.epoch is not None), None),
        final_loss=figures.final_loss(records),
        seconds=figures.runtime_of(curve),
    )


def _ceiling(values: list[float]) -> float | None:
    if len(values) < FEWEST:
        return None
    values = sorted(values)
    usual, lowest = values[math.ceil(USUAL * len(values)) - 1], values[0]
    span = max(usual - lowest, 1e-9)
    return usual + 0.15 * span if values[-1] - lowest > CLIP * span else None


def window_of(count: int) -> int:
    """Returns over how many points the curve is smoothed: an odd number, a fiftieth of it and at least
    five; 1 where there are too few to smooth."""
    return 1 if count < FEWEST else max(5, count // 50) | 1


def _smoothed(
    points: Sequence[tuple[int, float]], *, window: int, ceiling: float | None
) -> list[tuple[int, float]]:
    if window <= 1:
        return []
    most = math.inf if ceiling is None else ceiling
    sums = list(itertools.accumulate((min(value, most) for _, value in points), initial=0.0))
    half, count = window // 2, len(points)
    found = []
    for index, (step, _) in enumerate(points):
        # As many on both sides, so that the ends are not drawn to the middle.
        reach = min(half, index, count - 1 - index)
        first, last = index - reach, index + reach + 1
        found.append((step, (sums[last] - sums[first]) / (last - first)))
    return found


def _every(points: Sequence[tuple[int, float]]) -> tuple[tuple[int, float], ...]:
    """Returns at most `MOST_POINTS` of them, evenly, with the last one."""
    stride = math.ceil(len(points) / MOST_POINTS) or 1
    kept = list(points[::stride])
    if points and kept[-1] != points[-1]:
        kept.append(points[-1])
    return tuple(kept)


def _restarts(
    written: Sequence[steps.StepRecord | steps.Evaluation], starts: Sequence[float]
) -> tuple[Restart, ...]:
    """Returns where training began again: after a start, in another attempt, or at a step that was there."""
    found: list[Restart] = []
    before: steps.StepRecord | None = None
    for record in written:
        if not isinstance(record, steps.StepRecord):
            continue
        if before is not None and (
            record.attempt != before.attempt
            or record.step <= before.step
            or any(before.at < start <= record.at for start in starts)
        ):
            redone = max(0, before.step - record.step + record.covers)
            found.append(Restart(step=record.step - record.covers + 1, attempt=record.attempt, redone=redone))
        before = record
    return tuple(found)
