"""What becomes of a conversation: a record on its way to the draft, or a loss under its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import PickleBuffer
from typing import Any, SupportsIndex

from sftrun_data.exclusions import Reason
from sftrun_data.figures import Shape

Line = bytes | memoryview
"""A record's line: bytes where it is made, a part of what was read from a worker where it is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record on its way to the draft."""

    id: str
    im: Line
    """The neutral record; nothing where the record before it, of the same trajectory, has it."""
    lf: Line
    shape: Shape
    fingerprint: bytes
    """Of all that is trained: equal ones are duplicates."""
    notes: frozenset[str]

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        """Hands the lines out as buffers, which go from one process to another as they stand."""
        bare = int(protocol) < 5  # copy.copy, and pickles that know no buffers
        lines = (self.im, self.lf) if bare else (PickleBuffer(self.im), PickleBuffer(self.lf))
        return _of_parts, (lines, self.id, self.shape, self.fingerprint, self.notes)


def _of_parts(
    lines: tuple[Line, Line], name: str, shape: Shape, fingerprint: bytes, notes: frozenset[str]
) -> Record:
    return Record(id=name, im=lines[0], lf=lines[1], shape=shape, fingerprint=fingerprint, notes=notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Something left out."""

    reason: Reason
    item: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class End:
    """Behind all that became of a trajectory."""

    read_whole: Mapping[Path, str]
    """The files that were read for it from beginning to end, and a digest of each."""
