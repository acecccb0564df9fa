"""Arguments of calls, from the JSON of a log into the JSON of records, mostly without being made Python's.

Both records hold them as `jsons.dumps` writes them. Most are strings, flags and small numbers, which it
writes as they stand; what it would write in another way is read, and written by it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Raw

from sftrun_data import jsons
from sftrun_data.raw_texts import QUOTE, Spelling, Unusual, copied

_AS_IT_STANDS = re.compile(rb"true|false|null|0|-?[1-9][0-9]{0,17}")
_LARGEST = 2**63
_MOST_BRACKETS = 200
"""What is nested deeper is refused by one reader sooner than by another."""


@dataclass(slots=True)
class Arguments:
    """Writes the arguments of a document's calls."""

    spelling: Spelling
    long_numbers: bool
    """Whether whole numbers beyond 64 bits keep their digits, as they do where a log is read as a whole."""
    _keys: dict[str, bytes] = field(default_factory=dict)

    def written(self, arguments: Mapping[str, Raw]) -> bytes:
        """Returns arguments as `jsons.dumps` writes them. Raises Unusual, ValueError for what is no JSON."""
        pieces = [b"{"]
        for key, raw in arguments.items():
            value = copied((raw,))
            if value[0] == QUOTE:
                if not self.spelling.is_ours:
                    value = self.spelling.string(raw)
            elif not _AS_IT_STANDS.fullmatch(value):
                value = self._rewritten(value)
            pieces += (self._keys.get(key) or self._key(key), value, b", ")
        pieces[-1] = b"}" if arguments else b"{}"
        return b"".join(pieces)

    def _key(self, key: str) -> bytes:
        if not self.spelling.is_ours:
            self.spelling.take_value(key)
        spelt = self._keys[key] = f"{jsons.dumps(key)}: ".encode()
        return spelt

    def _rewritten(self, data: bytes) -> bytes:
        if data.count(b"[") + data.count(b"{") > _MOST_BRACKETS:
            raise Unusual
        value = msgspec.json.decode(data)
        if not self.long_numbers and _holds_long_number(value):
            raise Unusual
        if not self.spelling.is_ours:
            self.spelling.take_value(value)
        return jsons.dumps(value).encode()


def _holds_long_number(value: Any) -> bool:
    """Whether `orjson` would read a whole number in it as a float."""
    if isinstance(value, dict):
        return any(_holds_long_number(item) for item in value.values() if type(item) is not str)
    if isinstance(value, list):
        return any(map(_holds_long_number, value))
    return isinstance(value, int) and abs(value) >= _LARGEST
