"""`steps.jsonl` followed while it grows: every line is parsed once, however often it is asked for."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from sftrun_trainer import steps


class Tail:
    """One file of steps. Safe to ask from several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._guard = threading.Lock()
        self._file: tuple[int, int] | None = None
        """Device and inode of what was read."""
        self._offset = 0
        self._steps: dict[int, steps.StepRecord] = {}
        self._evaluations: dict[int, steps.Evaluation] = {}
        self._last: steps.StepRecord | None = None
        self._restarts: dict[int, None] = {}
        self._curve = steps.Curve()

    def curve(self) -> steps.Curve:
        """Returns the curve as far as it is written; the same object while nothing was added. What was known
        stays when the file cannot be read now."""
        with self._guard:
            try:
                if self._read_on():
                    self._curve = steps.Curve(
                        steps=tuple(self._steps[step] for step in sorted(self._steps)),
                        evaluations=tuple(self._evaluations[step] for step in sorted(self._evaluations)),
                        restarts=tuple(self._restarts),
                    )
            except OSError:
                pass
            return self._curve

    def _read_on(self) -> bool:
        """Takes the lines that were added. Returns whether there were any."""
        with self._path.open("rb") as stream:
            found = os.fstat(stream.fileno())
            if self._file != (found.st_dev, found.st_ino) or found.st_size < self._offset:
                self._file, self._offset = (found.st_dev, found.st_ino), 0
                self._steps.clear()
                self._evaluations.clear()
                self._restarts.clear()
                self._last = None
            if found.st_size == self._offset:
                return False
            stream.seek(self._offset)
            before = self._offset
            for raw in stream:
                if not raw.endswith(b"\n"):
                    break  # torn, or still being written: read again when it is whole
                self._offset += len(raw)
                self._take(steps.parse_line(raw))
            return self._offset != before

    def _take(self, line: steps.StepRecord | steps.Evaluation | None) -> None:
        if isinstance(line, steps.StepRecord):
            # Whoever goes on from a checkpoint repeats steps, or is of another attempt.
            if self._last is not None and (
                line.step <= self._last.step or line.attempt != self._last.attempt
            ):
                self._restarts[line.step] = None
            self._last = line
            self._steps[line.step] = line
        elif line is not None:
            self._evaluations[line.step] = line
