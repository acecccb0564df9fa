"""A curve of one line."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 48


def sparkline(values: Sequence[float], *, width: int = WIDTH) -> str:
    """Returns a curve of one line: each character the mean of its share of the values."""
    if not values:
        return ""
    buckets = min(width, len(values))
    edges = [len(values) * place // buckets for place in range(buckets + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]
    low, high = min(means), max(means)
    span = (high - low) or 1.0
    return "".join(BARS[min(int((mean - low) / span * len(BARS)), len(BARS) - 1)] for mean in means)
