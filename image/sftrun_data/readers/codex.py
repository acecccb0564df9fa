"""Codex' rollouts: one item of the Responses API a line, in a wrapper since version 0.51 and bare before it.

One answer of the model is spread over items (reasoning, message, calls), so items are gathered until a
result or a
user's message ends it. A compaction replaces the history: what follows is a conversation of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sftrun_data import jsons
from sftrun_data.conversations import Conversation, ToolCall, Turn
from sftrun_data.exclusions import LeftOut, Note, Reason
from sftrun_data.formats import values
from sftrun_data.readers.base import Place
from sftrun_data.requests import Branches, ToolCallForm

_WRAPPED = re.compile(rb'"type"\s*:\s*"(session_meta|response_item|turn_context|event_msg|compacted)"')
_BARE = re.compile(rb'"type"\s*:\s*"(function_call|function_call_output|tool_call|local_shell_call)"')
_CALLS = {
    "function_call",
    "tool_call",
    "custom_tool_call",
    "local_shell_call",
    "tool_search_call",
}
_OF_PROVIDER = {"web_search_call", "image_generation_call"}
"""Done on the provider's side: their results are in no log, and no harness of ours offers them."""
_RESULTS = {"function_call_output", "tool_result", "custom_tool_call_output", "tool_search_output"}


@dataclass(slots=True)
class Rollout:
    """Gathers items into histories."""

    notes: set[str] = field(default_factory=set)
    model: str = ""
    created: str = ""
    system: str = ""
    histories: list[list[Turn]] = field(default_factory=lambda: [[]])
    last_line: int = 0
    _text: list[str] = field(default_factory=list)
    _thoughts: list[str] = field(default_factory=list)
    _calls: list[ToolCall] = field(default_factory=list)

    def take(self, number: int, value: Any) -> None:
        """Takes in a line. Raises LeftOut (BadStructure)."""
        if not isinstance(value, dict):
            return
        payload = value.get("payload")
        kind = value.get("type")
        self.created = self.created or values.string(value.get("timestamp"))
        if not isinstance(payload, dict):
            self.take_item(value, number)
        elif kind == "response_item":
            self.take_item(payload, number)
        elif kind == "session_meta":
            base = payload.get("base_instructions")
            text = base.get("text") if isinstance(base, dict) else payload.get("instructions")
            self.system = self.system or values.string(text)
        elif kind == "turn_context":
            self.model = values.string(payload.get("model")) or self.model
        elif kind == "compacted":
            self._compact(payload, number)
        elif kind == "event_msg" and payload.get("type") == "thread_rolled_back":
            self._roll_back(payload.get("num_turns"))

    def take_turns(self, turns: Iterable[Turn]) -> None:
        """Takes in turns that came in another form."""
        self._end_answer()
        self.histories[-1].extend(turns)

    def finish(self) -> None:
        """Ends the last answer."""
        self._end_answer()

    def take_item(self, item: Mapping[str, Any], number: int) -> None:
        """Takes in an item of the Responses API. Raises LeftOut (BadStructure)."""
        self.last_line = number
        kind = str(item.get("type", "message" if "role" in item else None))
        where = f"line {number}"
        if kind in ("message", "agent_message"):
            self._message(item, where)
        elif kind == "reasoning":
            self._thoughts += _reasoning(item)
        elif kind in _CALLS:
            self._calls.append(_call(item, kind, where))
        elif kind in _OF_PROVIDER:
            self.notes.add(Note.FAILED_CALLS_DROPPED)
        elif kind in _RESULTS:
            self._end_answer()
            text = _output(item, self.notes, where)
            self.histories[-1].append(
                Turn(role="tool", text=text, call_id=values.string(item.get("call_id")))
            )

    def _message(self, item: Mapping[str, Any], where: str) -> None:
        role = item.get("role", "assistant")
        content = item.get("content", item.get("text", item.get("message")))
        text = values.text_of(_shown(content, by_model=role == "assistant"), self.notes, where=where)
        if role == "assistant":
            if self._calls:
                self._end_answer()
            self._text.append(text)
        elif role == "user":
            self._end_answer()
            self.histories[-1].append(Turn(role="user", text=text))
        elif role in ("system", "developer"):
            self._end_answer()
            self.histories[-1].append(Turn(role="system", text=text))
        else:
            raise LeftOut(Reason.BAD_STRUCTURE, f"{where}: unknown role {role!r}")

    def _compact(self, payload: Mapping[str, Any], number: int) -> None:
        """What replaces the history is written down since some version; before, it was what the user had
        said, and the summary."""
        self._end_answer()
        before = self.histories[-1]
        if any(turn.role == "assistant" for turn in before):
            self.notes.add(Note.SPLIT_AT_SUMMARY)
            self.histories.append([])
        else:
            self.histories[-1] = []
        replacement = payload.get("replacement_history")
        if isinstance(replacement, list) and replacement:
            for item in replacement:
                if isinstance(item, dict) and item.get("role") != "assistant":
                    self.take_item(item, number)
            self._end_answer()
            return
        self.histories[-1] += [turn for turn in before if turn.role in ("system", "user")]
        if summary := values.string(payload.get("message")):
            self.histories[-1].append(Turn(role="user", text=summary))

    def _roll_back(self, num_turns: Any) -> None:
        """Takes back the last of what the user said, and all that followed."""
        self._end_answer()
        history = self.histories[-1]
        for _ in range(num_turns if isinstance(num_turns, int) and num_turns < len(history) else 0):
            said = [index for index, turn in enumerate(history) if turn.role == "user"]
            if said:
                self.notes.add(Note.BRANCHES_DROPPED)
                del history[said[-1] :]

    def _end_answer(self) -> None:
        if self._text or self._calls:
            text, thoughts = "\n".join(self._text), "\n\n".join(self._thoughts)
            turn = Turn(role="assistant", text=text, reasoning=thoughts, calls=tuple(self._calls))
            self.histories[-1].append(turn)
            self._text, self._thoughts, self._calls = [], [], []


@dataclass(frozen=True, slots=True)
class Codex:
    """Reads Codex' rollouts."""

    scaffold: str = field(default="Codex")
    version: int = field(default=2)

    def inputs(self, place: Place) -> list[Path]:
        """Returns the rollouts."""
        if place.file:
            return [place.file]
        found = place.walk("sessions")
        return [path for path in found if path.name.startswith("rollout-") and path.suffix == ".jsonl"]

    def claims(self, place: Place) -> bool:
        """Whether the place holds rollouts."""
        for path in self.inputs(place):
            head = place.head(path) if path.suffix == ".jsonl" else b""
            if _WRAPPED.search(head) and b'"payload"' in head:
                return True
            if _BARE.search(head) and b'"request_body"' not in head:
                return True
        return False

    def read(
        self,
        place: Place,
        *,
        form: ToolCallForm,  # noqa: ARG002 - its calls are the API's own
        branches: Branches,  # noqa: ARG002 - a rollout is a line
    ) -> Iterator[Conversation]:
        """Yields one conversation a history. Raises LeftOut."""
        paths = self.inputs(place)
        if not paths:
            raise LeftOut(Reason.NO_TRAJECTORY, "no rollout")
        part = 0
        for path in paths:
            rollout = _rollout(place, path)
            for history in rollout.histories:
                system = [Turn(role="system", text=rollout.system)] if rollout.system else []
                yield Conversation(
                    instance=place.instance,
                    provenance=place.provenance(path, reader=self, part=part, lines=(1, rollout.last_line)),
                    turns=(*system, *history),
                    agent="codex",
                    model=rollout.model,
                    created=rollout.created,
                    rewards=place.rewards,
                    notes=frozenset(rollout.notes),
                )
                part += 1


def _rollout(place: Place, path: Path) -> Rollout:
    rollout = Rollout()
    for number, line in place.lines(path):
        try:
            document = jsons.loads(line)
        except jsons.BrokenJSON:
            rollout.notes.add(Note.LINES_SKIPPED)
            continue
        if document.repaired:
            rollout.notes.add(Note.TEXT_REPAIRED)
        rollout.take(number, document.value)
    rollout.finish()
    if not rollout.last_line:
        reason = Reason.CORRUPT_JSON if Note.LINES_SKIPPED in rollout.notes else Reason.EMPTY_TRAJECTORY
        raise LeftOut(reason, f"{path.name} holds no item of a conversation")
    return rollout


def _shown(content: Any, *, by_model: bool) -> Any:
    """Returns the parts that hold something: places for images stand in messages without any."""
    if not isinstance(content, list):
        return content
    images = {"input_image", "output_image"}
    return [
        part
        for part in content
        if not (
            isinstance(part, dict)
            and str(part.get("type")) in images
            and (by_model or not part.get("image_url"))
        )
    ]


def _call(item: Mapping[str, Any], kind: str, where: str) -> ToolCall:
    function = item.get("function")
    name = item.get("name") or (function.get("name") if isinstance(function, dict) else None)
    arguments: Any = next(
        (item[key] for key in ("arguments", "input", "action") if item.get(key) is not None), {}
    )
    if kind == "custom_tool_call" and isinstance(arguments, str):
        arguments = {"input": arguments}
    made = {
        "id": item.get("call_id") or item.get("id"),
        "name": name or kind.removesuffix("_call"),
        "arguments": arguments,
    }
    return values.calls_of(made, where=where)[0]


def _reasoning(item: Mapping[str, Any]) -> list[str]:
    """What may be read of a thought: its text, else its summary. Most of them are encrypted."""
    for key in ("content", "summary"):
        parts = item.get(key)
        texts = (
            [values.string(part.get("text")) for part in parts if isinstance(part, dict)]
            if isinstance(parts, list)
            else []
        )
        if any(texts):
            return [text for text in texts if text]
    return []


def _output(item: Mapping[str, Any], notes: set[str], where: str) -> str:
    """A result is a text, parts, an object of streams, or JSON of `{output, metadata}` inside a string."""
    output = next(
        (item[key] for key in ("output", "result", "content", "tools") if item.get(key) is not None), ""
    )
    if isinstance(output, str) and output.startswith('{"output"'):
        try:
            inner = jsons.loads(output.encode()).value
        except (jsons.BrokenJSON, UnicodeEncodeError):
            return output
        output = inner.get("output", output) if isinstance(inner, dict) else output
    if isinstance(output, dict) and any(key in output for key in ("stdout", "stderr", "output", "content")):
        streams = [output.get(key) for key in ("output", "content", "stdout", "stderr")]
        return "".join(values.text_of(stream, notes, where=where) for stream in streams if stream)
    if isinstance(output, dict) and isinstance(output.get("text"), str):
        return str(output["text"])
    if isinstance(output, dict) or "tools" in item:
        return jsons.dumps(output)
    return values.text_of(output, notes, where=where)
