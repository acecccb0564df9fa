"""Claude Code's session files as `claude_sessions` reads them, with texts left as JSON: for sessions with
nothing unusual in them.

`None` stands for all others: rewound, summarised or repaired ones, side chains, refused calls and media are
read the other way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

import msgspec
import orjson
import stringzilla
from msgspec import UNSET, Raw, Struct, UnsetType

from sftrun_data.raw_arguments import Arguments
from sftrun_data.raw_conversations import RawCall, RawTurn
from sftrun_data.raw_texts import (
    EMPTY,
    NOTHING,
    QUOTE,
    UNREADABLE,
    Markers,
    Spelling,
    Text,
    Unusual,
    copied,
)

MOST_BYTES = 64 * 1024 * 1024
"""Larger files are read line by line: they are not held in memory."""
_SYNTHETIC = "<synthetic>"
_SPEAKERS = frozenset({"user", "assistant"})
_REFUSALS = Markers.exactly(["<tool_use_error>"])
_FURTHEST_PARENT = 1000
"""Lines without a message that may stand between a prompt and what it goes on from."""
Content = TypeVar("Content")

# A block is decoded as what its type says. A field that is an `UnsetType` stands in nothing that is read
# here: where it does stand, be it null, decoding fails.


class _Said(Struct, tag="text", gc=False):
    text: Raw = NOTHING


class _Thought(Struct, tag="thinking", gc=False):
    thinking: Raw = NOTHING


class _Hidden(Struct, tag="redacted_thinking", gc=False):
    """Nothing is told of it."""


class _Call(Struct, tag="tool_use", gc=False):
    id: Raw = NOTHING
    name: str = ""
    input: dict[str, Raw] | None = None
    function: UnsetType = UNSET
    arguments: UnsetType = UNSET
    parameters: UnsetType = UNSET
    args: UnsetType = UNSET


class _Result(Struct, tag="tool_result", gc=False):
    tool_use_id: Raw = NOTHING
    content: Raw = NOTHING
    is_error: bool | None = None


_Block = _Said | _Thought | _Hidden | _Call | _Result


class _Message(Struct, Generic[Content], gc=False):
    content: Content
    id: str | None = None
    role: str = ""
    model: str | None = None
    reasoning_content: UnsetType = UNSET
    reasoning: UnsetType = UNSET
    thinking: UnsetType = UNSET
    thinking_blocks: UnsetType = UNSET
    tool_calls: UnsetType = UNSET
    function_call: UnsetType = UNSET


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
    loglines: UnsetType = UNSET


class _Part(Struct, gc=False):
    type: str
    text: Raw = NOTHING


_Usual = list[_Block] | str | None
_USUAL = msgspec.json.Decoder(_Line[_Usual])
_ANY = msgspec.json.Decoder(_Line[Raw])
"""For lines that are told nothing of, whatever they hold."""
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
        spelling = Spelling.of(data)
        reading = _Reading(spelling, Arguments(spelling, long_numbers=False))
        reading.take(_numbered(data))
        return reading.session(data)
    except (Unusual, *UNREADABLE):
        return None


def _numbered(data: bytes) -> Iterable[tuple[int, _Line[_Usual]]]:
    """Returns the lines that may tell something, with their numbers. Raises Unusual, and what decoding
    raises."""
    with suppress(msgspec.ValidationError):
        lines = _USUAL.decode_lines(data)
        if _is_a_line_each(len(lines), data):
            return enumerate(lines, 1)
    return _one_by_one(data)


def _is_a_line_each(num_values: int, data: bytes) -> bool:
    """Whether objects that were read one behind the other stand each on a line of its own.

    A closing and an opening brace with nothing between them but a line's end stand nowhere in an object: with
    as many as there are gaps between objects, and no other line's end, each line is one.
    """
    count = stringzilla.count
    ends = num_values - 1
    return ends >= 0 and count(data, b"}\n{") == ends == count(data, b"\n") - data.endswith(b"\n")


def _one_by_one(data: bytes) -> Iterator[tuple[int, _Line[_Usual]]]:
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line or line.isspace():
            continue
        try:
            yield number, _USUAL.decode(line)
        except msgspec.ValidationError:
            known = _ANY.decode(line)
            if known.type in _SPEAKERS:
                raise Unusual from None
            yield number, cast("_Line[_Usual]", known)  # nobody looks at what it says


@dataclass(slots=True)
class _Reading:
    spelling: Spelling
    arguments: Arguments
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

    def take(self, lines: Iterable[tuple[int, _Line[_Usual]]]) -> None:
        """Takes in all lines. Raises Unusual, and what decoding raises."""
        known, turns, times, numbers = self._known, self.turns, self.times, self.numbers
        for number, line in lines:
            # What is asked of each line is asked here: a call takes longer than what it asks.
            if line.isSidechain or line.isCompactSummary or line.isApiErrorMessage:
                raise Unusual
            message, kind, identity = line.message, line.type, line.uuid
            if message is None or kind not in _SPEAKERS:
                if _is_unusual(line):
                    raise Unusual
                if message is None and identity:
                    self._parents.setdefault(identity, line.parentUuid)
                continue
            role, content = message.role, message.content
            if identity in known or (role != kind and role):
                raise Unusual
            if kind == "assistant":
                self._answer(message)
            elif isinstance(content, list):
                self._hear(content, line.parentUuid)
            else:
                self._check_goes_on(line.parentUuid)
                turns.append(RawTurn("user", self._spelt(content)))
            if identity:
                known.add(identity)
            self._last = identity
            times.append(line.timestamp)
            numbers.append(number)

    def _hear(self, blocks: list[_Block], parent: str | None) -> None:
        """Takes in a prompt, or results of calls with what was said beside them."""
        is_ours, turns = self.spelling.is_ours, self.turns
        words: list[bytes] = []
        is_prompt = True
        for block in blocks:
            if type(block) is _Result:
                if words:
                    turns.append(RawTurn("user", _all_lines(words)))
                    words = []
                is_prompt = False
                text: Text = memoryview(block.content)
                call_id = copied((block.tool_use_id,))
                if not is_ours or not text[0] == QUOTE == call_id[0]:
                    text, call_id = self._result(block.content), self.spelling.string(block.tool_use_id)
                turns.append(RawTurn("tool", text, EMPTY, (), call_id, block.is_error is True))
            elif type(block) is _Said:
                words.append(self._text(block.text))
            else:
                raise Unusual
        if words:
            turns.append(RawTurn("user", _all_lines(words)))
        if is_prompt:
            self._check_goes_on(parent)

    def _spelt(self, text: str | None) -> bytes:
        """Returns a text as records spell it, which need not be how the line spells it."""
        spelt = orjson.dumps(text or "")
        if not self.spelling.is_ours:
            self.spelling.respelt.append(spelt)
        return spelt

    def session(self, data: bytes) -> RawSession:
        """Returns the history of all lines. Raises Unusual."""
        times = [time for time in self.times if time is not None]
        if not self.numbers or (len(times) == len(self.times) and times != sorted(times)):
            raise Unusual
        searched = (data, *self.spelling.respelt)
        if any(map(_REFUSALS.are_in, searched)):
            raise Unusual
        return RawSession(
            turns=tuple(self.turns),
            searched=searched,
            model=self.model,
            created=next(filter(None, times), ""),
            lines=(self.numbers[0], self.numbers[-1]),
        )

    def _answer(self, message: _Message[_Usual]) -> None:
        if message.model == _SYNTHETIC:
            raise Unusual
        if not self.model:
            self.model = message.model or ""
        content = message.content
        text: Text = EMPTY
        reasoning = EMPTY
        calls: tuple[RawCall, ...] = ()
        if not isinstance(content, list):
            text, content = self._spelt(content), []
        is_ours, turns = self.spelling.is_ours, self.turns
        for block in content:
            if type(block) is _Call:
                calls += (self._call(block),)
            elif type(block) is _Said:
                piece = copied((block.text,))
                if not is_ours or piece[0] != QUOTE:
                    piece = self._text(block.text)
                text = piece if text is EMPTY else self._joined(text, piece)
            elif type(block) is _Thought:
                piece = copied((block.thinking,))
                if not is_ours or piece[0] != QUOTE:
                    piece = self.spelling.string(block.thinking)
                reasoning = piece if reasoning is EMPTY else _lines((reasoning, piece))
        known = self._position.get(message.id) if message.id else None
        if known is None:
            self._position[str(message.id)] = len(turns)
            turns.append(RawTurn("assistant", text, reasoning, calls))
            return
        first = turns[known]
        first.text = self._joined(first.text, text)
        first.reasoning = _lines((first.reasoning, reasoning))
        first.calls += calls

    def _check_goes_on(self, parent: str | None) -> None:
        """Raises Unusual for a prompt that may go on from before the last line with a message."""
        for _ in range(_FURTHEST_PARENT):
            if not parent or parent == self._last or not self._known:
                return
            if parent in self._known or parent not in self._parents:
                break
            parent = self._parents[parent]
        raise Unusual

    def _joined(self, first: Text, second: Text) -> Text:
        """Returns one string of two. What neither holds may stand where they meet."""
        if first == EMPTY:
            return second
        if second == EMPTY:
            return first
        joined = copied((first[:-1], second[1:]))
        self.spelling.respelt.append(joined)
        return joined

    def _text(self, raw: Raw) -> bytes:
        """Returns the text of a part: one without any stands for something else."""
        string = copied((raw,))
        if string[0] != QUOTE:
            raise Unusual
        return string if self.spelling.is_ours else self.spelling.string(raw)

    def _result(self, content: Raw) -> bytes:
        raw = bytes(content)
        if raw[:1] != b"[":
            return self.spelling.string(content)
        parts = _PARTS.decode(raw)
        if any(part.type != "text" for part in parts):
            raise Unusual
        return _all_lines([self._text(part.text) for part in parts])

    def _call(self, block: _Call) -> RawCall:
        if not block.name:
            raise Unusual
        call_id = copied((block.id,))
        if not self.spelling.is_ours or call_id[0] != QUOTE:
            call_id = self.spelling.string(block.id)
        return RawCall(block.name, self.arguments.written(block.input or {}), call_id)


def _is_unusual(line: _Line[_Usual]) -> bool:
    """Whether a line without a message of a speaker holds a call by itself, or ends what a summary is of."""
    if line.message is None and line.type in ("tool_use", "tool_result"):
        return True
    return line.type == "system" and line.subtype == "compact_boundary"


def _lines(texts: Sequence[bytes]) -> bytes:
    """Returns those texts that are not empty, each on a line of its own."""
    return _all_lines([text for text in texts if text != EMPTY])


def _all_lines(texts: Sequence[bytes]) -> bytes:
    return b'"' + b"\\n".join([text[1:-1] for text in texts]) + b'"' if len(texts) != 1 else texts[0]
