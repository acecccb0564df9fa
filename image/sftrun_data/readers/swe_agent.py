"""SWE-agent: `<id>.traj`, whose root `history` holds the messages, and `trajectory` what each step did.

Calls with their arguments stand in `history` alone, the last answer often in `trajectory` alone, and older
files lack
one of the two. Demonstrations inside the history are somebody else's work and are not trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sftrun_data import files
from sftrun_data.conversations import Conversation, Turn
from sftrun_data.exclusions import LeftOut, Note, Reason
from sftrun_data.formats import values
from sftrun_data.readers import chat_messages
from sftrun_data.readers.base import Place, numbered
from sftrun_data.requests import Branches, ToolCallForm

SUFFIX = ".traj"
COPY = "swe-agent.trajectory.json"
"""Harbor's copy of the one trajectory, which may be all that was kept."""
_MAIN_AGENTS = ("", "main", "primary")


@dataclass(frozen=True, slots=True)
class SWEAgent:
    """Reads SWE-agent's trajectories."""

    scaffold: str = field(default="SWEAgent")
    version: int = field(default=2)

    def inputs(self, place: Place) -> list[Path]:
        """Returns the trajectories."""
        if place.file:
            return [place.file]
        copy = place.folder / COPY
        own = [path for path in place.walk(depth=4) if path.suffix == SUFFIX]
        return own or ([copy] if files.exists(copy) else [])

    def claims(self, place: Place) -> bool:
        """Whether the place holds a file that is called so and begins like one."""
        heads = (
            place.head(path) for path in self.inputs(place) if path.suffix == SUFFIX or path.name == COPY
        )
        return any(
            b'"history"' in head or b'"trajectory"' in head or b'"environment"' in head for head in heads
        )

    def read(
        self,
        place: Place,
        *,
        form: ToolCallForm,  # noqa: ARG002 - what it logs is what was said
        branches: Branches,  # noqa: ARG002 - a trajectory is a line
    ) -> Iterator[Conversation]:
        """Yields one conversation a file. Raises LeftOut."""
        for part, path in numbered(self.inputs(place), of="SWE-agent"):
            yield self._conversation(place, path, part)

    def _conversation(self, place: Place, path: Path, part: int) -> Conversation:
        value, notes = _document(place, path)
        steps = _objects(value.get("trajectory"))
        turns = _from_history(_objects(value.get("history")), notes) or _prompt(steps, notes)
        turns = [*turns, *_missing(steps, turns, notes)]
        info = value.get("info")
        status = info.get("exit_status") if isinstance(info, dict) else None
        return Conversation(
            instance=place.instance,
            provenance=place.provenance(path, reader=self, part=part),
            turns=tuple(turns),
            agent="swe-agent",
            finished=status.startswith("submitted") if isinstance(status, str) else None,
            rewards=place.rewards,
            notes=frozenset(notes),
        )


def _from_history(history: list[dict[str, Any]], notes: set[str]) -> list[Turn]:
    turns: list[Turn] = []
    for number, message in enumerate(history, 1):
        if message.get("is_demo") is True:
            notes.add(Note.DEMONSTRATION_DROPPED)
            continue
        if message.get("agent", "") not in _MAIN_AGENTS:
            continue
        turns += chat_messages.turns_of(_with_call_id(message), notes, where=f"history {number}")
    return turns


def _with_call_id(message: dict[str, Any]) -> dict[str, Any]:
    """A result names its call in a list of its own."""
    ids = message.get("tool_call_ids")
    named = message.get("role") == "tool" and isinstance(ids, list) and ids and "tool_call_id" not in message
    return message | {"tool_call_id": ids[0]} if named and isinstance(ids, list) else message


def _prompt(steps: list[dict[str, Any]], notes: set[str]) -> list[Turn]:
    """Returns what the first step was asked: `query` since 1.1.0, `messages` before it."""
    first = next((step[key] for step in steps[:1] for key in ("query", "messages") if step.get(key)), None)
    return _from_history(_objects(first), notes)


def _missing(steps: list[dict[str, Any]], turns: list[Turn], notes: set[str]) -> Iterator[Turn]:
    """Yields the steps that the turns do not tell yet: all of them, or only the last."""
    told = sum(turn.role == "assistant" for turn in turns)
    for number, step in enumerate(steps[told:], told + 1):
        where = f"step {number}"
        text = next((step[key] for key in ("response", "thought") if step.get(key)), None)
        yield Turn(role="assistant", text=values.text_of(text, notes, where=where))
        observation = values.text_of(step.get("observation"), notes, where=where)
        if observation:
            yield Turn(role="user", text=observation)


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _document(place: Place, path: Path) -> tuple[Mapping[str, Any], set[str]]:
    value, notes = place.document(path)
    if not isinstance(value, dict):
        raise LeftOut(Reason.BAD_STRUCTURE, f"{path.name} is a {type(value).__name__}, not an object")
    return value, notes
