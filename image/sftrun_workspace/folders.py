"""Looking into a workspace without ever leaving it: no link is followed, at no place of a path.

Everything is opened one name at a time from the workspace's own descriptor, so that a folder that somebody
replaces by a link in the middle of our work leads nowhere.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from sftrun_workspace.values import Extent

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextlib.contextmanager
def workspace(path: Path) -> Iterator[int]:
    """Gives the descriptor of a workspace, which itself may be reached by links. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def folder(root: int, path: str) -> Iterator[int]:
    """Gives the descriptor of a folder in the workspace. Raises `OSError`; a link is one."""
    descriptor = os.dup(root)
    try:
        for name in _names(path):
            inner = os.open(name, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _names(path: str) -> list[str]:
    names = [name for name in path.split("/") if name]
    if ".." in names or "." in names:
        raise ValueError(f"{path!r} is no plain path")
    return names


def names_of_folders(root: int, path: str) -> list[str]:
    """Returns the names of the folders in a folder, links to folders left out; empty where there is none.

    Raises `OSError` for a folder that cannot be read.
    """
    try:
        with folder(root, path) as descriptor, os.scandir(descriptor) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return []


def read(root: int, path: str, *, limit: int) -> tuple[bytes, float] | None:
    """Returns a plain file's content and when it was written; `None` for one that is not there, is no plain
    file, or is longer than `limit`. Raises `OSError`."""
    parent, _, name = path.rpartition("/")
    try:
        with folder(root, parent) as descriptor:
            opened = os.open(name, _FILE, dir_fd=descriptor)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with os.fdopen(opened, "rb") as stream:
        found = os.fstat(stream.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size > limit:
            return None
        return stream.read(limit), found.st_mtime


def exists(root: int, path: str) -> bool:
    """Whether there is something of that name, whatever it is. Raises `OSError`."""
    parent, _, name = path.rpartition("/")
    try:
        with folder(root, parent) as descriptor:
            os.lstat(name, dir_fd=descriptor)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def extent(root: int, path: str) -> Extent:
    """Returns what a folder takes on disk and when anything in it changed last; what a link points to is not
    counted, a file with several names once. Raises `OSError`."""
    num_bytes, modified = 0, 0.0
    seen: set[tuple[int, int]] = set()
    with folder(root, path) as top:
        for _, folders, files, descriptor in os.fwalk(".", dir_fd=top, follow_symlinks=False, onerror=_raise):
            own = os.fstat(descriptor)
            num_bytes += _on_disk(own)
            modified = max(modified, own.st_mtime)
            for name in (*files, *folders):
                with contextlib.suppress(FileNotFoundError):
                    found = os.lstat(name, dir_fd=descriptor)
                    if stat.S_ISDIR(found.st_mode) or (found.st_dev, found.st_ino) in seen:
                        continue
                    seen.add((found.st_dev, found.st_ino))
                    num_bytes += _on_disk(found)
                    modified = max(modified, found.st_mtime)
    return Extent(path=path, num_bytes=num_bytes, modified=modified)


def _on_disk(found: os.stat_result) -> int:
    return found.st_blocks * 512


def _raise(error: OSError) -> None:
    raise error
