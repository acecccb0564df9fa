"""Times: epoch seconds inside, RFC 3339 in the status, words for people."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from functools import lru_cache

LATEST = 253_402_300_799.0
"""The last second that RFC 3339 can write."""


def stamp(seconds: float) -> str:
    """Returns `seconds` since the epoch as Kubernetes writes times; what cannot be written becomes the
    nearest."""
    return _stamp(int(min(max(seconds, 0.0), LATEST) if math.isfinite(seconds) else 0.0))


@lru_cache(maxsize=16)
def _stamp(second: int) -> str:
    """A status says the same second many times."""
    return datetime.fromtimestamp(second, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_stamp(value: object) -> float | None:
    """Returns the epoch seconds of a time in a status, `None` where it is no time."""
    if not isinstance(value, str) or len(value) > 64:
        return None
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def words(seconds: float) -> str:
    """Returns a duration in its two largest units at most: `45s`, `53m`, `2h10m`, `3d4h`."""
    whole = int(min(max(seconds, 0.0), 1e9)) if math.isfinite(seconds) else 0
    minutes, hours, days = whole // 60, whole // 3600, whole // 86_400
    if whole < 60:
        return f"{whole}s"
    if hours < 1:
        return f"{minutes}m"
    if days < 1:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
