"""OpenHands before its SDK (version 0): events, each in a file of its own or all in one list.

What the agent did and what came of it are events of their own. The model's words stand in
`tool_call_metadata.model_response`, repeated in every event that it brought about: an answer with three
calls is three actions and three observations. Ids of calls may be placeholders that occur again, and errors
may name nothing at all, so results are paired by id, by cause and at last by order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sftrun_data import files, jsons
from sftrun_data.conversations import Conversation
from sftrun_data.exclusions import LeftOut, Note, Reason
from sftrun_data.formats import values
from sftrun_data.readers import openhands_sdk_events, openhands_turns
from sftrun_data.readers.base import Place
from sftrun_data.requests import Branches, ToolCallForm

LIST = "openhands.trajectory.json"
_REQUESTS = "litellm-trajectory.jsonl"
_SOURCE = re.compile(rb'"source"\s*:\s*"(user|agent|environment)"')
_KIND = re.compile(rb'"(action|observation)"\s*:\s*"')
_OUTPUT = re.compile(rb'\s*\{\s*"instance_id"\s*:(?=.*"(?:test_result|history)"\s*:\s*[\[{])', re.DOTALL)
"""A line of an evaluation's output; its history may begin far behind."""
_NUMBERED = re.compile(r"^\d+$")


@dataclass(frozen=True, slots=True)
class OpenHands:
    """Reads OpenHands' events."""

    scaffold: str = field(default="OpenHands")
    version: int = field(default=2)

    def inputs(self, place: Place) -> list[Path]:
        """Returns the events' files of every session in their numbers' order, else the list of them."""
        if place.file:
            return [place.file]
        events = [path for paths in _sessions(place).values() for path in paths]
        return events or [place.folder / LIST]

    def claims(self, place: Place) -> bool:
        """Whether the place holds events, and no log of requests: that one tells more."""
        if place.file is None and files.is_file(place.folder / _REQUESTS):
            return False
        return any(is_of_events(place.head(path)) for path in self.inputs(place)[:8])

    def read(
        self,
        place: Place,
        *,
        form: ToolCallForm,  # noqa: ARG002 - its events hold the calls, not their spelling
        branches: Branches,  # noqa: ARG002 - a session is a line
    ) -> Iterator[Conversation]:
        """Yields one conversation a session, one more for each time that its history was condensed. Raises
        LeftOut."""
        sessions = _sessions(place) if place.file is None else {}
        if not sessions:
            path = place.log(LIST)
            sessions = {path: [path]}
        part = 0
        for session, paths in sessions.items():
            notes: set[str] = set()
            events = [event for path in paths for event in _events(place, path, notes)]
            if not events:
                reason = Reason.CORRUPT_JSON if Note.LINES_SKIPPED in notes else Reason.EMPTY_TRAJECTORY
                raise LeftOut(reason, f"{session.name} holds no event")
            histories = openhands_turns.histories(events)
            if len(histories) > 1:
                notes.add(Note.SPLIT_AT_SUMMARY)
            for history in histories:
                told = openhands_turns.turns_of(history, notes)
                yield Conversation(
                    instance=place.instance,
                    provenance=place.provenance(session, reader=self, part=part),
                    turns=told.turns,
                    tools=told.tools,
                    agent="openhands",
                    model=told.model,
                    created=values.string(events[0].get("timestamp")),
                    finished=told.finished,
                    rewards=place.rewards,
                    notes=frozenset(notes),
                )
                part += 1


def is_of_events(head: bytes) -> bool:
    """Whether a file begins with an event, or with a list of them."""
    return bool(_OUTPUT.match(head)) or bool(
        head.lstrip()[:1] in (b"[", b"{")
        and _SOURCE.search(head)
        and _KIND.search(head)
        and (b'"args"' in head or b'"extras"' in head or b'"cause"' in head)
        and b'"schema_version"' not in head
        and not openhands_sdk_events.is_session(head)
    )


def _sessions(place: Place) -> dict[Path, list[Path]]:
    """Returns the files of events by their folder, sorted by number."""
    found: dict[Path, list[Path]] = {}
    for path in place.walk(depth=6):
        if path.suffix == ".json" and path.parent.name == "events" and _NUMBERED.match(path.stem):
            found.setdefault(path.parent, []).append(path)
    return {
        folder: sorted(paths, key=lambda path: (int(path.stem), path.name)) for folder, paths in found.items()
    }


def _events(place: Place, path: Path, notes: set[str]) -> Iterator[dict[str, Any]]:
    """Yields the events of a file. One broken event among many is passed over. Raises LeftOut."""
    data = place.read(path)
    if not data.strip():
        return
    try:
        document = jsons.loads(data)
    except jsons.BrokenJSON:
        notes.add(Note.LINES_SKIPPED)
        return
    if document.repaired:
        notes.add(Note.TEXT_REPAIRED)
    value = document.value
    wrapped = value.get("history") if isinstance(value, dict) else None
    items = wrapped if isinstance(wrapped, list) else value if isinstance(value, list) else [value]
    for item in items:
        # Older evaluations keep an action and its observation as a pair.
        for event in item if isinstance(item, list) else [item]:
            if isinstance(event, dict):
                yield event
