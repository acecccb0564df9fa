"""A process that works for a pool: `python -m sftrun_data.pool_workers`. Tasks come in on standard input,
results go out on standard output.

It ends at once when its input does, in whatever it is doing: then the pool is gone, or needs it no more.
"""

from __future__ import annotations

import faulthandler
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import IO, Any

from sftrun_data import cycles, messages
from sftrun_data.errors import DataError


def main() -> None:
    """Works until there is no more work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller is asked to stop too, and ends its workers
    if hasattr(signal, "SIGUSR1"):
        faulthandler.register(signal.SIGUSR1, all_threads=True)
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what anybody prints is no reply
    tasks: queue.SimpleQueue[messages.Message] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(sys.stdin.buffer, tasks), daemon=True).start()
    cycles.seek_seldom()
    try:
        while True:
            for answer in _answers(tasks.get()):
                messages.write(replies, messages.packed(answer))
    except OSError:
        os._exit(0)


def _receive(stream: IO[bytes], tasks: queue.SimpleQueue[messages.Message]) -> None:
    while (message := messages.read(stream)) is not None:
        tasks.put(message)
    os._exit(0)


def _answers(message: messages.Message) -> Iterator[tuple[str, Any]]:
    """Yields the results of a task and that it is done, or what went wrong."""
    try:
        for result in messages.unpacked(message)():
            yield messages.RESULT, result
    except DataError as error:
        yield messages.ERROR, error
    except Exception:
        yield messages.ERROR, traceback.format_exc()
    else:
        yield messages.END, None


if __name__ == "__main__":
    main()
