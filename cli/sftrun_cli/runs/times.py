"""Times of the API as ages: `3m12s`, as kubectl writes them."""

from __future__ import annotations

import datetime

_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def seconds_of(stamp: str) -> float | None:
    """Returns the epoch seconds of an RFC 3339 time, `None` for anything else."""
    try:
        found = datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00"))
    except ValueError:
        return None
    return found.replace(tzinfo=found.tzinfo or datetime.UTC).timestamp()


def age(stamp: str, *, now: float) -> str:
    """Returns how long ago it was, empty where that is not known."""
    then = seconds_of(stamp)
    return short(now - then) if then is not None else ""


def short(seconds: float) -> str:
    """Returns a duration in its two largest units: `45s`, `3m12s`, `5h`, `2d3h`."""
    left, parts = max(0, int(seconds)), list[str]()
    for size, letter in _UNITS:
        count, left = divmod(left, size)
        if parts and not count:
            break
        if count:
            parts.append(f"{count}{letter}")
        if len(parts) == 2:
            break
    return "".join(parts) or "0s"
