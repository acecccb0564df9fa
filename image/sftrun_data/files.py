"""Reading files that others wrote, inside a folder that they may not lead out of.

A path is resolved before it is opened; what is no regular file (a pipe would block for ever), lies outside
the
folder, may not be read or is too large becomes the reason of the one trajectory that it belongs to.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from operator import attrgetter
from pathlib import Path

from xxhash import xxh3_128_hexdigest

from sftrun_data.errors import EmptyJob, MissingJobFolder, UnreadableSource
from sftrun_data.exclusions import LeftOut, Reason

MAX_TRAJECTORY_BYTES = 512 * 1024 * 1024
"""The most that one trajectory's document may take: it is held in memory as a whole."""
MAX_METADATA_BYTES = 64 * 1024 * 1024
"""Likewise for the files around it (`result.json`, `config.json`)."""
_MORE_BYTES = 64 * 1024


def require(path: Path, *, field: str) -> Path:
    """Returns `path` if it is there and may be entered.

    Raises MissingJobFolder, UnreadableSource.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise MissingJobFolder(
            f"{field}: {path} does not exist; put the data there or correct the path (relative paths start "
            "in the workspace)"
        ) from None
    except OSError as error:
        raise UnreadableSource(f"{field}: {path} cannot be read: {error.strerror}") from error
    wanted = os.R_OK | os.X_OK if stat.S_ISDIR(mode) else os.R_OK
    if not os.access(path, wanted):
        raise UnreadableSource(f"{field}: {path} may not be read by {_identity()}; {_owner(path)}")
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise UnreadableSource(f"{field}: {path} is neither a folder nor a regular file; name one of the two")
    return path


def children(folder: Path, *, field: str) -> list[Path]:
    """Returns what lies in a folder, sorted by name. Raises UnreadableSource."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise UnreadableSource(f"{field}: {folder} cannot be listed: {error.strerror}") from error


def folders_in(folder: Path) -> list[Path]:
    """Returns the folders in a folder, sorted by name; none if it may not be listed."""
    try:
        return sorted(path for path in folder.iterdir() if is_dir(path))
    except OSError:
        return []


def read(
    path: str | Path, *, root: Path, limit: int | None = None, read_whole: dict[str, str] | None = None
) -> bytes:
    """Returns the content of a regular file inside `root`, of `MAX_TRAJECTORY_BYTES` at most or of `limit`.
    Tells `read_whole` its digest: nobody has to read it again for it.

    Raises LeftOut with NoTrajectory, SymlinkOutside, UnreadableFile or TooLarge.
    """
    data = _read(_confined(str(path), root=root), MAX_TRAJECTORY_BYTES if limit is None else limit)
    if read_whole is not None:
        read_whole[str(path)] = xxh3_128_hexdigest(data)
    return data


def exists(path: str | Path) -> bool:
    """Whether something is there that we may see. Never raises, unlike `Path.exists` in a closed folder."""
    return os.path.exists(path)  # noqa: PTH110


def is_dir(path: Path) -> bool:
    """Whether a folder is there. Never raises."""
    return os.path.isdir(path)  # noqa: PTH112


def is_file(path: str | Path) -> bool:
    """Whether a regular file is there. Never raises."""
    return os.path.isfile(path)  # noqa: PTH113


def trouble_with(folder: Path, *, root: Path) -> LeftOut | None:
    """Returns why nothing inside a folder may be read: a link that leads out, or no permission; else None."""
    try:
        confine(folder, root=root)
    except LeftOut as left:
        return left if left.reason is not Reason.NO_TRAJECTORY else None
    if not os.access(folder, os.R_OK | os.X_OK):
        return LeftOut(Reason.UNREADABLE_FILE, f"{folder.name} may not be entered by {_identity()}")
    return None


def confine(path: Path, *, root: Path) -> Path:
    """Returns the real path of a file inside `root`. Raises LeftOut."""
    real = _confined(str(path), root=root)
    return path if real == str(path) else Path(real)


def _confined(path: str, *, root: Path) -> str:
    try:
        real = _real(path, strict=True)
    except FileNotFoundError:
        reason = Reason.UNREADABLE_FILE if os.path.islink(path) else Reason.NO_TRAJECTORY  # noqa: PTH114 - hot
        raise LeftOut(reason, f"{_name(path)} is not there") from None
    except (OSError, RuntimeError) as error:
        raise LeftOut(Reason.UNREADABLE_FILE, f"{_name(path)}: {error}") from error
    # What a real path begins with is real itself: then the folder need not be resolved.
    if not real.startswith(f"{root}{os.sep}"):
        inside = _real(root)
        if real != inside and not real.startswith(inside.rstrip(os.sep) + os.sep):
            raise LeftOut(Reason.SYMLINK_OUTSIDE, f"{_name(path)} leads to {real}")
    return real


def _name(path: str) -> str:
    """Returns a file's name, for messages."""
    return path.rpartition(os.sep)[2]


def _real(path: str | Path, *, strict: bool = False) -> str:
    """Returns what `realpath` does: what the system says, where it can, is a fifth of the work."""
    if hasattr(os, "O_PATH"):
        try:
            handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            if strict:
                raise
            return os.path.realpath(path)
        except OSError:
            return os.path.realpath(path, strict=strict)
        try:
            return os.readlink(f"/proc/self/fd/{handle}")  # noqa: PTH115 - hot: some times a file
        except OSError:
            pass  # no such folder here
        finally:
            os.close(handle)
    return os.path.realpath(path, strict=strict)


class Listings:
    """Folders as they were when they were first listed, for many looks at the same ones."""

    def __init__(self) -> None:
        self._known: dict[str, list[tuple[str, Path | None]]] = {}

    def of(self, folder: str) -> list[tuple[str, Path | None]]:
        """Returns what a folder holds, sorted by name: folders by their path, and files."""
        if folder not in self._known:
            self._known[folder] = _listed(folder)
        return self._known[folder]


def walk(folder: str | Path, *, depth: int = 8, listings: Listings | None = None) -> Iterator[Path]:
    """Yields the files under a folder in a fixed order, following no link to a folder, at most `depth`
    levels down."""
    return _walk(str(folder), depth, (listings or Listings()).of)


def _walk(folder: str, depth: int, listed: Callable[[str], list[tuple[str, Path | None]]]) -> Iterator[Path]:
    for path, file in listed(folder):
        if file is not None:
            yield file
        elif depth > 1:
            yield from _walk(path, depth - 1, listed)


def _listed(folder: str) -> list[tuple[str, Path | None]]:
    try:
        entries = sorted(os.scandir(folder), key=attrgetter("name"))
    except OSError:
        return []
    return [
        (entry.path, None if entry.is_dir(follow_symlinks=False) else Path(entry.path)) for entry in entries
    ]


def relative(path: str | Path, *, root: Path) -> str:
    """Returns how a file is named in records and messages."""
    name, above = str(path), f"{root}{os.sep}"
    if name.startswith(above):
        return name[len(above) :]
    try:
        return Path(path).relative_to(root).as_posix()
    except ValueError:
        return Path(path).name


def nothing_in(path: Path, *, field: str) -> EmptyJob:
    """Returns the error for a folder that holds nothing to convert."""
    return EmptyJob(
        f"{field}: {path} holds no trial, session or row; is it the folder that the job was written to?"
    )


def _read(path: str, limit: int) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise LeftOut(Reason.UNREADABLE_FILE, f"{_name(path)}: {error.strerror}") from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise LeftOut(Reason.UNREADABLE_FILE, f"{_name(path)} is no regular file")
        if status.st_size > limit:
            raise LeftOut(Reason.TOO_LARGE, f"{_name(path)} has {status.st_size} bytes, the most is {limit}")
        # Memory is asked for as much as is read for: not for the limit. A file may grow while it is read.
        pieces, left, wanted = [], limit, status.st_size or _MORE_BYTES
        while piece := os.read(handle, min(wanted, left)):
            pieces.append(piece)
            left, wanted = left - len(piece), _MORE_BYTES
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    except OSError as error:
        raise LeftOut(Reason.UNREADABLE_FILE, f"{_name(path)}: {error.strerror}") from error
    finally:
        os.close(handle)


def _identity() -> str:
    return f"uid {os.getuid()}, gid {os.getgid()}"


def _owner(path: Path) -> str:
    status = path.stat()
    return (
        f"it belongs to uid {status.st_uid}, gid {status.st_gid}, mode {stat.S_IMODE(status.st_mode):04o}; "
        "set infrastructure.securityContext to match, or open the folder"
    )
