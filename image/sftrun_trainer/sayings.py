"""What the supervisor says in lines of its own: into the container's log, and kept for the archive."""

from __future__ import annotations

import datetime
import time
from collections import deque

from sftrun_api import names

MOST_LINES = 10_000
_SAID: deque[str] = deque(maxlen=MOST_LINES)
"""Of this process: a pod has one supervisor, and its words come from several modules."""


def say(text: str) -> None:
    """Writes a line of our own into the container's log."""
    moment = datetime.datetime.fromtimestamp(time.time(), datetime.UTC)
    _SAID.append(f"{moment:%Y-%m-%dT%H:%M:%SZ} {text}\n")
    print(f"{names.SAID}{text}", flush=True)  # noqa: T201 - the container's log


def said() -> str:
    """Returns what was said so far, each line with its time."""
    return "".join(_SAID)
