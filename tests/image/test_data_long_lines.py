"""Lines of any length come out as they stand in the file, whatever is read at once."""

from __future__ import annotations

import dataclasses
import io
import os
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.image import data_samples as samples
from xxhash import xxh3_128

from sftrun_data import digests, files, long_lines
from sftrun_data.exclusions import LeftOut
from sftrun_data.long_lines import LineTooLong
from sftrun_data.readers.base import Place


def place_of(folder: Path) -> Place:
    """A place of loose logs."""
    return Place(source="s", trial="t", instance="i", root=folder, folder=folder)


@given(
    lengths=st.lists(st.integers(0, 200), max_size=20),
    closed=st.booleans(),
    block=st.integers(1, 300),
    beyond=st.integers(0, 40),
)
@settings(max_examples=200, deadline=None)
def test_every_line_is_told_once(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], closed: bool, block: int, beyond: int
) -> None:
    lines = [bytes([97 + number % 26]) * length for number, length in enumerate(lengths)]
    content = b"\n".join(lines) + (b"\n" if closed else b"")
    path = samples.write(tmp_path_factory.mktemp("lines") / "log", content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(long_lines, "_BLOCK_BYTES", block)
        patch.setattr(long_lines, "_BEYOND", beyond)
        digest = xxh3_128()
        found = [bytes(line) for line in long_lines.long_lines(path, most=1 << 20, digest=digest)]
    assert found == content.splitlines(keepends=True)
    assert digest.hexdigest() == digests.content_of(path)


@given(
    pieces=st.lists(
        st.sampled_from((b"a" * 30, b"a" * 31, b"b" * 30, b"\n", b"\n" + b"a" * 30, b"c")), max_size=30
    ),
    kept=st.integers(0, 5),
    block=st.integers(1, 80),
)
@settings(max_examples=300, deadline=None)
def test_a_line_that_somebody_looks_at_stays_what_it_is(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], kept: int, block: int
) -> None:
    content = b"".join(pieces)
    path = samples.write(tmp_path_factory.mktemp("lines") / "log", content)
    held: deque[tuple[bytes, long_lines.Line]] = deque(maxlen=kept)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(long_lines, "_BLOCK_BYTES", block)
        patch.setattr(long_lines, "_BEYOND", 3)
        lines = long_lines.long_lines(path, most=1 << 20, digest=xxh3_128())
        for line, expected in zip(lines, content.splitlines(keepends=True), strict=True):
            assert bytes(line) == expected
            held.append((expected, line))
            assert all(bytes(view) == then for then, view in held)


def test_memory_is_used_again(tmp_path: Path) -> None:
    content = b"".join(b"x" * (1_100_000 + number) + b"\n" for number in range(9))
    path = samples.write(tmp_path / "log", content)
    seen = {
        id(line.obj)
        for line in long_lines.long_lines(path, most=1 << 30, digest=xxh3_128())
        if isinstance(line, memoryview)
    }
    assert len(seen) < 5


def test_what_was_read_to_its_end_has_a_digest(tmp_path: Path) -> None:
    path = samples.write(tmp_path / "log", b"a\n\nb\nc")
    expected = {str(path): digests.content_of(path)}
    for read in (Place.long_lines, Place.lines):
        place = place_of(tmp_path)
        list(read(place, path))
        assert place.read_whole == expected
        place = place_of(tmp_path)
        next(read(place, path))
        assert place.read_whole == {}
    place = place_of(tmp_path)
    place.read(path)
    assert place.read_whole == expected
    place = dataclasses.replace(place_of(tmp_path), line=(3, 3))
    assert place.read(path) == b"b\n"
    assert place.read_whole == {}


def test_a_place_tells_them_with_their_numbers_and_without_empty_ones(tmp_path: Path) -> None:
    path = samples.write(tmp_path / "log", b"a\n\n \t\n  b\nc")
    found = [(number, bytes(line).strip()) for number, line in place_of(tmp_path).long_lines(path)]
    assert found == [(number, line.strip()) for number, line in place_of(tmp_path).lines(path)]
    assert found == [(1, b"a"), (4, b"b"), (5, b"c")]


def test_a_line_of_megabytes_is_not_copied(tmp_path: Path) -> None:
    path = samples.write(
        tmp_path / "log", b"".join(b"x" * (2_000_000 + number) + b"\n" for number in range(4))
    )
    lines = list(long_lines.long_lines(path, most=1 << 30, digest=xxh3_128()))
    assert [len(line) for line in lines] == [2_000_001, 2_000_002, 2_000_003, 2_000_004]
    assert [isinstance(line, memoryview) for line in lines[2:]] == [True, True]


@pytest.mark.parametrize("block", [16, 100_000])
def test_a_line_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(long_lines, "_BLOCK_BYTES", block)
    monkeypatch.setattr(long_lines, "_BEYOND", 0)
    monkeypatch.setattr(files, "MAX_TRAJECTORY_BYTES", 100)
    path = samples.write(tmp_path / "log", b"short\n" + b"x" * 10_000 + b"\nshort\n")
    with pytest.raises(LineTooLong):
        list(long_lines.long_lines(path, most=100, digest=xxh3_128()))
    with pytest.raises(LeftOut, match="TooLarge: line 2 of log"):
        list(place_of(tmp_path).long_lines(path))


def test_a_file_that_grows_or_shrinks_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_lines, "_BLOCK_BYTES", 4)
    monkeypatch.setattr(long_lines, "_BEYOND", 0)
    path = samples.write(tmp_path / "log", b"one\ntwo\n")
    lines = long_lines.long_lines(path, most=100, digest=xxh3_128())
    first = bytes(next(lines))
    with path.open("ab") as file:
        file.write(b"three\n")
    assert [first, *map(bytes, lines)] == [b"one\n", b"two\n", b"three\n"]
    lines = long_lines.long_lines(path, most=100, digest=xxh3_128())
    next(lines)
    os.truncate(path, 0)
    assert list(lines) == []


def test_a_pipe_and_a_missing_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, word in (("pipe", "UnreadableFile"), ("missing", "NoTrajectory")):
        with pytest.raises(LeftOut, match=word):
            list(place_of(tmp_path).long_lines(tmp_path / name))


class Faulty(io.RawIOBase):
    """A file of which a page cannot be read: what is before it comes first, then the error."""

    def __init__(self, content: bytes, page: int) -> None:
        self._content, self._page, self._at = content, page, 0

    def seek(self, at: int, whence: int = 0) -> int:
        self._at = at
        return at

    def readinto(self, buffer: Any) -> int:
        if self._at >= self._page:
            raise OSError(5, "Input/output error")
        piece = self._content[self._at : min(self._at + len(buffer), self._page)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


def test_a_page_that_cannot_be_read_is_no_end_of_the_file() -> None:
    file = Faulty(b"x" * 100, 60)
    view = memoryview(bytearray(50))
    assert long_lines._read(file, 0, view) == 50
    with pytest.raises(OSError, match="Input/output error"):
        long_lines._read(file, 50, view)


def test_memory_is_asked_for_as_the_file_is_long(tmp_path: Path) -> None:
    path = samples.write(tmp_path / "log", b"x" * 1_500_000)
    (line,) = long_lines.long_lines(path, most=1 << 30, digest=xxh3_128())
    assert isinstance(line, memoryview)
    assert len(line) == 1_500_000
    assert line.obj is not None and len(memoryview(line.obj)) < 3_100_000
