"""Large blocks of memory, kept for the next trajectory.

A trajectory and its records are some blocks of megabytes. The C library (glibc) asks the system for each and
gives it back when it is let go of, and the system makes every page of it anew: a fourth of a conversion. It
stops doing so for blocks up to the largest one that it has seen come and go.
"""

from __future__ import annotations

from functools import cache

_LARGEST = 16 * 1024 * 1024


@cache
def keep_large_blocks() -> None:
    """Lets this process keep blocks of some megabytes. Costs no memory: the one that shows the way is never
    written to. Where the C library is another one, nothing changes."""
    bytes(_LARGEST)
