"""What a process has cost so far, from /proc: CPU seconds and its peak of resident memory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """A process at one moment."""

    cpu_seconds: float
    peak_bytes: int

    @property
    def peak_mib(self) -> float:
        """The peak of resident memory since its start, in MiB."""
        return self.peak_bytes / MIB


def of(pid: int) -> Footprint:
    """Returns the footprint of a process that runs."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    fields = stat[stat.rindex(")") + 2 :].split()
    status = Path(f"/proc/{pid}/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return Footprint(
        cpu_seconds=(int(fields[11]) + int(fields[12])) / TICKS, peak_bytes=int(peak.split()[1]) * 1024
    )
