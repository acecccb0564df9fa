"""Reads a file whose lines may be megabytes long, each moved no more than once.

Most of reading such a line is moving it: from the kernel into a buffer, from there into a string. So a line
is read in place where its length can be guessed, as in a log whose lines repeat each other and grow; what was
read beyond its end is left behind it, and read again as the next one's beginning. And it is read into memory
that the process has already: new memory costs half as much again as reading into it. A buffer is used
again as soon as nobody looks at what is in it; Python itself says so, because a `bytearray` that somebody has
a view of refuses to change its size.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import RawIOBase
from pathlib import Path

from xxhash import xxh3_128

Line = bytes | memoryview
"""A view begins where the bytes below it do."""

_BLOCK_BYTES = 1024 * 1024
_BEYOND = 16 * 1024
_MAX_ROOM = 16 * 1024 * 1024
"""For longer lines to come, in a buffer."""


class LineTooLong(Exception):
    """A line has more bytes than may be held."""


def long_lines(path: Path, *, most: int, digest: xxh3_128) -> Iterator[Line]:
    """Yields the lines of a regular file with their ends, and adds them to a digest, which is the file's
    behind the last one. Raises OSError, LineTooLong."""
    buffers: list[bytearray] = []
    with path.open("rb", buffering=0) as file:
        at, size = 0, min(_BLOCK_BYTES, _left(file, 0) + 1)
        while True:
            buffer = _free(buffers, size)
            view = memoryview(buffer)
            count = _read(file, at, view[:size])
            begin, last = 0, 0
            while end := buffer.find(b"\n", begin, count) + 1:
                if end - begin > most:
                    raise LineTooLong
                digest.update(view[begin:end])
                yield view[:end] if begin == 0 else bytes(view[begin:end])
                begin, last = end, end - begin
            at += begin
            if begin:
                size = _size_for(last)
            elif count < size:
                if count:
                    digest.update(view[:count])
                    yield view[:count]
                return
            elif size > most:
                raise LineTooLong
            else:
                size = min(4 * size, most + 1, max(size, _left(file, at)) + 1)
            view.release()


def _left(file: RawIOBase, at: int) -> int:
    """Returns how many bytes a file has behind a place, as it says."""
    return os.fstat(file.fileno()).st_size - at


def _read(file: RawIOBase, at: int, view: memoryview) -> int:
    """Reads from a place on until a view is full or the file ends; returns how many bytes. A read may give
    less than there is, where a later page of the file cannot be read: the next one then says so."""
    file.seek(at)
    count = 0
    while count < len(view) and (more := file.readinto(view[count:])):
        count += more
    return count


def _free(buffers: list[bytearray], size: int) -> bytearray:
    """Returns a buffer of so many bytes at least that nobody looks at: one of those, or a new one in place of
    one that is too small."""
    for number, buffer in enumerate(buffers):
        if not _is_seen(buffer):
            if len(buffer) < size:
                buffers[number] = bytearray(size + min(size, _MAX_ROOM))
            return buffers[number]
    buffers.append(bytearray(size))
    return buffers[-1]


def _is_seen(buffer: bytearray) -> bool:
    try:
        buffer.pop()
    except BufferError:
        return True
    buffer.append(0)
    return False


def _size_for(line: int) -> int:
    """Returns how much is read at once behind a line of so many bytes: whole lines, a little longer ones."""
    expected = line + line // 32 + _BEYOND
    return max(1, _BLOCK_BYTES // expected) * expected
