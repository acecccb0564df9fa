"""Strings that stay as they stand in JSON: cut out of a log and pasted into a record, never made Python's.

A string in JSON has many spellings. Records have one, that of `orjson`: characters as they are, and the short
escapes. Most logs spell alike; what does not is spelt anew. So equal texts are equal bytes here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby, takewhile
from operator import itemgetter
from typing import Any

import msgspec
import orjson
import stringzilla
from msgspec import Raw

from sftrun_data import utf8


class Unusual(Exception):
    """The long way is to be taken: what is met here is not read, or not written, in the short one."""


UNREADABLE = (msgspec.MsgspecError, ValueError, TypeError, RecursionError)
"""What is raised for logs that may still be read with more patience."""
EMPTY = b'""'
"""The string without a character."""
NOTHING = Raw(b"null")
"""What stands for a value that is not there: it has a first byte, as every value of JSON has."""
QUOTE = ord('"')
"""The first byte of a string of JSON."""
Text = bytes | memoryview
"""A string of JSON. Long ones are not copied: they are looked at where they stand in the log."""
copied = b"".join
"""Copies the `Raw` in a tuple. `bytes` takes three times as long for it: it asks for a method first."""
_OTHER_SPELLINGS = (b"\\u", b"\\/")
"""Stand in every string that a record spells in another way (and behind some backslashes, which does no
harm)."""
_FEW = 8
"""Texts that are looked for one by one, each at the speed of memory, sooner than all at once."""
_SEARCHED_AS_THEY_ARE = re.compile(r'[^\x00-\x20"\\nrtbfu/][^\x00-\x1f"\\]*')
"""What looks the same within a string and within its JSON, and cannot begin with a part of an escape."""


def is_spelt_like_ours(data: bytes) -> bool:
    """Whether every string in well-formed JSON is spelt as records spell it."""
    return not any(stringzilla.find(data, mark) >= 0 for mark in _OTHER_SPELLINGS)


@dataclass(slots=True)
class Spelling:
    """Takes strings out of a document, and spells them as records do."""

    is_ours: bool
    respelt: list[bytes] = field(default_factory=list)
    """What the document spells in another way."""

    @classmethod
    def of(cls, data: bytes) -> Spelling:
        """Returns how the strings of a document are spelt. Raises UnicodeDecodeError for one that is not in
        UTF-8: its structure may be in order all the same."""
        utf8.check(data)
        return cls(is_spelt_like_ours(data))

    def string(self, raw: Raw) -> bytes:
        """Returns a string of JSON with its quotes, `EMPTY` for null or nothing. Raises Unusual for any other
        value, orjson.JSONDecodeError for half a surrogate pair."""
        string = copied((raw,))
        if string[:1] != b'"':
            if string and string != b"null":
                raise Unusual
            return EMPTY
        if self.is_ours or is_spelt_like_ours(string):
            return string
        self.respelt.append(orjson.dumps(orjson.loads(string)))
        return self.respelt[-1]

    def two_strings(self, one: Raw, another: Raw) -> tuple[bytes, bytes]:
        """Returns two strings at once. Raises as `string` does."""
        first, second = copied((one,)), copied((another,))
        if self.is_ours and first[0] == QUOTE == second[0]:
            return first, second
        return self.string(one), self.string(another)

    def result(self, text: Raw, call_id: Raw) -> tuple[Text, bytes]:
        """Returns the text of a result, which is long and not copied, and its call's id. Raises as `string`
        does."""
        view, identity = memoryview(text), copied((call_id,))
        if self.is_ours and view[0] == QUOTE == identity[0]:
            return view, identity
        return self.string(text), self.string(call_id)

    def take_value(self, value: Any) -> None:
        """Takes the strings in a value that is not left as JSON."""
        self.respelt.append(orjson.dumps(value))


def within_strings(texts: Sequence[bytes]) -> list[bytes]:
    """Returns how texts in UTF-8 without control characters are spelt within strings of JSON."""
    # All at once: each step is one call, however many there are.
    joined = b"\n".join(texts).replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return joined.split(b"\n") if texts else []


@dataclass(frozen=True, slots=True)
class _Alike:
    """Texts that begin alike: where their beginning is not, none of them is."""

    beginning: bytes
    texts: tuple[bytes, ...]
    any_of_many: re.Pattern[bytes] | None

    @classmethod
    def of(cls, texts: Sequence[str]) -> _Alike:
        """Of sorted texts."""
        spelt = tuple(text.encode() for text in texts)
        many = re.compile(b"|".join(map(re.escape, spelt))) if len(spelt) > _FEW else None
        return cls(_common_beginning(texts[0], texts[-1]).encode(), spelt, many)

    def are_in(self, data: bytes, start: int) -> bool:
        """Whether one of them stands in the data behind a place."""
        at = stringzilla.find(data, self.beginning, start)
        if at < 0:
            return False
        if self.any_of_many:
            return self.any_of_many.search(data, at) is not None
        return any(stringzilla.find(data, text, at) >= 0 for text in self.texts)


@dataclass(frozen=True, slots=True)
class Markers:
    """Finds any of several texts in strings that are spelt as records spell them."""

    beginning: bytes
    """The first byte of all of them, if they have it in common: mostly a bracket."""
    groups: tuple[_Alike, ...]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Markers | None:
        """Returns what finds the texts, None if some of them cannot be found so."""
        wanted = sorted({text for text in texts if text})
        return cls.exactly(wanted) if all(map(_SEARCHED_AS_THEY_ARE.fullmatch, wanted)) else None

    @classmethod
    def exactly(cls, wanted: Sequence[str]) -> Markers:
        """Returns what finds sorted texts that can be found so."""
        groups = [list(alike) for _, alike in groupby(wanted, key=itemgetter(slice(2)))]
        beginning = _common_beginning(wanted[0], wanted[-1]) if wanted else ""
        return cls(beginning.encode()[:1], tuple(map(_Alike.of, groups)))

    def are_in(self, data: bytes) -> bool:
        """Whether one of them stands in the data."""
        at = data.find(self.beginning)
        return at >= 0 and any(group.are_in(data, at) for group in self.groups)


def _common_beginning(first: str, last: str) -> str:
    same = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return "".join(character for character, _ in same)
