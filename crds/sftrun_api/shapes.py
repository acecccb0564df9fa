"""The shape of raw objects, before anything walks through them: what is too deep would end a recursion."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import NoneType
from typing import Any, Literal

from sftrun_api.rules.bases import Location

_SCALARS = frozenset({str, int, float, bool, NoneType})
"""What most values are: of them nothing more is asked."""
MOST_DEPTH = 32
"""More levels than any spec or status of ours needs."""


MOST_VALUES = 200_000
"""More values than any object of ours holds: what is larger is a YAML whose aliases multiply."""


def unfit(value: Any) -> Literal["TooManyValues", "NestedTooDeep"] | None:
    """Returns the rule about shapes that an object breaks: it holds more values than any spec needs, however
    small its text is, or is nested deeper. Such a one would end a parser, not a run."""
    seen, depth = 1, 0
    holders = _holding([value])
    while holders:
        seen += sum(map(len, holders))
        if seen > MOST_VALUES:
            return "TooManyValues"
        holders = _holding(item for holder in holders for item in holder)
        depth += 1
    return "NestedTooDeep" if depth > MOST_DEPTH else None


def too_deep(value: Any, depth: int = MOST_DEPTH) -> bool:
    """Whether an object is nested deeper than so many levels."""
    level = _holding([value])
    for _ in range(depth):
        if not level:
            return False
        level = _holding(item for holder in level for item in holder)
    return bool(level)


def _holding(values: Iterable[Any]) -> list[Collection[Any]]:
    """Returns what the containers among some values hold."""
    return [
        value if isinstance(value, list | tuple) else value.values()
        for value in values
        if type(value) not in _SCALARS and isinstance(value, list | tuple | Mapping)
    ]


def not_finite_values(value: Any, at: Location = ()) -> Iterator[tuple[Location, float]]:
    """Yields every NaN and infinity with its place: what comes from the API server holds none, a file may."""
    if isinstance(value, float):
        if not math.isfinite(value):
            yield at, value
    elif isinstance(value, list | tuple | Mapping):
        inside = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, item in inside:
            kind = type(item)
            if kind is float or kind not in _SCALARS:
                yield from not_finite_values(item, (*at, key))
