"""Several processes that work: this one, and fresh interpreters that speak over pipes.

Nothing is forked, so threads, locks and open files of the caller do not matter, and a worker that dies is an
end of file, not a hang. They end with the caller, whatever ends it, because their pipe does. Only so much
work is given out that what waits for its turn stays small. Until the others have begun, and whenever they
have enough to do, the caller works too.
"""

from __future__ import annotations

import fcntl
import os
import selectors
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any

from sftrun_data import messages, pools
from sftrun_data.errors import DataError, WorkerFailed
from sftrun_data.pools import Task

_AHEAD = 2
"""Tasks that each worker has: the one it works on, and the next."""
_MAX_WAITING = 256
_MAX_WAITING_BYTES = 32 * 1024 * 1024
"""Results that may wait for the one before them: beyond it no new work is given out."""
_MAX_OWN = 16
"""Results of the caller that may wait: each of a few megabytes."""
_PIPE_BYTES = 1024 * 1024
_WIDE_PIPES = 16
"""What all pipes of a user may hold is limited, and who goes beyond it gets smaller ones than usual."""
_END_SECONDS = 10


@dataclass(slots=True, eq=False)
class _Slot:
    """A task's place in the order, and its results that are not taken yet."""

    task: Task
    worker: _Worker | None = None
    """None for what is done here."""
    own: Iterator[Any] | None = None
    """What the caller has begun."""
    results: deque[tuple[Any, int]] = field(default_factory=deque)
    finished: bool = False


@dataclass(slots=True, eq=False)
class _Worker:
    process: subprocess.Popen[bytes]
    slots: deque[_Slot] = field(default_factory=deque)
    """Tasks given to it, in the order in which it does them."""
    num_errands: int = 0
    """That it has not done yet."""

    @property
    def requests(self) -> IO[bytes]:
        assert self.process.stdin is not None
        return self.process.stdin

    @property
    def replies(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout


class Crew:
    """Several processes."""

    def __init__(self, *, helps: bool) -> None:
        self._helps = helps
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._order: deque[_Slot] = deque()
        self._waiting_bytes = 0
        self._own: _Slot | None = None
        self._own_waiting = 0

    @property
    def num_workers(self) -> int:
        """All that work."""
        return len(self._workers) + self._helps

    def hire(self) -> None:
        """Starts a worker."""
        process = subprocess.Popen(
            [sys.executable, "-m", "sftrun_data.pool_workers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        worker = _Worker(process)
        if len(self._workers) < _WIDE_PIPES:
            _widen(worker.replies)
        self._workers.append(worker)
        self._selector.register(worker.replies, selectors.EVENT_READ, worker)

    def run(self, tasks: Iterable[Task]) -> None:
        """Does the tasks and all errands."""
        given = iter(tasks)
        exhausted = False
        while not exhausted or self._order or self._owes_errands():
            while not exhausted and self._has_room():
                task = next(given, None)
                if task is None:
                    exhausted = True
                else:
                    self._order.append(self._give(task))
                    self._settle()
            if self._may_step():
                self._step()
                self._collect(wait=False)
            elif self._order or self._owes_errands():
                self._collect(wait=True)
            self._settle()

    def _owes_errands(self) -> bool:
        return any(worker.num_errands for worker in self._workers)

    def _settle(self) -> None:
        """Hands on what is there of the first task in the order, and of those behind it when it is done."""
        while self._order:
            slot = self._order[0]
            while slot.results:
                self._take(slot, *slot.results.popleft())
            if not slot.finished:
                return
            self._order.popleft()
            if slot.worker or slot.own:
                slot.task.end()
            else:
                pools.do(slot.task)

    def _take(self, slot: _Slot, result: Any, size: int) -> None:
        self._waiting_bytes -= size
        self._own_waiting -= slot.own is not None
        errand = slot.task.take(result)
        if errand and slot.worker:
            self._send(slot.worker, messages.ERRAND, errand)
            slot.worker.num_errands += 1
        elif errand:
            errand()

    def _has_room(self) -> bool:
        return (
            self._waiting_bytes < _MAX_WAITING_BYTES
            and len(self._order) < _MAX_WAITING
            and (self._is_free() or any(len(worker.slots) < _AHEAD for worker in self._workers))
        )

    def _is_free(self) -> bool:
        """Whether the caller may begin a task."""
        return self._helps and self._own is None and self._own_waiting < _MAX_OWN

    def _give(self, task: Task) -> _Slot:
        if task.work is None or not task.portable:
            return _Slot(task, finished=True)
        worker = min(self._workers, key=lambda worker: len(worker.slots), default=None)
        # The first one of all is done here: workers need a moment to begin. And so is the last one, where
        # they all have something to do.
        if worker is None or (self._is_free() and (not self._order or worker.slots)):
            self._own = _Slot(task, own=iter(task.work()))
            return self._own
        slot = _Slot(task, worker)
        self._send(worker, messages.TASK, task.abroad or task.work)
        worker.slots.append(slot)
        return slot

    def _send(self, worker: _Worker, kind: str, what: Any) -> None:
        request = messages.packed((kind, what))
        try:
            messages.write(worker.requests, request)
        except OSError as error:
            raise self._dead(worker) from error

    def _may_step(self) -> bool:
        """Whether the caller has begun a task, and its results need not wait for too long."""
        return self._own is not None and (self._own is self._order[0] or self._own_waiting < _MAX_OWN)

    def _step(self) -> None:
        """Works on, until there is a result."""
        slot = self._own
        assert slot and slot.own, "the caller has begun a task"
        for result in slot.own:
            slot.results.append((result, 0))
            self._own_waiting += 1
            return
        slot.finished = True
        self._own = None

    def _collect(self, *, wait: bool) -> None:
        """Takes in all that the workers have answered; waits for something if told to. Where too much waits
        for the first task in the order, only of the worker that does it: the others then wait too."""
        first = self._order[0].worker if self._order else None
        if wait and first is not None and self._waiting_bytes >= _MAX_WAITING_BYTES:
            self._receive(first)
            return
        # What is left in a pipe would be heard of a step later, and its worker be idle meanwhile.
        heard = self._selector.select(None if wait else 0)
        while heard:
            for key, _ in heard:
                self._receive(key.data)
            heard = self._selector.select(0) if self._waiting_bytes < _MAX_WAITING_BYTES else []

    def _receive(self, worker: _Worker) -> None:
        reply = messages.read(worker.replies)
        if reply is None:
            raise self._dead(worker)
        answer, result = messages.unpacked(reply)
        if answer == messages.RESULT:
            worker.slots[0].results.append((result, len(reply)))
            self._waiting_bytes += len(reply)
        elif answer == messages.END:
            worker.slots.popleft().finished = True
        elif answer == messages.DONE:
            worker.num_errands -= 1
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
        """Ends the workers whatever they do. None is left afterwards."""
        for worker in self._workers:
            worker.process.kill()
        self.close()

    def dismiss(self) -> None:
        """Has the workers end: they leave when there is nothing more to read."""
        for worker in self._workers:
            worker.requests.close()

    def close(self) -> None:
        """Ends the workers."""
        self._selector.close()
        self.dismiss()
        for worker in self._workers:
            try:
                worker.process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
            worker.replies.close()


def _widen(pipe: IO[bytes]) -> None:
    """Lets a pipe hold more than 64 KB, where the system can: a worker need not wait until it is heard."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):  # more than this user may have
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _raised(error: DataError | str) -> Exception:
    if isinstance(error, DataError):
        return error
    return WorkerFailed(f"a process that converts trajectories failed:\n{error}")
