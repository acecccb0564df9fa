"""What becomes of a conversation: a record on its way to the draft, or a loss under its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sftrun_data.exclusions import Reason
from sftrun_data.figures import Shape
from sftrun_data.shelves import Shelved

Line = bytes | Shelved
"""A record's line, or what stands for it outside of the process that made it."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Something left out."""

    reason: Reason
    item: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class End:
    """Behind all that became of a trajectory."""

    read_whole: Mapping[str, str]
    """The files that were read for it from beginning to end, and a digest of each."""
