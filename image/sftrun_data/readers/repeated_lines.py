"""Parses the lines of a request log, of which each repeats the history of the one before.

Most of a line is then, byte for byte, in a line before it. So the messages of a request are taken one at a
time: one that stands at the same place of an earlier history with the same bytes keeps its value, only
another one is parsed. What surrounds the messages is parsed with a mark in their place. The mark cannot be
guessed, so where it comes out proves where they stood; and a JSON object tells by itself where it ends. If
anything is amiss the line is parsed as it is.

Several histories are kept in mind, because sub-agents speak between the lines of the main one. Marks for
caching that move, thoughts that are stripped and results that are cleared change single messages: the ones
behind them are recognised again.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import orjson

from sftrun_data import jsons
from sftrun_data.jsons import Document
from sftrun_data.long_lines import Line

_WORTH_IT = 4_096
"""Bytes: shorter lines are parsed as fast as they are compared."""
_MAX_HISTORIES = 8
_MAX_BYTES = 64 * 1024 * 1024
"""Of the lines kept in mind, besides the last one."""
_MAX_MISSES = 4
"""Messages in a row that are not in an earlier history, before it is given up."""
_MAX_LEFT_OUT = 3
"""Messages of an earlier history at once that are passed over."""
_GOES_ON = 0.75
"""Share of a history that the next request of the same agent repeats, however much it rewrites."""
_MAX_ENDS_TRIED = 32
_MAX_PAUSE = 64
"""Lines after which a log that cannot be taken apart is tried again."""
_FIRST_KEYS = frozenset({"role", "content", "tool_call_id"})
"""With which messages usually begin."""
_MAX_FIRST_KEYS = 16

_MESSAGES = re.compile(rb'"messages"\s*:\s*\[\s*')
_TOOLS = re.compile(rb'"tools"\s*:\s*(?=\[)')
_FIRST = re.compile(rb"(?=\{)")
_NEXT = re.compile(rb"\s*,\s*(?=\{)")
_MARK, _TOOLS_MARK = os.urandom(16).hex(), os.urandom(16).hex()
_MARK_JSON, _TOOLS_MARK_JSON = orjson.dumps(_MARK), orjson.dumps(_TOOLS_MARK)


class _CannotBeTakenApart(Exception):
    """The line is to be parsed as it is."""


@dataclass(slots=True)
class _History:
    """The messages of a line: where each begins and ends, and its value."""

    line: Line
    """A view of it keeps its buffer from being used again."""
    begins: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    reused: int = 0
    tools: bytes = b""
    tool_values: Any = None

    def append(self, begin: int, end: int, value: Any) -> None:
        """Adds a message."""
        self.begins.append(begin)
        self.ends.append(end)
        self.values.append(value)

    def extend(self, other: _History, index: int, count: int, *, at: int) -> None:
        """Adds messages of another history, which stand in this line from `at` on."""
        shift = at - other.begins[index]
        begins, ends = other.begins[index : index + count], other.ends[index : index + count]
        self.begins += [begin + shift for begin in begins] if shift else begins
        self.ends += [end + shift for end in ends] if shift else ends
        self.values += other.values[index : index + count]
        self.reused += count

    def begins_at(self, line: Line, at: int) -> bool:
        """Whether all of it stands, byte for byte, in a line from a place on."""
        return bool(self.ends) and _stands(memoryview(self.line)[self.begins[0] : self.ends[-1]], line, at)

    def num_repeated(self, index: int, line: Line, at: int) -> int:
        """Returns how many messages from `index` on stand, byte for byte, in a line from `at` on."""
        view, begin, end = memoryview(self.line), self.begins[index], self.ends[-1]
        if not _stands(view[begin : self.ends[index]], line, at):
            return 0
        if _stands(view[begin:end], line, at):
            return len(self.ends) - index
        same = num_same(view, begin, line, at, most=end - begin)
        return bisect_right(self.ends, begin + same, index) - index


@dataclass(frozen=True, slots=True)
class _Shape:
    """How the lines of a log are spelt: enough to guess where messages end. Every guess is proven."""

    between: re.Pattern[bytes]
    """Stands between two messages."""
    behind: re.Pattern[bytes]
    """Stands behind the last one."""


@dataclass(slots=True)
class _Fresh:
    """The messages that had to be parsed in a line."""

    line: Line
    shape: _Shape
    limit: int = 0
    """Where the last message ends, as far as is known."""
    parsed: dict[int, tuple[int, Any]] = field(default_factory=dict)

    def at(self, place: int) -> tuple[int, Any]:
        """Returns where the message at a place ends, and its value. Raises _CannotBeTakenApart."""
        if place not in self.parsed:
            self.parsed[place] = self._parse(place)
        return self.parsed[place]

    def _parse(self, at: int) -> tuple[int, Any]:
        view = memoryview(self.line)
        for end in islice(self._ends(at), _MAX_ENDS_TRIED):
            if found := _alone(view[at:end], brackets=3):
                return end, found[0]
        raise _CannotBeTakenApart

    def _ends(self, at: int) -> Iterator[int]:
        """Yields where a message may end, the likeliest first."""
        if self.limit <= at:
            match = self.shape.behind.search(self.line, at)
            self.limit = match.start() + 1 if match else len(self.line)
        for match in islice(self.shape.between.finditer(self.line, at, self.limit), _MAX_ENDS_TRIED // 2):
            yield match.start() + 1
        yield self.limit
        for match in self.shape.behind.finditer(self.line, self.limit):
            yield match.start() + 1


@dataclass(slots=True)
class RepeatedLines:
    """Parses lines; keeps the last one of each history."""

    _histories: list[_History] = field(default_factory=list)
    """The latest first."""
    _shape: _Shape | None = None
    _pause: int = 0
    _failures: int = 0

    def loads(self, line: Line) -> Document:
        """Returns exactly what `jsons.loads` does. Raises `BrokenJSON`."""
        if len(line) < _WORTH_IT:
            return jsons.loads(bytes(line))
        if self._pause:
            self._pause -= 1
            return jsons.loads(bytes(line))
        if self._shape and (value := self._tried(line, self._shape)) is not None:
            return Document(value)
        document = jsons.loads(bytes(line))
        self._shape = _shape_of(document.value)
        if self._shape is None or document.repaired:
            return document
        value = self._tried(line, self._shape)
        return document if value is None else Document(value)

    def _tried(self, line: Line, shape: _Shape) -> Any:
        """Returns the value of a line, None if it cannot be taken apart."""
        try:
            value = self._taken_apart(_Fresh(line, shape))
        except (_CannotBeTakenApart, orjson.JSONDecodeError):
            self._failures += 1
            self._pause = min(2**self._failures, _MAX_PAUSE) if self._failures > 1 else 0
            return None
        self._failures = 0
        return value

    def _taken_apart(self, fresh: _Fresh) -> Any:
        line = fresh.line
        match = _MESSAGES.search(line, max(0, _whole(line).find(b'"messages"', 0, len(line))))
        if not match:
            raise _CannotBeTakenApart
        begin = match.end()
        history, predecessor = self._history(begin, fresh)
        end = history.ends[-1] if history.ends else begin
        value = _surroundings(fresh, begin, end, history, predecessor)
        _body_of(value)["messages"] = list(history.values)
        self._keep(history, predecessor)
        return value

    def _history(self, begin: int, fresh: _Fresh) -> tuple[_History, _History | None]:
        """Returns the messages of a line and the history that they go on from."""
        likest, most = _History(b""), 0
        goes_on = [item for item in self._histories if item.begins_at(fresh.line, begin)]
        longest = max(goes_on, key=lambda item: len(item.ends), default=None)
        if longest:
            return _walk(fresh, begin, longest, to_the_end=True, begins_with_all=True)[0], longest
        for earlier in self._histories:
            history, whole = _walk(fresh, begin, earlier, to_the_end=False)
            if whole and history.reused >= _GOES_ON * len(earlier.values):
                return history, earlier
            if history.reused > most:
                likest, most = earlier, history.reused
        return _walk(fresh, begin, likest, to_the_end=True)[0], None

    def _keep(self, history: _History, predecessor: _History | None) -> None:
        kept = [history]
        size = 0
        for other in self._histories:
            size += len(_whole(other.line))
            if other is not predecessor and size <= _MAX_BYTES and len(kept) < _MAX_HISTORIES:
                kept.append(other)
        self._histories = kept


def _walk(
    fresh: _Fresh, at: int, earlier: _History, *, to_the_end: bool, begins_with_all: bool = False
) -> tuple[_History, bool]:
    """Returns the messages from a place on, those of an earlier history with their values, and whether these
    are all: else it was given up, because too many in a row are not in the earlier history. Where it is known
    that all of that stands at the place, it is not compared again."""
    history = _History(fresh.line)
    index = missed = 0
    step = _FIRST.match(fresh.line, at)
    if begins_with_all:
        index = len(earlier.ends)
        history.extend(earlier, 0, index, at=at)
        step = _NEXT.match(fresh.line, history.ends[-1])
    while step:
        at = step.end()
        # What is not there may have been replaced, put in or left out: look a little further on.
        most = len(earlier.values) if missed < _MAX_MISSES else 0
        for candidate in range(index, min(index + missed + _MAX_LEFT_OUT + 1, most)):
            if count := earlier.num_repeated(candidate, fresh.line, at):
                history.extend(earlier, candidate, count, at=at)
                index, missed = candidate + count, 0
                break
        else:
            if missed >= _MAX_MISSES and index < len(earlier.values) and not to_the_end:
                return history, False
            history.append(at, *fresh.at(at))
            missed += 1
        step = _NEXT.match(fresh.line, history.ends[-1])
    return history, True


def _whole(line: Line) -> bytes | bytearray:
    """Returns what a line is the beginning of."""
    if isinstance(line, bytes):
        return line
    assert isinstance(line.obj, bytes | bytearray), "lines are read into bytes"
    return line.obj


def _stands(part: bytes | memoryview, line: Line, at: int) -> bool:
    """Whether a part stands, byte for byte, in a line from a place on."""
    return _whole(line).startswith(part, at, len(line))


def num_same(first: Line, at: int, second: Line, there: int, *, most: int) -> int:
    """Returns how many bytes from two places on are the same, at most so many."""
    view = memoryview(first)
    low, high = 0, min(most, len(first) - at, len(second) - there)
    step = 4_096
    while low < high:
        size = min(step, high - low)
        if _stands(view[at + low : at + low + size], second, there + low):
            low += size
            step *= 4
        elif size == 1:
            break
        else:
            high = low + size - 1
            step = max(1, size // 2)
    return low


def _surroundings(fresh: _Fresh, begin: int, end: int, history: _History, before: _History | None) -> Any:
    """Returns the value of a line with nothing but a mark in its messages. Definitions of tools are most of
    the rest: where they are those of the line before, they keep their value."""
    line = fresh.line
    marks = [(begin, end, _MARK_JSON)]
    found = _TOOLS.search(line, end) or _TOOLS.search(line, 0, begin)
    known = before is not None and before.tools and found and _stands(before.tools, line, found.end())
    if found and before and known:
        history.tools, history.tool_values = before.tools, before.tool_values
        marks.append((found.end(), found.end() + len(before.tools), _TOOLS_MARK_JSON))
    value = orjson.loads(_with_marks(memoryview(line), marks))
    body = _body_of(value)
    if body.get("messages") != [_MARK] or (known and body.get("tools") != _TOOLS_MARK):
        raise _CannotBeTakenApart
    if known:
        body["tools"] = history.tool_values
    elif found and isinstance(body.get("tools"), list):
        history.tools, history.tool_values = _tools_at(fresh, found.end(), body)
    return value


def _with_marks(view: memoryview, marks: list[tuple[int, int, bytes]]) -> bytes:
    """Returns a line with marks in the place of parts of it."""
    at = 0
    pieces: list[bytes | memoryview] = []
    for begin, end, mark in sorted(marks):
        pieces += [view[at:begin], mark]
        at = end
    return b"".join((*pieces, view[at:]))


def _tools_at(fresh: _Fresh, at: int, body: dict[str, Any]) -> tuple[bytes, Any]:
    """Returns the definitions that begin at a place and their value, nothing if their end is not found."""
    following = _key_behind(body, "tools")
    behind = rb"\]\s*,\s*" + re.escape(orjson.dumps(following)) if following is not None else rb"\]\s*\}"
    for match in islice(re.compile(behind).finditer(fresh.line, at), _MAX_ENDS_TRIED):
        tools = bytes(fresh.line[at : match.start() + 1])
        if found := _alone(tools, brackets=2):
            return tools, found[0]
    return b"", None


def _alone(part: bytes | memoryview, *, brackets: int) -> list[Any] | None:
    """Returns the value of a part of a line, alone in a list; None if it is not one value. It is parsed in as
    many brackets as in its line, because how deep values may nest is counted from the outside."""
    try:
        found = orjson.loads(b"".join((b"[" * brackets, part, b"]" * brackets)))
    except orjson.JSONDecodeError:
        return None
    for _ in range(brackets - 1):
        if len(found) != 1:
            return None
        found = found[0]
    return found if len(found) == 1 else None


def _body_of(value: Any) -> dict[str, Any]:
    """Returns what holds the messages: the request, or the whole of a line that is one."""
    body = value.get("request_body", value) if isinstance(value, dict) else None
    return body if isinstance(body, dict) else {}


def _shape_of(value: Any) -> _Shape | None:
    """Returns how a line is spelt, None for one without messages that are objects."""
    body = _body_of(value)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        return None
    if not all(isinstance(message, dict) and message for message in messages):
        return None
    keys = sorted({next(iter(message)) for message in messages} | _FIRST_KEYS)[:_MAX_FIRST_KEYS]
    first = b"|".join(re.escape(orjson.dumps(key)) for key in keys)
    behind = rb"\}\s*\]"
    following = _key_behind(body, "messages")
    if following is None and body is not value:
        behind += rb"\s*\}"
        following = _key_behind(value, "request_body")
    behind += rb"\s*,\s*" + re.escape(orjson.dumps(following)) if following is not None else rb"\s*\}"
    return _Shape(re.compile(rb"\}\s*,\s*\{\s*(?:" + first + rb")"), re.compile(behind))


def _key_behind(value: dict[str, Any], key: str) -> str | None:
    keys = list(value)
    return next(iter(keys[keys.index(key) + 1 :]), None)
