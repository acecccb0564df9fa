"""mini-swe-agent: its messages as they went to the API, version 1 (text) and 2 (tool calls).

Version 2 may have spoken the Responses API: a turn is then an object with `output` items and no role. Some
files are a
bare list of messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sftrun_data.conversations import Conversation
from sftrun_data.formats import values
from sftrun_data.readers import chat_messages
from sftrun_data.readers.base import Place, numbered
from sftrun_data.readers.codex import Rollout
from sftrun_data.requests import Branches, ToolCallForm

_FORMAT = re.compile(rb'"trajectory_format"\s*:\s*"mini-swe-agent')
_BARE = re.compile(rb'^\s*\[\s*\{[^{}]{0,400}?"role"\s*:')
_NAMES = ("mini-swe-agent.trajectory.json", "mini-swe-agent.traj.json")


@dataclass(frozen=True, slots=True)
class MiniSWEAgent:
    """Reads mini-swe-agent's trajectories."""

    scaffold: str = field(default="MiniSWEAgent")
    version: int = field(default=2)

    def inputs(self, place: Place) -> list[Path]:
        """Returns the trajectories."""
        if place.file:
            return [place.file]
        return [path for path in place.walk(depth=3) if _is_named_so(path)]

    def claims(self, place: Place) -> bool:
        """Whether the place holds a trajectory of it, by name or by its first words."""
        return any(
            _FORMAT.search(head)
            or (path.name.endswith(".traj.json") and _BARE.search(head))
            or path.name in _NAMES
            for path in self.inputs(place)
            if path.suffix == ".json" and (head := place.head(path))
        )

    def read(
        self,
        place: Place,
        *,
        form: ToolCallForm,  # noqa: ARG002 - what it logs is what was said
        branches: Branches,  # noqa: ARG002 - a trajectory is a line
    ) -> Iterator[Conversation]:
        """Yields one conversation a file. Raises LeftOut."""
        for part, path in numbered(self.inputs(place), of="mini-swe-agent"):
            yield self._conversation(place, path, part)

    def _conversation(self, place: Place, path: Path, part: int) -> Conversation:
        value, notes = place.document(path)
        info = value.get("info") if isinstance(value, dict) else None
        messages = values.messages_of(
            value.get("messages") if isinstance(value, dict) else value, where=path.name
        )
        rollout = Rollout(notes=notes)
        for number, message in enumerate(messages, 1):
            _take(rollout, message, number)
        rollout.finish()
        status = info.get("exit_status") if isinstance(info, dict) else None
        return Conversation(
            instance=place.instance,
            provenance=place.provenance(path, reader=self, part=part),
            turns=tuple(rollout.histories[-1]),
            agent="mini-swe-agent",
            finished=status == "Submitted" if isinstance(status, str) else None,
            rewards=place.rewards,
            notes=frozenset(rollout.notes),
        )


def _take(rollout: Rollout, message: Any, number: int) -> None:
    output = message.get("output") if message.get("object") == "response" else None
    if isinstance(output, list):
        for item in output:
            if isinstance(item, dict):
                rollout.take_item(item, number)
    elif "role" not in message and message.get("type") is not None:
        rollout.take_item(message, number)
    elif message.get("role") != "exit":
        rollout.take_turns(chat_messages.turns_of(message, rollout.notes, where=f"message {number}"))


def _is_named_so(path: Path) -> bool:
    return path.name in _NAMES or path.name.endswith(".traj.json")
