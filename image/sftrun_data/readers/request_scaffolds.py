"""Scaffolds whose trials hold a log of their model requests: `agent/litellm-trajectory.jsonl`.

The log is the same for all of them; what tells them apart is how they introduce themselves in its prompts,
or the
agent that the trial was configured with. Where there is no such log, a scaffold's own session files are read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from sftrun_data import files
from sftrun_data.conversations import Conversation
from sftrun_data.exclusions import LeftOut, Note
from sftrun_data.raw_conversations import RawConversation
from sftrun_data.readers import (
    atif_conversations,
    claude_sessions,
    exchanges,
    opencode_log,
    openhands_sdk_events,
    telemetry,
)
from sftrun_data.readers.base import Place, Reader
from sftrun_data.readers.openhands import OpenHands
from sftrun_data.readers.request_logs import RequestLog, without_tool_errors
from sftrun_data.readers.sessions import SessionLogs
from sftrun_data.requests import Branches, ToolCallForm

LOG = "litellm-trajectory.jsonl"
_CONFIGURED = re.compile(rb'"name"\s*:\s*"(claude-code|open-?code|openhands(?:-sdk)?)"', re.IGNORECASE)
"""The scaffolds of this module, as a trial's configuration names them."""
_ENDING_CALLS = frozenset({"finish", "attempt_completion", "submit"})


@dataclass(frozen=True, slots=True)
class RequestScaffold:
    """Reads the request log of one scaffold."""

    scaffold: str
    introduces: re.Pattern[bytes]
    """How its prompt names it."""
    agents: frozenset[str]
    """How a trial's `config.json`, and Harbor's export, name it."""
    own_logs: SessionLogs
    """Its own session files, read in place of a log."""
    gives_way_to: tuple[Reader, ...] = field(default=())
    """Readers whose logs tell more than Harbor's export of the same run."""
    version: int = field(default=2)

    def inputs(self, place: Place) -> list[Path]:
        """Returns the log, or the session files in its place."""
        if place.file:
            return [place.file]
        return [
            place.log(LOG),
            *telemetry.call_files(place),
            *self.own_logs.session_files(place),
            *atif_conversations.paths_of(place),
        ]

    def claims(self, place: Place) -> bool:
        """Whether the place holds a request log of this scaffold, or its own session files."""
        if place.file and place.file.suffix == ".json":
            return self._holds_calls(place) or atif_conversations.is_of(place, self.agents)
        path = place.log(LOG)
        if not files.is_file(path):
            return (
                self._holds_calls(place)
                or self._holds_sessions(place)
                or (
                    atif_conversations.is_of(place, self.agents)
                    and not any(reader.claims(place) for reader in self.gives_way_to)
                )
            )
        head = place.head(path)
        if place.file and exchanges.is_of(head):
            return self.introduces.search(head) is not None
        if b'"request_body"' not in head:
            return self.own_logs.is_session(head)
        return self._is_meant(place, head)

    def read(
        self, place: Place, *, form: ToolCallForm, branches: Branches
    ) -> Iterator[Conversation | RawConversation]:
        """Yields one conversation a history: the main agent's and those of its sub-agents. Raises LeftOut."""
        requests = self._requests(place, form=form, branches=branches)
        if requests is None:
            yield from self._read_own(place, branches)
            return
        try:
            first = next(requests)
        except LeftOut:
            if not self._holds_more(place):
                raise
        else:
            yield first
            yield from requests
            return
        # A log that was begun and tells nothing: what the scaffold wrote itself is there too.
        yield from self._read_own(place, branches)

    def _requests(
        self, place: Place, *, form: ToolCallForm, branches: Branches
    ) -> Iterator[Conversation] | None:
        """Returns what the logged requests tell, None where none were logged."""
        path = place.log(LOG)
        is_proxy_s = place.file is not None and exchanges.is_of(place.head(path))
        is_log = files.exists(path) if place.file is None else b'"request_body"' in place.head(path)
        if is_log or (is_proxy_s and not telemetry.call_files(place)):
            return self._told(
                place, lambda: _log_of_lines(place, path, form=form), path, form=form, branches=branches
            )
        calls = telemetry.call_files(place)
        if calls:
            return self._told(
                place, lambda: _log_of_calls(place, calls, form=form), calls, form=form, branches=branches
            )
        return None

    def _holds_more(self, place: Place) -> bool:
        return place.file is None and (
            self._holds_sessions(place) or atif_conversations.is_of(place, self.agents)
        )

    def _read_own(self, place: Place, branches: Branches) -> Iterator[Conversation | RawConversation]:
        path = place.log(LOG)
        if path.suffix != ".json" and self.own_logs.session_files(place):
            yield from self._read_sessions(place, branches)
        else:
            yield from atif_conversations.conversations(place, reader=self)

    def _told(
        self,
        place: Place,
        log: Callable[[], RequestLog],
        where: Path | list[Path],
        *,
        form: ToolCallForm,
        branches: Branches,
    ) -> Iterator[Conversation]:
        """Yields what a log tells. Its requests are lines of a path, or each a path of its own."""
        for part, history in enumerate(log().histories(branches=branches)):
            last = history.turns[-1]
            path, lines = (
                (where, history.lines) if isinstance(where, Path) else (where[history.lines[0] - 1], None)
            )
            ended = any(call.name in _ENDING_CALLS for call in last.calls)
            yield Conversation(
                instance=place.instance,
                provenance=place.provenance(path, reader=self, part=part, lines=lines),
                turns=history.turns,
                tools=history.tools,
                agent=self.scaffold,
                model=history.model,
                finished=not last.calls or ended,
                rewards=place.rewards,
                metadata={"toolCallForm": form},
                notes=history.notes,
            )

    def _read_sessions(self, place: Place, branches: Branches) -> Iterator[Conversation | RawConversation]:
        for part, (path, session) in enumerate(self.own_logs.histories(place)):
            if session.superseded and branches == "Longest":
                continue
            notes = set(session.notes)
            if session.rewound:
                notes.add(Note.BRANCHES_DROPPED if branches == "Longest" else Note.TURNS_TRAINED_AGAIN)
            turns = without_tool_errors(session.turns, notes)
            conversation = Conversation(
                instance=place.instance,
                provenance=place.provenance(path, reader=self, part=part, lines=session.lines),
                turns=tuple(turns),
                tools=session.tools,
                agent=self.scaffold,
                model=session.model,
                created=session.created,
                finished=session.finished,
                rewards=place.rewards,
                notes=frozenset(notes),
            )
            if raw := session.raw:
                yield RawConversation(conversation, raw.turns, raw.searched)
            else:
                yield conversation

    def _holds_calls(self, place: Place) -> bool:
        calls = telemetry.call_files(place)[:1]
        if not calls or any(reader.claims(place) for reader in self.gives_way_to):
            return False
        head = place.head(calls[0])
        return b'"messages"' in head and self._is_meant(place, head)

    def _is_meant(self, place: Place, head: bytes) -> bool:
        """Whether the trial was configured with this scaffold; where it does not say, whether the prompt
        introduces it."""
        trial = place.folder.parent
        if trial.parent.name == "steps":
            trial = trial.parent.parent
        config = b"" if place.file else place.head(trial / "config.json")
        named = {name.decode().lower() for name in _CONFIGURED.findall(config)}
        return bool(named & self.agents) if named else self.introduces.search(head) is not None

    def _holds_sessions(self, place: Place) -> bool:
        return any(self.own_logs.is_session(place.head(path)) for path in self.own_logs.session_files(place))


def _log_of_lines(place: Place, path: Path, *, form: ToolCallForm) -> RequestLog:
    """Returns a log of requests that are a line each. Raises LeftOut."""
    log = RequestLog(as_spoken=form == "AsSpoken")
    apart = exchanges.is_of(place.head(path))
    for number, line in exchanges.exchanges(place.lines(path)) if apart else place.long_lines(path):
        log.take(number, line)
    return log


def _log_of_calls(place: Place, paths: list[Path], *, form: ToolCallForm) -> RequestLog:
    """Returns a log of requests that are a file each. Raises LeftOut."""
    spoken = form == "AsSpoken"
    log = RequestLog(as_spoken=spoken, translate=partial(telemetry.line_of, as_spoken=spoken))
    for number, path in enumerate(paths, 1):
        log.take(number, place.read(path))
    return log


CLAUDE_CODE = RequestScaffold(
    "ClaudeCode",
    re.compile(rb"You are Claude Code|Claude Code, Anthropic", re.IGNORECASE),
    frozenset({"claude-code"}),
    own_logs=claude_sessions,
)
OPEN_CODE = RequestScaffold(
    "OpenCode",
    re.compile(rb"You are (?:an? )?opencode", re.IGNORECASE),
    frozenset({"opencode", "open-code"}),
    own_logs=opencode_log,
)
OPENHANDS_SDK = RequestScaffold(
    "OpenHandsSDK",
    re.compile(rb"You are OpenHands", re.IGNORECASE),
    frozenset({"openhands", "openhands-sdk"}),
    own_logs=openhands_sdk_events,
    gives_way_to=(OpenHands(),),
)
