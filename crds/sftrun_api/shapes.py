"""The shape of raw objects, before anything walks through them: what is too deep would end a recursion."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from types import NoneType
from typing import Any

from sftrun_api.rules.bases import Location

_SCALARS = (str, int, float, NoneType)
"""What most values are: of them nothing more is asked."""
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
        if isinstance(item, _SCALARS):
            continue
        if isinstance(item, Mapping):
            waiting += item.values()
        elif isinstance(item, list | tuple):
            waiting += item
    return bool(waiting) or seen > MOST_VALUES


def too_deep(value: Any, depth: int = MOST_DEPTH) -> bool:
    """Whether an object is nested deeper than any spec needs: such a one would end a parser, not a run."""
    level = _holding([value])
    for _ in range(depth):
        if not level:
            return False
        level = _holding(item for holder in level for item in holder)
    return bool(level)


def _holding(values: Iterable[Any]) -> list[Iterable[Any]]:
    """Returns what the containers among some values hold."""
    return [
        value if isinstance(value, list | tuple) else value.values()
        for value in values
        if not isinstance(value, _SCALARS) and isinstance(value, list | tuple | Mapping)
    ]


def not_finite_values(value: Any, at: Location = ()) -> Iterator[tuple[Location, float]]:
    """Yields every NaN and infinity with its place: what comes from the API server holds none, a file may."""
    if isinstance(value, float):
        if not math.isfinite(value):
            yield at, value
    elif isinstance(value, list | tuple | Mapping):
        inside = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, item in inside:
            if not isinstance(item, str | int | NoneType):
                yield from not_finite_values(item, (*at, key))
