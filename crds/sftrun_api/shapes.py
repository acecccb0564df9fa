"""The shape of raw objects, before anything walks through them: what is too deep would end a recursion."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from sftrun_api.rules.bases import Location

MOST_DEPTH = 32
"""More levels than any spec or status of ours needs."""


MOST_VALUES = 200_000
"""More values than any object of ours holds: what is larger is a YAML whose aliases multiply."""


def too_large(value: Any) -> bool:
    """Whether an object holds more values than any spec needs, however small its text is."""
    seen, waiting = 0, [value]
    while waiting and seen <= MOST_VALUES:
        item = waiting.pop()
        seen += 1
        if isinstance(item, Mapping):
            waiting += item.values()
        elif isinstance(item, list | tuple):
            waiting += item
    return bool(waiting) or seen > MOST_VALUES


def too_deep(value: Any, depth: int = MOST_DEPTH) -> bool:
    """Whether an object is nested deeper than any spec needs: such a one would end a parser, not a run."""
    if value is None or isinstance(value, str | int | float):  # most values: nothing more is asked of them
        return False
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return False
    if depth == 0:
        return True
    return any(too_deep(item, depth - 1) for item in value)


def not_finite_values(value: Any, at: Location = ()) -> Iterator[tuple[Location, float]]:
    """Yields every NaN and infinity with its place: what comes from the API server holds none, a file may."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from not_finite_values(item, (*at, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from not_finite_values(item, (*at, index))
    elif isinstance(value, float) and not math.isfinite(value):
        yield at, value
