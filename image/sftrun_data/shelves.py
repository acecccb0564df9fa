"""Lines of records that stay in the process that made them until it is known where in the draft they belong.

They are nearly all that a conversion makes, and of ATIF twice what it reads: carried to the one process that
knows their order, they took it a fifth of the time of making them. So only their sizes travel; that process
answers where they begin, and who made them writes them there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sftrun_data.errors import explained

_MAX_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Shelved:
    """Stands for a line on the shelf of another process."""

    number: int
    size: int

    def __len__(self) -> int:
        return self.size


@dataclass(slots=True)
class Shelf:
    """Lines by number."""

    num_bytes: int = 0
    _lines: dict[int, bytes] = field(default_factory=dict)
    _last: int = 0
    _latest_taken: int = 0

    @property
    def is_full(self) -> bool:
        """Whether some should be taken before more are made. Once the last line was taken nobody will take
        those before it until more is made: the neutral record of a trajectory waits for its next sample."""
        return self.num_bytes >= _MAX_BYTES and self._latest_taken < self._last

    def put(self, line: bytes) -> Shelved:
        """Takes a line; returns what stands for it."""
        self._last += 1
        self._lines[self._last] = line
        self.num_bytes += len(line)
        return Shelved(self._last, len(line))

    def take(self, number: int) -> bytes:
        """Gives a line away."""
        line = self._lines.pop(number)
        self._latest_taken = max(self._latest_taken, number)
        self.num_bytes -= len(line)
        return line


SHELF = Shelf()
"""This process's. Only workers of a pool put something there, and it ends with them."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Lines that belong one behind the other, from a place of a file on."""

    path: Path
    begin: int
    numbers: Sequence[int]


def clear(stretches: Sequence[Stretch], dropped: Sequence[int]) -> None:
    """Writes lines of this process's shelf where they belong, and throws others away. Raises
    WorkspaceFailed."""
    for number in dropped:
        SHELF.take(number)
    for stretch in stretches:
        with explained(stretch.path):
            _write(stretch)


def _write(stretch: Stretch) -> None:
    handle = os.open(stretch.path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        at = stretch.begin
        for number in stretch.numbers:
            rest = memoryview(SHELF.take(number))
            while rest:
                count = os.pwrite(handle, rest, at)
                rest, at = rest[count:], at + count
    finally:
        os.close(handle)
