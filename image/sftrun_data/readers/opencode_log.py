"""OpenCode's own log (`opencode.txt`): one part of an answer a line. Older versions log nobody's question.

The task's prompt is then taken from what lies beside it: `instruction.md`, or the user's steps of Harbor's
export.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sftrun_data import jsons
from sftrun_data.conversations import ToolCall, Turn
from sftrun_data.exclusions import LeftOut, Note, Reason
from sftrun_data.formats import values
from sftrun_data.readers import atif_conversations
from sftrun_data.readers.base import Place
from sftrun_data.readers.sessions import Session

FILE = "opencode.txt"
PROMPT = "instruction.md"
_PART = re.compile(rb'"type"\s*:\s*"(user|step_start|text|reasoning|tool_use|step_finish|error)"')

Part = dict[str, Any]


def session_files(place: Place) -> list[Path]:
    """Returns the log, and what may hold the prompt."""
    log = place.log(FILE)
    if not place.head(log):
        return []
    return [log, *(path for path in _prompt_files(log) if path.is_relative_to(place.root))]


def is_session(head: bytes) -> bool:
    """Whether a file begins like such a log."""
    return bool(_PART.search(head) and b'"sessionID"' in head)


def histories(place: Place) -> Iterator[tuple[Path, Session]]:
    """Yields the one history. Raises LeftOut."""
    path = place.log(FILE)
    notes: set[str] = set()
    told: list[Turn | dict[str, Part]] = []
    """What the user said, and answers: the parts of each by their ids, for a part may be logged again."""
    message, created, last = "", "", 0
    for number, event in _events(place, path, notes):
        part = _object(event.get("part"))
        created, last = created or str(event.get("timestamp") or ""), number
        if event["type"] == "user":
            told.append(_asked(event, notes, f"line {number}"))
            continue
        answer = told[-1] if told and isinstance(told[-1], dict) else None
        if answer is None or event["type"] == "step_start" or message != part.get("messageID", message):
            answer = {}
            told.append(answer)
        message = part.get("messageID", message)
        if event["type"] == "error":
            notes.add(Note.FAILED_CALLS_DROPPED)
        elif event["type"] in ("text", "reasoning", "tool_use"):
            answer[values.string(part.get("id")) or str(number)] = part
    turns = [
        turn for item in told for turn in ([item] if isinstance(item, Turn) else _turns(item.values(), notes))
    ]
    if not any(turn.role == "assistant" for turn in turns):
        reason = Reason.CORRUPT_JSON if Note.LINES_SKIPPED in notes else Reason.EMPTY_TRAJECTORY
        raise LeftOut(reason, f"{path.name} holds no answer")
    prompt = () if turns[0].role == "user" else _prompt(place, path)
    yield (
        path,
        Session(
            turns=(*prompt, *turns),
            model="",
            created=created,
            lines=(1, last),
            notes=frozenset(notes),
        ),
    )


def _events(place: Place, path: Path, notes: set[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in place.lines(path):
        try:
            document = jsons.loads(line)
        except jsons.BrokenJSON:
            notes.add(Note.LINES_SKIPPED)
            continue
        if document.repaired:
            notes.add(Note.TEXT_REPAIRED)
        if isinstance(document.value, dict) and isinstance(document.value.get("type"), str):
            yield number, document.value


def _asked(event: dict[str, Any], notes: set[str], where: str) -> Turn:
    """Returns what the user said, which newer versions log."""
    parts = event.get("parts")
    said = [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    return Turn(role="user", text="\n".join(values.text_of(part, notes, where=where) for part in said))


def _turns(parts: Iterable[Part], notes: set[str]) -> Iterator[Turn]:
    """Yields an answer and the results of its calls."""
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[ToolCall] = []
    results: list[Turn] = []
    for part in parts:
        if part.get("type") == "reasoning":
            thoughts.append(values.string(part.get("text")))
        elif part.get("type") == "text":
            texts.append(values.string(part.get("text")))
        else:
            state = _object(part.get("state"))
            call_id = values.string(part.get("callID")) or values.string(part.get("id"))
            made = {"id": call_id, "name": part.get("tool"), "arguments": state.get("input") or {}}
            calls += values.calls_of(made, where="a tool's part")
            failed = state.get("status") == "error"
            came = state.get("error" if failed else "output")
            if came is not None:
                text = values.text_of(came, notes, where="a tool's part")
                results.append(Turn(role="tool", text=text, call_id=call_id, is_error=failed))
    if texts or thoughts or calls:
        yield Turn(
            role="assistant",
            text="".join(texts),
            reasoning="\n".join(filter(None, thoughts)),
            calls=tuple(calls),
        )
    yield from results


def _prompt_files(log: Path) -> list[Path]:
    return [log.parent / PROMPT, log.parent.parent / PROMPT, log.parent / atif_conversations.FILE]


def _prompt(place: Place, log: Path) -> tuple[Turn, ...]:
    """Returns what the user said first. Raises LeftOut where nothing tells it."""
    *instructions, export = _prompt_files(log)
    for path in instructions:
        try:
            text = place.read(path).decode(errors="replace")
        except LeftOut:
            continue
        if text.strip():
            return (Turn(role="user", text=text),)
    try:
        trajectory = atif_conversations.main_of(place, export)
    except LeftOut:
        trajectory = ()
    said = tuple(turn for turn in trajectory if turn.role == "user")[:1]
    if not said:
        raise LeftOut(
            Reason.BAD_STRUCTURE,
            f"{log.name} holds no question, and neither {PROMPT} nor {export.name} beside it does",
        )
    return said


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
