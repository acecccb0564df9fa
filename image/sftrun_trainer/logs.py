"""The output of a child: into its log file, on to our own standard output, and its tail kept for the report.

Every line passes the redactor before it goes anywhere. The file is bounded, so that a child that prints
without end cannot fill the volume that its checkpoints need; the tail and standard output go on.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

FILE_BYTES = 256 * 1024 * 1024
TAIL_BYTES = 64 * 1024
LINE_BYTES = 16 * 1024
"""A longer line is passed on in pieces."""
REPORT_TAIL_BYTES = 2048
SAMPLE_BEGINS = "sftrun: LLaMA-Factory shows a sample of the data"
SAMPLE_ENDS = "sftrun: end of the sample"


class Log:
    """Takes the raw output of one child, chunk by chunk, from one thread, and notes of ours from any."""

    def __init__(
        self,
        *,
        path: Path | None,
        redact: Callable[[str], str],
        echo: BinaryIO | None = None,
        file_bytes: int = FILE_BYTES,
    ) -> None:
        self._redact = redact
        self._echo = sys.stdout.buffer if echo is None else echo
        self._file = _open(path)
        self._left = file_bytes
        self._rest = b""
        self._tail = b""
        self._guard = threading.Lock()
        self.num_bytes = 0
        """How much the child has printed: a sign of life."""

    def feed(self, chunk: bytes) -> None:
        """Takes what the child printed."""
        self.num_bytes += len(chunk)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._pass_on(line + b"\n")
        if len(self._rest) > LINE_BYTES:
            # At a space, so that no word, and no secret, is cut in two.
            end = self._rest.rfind(b" ") + 1 or len(self._rest)
            self._pass_on(self._rest[:end] + b"\n")
            self._rest = self._rest[end:]

    def note(self, text: str) -> None:
        """Adds lines of our own, so that a person who reads the file sees what we did."""
        self._pass_on(text.encode("utf-8", "replace") + b"\n")

    def close(self) -> None:
        """Passes on the last line and closes the file."""
        if self._rest:
            self._pass_on(self._rest + b"\n")
            self._rest = b""
        if self._file is not None:
            self._file.close()
            self._file = None

    def tail(self) -> str:
        """Returns the last output, redacted."""
        return self._tail.decode("utf-8", "replace") + self._redact(self._rest.decode("utf-8", "replace"))

    def _pass_on(self, line: bytes) -> None:
        with self._guard:
            self._take(line)

    def _take(self, line: bytes) -> None:
        clean = self._redact(line.decode("utf-8", "replace")).encode("utf-8", "replace")
        # A progress bar rewrites its line over and over: only its last state is worth keeping.
        kept = clean.rstrip(b"\r\n").rsplit(b"\r", 1)[-1] + b"\n"
        self._tail = (self._tail + kept)[-TAIL_BYTES:]
        try:
            self._echo.write(clean)
            self._echo.flush()
        except (OSError, ValueError):
            pass  # nobody reads our output any more; the run goes on
        self._write(kept)

    def _write(self, line: bytes) -> None:
        if self._file is None or self._left <= 0:
            return
        line = line[: self._left]
        self._left -= len(line)
        if self._left <= 0:
            line += b"\nsftrun: this log has reached its limit; what follows is in the container's log only\n"
        try:
            self._file.write(line)
        except OSError:
            self._file = None  # the volume is full: the child will meet that itself, where it matters


def _open(path: Path | None) -> BinaryIO | None:
    if path is None:
        return None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.fdopen(os.open(path, flags, 0o664), "wb", buffering=0)
    except OSError:
        return None


def excerpt(text: str, *, around: int | None = None, limit: int = REPORT_TAIL_BYTES) -> str:
    """Returns at most `limit` bytes of a log: its end, or the lines about `around`, a position in the
    text."""
    end = len(text)
    if around is not None:
        # The cause with a little before it and most of what follows.
        end = min(end, around + limit * 3 // 4)
    cut = text[:end].encode("utf-8", "replace")[-limit:]
    return cut.decode("utf-8", "ignore").strip("\n")


def as_sample(text: str) -> str:
    """Returns what LLaMA-Factory shows of the data, marked: logs of agents hold other programs' errors."""
    return f"{SAMPLE_BEGINS}\n{text.rstrip()}\n{SAMPLE_ENDS}\n" if text.strip() else ""


def without_samples(text: str) -> str:
    """Returns a log without the marked samples, whose beginning, or end, may be missing."""
    *samples, rest = text.split(f"{SAMPLE_ENDS}\n")
    kept = [sample.partition(SAMPLE_BEGINS)[0] for sample in samples if SAMPLE_BEGINS in sample]
    return "".join((*kept, rest.partition(SAMPLE_BEGINS)[0]))
