"""What ends the supervisor's waiting: signals, a child's end, a lost lock.

A pipe, because a signal handler may do little else safely: an `Event` set in a handler can meet its own lock.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
from types import FrameType


class Wakes:
    """Something to sleep on that others can end from threads and signal handlers."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()  # not inherited; pipe2 is unknown to macOS
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self.stop_requests = 0
        """How often we were asked to stop; a second time means at once."""

    def wake(self) -> None:
        """Ends the current or the next `wait`."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._write, b"\0")

    def wait(self, seconds: float) -> None:
        """Sleeps until woken, at most so long."""
        ready, _, _ = select.select([self._read], [], [], max(0.0, seconds))
        if ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._read, 4096)

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for."""
        return self.stop_requests > 0

    def stop(self) -> None:
        """Asks the supervisor to stop, as SIGTERM does."""
        self.stop_requests += 1
        self.wake()

    def catch_signals(self) -> None:
        """Takes SIGTERM and SIGINT as requests to stop. From the main thread only."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        # Under `nohup` or a closed terminal the run goes on.
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    def stop_at_end_of(self, descriptor: int) -> None:
        """Takes the end of what can be read there as a request to stop: whoever held the other end is gone,
        even if it was killed and could not say so. What is read means nothing."""
        threading.Thread(target=self._read_out, args=(descriptor,), name="tie", daemon=True).start()

    def _read_out(self, descriptor: int) -> None:
        with contextlib.suppress(OSError):
            while os.read(descriptor, 4096):
                continue
        self.stop()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.stop()
