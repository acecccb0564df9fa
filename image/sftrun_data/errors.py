"""What ends a conversion as a whole. What ends one trajectory is an `exclusions.Reason` and never raised
further.

DataError
├── MissingJobFolder     the job folder or file that the source names is not there
├── EmptyJob             it is there and holds no trial
├── UnreadableSource     it is there and may not be read
├── BadData              every trajectory is broken: corrupt, empty or of no known shape
├── NoTrajectoriesLeft   trajectories were read, and selection left none
├── UnknownFormat        nothing here, or more than one scaffold's logs: the scaffold must be named
├── BadRequest           options that no data can satisfy (an exclusion list that is no list of repositories)
├── HubFailed            the hub did not give the data set (another try may help)
├── SourceChanging       files changed while they were read (another try may help)
├── WorkerFailed         a process that converts was killed or failed (another try may help)
└── WorkspaceFailed      records could not be written: no space, no permission
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar


class DataError(Exception):
    """Ends a conversion. `reason` is one CamelCase word, `final` says that another try cannot help."""

    reason: ClassVar[str] = "BadData"
    final: bool = True

    def __init__(self, message: str, *, final: bool | None = None) -> None:
        super().__init__(message)
        self.message = message
        if final is not None:
            self.final = final


class MissingJobFolder(DataError):
    """The path of a source is not there."""

    reason = "MissingJobFolder"


class EmptyJob(DataError):
    """The path of a source holds no trial, no log and no row."""

    reason = "EmptyJob"


class UnreadableSource(DataError):
    """The path of a source may not be read."""

    reason = "UnreadableSource"


class BadData(DataError):
    """Every trajectory is broken."""

    reason = "BadData"


class NoTrajectoriesLeft(DataError):
    """Selection left nothing to train on."""

    reason = "NoTrajectoriesLeft"


class UnknownFormat(DataError):
    """The format could not be told, or is more than one."""

    reason = "UnknownFormat"


class BadRequest(DataError):
    """Options that contradict the data or themselves."""

    reason = "BadRequest"


class HubFailed(DataError):
    """The hub did not give the data set."""

    reason = "HubFailed"
    final = False


class SourceChanging(DataError):
    """Files of a source changed while they were read, several times over."""

    reason = "SourceChanging"
    final = False


class WorkerFailed(DataError):
    """A process that converts trajectories was killed, or failed in a way that nobody thought of."""

    reason = "Crashed"
    final = False


class WorkspaceFailed(DataError):
    """The records could not be written."""

    reason = "WorkspaceFailed"
    final = False


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns a failing disk into words: which path, as whom. Raises WorkspaceFailed."""
    try:
        yield
    except OSError as error:
        raise WorkspaceFailed(
            f"workspace: {error.filename or path} cannot be written by uid {os.getuid()}, gid {os.getgid()}: "
            f"{error.strerror}; give the volume more space, or set infrastructure.securityContext to match "
            "its owner"
        ) from error
