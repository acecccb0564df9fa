"""Records on their way to disk: collected in a folder of their own, moved into place when all are there.

A killed conversion leaves its folder behind, locked by nobody; the next one removes it. Two conversions of
the same
data work in two folders and put the same bytes in the same place.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

from sftrun_data import shelves
from sftrun_data.errors import explained
from sftrun_data.figures import Shape
from sftrun_data.records import Line
from sftrun_data.shelves import Shelved, Stretch
from sftrun_data.writebacks import Writeback

_PREFIX = ".converting-"
_LOCK = "lock"
_ABANDONED_SECONDS = 300
"""A folder that was written to since may be between its making and its locking."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A record in the draft: whose it is, and how many bytes it takes in either file."""

    source: int
    instance: str
    id: str
    im_bytes: int
    lf_bytes: int
    shape: Shape


@dataclass(slots=True)
class _File:
    """A file of whole lines that several processes write: whoever has a line, once it is known where it
    begins."""

    path: Path
    handle: BinaryIO
    end: int = 0
    _at: int = 0
    """Where the handle stands."""
    _given: list[tuple[int, Shelved]] = field(default_factory=list)
    """Places given to lines of another process, which does not know them yet."""
    _writeback: Writeback = field(init=False)

    def __post_init__(self) -> None:
        self._writeback = Writeback(self.path)

    def add(self, line: Line) -> None:
        """Adds a line. Raises OSError."""
        if isinstance(line, Shelved):
            self._given.append((self.end, line))
        elif line:
            if self._at != self.end:
                self.handle.seek(self.end)
            self.handle.write(line)
            self._at = self.end + len(line)
        self.end += len(line)
        self._writeback.grown(self.end)

    def rest(self) -> None:
        """Sends what was added to the disk, and does not wait. Raises OSError."""
        self.handle.flush()
        self._writeback.ended(self.end)

    def stretches(self) -> Iterator[Stretch]:
        """Yields the places that were given since the last time."""
        given, self._given = self._given, []
        while given:
            begin = end = given[0][0]
            numbers = []
            for at, line in given:
                if at != end:
                    break
                numbers.append(line.number)
                end += len(line)
            yield Stretch(self.path, begin, numbers)
            del given[: len(numbers)]


@dataclass(slots=True)
class Draft:
    """Records in the order of their making."""

    folder: Path
    _im: _File
    _lf: _File
    entries: list[Entry] = field(default_factory=list)
    _dropped: list[int] = field(default_factory=list)
    _calls: dict[tuple[tuple[str, int], ...], tuple[tuple[str, int], ...]] = field(default_factory=dict)

    def _shared(self, calls: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
        """Entries stay until the end, and most records call the same tools: they are held once."""
        if calls not in self._calls:
            own = tuple((sys.intern(name), count) for name, count in calls)
            self._calls[own] = own
        return self._calls[calls]

    def append(self, *, source: int, instance: str, record_id: str, im: Line, lf: Line, shape: Shape) -> None:
        """Adds a record; `im` and `lf` are whole lines. Raises WorkspaceFailed."""
        with explained(self.folder):
            self._im.add(im)
            self._lf.add(lf)
        shape = replace(shape, calls=self._shared(shape.calls))
        self.entries.append(Entry(source, instance, record_id, len(im), len(lf), shape))

    def drop(self, line: Line) -> None:
        """Lets go of a line that was not added."""
        if isinstance(line, Shelved):
            self._dropped.append(line.number)

    def errand(self) -> Callable[[], None] | None:
        """Returns what is to be done in the process that made the lines added and dropped since the last
        time: they are of one."""
        stretches = [*self._im.stretches(), *self._lf.stretches()]
        dropped, self._dropped = self._dropped, []
        return partial(shelves.clear, stretches, dropped) if stretches or dropped else None

    def rest(self) -> None:
        """Is told that there is something else to do before the next record. Raises WorkspaceFailed."""
        with explained(self.folder):
            self._im.rest()
            self._lf.rest()

    def publish(self, *, im_path: Path, lf_path_of: Callable[[Entry], Path | None]) -> None:
        """Moves the records into place: all kept ones to `im_path`, each to the file that `lf_path_of` names
        (None
        leaves it out). Raises WorkspaceFailed."""
        with explained(self.folder):
            self._im.handle.flush()
            self._lf.handle.flush()
            for path in self._paths(im_path, lf_path_of):
                path.parent.mkdir(parents=True, exist_ok=True)
            if len(self._paths(im_path, lf_path_of)) == 2 and all(map(lf_path_of, self.entries)):
                self._move_whole(*self._paths(im_path, lf_path_of))
                return
            targets = {
                path: self.folder / f"out-{number}"
                for number, path in enumerate(self._paths(im_path, lf_path_of))
            }
            handles = {path: temporary.open("wb") for path, temporary in targets.items()}
            try:
                with (self.folder / "im").open("rb") as im, (self.folder / "lf").open("rb") as lf:
                    for entry in self.entries:
                        im_line, lf_line = im.read(entry.im_bytes), lf.read(entry.lf_bytes)
                        if target := lf_path_of(entry):
                            handles[im_path].write(im_line)
                            handles[target].write(lf_line)
                for handle in handles.values():
                    handle.flush()
                    os.fsync(handle.fileno())
            finally:
                for handle in handles.values():
                    handle.close()
            for path, temporary in targets.items():
                temporary.replace(path)
            for parent in {path.parent for path in targets}:
                _sync_folder(parent)

    def _move_whole(self, im_path: Path, lf_path: Path) -> None:
        """Every record is kept and all go to one file: the draft is what is wanted."""
        for file in (self._im, self._lf):
            os.fsync(file.handle.fileno())
        (self.folder / "im").replace(im_path)
        (self.folder / "lf").replace(lf_path)
        for parent in {im_path.parent, lf_path.parent}:
            _sync_folder(parent)

    def write_whole(self, path: Path, content: bytes) -> None:
        """Writes a file beside the records, whole or not at all. Raises WorkspaceFailed."""
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self.folder / "whole"
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fchmod(file.fileno(), 0o644)
                os.fsync(file.fileno())
            temporary.replace(path)
            _sync_folder(path.parent)

    def _paths(self, im_path: Path, lf_path_of: Callable[[Entry], Path | None]) -> list[Path]:
        return [im_path, *dict.fromkeys(path for entry in self.entries if (path := lf_path_of(entry)))]


@contextmanager
def drafting(folder: Path) -> Iterator[Draft]:
    """Gives a draft in a new folder inside `folder`, and removes it with what killed conversions left there.

    Raises WorkspaceFailed.
    """
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        own = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder))
    try:
        with (own / _LOCK).open("wb") as lock, (own / "im").open("wb") as im, (own / "lf").open("wb") as lf:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield Draft(own, _File(own / "im", im), _File(own / "lf", lf))
    finally:
        shutil.rmtree(own, ignore_errors=True)


def _remove_abandoned(folder: Path) -> None:
    """Removes what nobody holds and nobody has written to for a while. Some network volumes keep locks to one
    machine, so a lock alone proves nothing."""
    for left in folder.glob(f"{_PREFIX}*"):
        try:
            if time.time() - _last_written(left) < _ABANDONED_SECONDS:
                continue
            with (left / _LOCK).open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
        except OSError:
            continue  # in use, or gone


def _last_written(folder: Path) -> float:
    return max(path.stat().st_mtime for path in (folder, *folder.iterdir()))


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
