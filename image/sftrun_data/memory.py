"""How memory is managed while trajectories are converted: by Python, and by the C library below it.

A conversation is thousands of objects that are made at once and stay for a while. Every 700 of them Python
looks through the youngest for cycles, and now and then through all, which took an eighth of the time of
converting request logs; but what is read from JSON refers to nothing that refers back.

Logs and records are blocks of megabytes. The GNU C library asks the system for each block that is larger than
any that was freed before, and gives it back, so that the next one's pages are made anew: for ATIF that was a
tenth of the time. Once a block of 32 MB was freed, it keeps what is smaller for use again; so it is given
one.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_OBJECTS = 50_000
"""So many new ones before the youngest are looked through: some megabytes."""
_LARGEST_KEPT = 32 * 1024 * 1024 - 64 * 1024
"""Bytes: a little less than the largest block that glibc learns from (`DEFAULT_MMAP_THRESHOLD_MAX`)."""


def prepare() -> None:
    """Makes this process ready to convert, for good."""
    young, *older = gc.get_threshold()
    gc.set_threshold(max(_OBJECTS, young) if young else 0, *older)
    bytes(_LARGEST_KEPT)  # pages that nobody touches cost nothing


@contextmanager
def prepared() -> Iterator[None]:
    """Makes this process ready to convert; Python looks for cycles as before when the context ends."""
    before = gc.get_threshold()
    prepare()
    try:
        yield
    finally:
        gc.set_threshold(*before)
