"""A process that works for a pool: `python -m sftrun_data.pool_workers`. Tasks come in on standard input,
results go out on standard output.

It ends at once when its input does, in whatever it is doing: then the pool is gone, or needs it no more.
Where its shelf is full it makes no more results until some were taken.
"""

from __future__ import annotations

import faulthandler
import os
import queue
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any

from sftrun_data import memory, messages
from sftrun_data.errors import DataError
from sftrun_data.shelves import SHELF


def main() -> None:
    """Works until there is no more work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller is asked to stop too, and ends its workers
    if hasattr(signal, "SIGUSR1"):
        faulthandler.register(signal.SIGUSR1, all_threads=True)
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what anybody prints is no reply
    requests: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(sys.stdin.buffer, requests), daemon=True).start()
    memory.prepare()
    with suppress(_Unheard):
        _Worker(requests, replies).work()
    os._exit(0)


def _receive(stream: IO[bytes], requests: queue.SimpleQueue[bytearray]) -> None:
    while (message := messages.read(stream)) is not None:
        requests.put(message)
    os._exit(0)


@dataclass(slots=True)
class _Worker:
    """Does tasks in the order in which they came, and errands between their results."""

    requests: queue.SimpleQueue[bytearray]
    replies: IO[bytes]
    tasks: deque[Callable[[], Iterable[Any]]] = field(default_factory=deque)

    def work(self) -> None:
        """Works for ever. Raises _Unheard."""
        while True:
            while not self.tasks:
                self._hear()
            try:
                for result in self.tasks.popleft()():
                    self._answer(messages.RESULT, result)
                    while SHELF.is_full or not self.requests.empty():
                        self._hear()
            except _Unheard:
                raise
            except Exception as error:
                self._fail(error)
            else:
                self._answer(messages.END)

    def _hear(self) -> None:
        """Waits for a request; does it at once if it is an errand."""
        kind, what = messages.unpacked(self.requests.get())
        if kind == messages.TASK:
            self.tasks.append(what)
            return
        try:
            what()
        except Exception as error:
            self._fail(error)
        else:
            self._answer(messages.DONE)

    def _fail(self, error: Exception) -> None:
        told = error if isinstance(error, DataError) else traceback.format_exc()
        self._answer(messages.ERROR, told)

    def _answer(self, kind: str, what: Any = None) -> None:
        message = messages.packed((kind, what))
        try:
            messages.write(self.replies, message)
        except OSError as error:
            raise _Unheard from error


class _Unheard(Exception):
    """Nobody reads the replies."""


if __name__ == "__main__":
    main()
