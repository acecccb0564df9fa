"""Qwen Code: chats of one JSON event a line, messages in parts as Gemini's API has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import stringzilla

from sftrun_data import jsons
from sftrun_data.conversations import Conversation, Turn
from sftrun_data.exclusions import LeftOut, Note, Reason
from sftrun_data.formats import values
from sftrun_data.readers import message_parts
from sftrun_data.readers.base import Place
from sftrun_data.requests import Branches, ToolCallForm

_EVENT = re.compile(rb'"type"\s*:\s*"(user|assistant|tool_result)"')
_FOLDERS = ("qwen-sessions", "sessions")


@dataclass(frozen=True, slots=True)
class QwenCode:
    """Reads Qwen Code's chats."""

    scaffold: str = field(default="QwenCode")
    version: int = field(default=1)

    def inputs(self, place: Place) -> list[Path]:
        """Returns the chats, those of sub-agents included."""
        if place.file:
            return [place.file]
        return [path for name in _FOLDERS for path in place.walk(name) if path.suffix == ".jsonl"]

    def claims(self, place: Place) -> bool:
        """Whether the place holds chats of it."""
        heads = (place.head(path) for path in self.inputs(place) if path.suffix == ".jsonl")
        return any(
            stringzilla.find(head, b'"parts"') >= 0 and b'"message"' in head and _EVENT.search(head)
            for head in heads
        )

    def read(
        self,
        place: Place,
        *,
        form: ToolCallForm,  # noqa: ARG002 - its calls are the API's own
        branches: Branches,  # noqa: ARG002 - a chat is a line
    ) -> Iterator[Conversation]:
        """Yields one conversation a chat. Raises LeftOut."""
        paths = self.inputs(place)
        if not paths:
            raise LeftOut(Reason.NO_TRAJECTORY, "no chat of Qwen Code")
        for part, path in enumerate(paths):
            yield self._conversation(place, path, part)

    def _conversation(self, place: Place, path: Path, part: int) -> Conversation:
        notes: set[str] = set()
        turns: list[Turn] = []
        model = created = ""
        last = 0
        for number, event in _events(place, path, notes):
            last = number
            created = created or values.string(event.get("timestamp"))
            model = model or values.string(event.get("model"))
            message = event.get("message")
            turns.extend(
                message_parts.turns_of(
                    message.get("parts") if isinstance(message, dict) else None,
                    notes,
                    by_model=event["type"] == "assistant",
                    where=f"line {number}",
                    beside=event,
                )
            )
        if not turns:
            reason = Reason.CORRUPT_JSON if Note.LINES_SKIPPED in notes else Reason.EMPTY_TRAJECTORY
            raise LeftOut(reason, f"{path.name} holds no message")
        return Conversation(
            instance=place.instance,
            provenance=place.provenance(path, reader=self, part=part, lines=(1, last)),
            turns=tuple(turns),
            agent="qwen-code",
            model=model,
            created=created,
            rewards=place.rewards,
            notes=frozenset(notes),
        )


def _events(place: Place, path: Path, notes: set[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    seen: set[str] = set()
    for number, line in place.lines(path):
        try:
            document = jsons.loads(line)
        except jsons.BrokenJSON:
            notes.add(Note.LINES_SKIPPED)
            continue
        if document.repaired:
            notes.add(Note.TEXT_REPAIRED)
        event = document.value
        if not isinstance(event, dict) or event.get("type") not in ("user", "assistant", "tool_result"):
            continue
        identity = event.get("uuid")
        if isinstance(identity, str) and identity in seen:
            continue
        seen.add(str(identity))
        yield number, event
