"""`steps.jsonl`: the loss of every trained step of the run, over all its attempts.

LLaMA-Factory's own figures are wrong after a resume (they count only the steps since), so we keep our own.
Rank 0 of the worker appends here, because the file must be durable before a checkpoint makes the step past;
the supervisor only reads it. A pod may be killed at any byte and a resumed one repeats the steps since the
last checkpoint, hence the two rules of reading: a torn line counts for nothing, and a later line for the
same step wins.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Annotated

from pydantic import Field, ValidationError

from sftrun_api.models import OpenModel

STEPS_FILE = "steps.jsonl"
LINE_BYTES = 4096
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
"""A longer line is not one of ours."""

Count = Annotated[int, Field(ge=0, le=2**53)]
"""Bounded, so that every figure made from it is a finite number."""
Seconds = Annotated[float, Field(ge=0, le=1e9)]


class StepRecord(OpenModel):
    """One logged point of the training curve. Numbers that are not finite are absent and `non_finite` says
    so."""

    step: Count
    epoch: float | None = None
    loss: float | None = None
    """Mean over the `covers` steps that end with this one, unrounded."""
    grad_norm: float | None = None
    learning_rate: float | None = None
    tokens: Count | None = None
    """Input tokens of the covered steps, over all ranks."""
    samples: Count | None = None
    seconds: Seconds | None = None
    """Wall time of the covered steps, without evaluation and saving."""
    waited: Seconds | None = None
    """Time before the covered steps in which nothing but the next batch was waited for."""
    covers: Annotated[int, Field(ge=1, le=2**31)] = 1
    """Optimizer steps since the last record (`logging_steps`)."""
    non_finite: bool = False
    attempt: Count = 0
    at: float = 0.0
    """Epoch seconds."""


class Evaluation(OpenModel):
    """One evaluation after a step."""

    step: Count
    eval_loss: float | None
    """`None` where it was not finite."""
    seconds: Seconds | None = None
    attempt: Count = 0
    at: float = 0.0


def finite(value: float | None) -> float | None:
    """Returns the value if JSON, and the status, can hold it."""
    if value is None or not math.isfinite(value):
        return None
    return float(value)


def step_record(
    *,
    step: int,
    loss: float | None,
    grad_norm: float | None = None,
    epoch: float | None = None,
    learning_rate: float | None = None,
    tokens: int | None = None,
    samples: int | None = None,
    seconds: float | None = None,
    waited: float | None = None,
    covers: int = 1,
    attempt: int = 0,
    at: float = 0.0,
) -> StepRecord:
    """Returns the record of a step from raw numbers, NaN and infinities included."""
    bad = any(value is not None and not math.isfinite(value) for value in (loss, grad_norm))
    return StepRecord(
        step=step,
        epoch=finite(epoch),
        loss=finite(loss),
        grad_norm=finite(grad_norm),
        learning_rate=finite(learning_rate),
        tokens=tokens,
        samples=samples,
        seconds=finite(seconds),
        waited=finite(waited),
        covers=covers,
        non_finite=bad,
        attempt=attempt,
        at=at,
    )


class StepWriter:
    """Appends lines; each is one write, so a kill tears at most the last one. Rank 0 only."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, _FLAGS, 0o664)
        size = os.fstat(self._descriptor).st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
            os.write(self._descriptor, b"\n")

    def append(self, line: StepRecord | Evaluation) -> None:
        """Writes one line to the kernel; `sync` makes it durable. Raises `OSError` (disk full)."""
        # exclude_none would hide an evaluation that was not finite: its key is what makes it an evaluation.
        exclude_none = isinstance(line, StepRecord)
        text = line.model_dump_json(by_alias=True, exclude_none=exclude_none)
        os.write(self._descriptor, text.encode() + b"\n")

    def sync(self) -> None:
        """Makes what was appended durable. Call before a checkpoint is written."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Syncs and closes."""
        try:
            self.sync()
        finally:
            os.close(self._descriptor)

    def __enter__(self) -> StepWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The run so far, each step once, in order."""

    steps: tuple[StepRecord, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    restarts: tuple[int, ...] = field(default=(), compare=False)
    """The first step of each start that came after another had trained; only a `Tail` knows them."""


def parse_line(line: bytes) -> StepRecord | Evaluation | None:
    """Returns the line's value, or `None` for one that is torn, foreign or too long."""
    if not line.strip() or len(line) > LINE_BYTES:
        return None
    model = Evaluation if b'"evalLoss"' in line else StepRecord
    try:
        return model.model_validate_json(line)
    except ValidationError:
        return None


def merge(lines: Iterable[StepRecord | Evaluation]) -> Curve:
    """Returns the curve of lines in the order in which they were written: the later one for a step wins."""
    steps: dict[int, StepRecord] = {}
    evaluations: dict[int, Evaluation] = {}
    for line in lines:
        if isinstance(line, StepRecord):
            steps[line.step] = line
        else:
            evaluations[line.step] = line
    return Curve(
        steps=tuple(steps[step] for step in sorted(steps)),
        evaluations=tuple(evaluations[step] for step in sorted(evaluations)),
    )


def read(path: Path) -> Curve:
    """Returns the curve in a file; a missing file is an empty curve. Raises `OSError` when it cannot be
    read."""
    return merge(read_lines(path))


def read_lines(path: Path) -> Iterator[StepRecord | Evaluation]:
    """Yields the lines of a file in the order in which they were written, repeated steps included; none of a
    missing file. Raises `OSError`."""
    try:
        with path.open("rb") as stream:
            yield from _lines(stream)
    except FileNotFoundError:
        return


def _lines(stream: Iterable[bytes]) -> Iterator[StepRecord | Evaluation]:
    for raw in stream:
        # The last line without its newline may be torn in the middle of a number and still parse.
        parsed = parse_line(raw) if raw.endswith(b"\n") else None
        if parsed is not None:
            yield parsed
