"""Which lines of a log are asked for: those of a stage, or of a rank. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from sftrun_api import names
from sftrun_api.reports import Stage

_RANK = re.compile(r"^\s*\[rank(\d+)\]", re.IGNORECASE)
SUPERVISOR = "supervisor"
_BEGINNINGS = {f"{names.SAID}{names.stage_begins(stage.value)}": stage.value.lower() for stage in Stage}


def of_stage(lines: Iterable[str], stage: str) -> Iterator[str]:
    """Yields what was printed while a stage ran; of the supervisor, its own lines and those before stages."""
    current = SUPERVISOR
    for line in lines:
        current = _BEGINNINGS.get(line.rstrip(), current)
        speaker = SUPERVISOR if line.startswith(names.SAID) else current
        if speaker == stage.lower():
            yield line


def of_rank(lines: Iterable[str], rank: int) -> Iterator[str]:
    """Yields the lines of one process of the training.

    torch and NCCL put `[rank3]` before what a rank complains of. All else is rank 0's, which alone reports on
    the training, and the launcher's.
    """
    for line in lines:
        found = _RANK.match(line)
        if (int(found[1]) if found else 0) == rank:
            yield line
