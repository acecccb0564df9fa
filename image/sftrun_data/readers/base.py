"""What every reader of a scaffold's logs is.

A reader knows one scaffold: which files it writes, how to tell them from others', and how to turn them into
conversations. It raises `LeftOut` for a place whose log cannot be used, and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from xxhash import xxh3_128

from sftrun_data import files, jsons
from sftrun_data.conversations import Conversation, Provenance
from sftrun_data.exclusions import LeftOut, Note, Reason
from sftrun_data.long_lines import Line, LineTooLong, long_lines
from sftrun_data.raw_conversations import RawConversation
from sftrun_data.requests import Branches, ToolCallForm

HEAD_BYTES = 65_536
"""How much of a file `claims` may look at."""

_MIN_BUFFER, _MAX_BUFFER = 65_536, 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the logs of one run of an agent lie: a folder of a trial, or one file on its own."""

    source: str
    trial: str
    instance: str
    root: Path
    """The folder that no file may lie outside of."""
    folder: Path
    file: Path | None = None
    """The log itself, where it was found on its own."""
    rewards: Mapping[str, float] = field(default_factory=dict)
    first_part: int = 0
    """Number of the first conversation; later steps of a trial go on counting."""
    line: tuple[int, int] | None = None
    """Number and offset of this run's line of `file`, where a file holds a run a line."""
    heads: dict[Path, bytes] | None = field(default=None, compare=False, repr=False)
    """The beginnings of files, once they were read: for as long as readers are asked who knows the place."""
    listings: files.Listings | None = field(default=None, compare=False, repr=False)
    """What folders hold, where they need not be listed again."""
    read_whole: dict[str, str] = field(default_factory=dict, compare=False, repr=False)
    """The files that were read from beginning to end, and a digest of each: nobody has to read them again for
    it."""
    paths: dict[str, Path] = field(default_factory=dict, compare=False, repr=False)
    """Those that `log` has made."""

    def log(self, name: str) -> Path:
        """Returns the log itself, where it was found on its own; else where one of that name would lie in the
        folder: readers ask for it many times, and to make a path takes as long as to ask the system."""
        if self.file:
            return self.file
        path = self.paths.get(name)
        if path is None:
            path = self.paths[name] = self.folder / name
        return path

    def read(self, path: Path, *, limit: int | None = None) -> bytes:
        """Returns a file's content, or this run's line of it. Raises LeftOut."""
        if self.line:
            return next((line for *_, line in self._lines_from(path, *self.line)), b"")
        return files.read(path, root=self.root, limit=limit, read_whole=self.read_whole)

    def walk(self, inside: str = "", *, depth: int = 8) -> Iterator[Path]:
        """Yields the files under the folder, or a folder inside, as `files.walk` does."""
        folder = f"{self.folder}{os.sep}{inside}" if inside else self.folder
        return files.walk(folder, depth=depth, listings=self.listings)

    def document(self, path: Path) -> tuple[Any, set[str]]:
        """Returns the value of a JSON file and what is to be noted of it. Raises LeftOut."""
        data = self.read(path)
        if not data.strip():
            raise LeftOut(Reason.EMPTY_TRAJECTORY, "the file is empty")
        try:
            document = jsons.loads(data)
        except jsons.BrokenJSON as error:
            raise LeftOut(Reason.CORRUPT_JSON, str(error)) from error
        return document.value, {Note.TEXT_REPAIRED} if document.repaired else set()

    def lines(self, path: Path) -> Iterator[tuple[int, bytes]]:
        """Yields the lines of a log with their numbers, from 1; empty ones are passed over. Raises
        LeftOut."""
        yield from ((number, line) for number, _, line in self.offsets(path))

    def long_lines(self, path: Path) -> Iterator[tuple[int, Line]]:
        """Yields the lines like `lines`, those of megabytes without copying them. Raises LeftOut."""
        real = files.confine(path, root=self.root)
        if not files.is_file(real):
            raise LeftOut(Reason.UNREADABLE_FILE, f"{path.name} is no regular file")
        number, digest = 0, xxh3_128()
        try:
            lines = long_lines(real, most=files.MAX_TRAJECTORY_BYTES, digest=digest)
            for number, line in enumerate(lines, 1):
                if not bytes(line[:1]).isspace():
                    yield number, line
                elif stripped := bytes(line).strip():
                    yield number, stripped
            self.read_whole[str(path)] = digest.hexdigest()
        except LineTooLong as error:
            raise LeftOut(Reason.TOO_LARGE, f"line {number + 1} of {path.name}") from error
        except OSError as error:
            raise LeftOut(Reason.UNREADABLE_FILE, f"{path.name}: {error.strerror}") from error

    def offsets(self, path: Path) -> Iterator[tuple[int, int, bytes]]:
        """Yields the lines of a log with their numbers and where they begin. Raises LeftOut."""
        yield from self._lines_from(path, 1, 0)

    def _lines_from(self, path: Path, first: int, offset: int) -> Iterator[tuple[int, int, bytes]]:
        real = files.confine(path, root=self.root)
        if not files.is_file(real):
            raise LeftOut(Reason.UNREADABLE_FILE, f"{path.name} is no regular file")
        try:
            with real.open("rb", buffering=_buffer_size(real)) as file:
                file.seek(offset)
                number, digest = first - 1, xxh3_128()
                while line := file.readline(files.MAX_TRAJECTORY_BYTES):
                    number += 1
                    if len(line) == files.MAX_TRAJECTORY_BYTES:
                        raise LeftOut(Reason.TOO_LARGE, f"line {number} of {path.name}")
                    if not line.isspace():  # stripping would copy it
                        yield number, offset, line
                    digest.update(line)
                    offset += len(line)
                if first == 1:
                    self.read_whole[str(path)] = digest.hexdigest()
        except OSError as error:
            raise LeftOut(Reason.UNREADABLE_FILE, f"{path.name}: {error.strerror}") from error

    def head(self, path: Path) -> bytes:
        """Returns the beginning of a file, nothing if it may not be read."""
        if self.heads is None:
            return self._head(path)
        if path not in self.heads:
            self.heads[path] = self._head(path)
        return self.heads[path]

    def looked_at(self) -> Place:
        """Returns the place as it is for many looks at the same files: their beginnings are read once, their
        folders listed once."""
        return replace(self, heads={}, listings=files.Listings())

    def _head(self, path: Path) -> bytes:
        try:
            real = files.confine(path, root=self.root)
            if not files.is_file(real):
                return b""
            with real.open("rb") as file:
                file.seek(self.line[1] if self.line else 0)
                return file.read(HEAD_BYTES)
        except (LeftOut, OSError):
            return b""

    def provenance(
        self, path: Path, *, reader: Reader, part: int, lines: tuple[int, int] | None = None
    ) -> Provenance:
        """Returns where a conversation was read."""
        return Provenance(
            source=self.source,
            trial=self.trial,
            file=files.relative(path, root=self.root),
            reader=f"{reader.scaffold}/{reader.version}",
            lines=(self.line[0], self.line[0]) if self.line else lines,
            part=self.first_part + part,
        )


def numbered(paths: Iterable[Path], *, of: str) -> Iterator[tuple[int, Path]]:
    """Yields the files of runs that have one each, with the numbers of their conversations. Raises LeftOut
    where there is none; `of` says whose."""
    part = -1
    for part, path in enumerate(paths):
        yield part, path
    if part < 0:
        raise LeftOut(Reason.NO_TRAJECTORY, f"no trajectory of {of}")


def _buffer_size(path: Path) -> int:
    """Lines of request logs are megabytes long: in small pieces, reading them takes as long as parsing."""
    return min(max(path.stat().st_size, _MIN_BUFFER), _MAX_BUFFER)


class Reader(Protocol):
    """One scaffold's logs."""

    @property
    def scaffold(self) -> str:
        """The spec's word for it."""

    @property
    def version(self) -> int:
        """Raised whenever the same log would give another conversation: it is part of the digest."""

    def inputs(self, place: Place) -> list[Path]:
        """Returns the files that `read` may open: what the digest covers."""

    def claims(self, place: Place) -> bool:
        """Whether the place holds this scaffold's logs, judged by names and the beginning of files."""

    def read(
        self, place: Place, *, form: ToolCallForm, branches: Branches
    ) -> Iterator[Conversation | RawConversation]:
        """Yields the conversations of a place. Raises LeftOut."""
