"""Work spread over processes, its results taken in the order in which it was given out.

The workers are fresh interpreters that speak over pipes: nothing is forked, so threads, locks and open files
of the caller do not matter, and a worker that dies is an end of file, not a hang. They end with the caller,
whatever ends it, because their pipe does. Only so much work is given out that what waits for its turn stays
small.
"""

from __future__ import annotations

import fcntl
import os
import selectors
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

from sftrun_data import messages
from sftrun_data.errors import DataError, WorkerFailed

BYTES_A_WORKER = 24 * 1024 * 1024
"""Input that is worth the start of another process: a third of a second."""
_AHEAD = 2
"""Tasks that each worker has: the one it works on, and the next."""
_MAX_WAITING = 256
_MAX_WAITING_BYTES = 32 * 1024 * 1024
"""Results that may wait for the one before them: beyond it no new work is given out."""
_PIPE_BYTES = 1024 * 1024
_WIDE_PIPES = 16
"""What all pipes of a user may hold is limited, and who goes beyond it gets smaller ones than usual."""
_END_SECONDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A piece of work, and what is done with its results: in the caller, and in the order of the tasks."""

    work: Callable[[], Iterable[Any]] | None
    """Gives results one by one. None where there is nothing to be done before the end."""
    take: Callable[[Any], None]
    """Is called with each result."""
    end: Callable[[], None] = lambda: None
    """Is called behind the last one."""
    portable: bool = True
    """Whether the work can be pickled; else it is done in the caller, when its turn has come."""


class Pool(Protocol):
    """Something that works."""

    @property
    def num_workers(self) -> int:
        """0: everything is done in this process."""

    def run(self, tasks: Iterable[Task]) -> None:
        """Does the tasks. Raises what they raise, WorkerFailed for a worker that ended."""


@contextmanager
def pool(*, workers: int | None, size: int) -> Iterator[Pool]:
    """Gives a pool of as many workers as the machine has CPUs, or of so many, for an input of so many bytes:
    a small one is worked on in this process. Nothing of it is left when the context ends."""
    count = min(num_cpus() if workers is None else workers, size // BYTES_A_WORKER)
    if count < 2:
        yield _Here()
        return
    crew = _Crew()
    try:
        for _ in range(count):
            crew.hire()
        yield crew
    except BaseException:
        crew.kill()
        raise
    finally:
        crew.close()


def num_cpus() -> int:
    """Returns how many CPUs this process may use: by affinity, and by its control group's quota."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, min(count, -(-int(quota) // int(period))))
    except (OSError, ValueError):
        return count


class _Here:
    """No worker at all."""

    num_workers = 0

    def run(self, tasks: Iterable[Task]) -> None:
        for task in tasks:
            _do(task)


def _do(task: Task) -> None:
    for result in task.work() if task.work else ():
        task.take(result)
    task.end()


@dataclass(slots=True, eq=False)
class _Slot:
    """A task's place in the order, and its results that are not taken yet."""

    task: Task
    worker: _Worker | None = None
    """None for what is done here."""
    results: deque[tuple[Any, int]] = field(default_factory=deque)
    finished: bool = False


@dataclass(slots=True, eq=False)
class _Worker:
    process: subprocess.Popen[bytes]
    slots: deque[_Slot] = field(default_factory=deque)
    """Tasks given to it, in the order in which it does them."""

    @property
    def requests(self) -> IO[bytes]:
        assert self.process.stdin is not None
        return self.process.stdin

    @property
    def replies(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout


class _Crew:
    """Several processes."""

    def __init__(self) -> None:
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._order: deque[_Slot] = deque()
        self._waiting_bytes = 0

    @property
    def num_workers(self) -> int:
        return len(self._workers)

    def hire(self) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "sftrun_data.pool_workers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        worker = _Worker(process)
        if self.num_workers < _WIDE_PIPES:
            _widen(worker.replies)
        self._workers.append(worker)
        self._selector.register(worker.replies, selectors.EVENT_READ, worker)

    def run(self, tasks: Iterable[Task]) -> None:
        given = iter(tasks)
        exhausted = False
        while self._order or not exhausted:
            while not exhausted and self._has_room():
                task = next(given, None)
                if task is None:
                    exhausted = True
                else:
                    self._order.append(self._give(task))
                    self._settle()
            if self._order:
                self._collect()
                self._settle()

    def _settle(self) -> None:
        """Hands on what is there of the first task in the order, and of those behind it when it is done."""
        while self._order:
            slot = self._order[0]
            while slot.results:
                result, size = slot.results.popleft()
                self._waiting_bytes -= size
                slot.task.take(result)
            if not slot.finished:
                return
            self._order.popleft()
            if slot.worker:
                slot.task.end()
            else:
                _do(slot.task)

    def _has_room(self) -> bool:
        return (
            self._waiting_bytes < _MAX_WAITING_BYTES
            and len(self._order) < _MAX_WAITING
            and any(len(worker.slots) < _AHEAD for worker in self._workers)
        )

    def _give(self, task: Task) -> _Slot:
        if task.work is None or not task.portable:
            return _Slot(task, finished=True)
        worker = min(self._workers, key=lambda worker: len(worker.slots))
        slot = _Slot(task, worker)
        request = messages.packed(task.work)
        try:
            messages.write(worker.requests, request)
        except OSError as error:
            raise self._dead(worker) from error
        worker.slots.append(slot)
        return slot

    def _collect(self) -> None:
        """Takes in a result of every worker that has one; waits for one. Where too much waits for the first
        task in the order, only of the worker that does it: the others then wait too."""
        first = self._order[0].worker
        if first is not None and self._waiting_bytes >= _MAX_WAITING_BYTES:
            self._receive(first)
            return
        for key, _ in self._selector.select():
            self._receive(key.data)

    def _receive(self, worker: _Worker) -> None:
        reply = messages.read(worker.replies)
        if reply is None:
            raise self._dead(worker)
        answer, result = messages.unpacked(reply)
        if answer == messages.RESULT:
            size = messages.size_of(reply)
            worker.slots[0].results.append((result, size))
            self._waiting_bytes += size
        elif answer == messages.END:
            worker.slots.popleft().finished = True
        else:
            raise _raised(result)

    def _dead(self, worker: _Worker) -> WorkerFailed:
        code = worker.process.wait()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return WorkerFailed(
            f"a process that converts trajectories {how}; if memory ran out, raise "
            "infrastructure.resources.limits.memory or lower training.preprocessingNumWorkers"
        )

    def kill(self) -> None:
        """Ends the workers whatever they do."""
        for worker in self._workers:
            worker.process.kill()

    def close(self) -> None:
        """Ends the workers: they leave when there is nothing more to read."""
        self._selector.close()
        for worker in self._workers:
            worker.requests.close()
        for worker in self._workers:
            try:
                worker.process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
            worker.replies.close()


def _widen(pipe: IO[bytes]) -> None:
    """Lets a pipe hold more than 64 KB, where the system can: a piece of records is megabytes."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):  # more than this user may have
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _raised(error: DataError | str) -> Exception:
    if isinstance(error, DataError):
        return error
    return WorkerFailed(f"a process that converts trajectories failed:\n{error}")
