"""The loss curve as the trainer tells it (`/curve`), and as ConfigMaps keep it, one an attempt.

What stands in a ConfigMap was written by a pod: whatever is not a curve reads as an empty one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One logged step."""

    step: int
    loss: float | None
    learning_rate: float | None = None
    grad_norm: float | None = None
    seconds: float | None = None
    tokens_per_second: float | None = None


_COLUMNS = {
    "loss": "loss",
    "learningRate": "learning_rate",
    "gradNorm": "grad_norm",
    "seconds": "seconds",
    "tokensPerSecond": "tokens_per_second",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A run so far."""

    points: tuple[Point, ...] = ()
    evaluations: tuple[tuple[int, float], ...] = ()
    restarts: tuple[int, ...] = ()
    """Steps from which another pod went on."""
    num_steps: int = 0
    """Logged steps; more than there are points where they were thinned."""

    @property
    def losses(self) -> tuple[tuple[int, float], ...]:
        """(step, loss) of every point that has one."""
        return tuple((point.step, point.loss) for point in self.points if point.loss is not None)

    @property
    def thinned(self) -> bool:
        """Whether points were left out, the extremes kept."""
        return self.num_steps > len(self.points)


def parse(text: str | bytes) -> Curve:
    """Returns the curve of a `/curve` document; an empty one for anything else."""
    try:
        document = json.loads(text)
    except ValueError:
        return Curve()
    if not isinstance(document, dict):
        return Curve()
    columns = [str(each) for each in _items(document.get("columns"))]
    points = [_point(columns, row) for row in _items(document.get("points"))]
    found = {point.step: point for point in points if point is not None}
    count = document.get("numSteps")
    return Curve(
        points=tuple(found[step] for step in sorted(found)),
        evaluations=tuple(sorted(_evaluations(document.get("evaluations")))),
        restarts=tuple(each for each in map(_step, _items(document.get("restarts"))) if each is not None),
        num_steps=max(len(found), _step(count) or 0),
    )


def joined(attempts: Sequence[Curve]) -> Curve:
    """Returns one curve of those of the attempts, in their order.

    The last one is the whole, since each attempt goes on with the file of the one before; the earlier ones
    say where it went on, and have what a later one that began anew does not.
    """
    known = [curve for curve in attempts if curve.points or curve.evaluations]
    if not known:
        return Curve()
    last, earlier = known[-1], known[:-1]
    first = last.points[0].step if last.points else 0
    before = {point.step: point for curve in earlier for point in curve.points if point.step < first}
    ends = {curve.points[-1].step + 1 for curve in earlier if curve.points}
    marked = set(last.restarts)
    newest = last.points[-1].step if last.points else 0
    # An attempt ends between two steps; where the trainer has marked one close before, that is the same.
    marked |= {end for end in ends if first < end <= newest and not _near(end, last.restarts)}
    return replace(
        last,
        points=(*(before[step] for step in sorted(before)), *last.points),
        restarts=tuple(sorted(marked)),
        num_steps=last.num_steps + len(before),
    )


def _near(end: int, restarts: Iterable[int]) -> bool:
    return any(restart <= end for restart in restarts)


def _point(columns: Sequence[str], row: Any) -> Point | None:
    values = dict(zip(columns, _items(row), strict=False))
    step = _step(values.get("step"))
    if step is None:
        return None
    return Point(step=step, **{field: _number(values.get(name)) for name, field in _COLUMNS.items()})


def _evaluations(value: Any) -> Iterable[tuple[int, float]]:
    for row in _items(value):
        pair = [*_items(row), None, None]
        step, loss = _step(pair[0]), _number(pair[1])
        if step is not None and loss is not None:
            yield step, loss


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _step(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None
