"""Ages as people write them: `36h`, `7d`."""

from __future__ import annotations

import re

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_FORM = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")


def seconds(text: str) -> float:
    """Returns an age in seconds. Raises `ValueError`."""
    match = _FORM.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError(f"{text!r} is no age: write a number with s, m, h, d or w, such as 36h or 7d")
    return float(match[1]) * _UNITS[match[2]]


def of_bytes(number: int) -> str:
    """Returns a size as people read it: `1.5 GiB`."""
    size = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
