"""JSON as logs hold it: torn, with invalid UTF-8, with halves of surrogate pairs, with numbers beyond 64
bits.

`orjson` reads what is well formed. What it refuses gets a second chance with the standard library, which is
slower
and more patient; what is still no JSON raises `BrokenJSON`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import orjson

HUGE = 2.0**63
"""From here on `orjson` turns whole numbers into floats."""
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
_make_encoder = getattr(json.encoder, "c_make_encoder", None)
_encode = _make_encoder and _make_encoder(
    None, _ENCODER.default, json.encoder.encode_basestring, None, ": ", ", ", False, False, False
)
"""What `_ENCODER` makes anew for each value, unless Python was built without it."""


class BrokenJSON(ValueError):
    """The bytes are no JSON, however patiently they are read."""


@dataclass(frozen=True, slots=True)
class Document:
    """A value and whether bytes had to be replaced to read it."""

    value: Any
    repaired: bool = False


def loads(data: bytes) -> Document:
    """Returns the value of a JSON document. Raises `BrokenJSON`."""
    try:
        return Document(orjson.loads(data))
    except orjson.JSONDecodeError:
        return _loads_patiently(data)


def loads_exactly(data: bytes) -> Any:
    """Returns the value with whole numbers of any length as they are. Raises `BrokenJSON`."""
    return _loads_patiently(data).value


def holds_huge_number(value: Any) -> bool:
    """Whether a float in `value` may have been a whole number beyond 64 bits."""
    if isinstance(value, float):
        return abs(value) >= HUGE
    if isinstance(value, dict):
        return any(holds_huge_number(item) for item in value.values())
    if isinstance(value, list):
        return any(holds_huge_number(item) for item in value)
    return False


def dumps(value: Any, *, indent: int | None = None) -> str:
    """Returns JSON text with characters as they are and numbers as Python has them.

    Raises ValueError for infinity and NaN, which are no JSON.
    """
    if indent is None:
        return "".join(_encode(value, 0)) if _encode else _ENCODER.encode(value)
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)


def line(value: Any) -> bytes:
    """Returns one line of JSONL. Strings in `value` must be valid Unicode."""
    try:
        return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # a number beyond 64 bits
        return dumps(value).encode() + b"\n"


def _loads_patiently(data: bytes) -> Document:
    if data.startswith(b"\xef\xbb\xbf"):
        data = data[3:]
    try:
        text, repaired = data.decode(), False
    except UnicodeDecodeError:
        text, repaired = data.decode(errors="replace"), True
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
        if "\\u" in text and not _is_unicode(value):
            return Document(_without_surrogates(value), repaired=True)
    except (ValueError, RecursionError) as error:
        raise BrokenJSON(str(error)) from error
    return Document(value, repaired)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _is_unicode(value: Any) -> bool:
    try:
        orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # half a pair, or a number beyond 64 bits, or both
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return False
    return True


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return value
