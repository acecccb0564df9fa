"""Claude Code's own session files, for trials without a request log: one JSON object a line, one event each.

They hold what was said and thought, but neither the system prompt nor the tools' definitions (`systemFile`
and
`toolsFile` bring them). One message may be spread over lines; side chains (sub-agents) may stand among the
main one's
lines or in files of their own; many kinds of line hold no message at all. A session that was rewound holds
every branch that it took.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import stringzilla

from sftrun_data import jsons
from sftrun_data.conversations import Turn
from sftrun_data.exclusions import LeftOut, Note, Reason
from sftrun_data.readers import chat_messages, raw_claude_sessions
from sftrun_data.readers.base import Place
from sftrun_data.readers.sessions import RawTurns, Session

_EVENT = re.compile(rb'"type"\s*:\s*"(user|assistant|summary|system)"')
_SHAPE = re.compile(rb'"(parentUuid|isSidechain|sessionId|cwd)"')
_SYNTHETIC = "<synthetic>"
_KEPT = (
    *("type", "subtype", "message", "uuid", "parentUuid", "timestamp", "sessionId"),
    *("isSidechain", "agentId", "isCompactSummary", "isApiErrorMessage"),
)
"""What of a line tells the conversation."""
_FURTHEST_PARENT = 1000
"""Lines without a message that may stand between a prompt and what it goes on from."""
Parents = dict[str, str]
"""The id of every line, whatever it holds, and that of the line before it."""


@dataclass(frozen=True, slots=True)
class _Event:
    """A line with a message, or the boundary of a summary."""

    line: int
    value: dict[str, Any]

    @property
    def chain(self) -> str:
        """Which agent's it is: the main one's, or a side chain's."""
        if self.value.get("isSidechain") is not True:
            return ""
        return str(self.value.get("agentId") or self.value.get("sessionId") or "side")


def session_files(place: Place) -> list[Path]:
    """Returns the session files of a place, those of sub-agents after their session's."""
    if place.file:
        return [place.file]
    return [path for path in place.walk("sessions") if path.suffix == ".jsonl"]


def is_session(head: bytes) -> bool:
    """Whether a file begins like a session of Claude Code."""
    if b'"message"' not in head or stringzilla.find(head, b'"parts"') >= 0:
        return False
    return bool(_EVENT.search(head) and _SHAPE.search(head))


def histories(place: Place) -> Iterator[tuple[Path, Session]]:
    """Yields the histories of every session file of a place. Raises LeftOut."""
    for path in session_files(place):
        raw = _raw_session(place, path)
        for session in [raw] if raw else _sessions(place, path):
            yield path, session


def _raw_session(place: Place, path: Path) -> Session | None:
    """Returns the history of a session file with nothing unusual in it, its texts left as JSON."""
    try:
        raw = raw_claude_sessions.parse(place.read(path, limit=raw_claude_sessions.MOST_BYTES))
    except LeftOut:
        return None  # reading it the other way says why
    if raw is None:
        return None
    return Session(
        turns=(),
        model=raw.model,
        created=raw.created,
        lines=raw.lines,
        notes=frozenset(),
        raw=RawTurns(raw.turns, raw.searched),
    )


def _sessions(place: Place, path: Path) -> Iterator[Session]:
    """Yields the histories of a session file: the main agent's, then each side chain's. A summary divides
    one.

    Raises LeftOut.
    """
    notes: set[str] = set()
    parents: Parents = {}
    events = _events(place, path, notes, parents)
    if not events:
        reason = Reason.CORRUPT_JSON if Note.LINES_SKIPPED in notes else Reason.EMPTY_TRAJECTORY
        raise LeftOut(reason, f"{path.name} holds no message")
    chains: dict[str, list[_Event]] = {"": []}
    for event in events:
        chains.setdefault(event.chain, []).append(event)
    parts = [part for chain in chains.values() for part in _divided(chain)]
    if len(parts) > len([chain for chain in chains.values() if chain]):
        notes.add(Note.SPLIT_AT_SUMMARY)
    for part in parts:
        branches = _branches(part, parents)
        longest = max(range(len(branches)), key=lambda index: (len(branches[index]), index))
        for index, branch in enumerate(branches):
            session = _session(branch, set(notes))
            yield replace(session, rewound=len(branches) > 1, superseded=index != longest)


def _events(place: Place, path: Path, notes: set[str], parents: Parents) -> list[_Event]:
    seen: set[str] = set()
    events = []
    for number, value in _values(place, path, notes):
        if not isinstance(value, dict):
            continue
        identity = value.get("uuid")
        if isinstance(identity, str) and isinstance(value.get("parentUuid"), str):
            parents.setdefault(identity, value["parentUuid"])
        if not _is_of_interest(value):
            continue
        if isinstance(identity, str) and identity:
            if identity in seen:
                continue
            seen.add(identity)
        # What else a line holds, such as the result once more for the screen, is let go at once.
        events.append(_Event(number, {key: value[key] for key in _KEPT if key in value}))
    if all(isinstance(event.value.get("timestamp"), str) for event in events):
        events.sort(key=lambda event: str(event.value["timestamp"]))
    return events


def _values(place: Place, path: Path, notes: set[str]) -> Iterator[tuple[int, Any]]:
    for number, line in place.lines(path):
        try:
            document = jsons.loads(line)
        except jsons.BrokenJSON:
            notes.add(Note.LINES_SKIPPED)
            continue
        if document.repaired:
            notes.add(Note.TEXT_REPAIRED)
        value = document.value
        exported = value.get("loglines") if isinstance(value, dict) else None
        if isinstance(exported, list):
            yield from ((entry, _with_message(item)) for entry, item in enumerate(exported, 1))
        else:
            yield number, _with_message(value)


def _with_message(value: Any) -> Any:
    """Returns a call or a result that stands in a line of its own as the message that newer versions put it
    into."""
    if not isinstance(value, dict) or "message" in value:
        return value
    call_id = next((value[key] for key in ("tool_use_id", "toolUseID", "id") if value.get(key)), "")
    if value.get("type") == "tool_use":
        block = {"type": "tool_use", "id": call_id, "name": value.get("name"), "input": value.get("input")}
        return value | {"type": "assistant", "message": {"content": [block]}}
    if value.get("type") == "tool_result":
        content = value.get("content") if value.get("content") is not None else value.get("output")
        failed = value.get("is_error") is True
        block = {"type": "tool_result", "tool_use_id": call_id, "content": content, "is_error": failed}
        return value | {"type": "user", "message": {"content": [block]}}
    return value


def _is_of_interest(value: dict[str, Any]) -> bool:
    if value.get("type") == "system":
        return value.get("subtype") == "compact_boundary"
    return value.get("type") in ("user", "assistant") and isinstance(value.get("message"), dict)


def _divided(events: list[_Event]) -> Iterator[list[_Event]]:
    """Yields the parts of a chain between summaries that hold an answer."""
    part: list[_Event] = []
    for event in events:
        begins = event.value.get("type") == "system" or event.value.get("isCompactSummary") is True
        if begins and any(item.value["type"] == "assistant" for item in part):
            yield part
            part = []
        elif begins:
            part = [item for item in part if item.value["type"] != "user"]
        if event.value.get("type") != "system":
            part.append(event)
    if part:
        yield part


def _branches(part: list[_Event], parents: Parents) -> list[list[_Event]]:
    """Returns the histories of a part. A prompt that goes on from before the last answer rewinds the session:
    what it leaves behind was a history too."""
    branches: list[list[_Event]] = []
    current: list[_Event] = []
    position: dict[str, int] = {}
    for event in part:
        if _is_prompt(event) and (end := _rewound_to(event, current, position, parents)) is not None:
            branches.append(current)
            current = current[:end]
            position = {name: index for name, index in position.items() if index < end}
        position[str(event.value.get("uuid"))] = len(current)
        current.append(event)
    return [*branches, current]


def _rewound_to(
    event: _Event, current: list[_Event], position: dict[str, int], parents: Parents
) -> int | None:
    """Returns how much of the history a prompt goes on from, None where it is all of it or cannot be told."""
    parent = event.value.get("parentUuid")
    for _ in range(_FURTHEST_PARENT):
        if not isinstance(parent, str) or parent in position:
            break
        parent = parents.get(parent)
    if not isinstance(parent, str) or parent not in position:
        return None
    end = position[parent] + 1
    message = _message_id(current[end - 1])
    while end < len(current) and (_is_result(current[end]) or message == _message_id(current[end])):
        end += 1  # results, and lines of the same answer, stand beside each other
    return end if any(item.value["type"] == "assistant" for item in current[end:]) else None


def _message_id(event: _Event) -> object:
    return event.value["message"].get("id") or event


def _is_prompt(event: _Event) -> bool:
    return event.value["type"] == "user" and not _is_result(event)


def _is_result(event: _Event) -> bool:
    content = event.value["message"].get("content")
    return isinstance(content, list) and any(
        isinstance(block, dict) and block.get("type") == "tool_result" for block in content
    )


def _session(events: list[_Event], notes: set[str]) -> Session:
    turns: list[Turn] = []
    position: dict[str, int] = {}
    model = ""
    for event in events:
        message = {"role": event.value["type"]} | event.value["message"]
        if message.get("model") == _SYNTHETIC or event.value.get("isApiErrorMessage") is True:
            notes.add(Note.FAILED_CALLS_DROPPED)
            continue
        said = chat_messages.turns_of(message, notes, where=f"line {event.line}")
        if event.value["type"] != "assistant":
            turns.extend(said)
            continue
        model = model or str(message.get("model") or "")
        identity = message.get("id")
        known = position.get(identity) if isinstance(identity, str) and identity else None
        if known is not None:
            turns[known] = _joined(turns[known], said[0])
        else:
            position[str(identity)] = len(turns)
            turns.extend(said)
    return Session(
        turns=tuple(turns),
        model=model,
        created=next((str(event.value["timestamp"]) for event in events if event.value.get("timestamp")), ""),
        lines=(min(event.line for event in events), max(event.line for event in events)),
        notes=frozenset(notes),
    )


def _joined(first: Turn, more: Turn) -> Turn:
    """Joins two lines of one message: blocks that the log wrote one at a time."""
    return replace(
        first,
        text=first.text + more.text,
        reasoning="\n".join(text for text in (first.reasoning, more.reasoning) if text),
        calls=(*first.calls, *more.calls),
    )
