"""What a child tells the supervisor: one JSON object a line, appended to its events file.

A file and not a pipe, so that a slow reader never stops training and the last words of a killed child are
still there. Every line is a heartbeat. Only one process of a stage writes (rank 0). The supervisor passes
over what it cannot parse: a child may be killed at any byte, and lines may come from user code
(`trustRemoteCode`).

A child that knows why it cannot go on appends `Failure` and exits; one that is done appends `Result` last.
The supervisor judges a child without either by its exit code, its signal and the tail of its log.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from sftrun_api.models import JsonObject, OpenModel
from sftrun_api.statuses import Check, CheckResult
from sftrun_trainer.steps import StepRecord

LINE_BYTES = 262_144
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
"""The most of a line that is read; a result payload is the longest that we write."""

Count = Annotated[int, Field(ge=0, le=2**53)]


class Progress(OpenModel):
    """How far the stage is, in its own units (trajectories, samples, bytes of a checkpoint)."""

    kind: Literal["progress"] = "progress"
    done: Count
    total: Count | None = None
    message: Annotated[str, Field(max_length=256)] = ""
    """What happens now, in words; empty keeps the last one."""


class Step(OpenModel):
    """A logged step. The worker has appended the same record to `steps.jsonl` before."""

    kind: Literal["step"] = "step"
    record: StepRecord
    total_steps: Count
    gpu_memory_gi_b: float | None = Field(default=None, alias="gpuMemoryGiB")


class Evaluated(OpenModel):
    """An evaluation has ended."""

    kind: Literal["evaluated"] = "evaluated"
    step: Count
    eval_loss: float | None = None
    """Absent where it was not finite."""


class Saved(OpenModel):
    """A checkpoint is complete on disk and a resume may use it."""

    kind: Literal["saved"] = "saved"
    step: Count
    path: Annotated[str, Field(max_length=1024)]


class CheckLine(OpenModel):
    """One line of the preflight; a later one with the same group and name replaces it."""

    kind: Literal["check"] = "check"
    group: Annotated[str, Field(max_length=64)]
    name: Annotated[str, Field(max_length=64)]
    result: CheckResult
    message: Annotated[str, Field(max_length=512)] = ""


class Effective(OpenModel):
    """Values that showed only in the process that trains; merged into `status.effective`."""

    kind: Literal["effective"] = "effective"
    values: JsonObject


class Failure(OpenModel):
    """Why the child ends. `final` says that another try cannot help (exit code 64)."""

    kind: Literal["failure"] = "failure"
    reason: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9]*$")]
    message: Annotated[str, Field(max_length=1024)]
    final: bool


class Result(OpenModel):
    """The stage is done; the payload goes into its marker. The last line of a child."""

    kind: Literal["result"] = "result"
    payload: JsonObject = Field(default_factory=dict)


Event = Progress | Step | Evaluated | Saved | CheckLine | Effective | Failure | Result
_ADAPTER: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])


class EventWriter:
    """Appends events; each is one write. Never raises for a full disk: training is worth more than its
    story."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, _FLAGS, 0o664)

    def write(self, event: Event) -> None:
        """Appends one event."""
        line = event.model_dump_json(by_alias=True, exclude_none=True).encode() + b"\n"
        try:
            os.write(self._descriptor, line)
        except OSError as error:
            os.write(2, f"sftrun: an event could not be written: {error}\n".encode())

    def check(self, check: Check) -> None:
        """Appends a line of the preflight."""
        self.write(CheckLine(group=check.group, name=check.name, result=check.result, message=check.message))

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def parse_line(line: bytes) -> Event | None:
    """Returns the event in a line, or `None` for anything that is not one."""
    if not line.strip() or len(line) > LINE_BYTES:
        return None
    try:
        return _ADAPTER.validate_json(line)
    except (ValidationError, RecursionError):
        return None


class EventReader:
    """Reads a growing events file from where it last stopped. A file that is not there yet has no events."""

    def __init__(self, path: Path, *, hide: Callable[[bytes], bytes] = bytes) -> None:
        self._path = path
        self._hide = hide
        self._offset = 0
        self._rest = b""

    def read(self) -> Iterator[Event]:
        """Yields the events of all lines completed since the last call. Torn and foreign lines yield
        nothing."""
        try:
            with self._path.open("rb") as stream:
                stream.seek(self._offset)
                while chunk := stream.read(LINE_BYTES):
                    self._offset += len(chunk)
                    yield from self._split(chunk)
        except FileNotFoundError:
            return

    def _split(self, chunk: bytes) -> Iterator[Event]:
        *lines, rest = (self._rest + chunk).split(b"\n")
        # Of a line without end only so much is kept that it is known to be too long.
        self._rest = rest[: LINE_BYTES + 1]
        for line in lines:
            event = parse_line(self._hide(line))
            if event is not None:
                yield event
