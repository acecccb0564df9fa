"""What a scaffold's own session files give, whatever their format: histories, and the files they stand in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sftrun_data import tools
from sftrun_data.conversations import Turn
from sftrun_data.raw_conversations import RawTurn
from sftrun_data.readers.base import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One history of a session."""

    turns: tuple[Turn, ...]
    model: str
    created: str
    lines: tuple[int, int] | None
    notes: frozenset[str]
    tools: tuple[tools.Definition, ...] = field(default=())
    finished: bool | None = field(default=None)
    rewound: bool = field(default=False)
    """There are other histories with the same beginning, which were given up."""
    superseded: bool = field(default=False)
    """One of those is longer."""
    raw: RawTurns | None = field(default=None)
    """In place of the turns, where their texts were left as JSON."""


@dataclass(frozen=True, slots=True)
class RawTurns:
    """Turns whose texts are JSON, and where these stand."""

    turns: tuple[RawTurn, ...]
    searched: tuple[bytes, ...]


class SessionLogs(Protocol):
    """A format of session files: a module of this package."""

    def session_files(self, place: Place) -> list[Path]:
        """Returns the files of a place."""

    def is_session(self, head: bytes) -> bool:
        """Whether a file begins like one."""

    def histories(self, place: Place) -> Iterator[tuple[Path, Session]]:
        """Yields the histories of a place with the file or folder of each. Raises LeftOut."""
