"""The OpenHands SDK's own events: one a line, or one a file in the `events` folder of a conversation.

An answer with several calls is an event a call, all of one `llm_response_id`. A model that thinks in its text
has its thought twice: in `reasoning_content`, and inside literal marks in `thought`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from sftrun_data import checks, jsons, tools
from sftrun_data.conversations import ToolCall, Turn
from sftrun_data.exclusions import LeftOut, Note, Reason
from sftrun_data.formats import values
from sftrun_data.readers import chat_messages
from sftrun_data.readers.base import Place
from sftrun_data.readers.sessions import Session

Event = dict[str, Any]

_KIND = re.compile(
    rb'"kind"\s*:\s*"(ActionEvent|ObservationEvent|MessageEvent|SystemPromptEvent|AgentErrorEvent'
    rb'|ConversationStateUpdateEvent)"'
)
_FILE = re.compile(r"^event-(\d+)-.+\.json$")
_LINES = "events.jsonl"
_ENDING = "finish"


def session_files(place: Place) -> list[Path]:
    """Returns the files of events, in their numbers' order."""
    if place.file:
        return [place.file]
    return [path for paths in _conversations(place).values() for path in paths]


def is_session(head: bytes) -> bool:
    """Whether a file begins with such an event."""
    return bool(_KIND.search(head))


def histories(place: Place) -> Iterator[tuple[Path, Session]]:
    """Yields one history a conversation, one more for each time that it was condensed. Raises LeftOut."""
    found = {place.file: [place.file]} if place.file else _conversations(place)
    for conversation, paths in found.items():
        notes: set[str] = set()
        numbered = [item for path in paths for item in _events(place, path, notes)]
        events = [event for _, event in numbered]
        if not events:
            reason = Reason.CORRUPT_JSON if Note.LINES_SKIPPED in notes else Reason.EMPTY_TRAJECTORY
            raise LeftOut(reason, f"{conversation.name} holds no event")
        parts = _divided(events)
        if len(parts) > 1:
            notes.add(Note.SPLIT_AT_SUMMARY)
        for part in parts:
            session = _session(part, set(notes))
            in_lines = conversation.suffix != ".json" and conversation in paths
            yield conversation, replace(session, lines=(1, numbered[-1][0]) if in_lines else None)


def _conversations(place: Place) -> dict[Path, list[Path]]:
    found: dict[Path, list[Path]] = {}
    for path in place.walk(depth=6):
        if path.name == _LINES:
            found[path] = [path]
        elif path.parent.name == "events" and _FILE.match(path.name):
            found.setdefault(path.parent, []).append(path)
    return {folder: sorted(paths, key=_number) for folder, paths in found.items()}


def _number(path: Path) -> tuple[int, str]:
    match = _FILE.match(path.name)
    return (int(match[1]) if match else 0, path.name)


def _events(place: Place, path: Path, notes: set[str]) -> Iterator[tuple[int, Event]]:
    """Yields the events of a file with their lines."""
    pieces = [(1, place.read(path))] if path.suffix == ".json" else place.lines(path)
    for number, piece in pieces:
        try:
            document = jsons.loads(piece)
        except jsons.BrokenJSON:
            notes.add(Note.LINES_SKIPPED)
            continue
        if document.repaired:
            notes.add(Note.TEXT_REPAIRED)
        if isinstance(document.value, dict) and isinstance(document.value.get("kind"), str):
            yield number, document.value


def _divided(events: list[Event]) -> list[list[Event]]:
    """Returns the events as the model saw them, once more for each condensation."""
    found: list[list[Event]] = []
    current: list[Event] = []
    answered = False
    for event in events:
        if event["kind"] != "Condensation":
            current.append(event)
            answered = answered or _is_answer(event)
            continue
        if answered:
            found.append(list(current))
        answered = False
        current = _condensed(current, event)
    return [*found, current] if answered or not found else found


def _is_answer(event: Event) -> bool:
    return event["kind"] == "ActionEvent" or (
        event["kind"] == "MessageEvent" and event.get("source") == "agent"
    )


def _condensed(events: list[Event], condensation: Event) -> list[Event]:
    ids = condensation.get("forgotten_event_ids")
    forgotten = {item for item in ids if isinstance(item, str)} if isinstance(ids, list) else set()
    left = [event for event in events if values.string(event.get("id")) not in forgotten]
    summary, offset = condensation.get("summary"), condensation.get("summary_offset")
    if isinstance(summary, str) and summary:
        told: Event = {"kind": "MessageEvent", "llm_message": {"role": "user", "content": summary}}
        left.insert(offset if isinstance(offset, int) and 0 <= offset <= len(left) else len(left), told)
    return left


def _session(events: list[Event], notes: set[str]) -> Session:
    turns: list[Turn] = []
    definitions: tuple[tools.Definition, ...] = ()
    response = ""
    known: set[str] = set()
    for number, event in enumerate(events, 1):
        where = f"event {number}"
        if event["kind"] == "ActionEvent":
            turn = _action(event, notes, where)
            known.update(call.id for call in turn.calls)
            same = response and response == event.get("llm_response_id")
            position = _last_answer(turns) if same else None
            if position is not None:
                turns[position] = replace(turns[position], calls=(*turns[position].calls, *turn.calls))
            else:
                turns.append(turn)
            response = values.string(event.get("llm_response_id"))
            continue
        if event["kind"] == "SystemPromptEvent":
            definitions = _definitions(event.get("tools")) or definitions
        for turn in _others(event, notes, where):
            if turn.role == "tool" and turn.call_id and turn.call_id not in known:
                notes.add(Note.RESULTS_UNPAIRED)
            else:
                known.update(call.id for call in turn.calls)
                turns.append(turn)
    calls = [call for turn in turns for call in turn.calls]
    return Session(
        turns=tuple(turns),
        tools=definitions,
        model="",
        created=values.string(events[0].get("timestamp")) if events else "",
        lines=None,
        notes=frozenset(notes),
        finished=True if calls and calls[-1].name == _ENDING else None,
    )


def _action(event: Event, notes: set[str], where: str) -> Turn:
    call = event.get("tool_call")
    calls = values.calls_of(call, where=where) if isinstance(call, dict) else ()
    if not calls:
        name = values.string(event.get("tool_name")) or "?"
        calls = (ToolCall(name=name, arguments={}, id=values.string(event.get("tool_call_id"))),)
    elif not calls[0].id:
        calls = (replace(calls[0], id=values.string(event.get("tool_call_id"))),)
    message = {
        "content": event.get("thought"),
        "reasoning_content": event.get("reasoning_content"),
        "thinking_blocks": event.get("thinking_blocks"),
    }
    return replace(_thought_once(chat_messages.answer_of(message, notes, where=where)), calls=calls)


def _thought_once(turn: Turn) -> Turn:
    """Takes the marks with the thought out of the text where the reasoning says the same."""
    lifted = checks.lift_thought(replace(turn, reasoning=""))
    if turn.reasoning and lifted.reasoning.strip() == turn.reasoning.strip():
        return replace(turn, text=lifted.text)
    return turn


def _others(event: Event, notes: set[str], where: str) -> Iterator[Turn]:
    kind, call_id = event["kind"], values.string(event.get("tool_call_id"))
    if kind == "SystemPromptEvent":
        for key in ("system_prompt", "dynamic_context"):
            if event.get(key):
                yield Turn(role="system", text=values.text_of(event[key], notes, where=where))
    elif kind == "MessageEvent":
        message = event.get("llm_message")
        for turn in chat_messages.turns_of(message, notes, where=where):
            yield _thought_once(turn) if turn.role == "assistant" else turn
        if more := values.text_of(event.get("extended_content"), notes, where=where):
            yield Turn(role="user", text=more)
    elif kind == "ObservationEvent":
        observed = event.get("observation")
        found = observed if isinstance(observed, dict) else {}
        content = found.get("content") if found.get("content") is not None else found.get("output")
        text = values.text_of(content, notes, where=where)
        yield Turn(role="tool", text=text, call_id=call_id, is_error=found.get("is_error") is True)
    elif kind in ("AgentErrorEvent", "UserRejectObservation"):
        said = event.get("error") or event.get("rejection_reason")
        yield Turn(role="tool", text=values.text_of(said, notes, where=where), call_id=call_id, is_error=True)


def _last_answer(turns: list[Turn]) -> int | None:
    """Returns the place of the answer that only results stand behind."""
    for index in range(len(turns) - 1, -1, -1):
        if turns[index].role != "tool":
            return index if turns[index].role == "assistant" else None
    return None


def _definitions(value: Any) -> tuple[tools.Definition, ...]:
    """Newer versions write the tools as classes of theirs, without a schema: those are no definitions."""
    items = value if isinstance(value, list) else []
    return tools.normalised(
        item for item in items if isinstance(item, dict) and ("function" in item or "parameters" in item)
    )
