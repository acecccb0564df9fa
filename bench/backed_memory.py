"""Free memory that the machine really has, for what is measured next.

A virtual machine may give its free memory back to its host, which takes some 16 µs for each page of 4 KB that
is wanted again (2 µs otherwise), and all of it is counted as CPU time of who wants it. So what writes much
may seem slower than what reads, by as much as the host pleases.
"""

from __future__ import annotations

import mmap
from pathlib import Path

_MOST_BYTES = 2**30


def have_for(job: Path) -> None:
    """Asks for what the conversion of a job needs, 1 GiB at most, and gives it back to the system: the host
    gives it to the machine, and leaves it there for a few seconds. A job is read, and written twice."""
    needed = 3 * sum(path.stat().st_size for path in job.rglob("*") if path.is_file())
    num_pages = min(needed, _MOST_BYTES) // mmap.PAGESIZE
    if num_pages:
        with mmap.mmap(-1, num_pages * mmap.PAGESIZE) as memory:
            memory[:: mmap.PAGESIZE] = bytes(num_pages)
