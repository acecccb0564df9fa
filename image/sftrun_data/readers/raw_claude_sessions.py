"""Claude Code's session files as `claude_sessions` reads them, with texts left as JSON: for sessions with
nothing unusual in them.

`None` stands for all others: rewound, summarised or repaired ones, side chains, refused calls and media are
read the other way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import msgspec
import orjson
import stringzilla
from msgspec import Raw, Struct

from sftrun_data.raw_arguments import Arguments
from sftrun_data.raw_conversations import RawCall, RawTurn
from sftrun_data.raw_texts import EMPTY, UNREADABLE, Markers, Spelling, Unusual

MOST_BYTES = 64 * 1024 * 1024
"""Larger files are read line by line: they are not held in memory."""
_SYNTHETIC = "<synthetic>"
_SPEAKERS = frozenset({"user", "assistant"})
_REFUSALS = Markers.exactly(["<tool_use_error>"])
_TEXTS = frozenset({"output_text", "refusal", "image", "image_url", "audio", "input_audio"})
"""Blocks of which more is said than their text."""
_FURTHEST_PARENT = 1000
"""Lines without a message that may stand between a prompt and what it goes on from."""
Content = TypeVar("Content")

_ABSENT = Raw()
"""What a line does not hold; one that holds it, be it null, may be read in another way."""


class _Block(Struct, gc=False):
    type: str
    text: Raw = _ABSENT
    thinking: Raw = _ABSENT
    id: Raw = _ABSENT
    name: str = ""
    input: dict[str, Raw] | None = None
    function: Raw = _ABSENT
    arguments: Raw = _ABSENT
    parameters: Raw = _ABSENT
    args: Raw = _ABSENT
    tool_use_id: Raw = _ABSENT
    content: Raw = _ABSENT
    is_error: bool | None = None


class _Message(Struct, Generic[Content], gc=False):
    content: Content
    id: str | None = None
    role: str = ""
    model: str | None = None
    reasoning_content: Raw = _ABSENT
    reasoning: Raw = _ABSENT
    thinking: Raw = _ABSENT
    thinking_blocks: Raw = _ABSENT
    tool_calls: Raw = _ABSENT
    function_call: Raw = _ABSENT


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
    loglines: Raw = _ABSENT


class _Part(Struct, gc=False):
    type: str
    text: Raw = _ABSENT


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
    long_escapes: bool
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
            if _is_unusual(known) or known.type in ("user", "assistant"):
                raise Unusual from None


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
            message, kind, identity = line.message, line.type, line.uuid
            if message is None or kind not in _SPEAKERS:
                if _is_unusual(line):
                    raise Unusual
                if message is None and identity:
                    self._parents.setdefault(identity, line.parentUuid)
                continue
            role, content = message.role, message.content
            if _is_apart(line) or identity in known or (role != kind and role):
                raise Unusual
            if kind == "assistant":
                self._answer(message)
            elif type(content) is list and len(content) == 1 and content[0].type == "tool_result":
                turns.append(self._returned(content[0]))  # nearly always
            else:
                self._hear(content, line.parentUuid)
            if identity:
                known.add(identity)
            self._last = identity
            times.append(line.timestamp)
            numbers.append(number)

    def _hear(self, content: _Usual, parent: str | None) -> None:
        if not isinstance(content, list):
            self._check_goes_on(parent)
            self.turns.append(RawTurn("user", self._spelt(content)))
            return
        said = list(self._heard(content))
        if not any(turn.role == "tool" for turn in said):
            self._check_goes_on(parent)
        self.turns += said

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
            long_escapes=not self.spelling.is_ours,
            model=self.model,
            created=next(filter(None, times), ""),
            lines=(self.numbers[0], self.numbers[-1]),
        )

    def _answer(self, message: _Message[_Usual]) -> None:
        if (
            message.reasoning_content is not _ABSENT
            or message.reasoning is not _ABSENT
            or message.thinking is not _ABSENT
            or message.thinking_blocks is not _ABSENT
            or message.tool_calls is not _ABSENT
            or message.function_call is not _ABSENT
            or message.model == _SYNTHETIC
        ):
            raise Unusual
        self.model = self.model or message.model or ""
        content = message.content
        text = reasoning = EMPTY
        calls: tuple[RawCall, ...] = ()
        if not isinstance(content, list):
            text, content = self._spelt(content), []
        is_ours = self.spelling.is_ours
        for block in content:
            kind = block.type
            if kind == "tool_use":
                calls += (self._call(block),)
            elif kind == "text":
                piece = bytes(block.text)
                if not is_ours or piece[:1] != b'"':
                    piece = self._text(block.text)
                text = piece if text is EMPTY else self._joined(text, piece)
            elif kind == "thinking":
                piece = bytes(block.thinking)
                if not is_ours or piece[:1] != b'"':
                    piece = self.spelling.string(block.thinking)
                reasoning = piece if reasoning is EMPTY else _lines((reasoning, piece))
            elif kind in _TEXTS:
                raise Unusual
        known = self._position.get(message.id) if message.id else None
        if known is None:
            self._position[str(message.id)] = len(self.turns)
            self.turns.append(RawTurn("assistant", text, reasoning, calls))
            return
        first = self.turns[known]
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

    def _joined(self, first: bytes, second: bytes) -> bytes:
        """Returns one string of two. What neither holds may stand where they meet."""
        if first == EMPTY:
            return second
        if second == EMPTY:
            return first
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
            yield self._returned(block)
        if words:
            yield RawTurn("user", _all_lines(words))

    def _returned(self, block: _Block) -> RawTurn:
        """Returns the result of a call."""
        text, call_id = bytes(block.content), bytes(block.tool_use_id)
        if not self.spelling.is_ours or not text[:1] == b'"' == call_id[:1]:
            text, call_id = self._result(block.content), self.spelling.string(block.tool_use_id)
        return RawTurn("tool", text, EMPTY, (), call_id, block.is_error is True)

    def _text(self, raw: Raw) -> bytes:
        """Returns the text of a part: one without any stands for something else."""
        string = bytes(raw)
        if string[:1] != b'"':
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

    def _call(self, block: _Block) -> RawCall:
        if (
            not block.name
            or block.function is not _ABSENT
            or block.arguments is not _ABSENT
            or block.parameters is not _ABSENT
            or block.args is not _ABSENT
        ):
            raise Unusual
        return RawCall(block.name, self.arguments.written(block.input or {}), self.spelling.string(block.id))


def _is_apart(line: _Line[_Usual] | _Line[Raw]) -> object:
    """Whether a line is an export's, a side chain's, a summary's or an error's."""
    return line.isSidechain or line.isCompactSummary or line.isApiErrorMessage or line.loglines is not _ABSENT


def _is_unusual(line: _Line[_Usual] | _Line[Raw]) -> bool:
    """Whether a line is an export's, a side chain's, a summary's, an error's, or holds a call by itself."""
    if _is_apart(line):
        return True
    if line.message is None and line.type in ("tool_use", "tool_result"):
        return True
    return line.type == "system" and line.subtype == "compact_boundary"


def _lines(texts: Sequence[bytes]) -> bytes:
    """Returns those texts that are not empty, each on a line of its own."""
    return _all_lines([text for text in texts if text != EMPTY])


def _all_lines(texts: Sequence[bytes]) -> bytes:
    return b'"' + b"\\n".join([text[1:-1] for text in texts]) + b'"' if len(texts) != 1 else texts[0]
