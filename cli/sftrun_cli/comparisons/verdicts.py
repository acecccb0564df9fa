"""Which of two runs is better, and by how much of the noise.

Losses of single steps scatter, because each step sees other samples. How much is told by neighbouring steps:
half the mean square of their differences is the variance about the curve, whatever its slope (J. von Neumann,
R. H. Kent, H. R. Bellinson and B. I. Hart, The Mean Square Successive Difference, Ann. Math. Stat. 12, 1941).
The final loss is a mean of n steps, so its own noise is the root of that variance over n; the noise of a
difference of two is the root of the sum of both squares. A difference below `CLEAR` times its noise is none:
chance gives as much in one of twenty comparisons.

Evaluations see the same samples each time and are single values: their noise is their own scatter, from four
of them on. What this noise does not hold is that of another seed, which is larger: only further runs tell.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sftrun_cli.comparisons.results import Result, window

CLEAR = 2.0
LEAST_LOSSES = 6
LEAST_EVALUATIONS = 4
MOST_LOSSES = 200
"""Of the end of the curve: earlier ones may scatter otherwise."""
Metric = Literal["evaluation loss", "final training loss"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What `other` is, held against `base`."""

    base: str
    other: str
    metric: Metric
    difference: float
    """Of `other` minus `base`: below zero, `other` is better."""
    noise: float | None
    """Of the difference; `None`: too few values to tell."""

    @property
    def times(self) -> float | None:
        """The difference in units of its noise."""
        if self.noise is None:
            return None
        return abs(self.difference) / self.noise if self.noise else math.inf * bool(self.difference)

    @property
    def better(self) -> str | None:
        """The better run's name; `None` where the difference may be chance."""
        times = self.times
        if times is None or math.isnan(times) or times < CLEAR:
            return None
        return self.other if self.difference < 0 else self.base

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        size = f"{abs(self.difference):.4g}"
        lower = self.other if self.difference < 0 else self.base
        higher = self.base if self.difference < 0 else self.other
        if not self.difference:
            return f"{self.base} and {self.other} have the same {self.metric}"
        told = f"the {self.metric} of {lower} is {size} below {higher}'s"
        if self.noise is None:
            return f"{told}; there are too few values to tell its noise"
        if self.better is None:
            return f"{told}, {self.times:.1f} times its noise ({self.noise:.2g}): that may be chance"
        shown = (
            f"{self.times:.1f} times" if self.times is not None and math.isfinite(self.times) else "far above"
        )
        return f"{self.better} is better: {told}, {shown} its noise ({self.noise:.2g})"


def verdicts(base: Result, other: Result) -> tuple[Verdict, ...]:
    """Returns the verdicts, that by the evaluations first; none where there is nothing to compare."""
    found: list[Verdict] = []
    if base.eval_loss is not None and other.eval_loss is not None:
        noises = [noise_of_evaluation(each) for each in (base, other)]
        found.append(_verdict(base, other, "evaluation loss", other.eval_loss - base.eval_loss, noises))
    if base.final_loss is not None and other.final_loss is not None:
        noises = [noise_of_final(each) for each in (base, other)]
        found.append(_verdict(base, other, "final training loss", other.final_loss - base.final_loss, noises))
    return tuple(found)


def _verdict(
    base: Result, other: Result, metric: Metric, difference: float, noises: Sequence[float | None]
) -> Verdict:
    return Verdict(
        base=base.name, other=other.name, metric=metric, difference=difference, noise=_together(noises)
    )


def noise_of_evaluation(result: Result) -> float | None:
    """Returns the scatter of a single evaluation."""
    return scatter([loss for _, loss in result.curve.evaluations], least=LEAST_EVALUATIONS)


def noise_of_final(result: Result) -> float | None:
    """Returns the standard error of a final loss."""
    losses = [loss for _, loss in result.curve.losses][-MOST_LOSSES:]
    found = scatter(losses, least=LEAST_LOSSES)
    return found / math.sqrt(window(result.curve)) if found is not None else None


def scatter(values: Sequence[float], *, least: int) -> float | None:
    """Returns the standard deviation of values about their curve, whatever its slope; `None` for too few."""
    values = values[-max(least, (len(values) + 1) // 2) :]  # the second half: the beginning falls too steeply
    if len(values) < least:
        return None
    squares = [(after - before) ** 2 for before, after in itertools.pairwise(values)]
    return math.sqrt(sum(squares) / len(squares) / 2)


def _together(noises: Sequence[float | None]) -> float | None:
    known = [each for each in noises if each is not None]
    return math.hypot(*known) if len(known) == len(noises) else None
