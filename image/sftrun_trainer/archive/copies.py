"""Files into the archive: whole or absent, no link followed, no more of a log than there is room for."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

CHUNK = 1 << 20
HEAD_SHARE = 0.125
"""Of a log that is too long: its beginning says with what it was started, its end why it ended."""


class TooLong(OSError):
    """A file that is no use in parts."""


def copy(source: Path, target: Path, *, most: int, change: Callable[[bytes], bytes] | None = None) -> int:
    """Copies a file of at most `most` bytes, through `change` where it is given; returns its size.

    Raises `FileNotFoundError`, `TooLong` and other `OSError`s; then the old target stands.
    """
    with _opened(source) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > most:
            raise TooLong(f"{size} bytes are more than the archive takes ({most})")
        content = stream.read(most) if change is not None else None
        return _replace(
            target,
            lambda out: (
                out.write(change(content))
                if change is not None and content is not None
                else _pass(stream, out, most)
            ),
        )


def copy_log(source: Path, target: Path, *, most: int) -> tuple[int, int]:
    """Copies a log; of one longer than `most` its beginning and end. Returns its bytes and those left out."""
    with _opened(source) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size <= most:
            return _replace(target, lambda out: _pass(stream, out, size)), 0
        head = int(most * HEAD_SHARE)
        left_out = size - most

        def write(out: BinaryIO) -> None:
            _pass(stream, out, head)
            out.write(f"\nsftrun: {left_out} bytes are left out of the archive here\n".encode())
            stream.seek(head + left_out)
            _pass(stream, out, most - head)

        return _replace(target, write), left_out


def _opened(path: Path) -> BinaryIO:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    stream = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        stream.close()
        raise OSError(f"{path} is no file")
    return stream


def _pass(stream: BinaryIO, out: BinaryIO, count: int) -> None:
    """Copies at most `count` bytes."""
    while count > 0 and (chunk := stream.read(min(count, CHUNK))):
        out.write(chunk)
        count -= len(chunk)


def _replace(target: Path, write: Callable[[BinaryIO], object]) -> int:
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with beside.open("xb") as out:
            write(out)
            size = out.tell()
        beside.replace(target)
    except BaseException:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise
    return size
