"""Whether bytes are UTF-8, at the speed of memory.

Python's decoder, and every other at hand, stops at each character beyond ASCII. Here bytes become classes, of
which a few questions are asked that are one look through memory each: no character is decoded.
"""

from __future__ import annotations

import codecs

import stringzilla

_AT_ONCE = 64 * 1024
"""Bytes that are checked at once: they stay in the cache."""
_ASCII, _CONTINUES, _OF_TWO, _OF_THREE, _RARE = 3, 4, 2, 1, 0
"""Classes of bytes. A byte that continues a character counts one more than one of ASCII, and what begins a
character as many less as are to follow it: in UTF-8 the mean is that of ASCII."""


def _class_of(byte: int) -> int:
    if byte < 0x80:
        return _ASCII
    if byte < 0xC0:
        return _CONTINUES
    if 0xC2 <= byte < 0xE0:
        return _OF_TWO
    # Behind the others not every byte that continues a character may stand, or none.
    return _OF_THREE if 0xE1 <= byte < 0xF0 and byte != 0xED else _RARE


_CLASSES = bytes(map(_class_of, range(256)))
_TOO_MANY = (
    bytes([_ASCII, _CONTINUES]),
    bytes([_OF_TWO, _CONTINUES, _CONTINUES]),
    bytes([_OF_THREE, _CONTINUES, _CONTINUES, _CONTINUES]),
)
"""Where more bytes continue a character than it has."""


def check(data: bytes) -> None:
    """Raises UnicodeDecodeError for bytes that are not UTF-8."""
    if data.isascii():
        return
    view, at, end = memoryview(data), 0, len(data)
    while at < end:
        stop = _between_characters(data, at + _AT_ONCE) if at + _AT_ONCE < end else end
        if not _is_plain(view[at:stop]):
            codecs.utf_8_decode(view[at:stop], "strict", True)
        at = stop


def _between_characters(data: bytes, place: int) -> int:
    """Returns the last place up to one where a character begins; where none begins near it, nothing is UTF-8
    wherever it is divided."""
    return next((at for at in range(place, place - 4, -1) if _CLASSES[data[at]] != _CONTINUES), place)


def _is_plain(data: memoryview) -> bool:
    """Whether bytes are UTF-8 without any of the rare ones. Nothing is said of those that are not."""
    classes = stringzilla.translate(data, _CLASSES)
    if classes[0] == _CONTINUES or stringzilla.find(classes, bytes([_RARE])) >= 0:
        return False
    # None has more bytes than it should: so if there are as many as all should have, each has its own.
    if any(stringzilla.find(classes, too_many) >= 0 for too_many in _TOO_MANY):
        return False
    total: int = stringzilla.bytesum(classes)
    return total == _ASCII * len(classes)
