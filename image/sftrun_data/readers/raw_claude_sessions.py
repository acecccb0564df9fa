"""Claude Code's session files as `claude_sessions` reads them, with texts left as JSON: for sessions with
nothing unusual in them.

`None` stands for all others: rewound, summarised or repaired ones, side chains, refused calls and media are
read the other way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

from sftrun_data.raw_conversations import RawCall, RawTurn
from sftrun_data.raw_texts import EMPTY, UNREADABLE, Spelling, Unusual

MOST_BYTES = 64 * 1024 * 1024
"""Larger files are read line by line: they are not held in memory."""
_SYNTHETIC = "<synthetic>"
_REFUSED = b"<tool_use_error>"
_TEXTS = frozenset({"output_text", "refusal", "image", "image_url", "audio", "input_audio"})
"""Blocks of which more is said than their text."""
_LARGEST = 2**63
_FURTHEST_PARENT = 1000
"""Lines without a message that may stand between a prompt and what it goes on from."""


Content = TypeVar("Content")


class _Block(Struct, gc=False):
    type: str
    text: Raw = Raw()
    thinking: Raw = Raw()
    id: Raw = Raw()
    name: str = ""
    input: dict[str, Any] | None = None
    function: Raw = Raw()
    arguments: Raw = Raw()
    parameters: Raw = Raw()
    args: Raw = Raw()
    tool_use_id: Raw = Raw()
    content: Raw = Raw()
    is_error: bool | None = None


class _Message(Struct, Generic[Content], gc=False):
    content: Content
    id: str | None = None
    role: str = ""
    model: str | None = None
    reasoning_content: Raw = Raw()
    reasoning: Raw = Raw()
    thinking: Raw = Raw()
    thinking_blocks: Raw = Raw()
    tool_calls: Raw = Raw()
    function_call: Raw = Raw()


class _Line(Struct, Generic[Content], gc=False):
    message: _Message[Content] | None = None
    type: str = ""
    subtype: str | None = None
    uuid: str | None = None
    parentUuid: str | None = None
    timestamp: str | None = None
    isSidechain: bool | None = None
    isCompactSummary: bool | None = None
    isApiErrorMessage: bool | None = None
    loglines: Raw = Raw()


class _Part(Struct, gc=False):
    type: str
    text: Raw = Raw()


_IN_BLOCKS = msgspec.json.Decoder(_Line[list[_Block]])
_IN_ONE = msgspec.json.Decoder(_Line[Raw])
_PARTS = msgspec.json.Decoder(list[_Part])


@dataclass(frozen=True, slots=True, kw_only=True)
class RawSession:
    """The one history of a session."""

    turns: tuple[RawTurn, ...]
    searched: tuple[bytes, ...]
    model: str
    created: str
    lines: tuple[int, int]


def parse(data: bytes) -> RawSession | None:
    """Returns the history in a session file, None where something of it is unusual."""
    try:
        reading = _Reading(Spelling.of(data))
        for number, line in enumerate(data.split(b"\n"), 1):
            if line and not line.isspace():
                reading.take(number, line)
        return reading.session(data)
    except (Unusual, *UNREADABLE):
        return None


@dataclass(slots=True)
class _Reading:
    spelling: Spelling
    turns: list[RawTurn] = field(default_factory=list)
    model: str = ""
    times: list[str | None] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    _known: set[str] = field(default_factory=set)
    _parents: dict[str, str | None] = field(default_factory=dict)
    _last: str | None = None
    """The id of the last line with a message."""
    _position: dict[str, int] = field(default_factory=dict)
    """Of the answers, by their ids."""

    def take(self, number: int, data: bytes) -> None:
        """Takes in a line. Raises Unusual, and what decoding raises."""
        line: _Line[list[_Block]] | _Line[Raw]
        try:
            line = _IN_BLOCKS.decode(data)
        except msgspec.ValidationError:
            line = _IN_ONE.decode(data)
        if _is_unusual(line):
            raise Unusual
        message = line.message
        if message is None and line.uuid:
            self._parents.setdefault(line.uuid, line.parentUuid)
        if message is None or line.type not in ("user", "assistant"):
            return
        if message.role not in ("", line.type) or (line.uuid and line.uuid in self._known):
            raise Unusual
        self._take_message(line.type, message, line.parentUuid)
        if line.uuid:
            self._known.add(line.uuid)
        self._last = line.uuid
        self.times.append(line.timestamp)
        self.numbers.append(number)

    def _take_message(
        self, kind: str, message: _Message[list[_Block]] | _Message[Raw], parent: str | None
    ) -> None:
        content = message.content
        if isinstance(content, Raw):
            text, blocks = self.spelling.string(content), []
            said = [RawTurn("user", text)]
        else:
            text, blocks, said = EMPTY, content, []
        if kind == "assistant":
            self._answer(message, text, blocks)
            return
        said = said or list(self._heard(blocks))
        if not any(turn.role == "tool" for turn in said):
            self._check_goes_on(parent)
        self.turns += said

    def session(self, data: bytes) -> RawSession:
        """Returns the history of all lines. Raises Unusual."""
        times = [time for time in self.times if time is not None]
        if not self.numbers or (len(times) == len(self.times) and times != sorted(times)):
            raise Unusual
        searched = (data, *self.spelling.respelt)
        if any(_REFUSED in part for part in searched):
            raise Unusual
        return RawSession(
            turns=tuple(self.turns),
            searched=searched,
            model=self.model,
            created=next(filter(None, times), ""),
            lines=(self.numbers[0], self.numbers[-1]),
        )

    def _answer(
        self, message: _Message[list[_Block]] | _Message[Raw], text: bytes, blocks: Sequence[_Block]
    ) -> None:
        elsewhere = (
            message.reasoning_content,
            message.reasoning,
            message.thinking,
            message.thinking_blocks,
            message.tool_calls,
            message.function_call,
        )
        if any(map(bytes, elsewhere)) or message.model == _SYNTHETIC:
            raise Unusual
        self.model = self.model or message.model or ""
        string = self.spelling.string
        reasoning = EMPTY
        calls: list[RawCall] = []
        for block in blocks:
            if block.type == "text":
                text = self._joined(text, self._text(block.text))
            elif block.type == "thinking":
                reasoning = _lines((reasoning, string(block.thinking)))
            elif block.type == "tool_use":
                calls.append(self._call(block))
            elif block.type in _TEXTS:
                raise Unusual
        known = self._position.get(message.id) if message.id else None
        if known is None:
            self._position[str(message.id)] = len(self.turns)
            self.turns.append(RawTurn("assistant", text, reasoning, tuple(calls)))
            return
        first = self.turns[known]
        first.text = self._joined(first.text, text)
        first.reasoning = _lines((first.reasoning, reasoning))
        first.calls += tuple(calls)

    def _check_goes_on(self, parent: str | None) -> None:
        """Raises Unusual for a prompt that may go on from before the last line with a message."""
        for _ in range(_FURTHEST_PARENT):
            if not parent or parent == self._last or not self._known:
                return
            if parent in self._known or parent not in self._parents:
                break
            parent = self._parents[parent]
        raise Unusual

    def _joined(self, first: bytes, second: bytes) -> bytes:
        """Returns one string of two. What neither holds may stand where they meet."""
        if EMPTY in (first, second):
            return second if first == EMPTY else first
        joined = first[:-1] + second[1:]
        self.spelling.respelt.append(joined)
        return joined

    def _heard(self, blocks: Sequence[_Block]) -> Iterator[RawTurn]:
        words: list[bytes] = []
        for block in blocks:
            if block.type == "text":
                words.append(self._text(block.text))
                continue
            if block.type != "tool_result":
                raise Unusual
            if words:
                yield RawTurn("user", _all_lines(words))
                words = []
            yield RawTurn(
                "tool",
                self._result(block.content),
                call_id=self.spelling.string(block.tool_use_id),
                is_error=block.is_error is True,
            )
        if words:
            yield RawTurn("user", _all_lines(words))

    def _text(self, raw: Raw) -> bytes:
        """Returns the text of a part: one without any stands for something else."""
        if bytes(raw)[:1] != b'"':
            raise Unusual
        return self.spelling.string(raw)

    def _result(self, content: Raw) -> bytes:
        raw = bytes(content)
        if raw[:1] != b"[":
            return self.spelling.string(content)
        parts = _PARTS.decode(raw)
        if any(part.type != "text" for part in parts):
            raise Unusual
        return _all_lines([self._text(part.text) for part in parts])

    def _call(self, block: _Block) -> RawCall:
        if not block.name or bytes(block.function) or bytes(block.arguments) or bytes(block.parameters):
            raise Unusual
        arguments = block.input or {}
        if bytes(block.args) or _holds_long_number(arguments):
            raise Unusual
        if not self.spelling.is_ours:
            self.spelling.take_value(arguments)
        return RawCall(block.name, arguments, self.spelling.string(block.id))


def _is_unusual(line: _Line[list[_Block]] | _Line[Raw]) -> bool:
    """Whether a line is an export's, a side chain's, a summary's, an error's, or holds a call by itself."""
    marks = line.isSidechain or line.isCompactSummary or line.isApiErrorMessage
    alone = line.message is None and line.type in ("tool_use", "tool_result")
    ends = line.type == "system" and line.subtype == "compact_boundary"
    return bool(marks or alone or ends or bytes(line.loglines))


def _lines(texts: Sequence[bytes]) -> bytes:
    """Returns those texts that are not empty, each on a line of its own."""
    return _all_lines([text for text in texts if text != EMPTY])


def _all_lines(texts: Sequence[bytes]) -> bytes:
    return b'"' + b"\\n".join([text[1:-1] for text in texts]) + b'"' if len(texts) != 1 else texts[0]


def _holds_long_number(value: Any) -> bool:
    """Whether `orjson` would read a whole number in it as a float."""
    if isinstance(value, dict):
        return any(_holds_long_number(item) for item in value.values() if type(item) is not str)
    if isinstance(value, list):
        return any(map(_holds_long_number, value))
    return isinstance(value, int) and abs(value) >= _LARGEST
