"""Work spread over processes, its results taken in the order in which it was given out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

BYTES_A_WORKER = 24 * 1024 * 1024
"""Input that is worth the start of another process: a fifth of a second."""

Work = Callable[[], Iterable[Any]]
Errand = Callable[[], None]
"""What is still to be done with a result once it was taken, by the process that it is of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A piece of work, and what is done with its results: in the caller, and in the order of the tasks."""

    work: Work | None
    """Gives results one by one. None where there is nothing to be done before the end."""
    take: Callable[[Any], Errand | None]
    """Is called with each result."""
    end: Callable[[], None] = lambda: None
    """Is called behind the last one."""
    portable: bool = True
    """Whether the work can be pickled; else it is done in the caller, when its turn has come."""
    abroad: Work | None = None
    """Is done in the place of the work if it is done in another process."""


class Pool(Protocol):
    """Something that works."""

    @property
    def num_workers(self) -> int:
        """0: everything is done in this process."""

    def run(self, tasks: Iterable[Task]) -> None:
        """Does the tasks and all errands. Raises what they raise, WorkerFailed for a worker that ended."""

    def dismiss(self) -> None:
        """Tells workers that there is nothing more to do: they end meanwhile."""

    def kill(self) -> None:
        """Ends workers whatever they do. None is left afterwards."""


@contextmanager
def pool(*, workers: int | None, size: int, helps: bool = True) -> Iterator[Pool]:
    """Gives a pool of as many workers as the machine has CPUs, or of so many, for an input of so many bytes:
    a small one is worked on in this process. Where this process `helps` it is one of them. Nothing of the
    pool is left when the context ends."""
    count = min(num_cpus() if workers is None else workers, size // BYTES_A_WORKER)
    if count < 2:
        yield _Here()
        return
    from sftrun_data.crews import Crew  # noqa: PLC0415 - it is a pool, and does tasks

    crew = Crew(helps=helps)
    try:
        for _ in range(count - helps):
            crew.hire()
        yield crew
    except BaseException:
        crew.kill()
        raise
    finally:
        crew.close()


@contextmanager
def ended(pool: Pool) -> Iterator[None]:
    """Ends a pool's work with a context: before files are removed that its workers may have open."""
    try:
        yield
    except BaseException:
        pool.kill()
        raise
    pool.dismiss()


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
            do(task)

    def dismiss(self) -> None:
        pass

    def kill(self) -> None:
        pass


def do(task: Task) -> None:
    """Does a task here, now."""
    for result in task.work() if task.work else ():
        if errand := task.take(result):
            errand()
    task.end()
