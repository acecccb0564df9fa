"""Gemini CLI: a session as one JSON document, as lines since version 0.40, or as plain contents of the API.

Lines are a record of changes: a message with a known id replaces it, `$set` changes the header, `$rewindTo`
takes the
session back to before a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sftrun_data import jsons
from sftrun_data.conversations import Conversation, Turn
from sftrun_data.exclusions import LeftOut, Note, Reason
from sftrun_data.formats import values
from sftrun_data.readers import message_parts
from sftrun_data.readers.base import Place
from sftrun_data.requests import Branches, ToolCallForm

_MESSAGE = re.compile(rb'"type"\s*:\s*"(gemini|model)"|"role"\s*:\s*"model"')
_SESSION = re.compile(rb'"(projectHash|toolCalls|functionCall|parts)"')
_BY_MODEL = ("model", "gemini")
"""Who speaks: some messages in parts say it in their type, having no role."""
_FOLDERS = ("gemini-sessions", "sessions", ".gemini")


@dataclass(frozen=True, slots=True)
class GeminiCLI:
    """Reads Gemini CLI's sessions."""

    scaffold: str = field(default="GeminiCLI")
    version: int = field(default=2)

    def inputs(self, place: Place) -> list[Path]:
        """Returns the sessions."""
        if place.file:
            return [place.file]
        own = [path for path in place.walk(depth=1) if path.name.startswith("gemini-cli.trajectory")]
        inner = [path for name in _FOLDERS for path in place.walk(name)]
        return [path for path in (*own, *inner) if path.suffix in (".json", ".jsonl")]

    def claims(self, place: Place) -> bool:
        """Whether the place holds sessions of it. Qwen Code's events are told by the `message` around their
        parts."""
        heads = (place.head(path) for path in self.inputs(place) if path.suffix in (".json", ".jsonl"))
        return any(
            b'"message"' not in head and _MESSAGE.search(head) and _SESSION.search(head) for head in heads
        )

    def read(
        self,
        place: Place,
        *,
        form: ToolCallForm,  # noqa: ARG002 - its calls are the API's own
        branches: Branches,  # noqa: ARG002 - what was rewound is gone
    ) -> Iterator[Conversation]:
        """Yields one conversation a session. Raises LeftOut."""
        paths = self.inputs(place)
        if not paths:
            raise LeftOut(Reason.NO_TRAJECTORY, "no session of Gemini CLI")
        for part, path in enumerate(paths):
            yield self._conversation(place, path, part)

    def _conversation(self, place: Place, path: Path, part: int) -> Conversation:
        notes: set[str] = set()
        data = place.read(path)
        messages, in_lines = _messages(data, notes)
        if not messages:
            reason = Reason.CORRUPT_JSON if Note.LINES_SKIPPED in notes else Reason.EMPTY_TRAJECTORY
            raise LeftOut(reason, f"{path.name} holds no message")
        turns = [
            turn
            for number, item in enumerate(messages, 1)
            for turn in _turns(item, notes, f"message {number}")
        ]
        return Conversation(
            instance=place.instance,
            provenance=place.provenance(
                path, reader=self, part=part, lines=(1, data.rstrip().count(b"\n") + 1) if in_lines else None
            ),
            turns=tuple(turns),
            agent="gemini-cli",
            model=next((text for item in messages if (text := values.string(item.get("model")))), ""),
            created=next((text for item in messages if (text := values.string(item.get("timestamp")))), ""),
            rewards=place.rewards,
            notes=frozenset(notes),
        )


def _messages(data: bytes, notes: set[str]) -> tuple[list[dict[str, Any]], bool]:
    """Returns the messages at a session's end, and whether it was logged in lines."""
    in_lines = False
    try:
        documents = [jsons.loads(data)] if data.strip() else []
    except jsons.BrokenJSON:
        documents, in_lines = list(_lines(data, notes)), True
    if any(document.repaired for document in documents):
        notes.add(Note.TEXT_REPAIRED)
    messages: list[dict[str, Any]] = []
    for document in documents:
        messages = _applied(messages, document.value)
    return messages, in_lines


def _lines(data: bytes, notes: set[str]) -> Iterator[jsons.Document]:
    for line in data.split(b"\n"):
        if not line.strip():
            continue
        try:
            yield jsons.loads(line)
        except jsons.BrokenJSON:
            notes.add(Note.LINES_SKIPPED)


def _applied(messages: list[dict[str, Any]], value: Any) -> list[dict[str, Any]]:
    """Returns the messages after a document or a line."""
    header = value.get("$set", value) if isinstance(value, dict) else {"messages": value}
    whole = header.get("messages") if isinstance(header, dict) else None
    if isinstance(whole, list):
        return [item for item in whole if isinstance(item, dict)]
    if not isinstance(value, dict):
        return messages
    if "$rewindTo" in value:
        ids = [item.get("id") for item in messages]
        return messages[: ids.index(value["$rewindTo"])] if value["$rewindTo"] in ids else messages
    return _with_message(messages, value) if "type" in value or "role" in value else messages


def _with_message(messages: list[dict[str, Any]], value: dict[str, Any]) -> list[dict[str, Any]]:
    identity = value.get("id")
    known = identity is not None and any(item.get("id") == identity for item in messages)
    if value.get("type") == "message_update":
        change = {key: item for key, item in value.items() if key != "type"}
        return [item | change if known and item.get("id") == identity else item for item in messages]
    if known:
        return [value if item.get("id") == identity else item for item in messages]
    return [*messages, value]


def _turns(item: dict[str, Any], notes: set[str], where: str) -> Iterator[Turn]:
    if "parts" in item:
        by_model = item.get("role", item.get("type")) in _BY_MODEL
        yield from message_parts.turns_of(item["parts"], notes, by_model=by_model, where=where)
    elif item.get("type") == "user":
        yield from message_parts.turns_of(item.get("content"), notes, by_model=False, where=where)
    elif item.get("type") == "gemini":
        yield from _answer(item, notes, where)


def _answer(item: dict[str, Any], notes: set[str], where: str) -> Iterator[Turn]:
    made = item.get("toolCalls")
    calls = [call for call in made if isinstance(call, dict)] if isinstance(made, list) else []
    text = "".join(
        turn.text for turn in message_parts.turns_of(item.get("content"), notes, by_model=True, where=where)
    )
    if not (text or calls):
        return  # thoughts alone, of an answer that was cut off
    yield Turn(
        role="assistant",
        text=text,
        reasoning="\n\n".join(_thoughts(item.get("thoughts"))),
        calls=tuple(message_parts.call_of(call, where=where) for call in calls),
    )
    for call in calls:
        parts = call.get("result")
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict) and isinstance(part.get("functionResponse"), dict):
                result = {"id": call.get("id")} | part["functionResponse"]
                yield message_parts.result_of(result, notes, where=where, beside={})


def _thoughts(value: Any) -> Iterator[str]:
    for thought in value if isinstance(value, list) else ():
        if isinstance(thought, dict):
            lines = [values.string(thought.get(key)) for key in ("subject", "description")]
            if any(lines):
                yield "\n".join(filter(None, lines))
