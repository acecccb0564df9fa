"""Texts from outside (reports, pods, events, specs) made fit for a status: bounded, printable, valid
UTF-8."""

from __future__ import annotations

import unicodedata
from typing import Any

from sftrun_api.models import JsonObject

LARGEST = 2**53
"""The largest whole number that every reader of JSON knows exactly."""
MESSAGE = 1024
"""The longest message of a condition or failure."""


def clean(text: object, limit: int = MESSAGE) -> str:
    """Returns `text` on one line, without control characters and lone surrogates, at most `limit`
    characters."""
    raw = str(text)[: limit * 4]
    if raw.isprintable():  # most texts: neither control characters nor surrogates in them
        plain = raw if "  " not in raw and raw == raw.strip() else " ".join(raw.split())
        return cut(plain, limit)
    spaced = "".join(" " if unicodedata.category(char) in ("Cc", "Zl", "Zp") else char for char in raw)
    return cut(_encodable(" ".join(spaced.split())), limit)


def clean_lines(text: str, limit: int) -> str:
    """Returns the end of `text` with its line breaks, without other control characters: for log tails."""
    kept = "".join(char for char in text[-limit:] if char == "\n" or unicodedata.category(char) != "Cc")
    return _encodable(kept)


def word(text: str) -> str:
    """Returns a reason as a condition may hold it: one word of letters and digits."""
    kept = "".join(char for char in text if char.isascii() and char.isalnum())
    return kept.lstrip("0123456789")[:64] or "Unknown"


def harmless(value: JsonObject) -> JsonObject:
    """Returns JSON that a terminal can show: no control character in it but the line break."""
    return {key: _harmless(item) for key, item in value.items()}


def _harmless(value: Any) -> Any:
    if isinstance(value, dict):
        return harmless(value)
    if isinstance(value, list):
        return [_harmless(item) for item in value]
    if isinstance(value, str):
        return clean_lines(value, len(value))
    return value


def cut(text: str, limit: int) -> str:
    """Returns `text`, its end replaced by an ellipsis where it is longer than `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
