"""Free memory that the machine really has, for what is measured next.

A virtual machine may give its free memory back to its host, which takes some 16 µs for each page of 4 KB that
is wanted again (0.1 µs a KB otherwise), and all of it is counted as CPU time of who wants it. So what writes
much seems to be slower than what reads, by as much as the host pleases.
"""

from __future__ import annotations

import mmap
from pathlib import Path

_MOST_BYTES = 2**30


def have(num_bytes: int) -> None:
    """Asks for so much memory, 1 GiB at most, and gives it back to the system: the host gives it to the
    machine, and leaves it there for a few seconds."""
    size = min(num_bytes, _MOST_BYTES) // mmap.PAGESIZE * mmap.PAGESIZE
    if size:
        with mmap.mmap(-1, size) as memory:
            memory[:: mmap.PAGESIZE] = bytes(size // mmap.PAGESIZE)


def have_for(job: Path) -> None:
    """Has what the conversion of a job needs: it is read, and written twice."""
    have(3 * sum(path.stat().st_size for path in job.rglob("*") if path.is_file()))
