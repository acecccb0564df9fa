"""Several processes convert as one does: the same bytes, the same order, and nobody is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sftrun_data import crews, errors, pools, shelves
from sftrun_data.pools import Task

pytestmark = pytest.mark.processes

Work = Callable[[], Iterable[Any]]
PATIENCE = 60
"""Seconds; far more than anything here takes."""


def squares(numbers: Iterable[int]) -> Iterator[int]:
    """Work that is quick."""
    for number in numbers:
        yield number * number


def large(count: int) -> Iterator[bytes]:
    """Work with much to tell."""
    for _ in range(count):
        yield b"x" * 1_000_000


def pids(count: int) -> Iterator[int]:
    """Work that tells who does it."""
    for _ in range(count):
        yield os.getpid()


def noisy() -> Iterator[str]:
    """Work that prints."""
    print("to nobody")
    yield "done"


def failing(error: str) -> Iterator[int]:
    """Work that fails after its first result."""
    yield 1
    raise errors.BadData("a bad day") if error == "data" else RuntimeError("a worse day")


def dying(number: int) -> Iterator[int]:
    """Work that ends its process."""
    yield 1
    os.kill(os.getpid(), number)


def after(pipe: Path) -> Iterator[str]:
    """Work that is done when somebody opens a named pipe."""
    pipe.read_bytes()
    yield pipe.name


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A named pipe."""
    os.mkfifo(tmp_path / "gate")
    return tmp_path / "gate"


def open_gate(gate: Path) -> None:
    """Waits until somebody reads, and lets him go on."""
    gate.write_bytes(b"")


def results_of(*works: Callable[[], Iterable[Any]], portable: bool = True, workers: int = 2) -> list[Any]:
    """What the tasks give, in order."""
    taken: list[Any] = []
    with pools.pool(workers=workers, size=1 << 40, helps=False) as pool:
        assert pool.num_workers == (workers if workers > 1 else 0)
        pool.run(
            Task(work=work, take=taken.append, end=partial(taken.append, "end"), portable=portable)
            for work in works
        )
    return taken


def signing(folder: Path, number: int) -> Iterator[int]:
    """Work that leaves a file."""
    (folder / str(number)).touch()
    yield number


def seeing(folder: Path, *numbers: int) -> Iterator[int]:
    """Work that goes on when files are there."""
    for number in numbers:
        until = time.monotonic() + PATIENCE
        while not (folder / str(number)).exists():
            assert time.monotonic() < until, f"{number} was not begun"
            time.sleep(0.01)
        yield -number


def test_a_worker_gets_more_as_soon_as_the_caller_has_a_moment(tmp_path: Path) -> None:
    """All that it has said is heard between two steps, else it is idle during the next."""
    taken: list[int] = []
    works: list[Work] = [partial(seeing, tmp_path, 2, 3), *(partial(signing, tmp_path, n) for n in (1, 2, 3))]
    with pools.pool(workers=2, size=1 << 40) as pool:
        pool.run(Task(work=work, take=taken.append) for work in works)
    assert taken == [-2, -3, 1, 2, 3]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_come_in_the_order_of_the_tasks(workers: int) -> None:
    works = [partial(squares, range(number)) for number in range(40)]
    expected = [item for number in range(40) for item in (*(n * n for n in range(number)), "end")]
    assert results_of(*works, workers=workers) == expected


def test_the_first_task_may_be_the_last_to_end(gate: Path) -> None:
    taken: list[Any] = []

    def tasks() -> Iterator[Task]:
        yield Task(work=partial(after, gate), take=taken.append)
        for number in range(20):
            yield Task(work=partial(squares, [number]), take=taken.append)
        assert taken == []
        open_gate(gate)

    with pools.pool(workers=2, size=1 << 40, helps=False) as pool:
        pool.run(tasks())
    assert taken == ["gate", *(number * number for number in range(20))]


def test_what_waits_for_the_first_task_is_bounded(monkeypatch: pytest.MonkeyPatch, gate: Path) -> None:
    monkeypatch.setattr(crews, "_MAX_WAITING_BYTES", 3_000_000)
    waiting: list[int] = []
    taken: list[Any] = []
    works: list[Work] = [partial(after, gate), *(partial(large, 2) for _ in range(10))]
    with pools.pool(workers=2, size=1 << 40, helps=False) as pool:
        receive = pool._receive  # type: ignore[attr-defined]

        def watched(worker: Any) -> None:
            receive(worker)
            waiting.append(pool._waiting_bytes)  # type: ignore[attr-defined]
            if waiting[-1] >= 3_000_000 and gate.exists():
                open_gate(gate)
                gate.unlink()

        monkeypatch.setattr(pool, "_receive", watched, raising=False)
        pool.run(Task(work=work, take=taken.append) for work in works)
    assert len(taken) == 21
    assert max(waiting) < 5_000_000


def test_work_that_cannot_travel_is_done_here_in_its_turn() -> None:
    works = [lambda number=number: iter([(number, os.getpid())]) for number in range(5)]
    assert results_of(*works, portable=False)[::2] == [(number, os.getpid()) for number in range(5)]
    mixed: list[Any] = []
    with pools.pool(workers=2, size=1 << 40, helps=False) as pool:
        pool.run(
            Task(work=partial(pids, 1), take=mixed.append, portable=number % 2 == 0) for number in range(10)
        )
    assert [pid == os.getpid() for pid in mixed] == [number % 2 == 1 for number in range(10)]
    assert len(set(mixed)) == 3


def test_what_is_printed_is_no_result(capfd: pytest.CaptureFixture[str]) -> None:
    assert results_of(noisy, noisy) == ["done", "end"] * 2
    assert capfd.readouterr().err.count("to nobody") == 2


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_caller_works_too_and_the_order_is_the_same(count: int) -> None:
    taken: list[Any] = []
    with pools.pool(workers=count, size=1 << 40) as pool:
        assert pool.num_workers == (count if count > 1 else 0)
        pool.run(
            Task(work=partial(pids, 2), take=taken.append, end=partial(taken.append, n)) for n in range(60)
        )
        pool.run(Task(work=partial(squares, range(number)), take=taken.append) for number in range(9))
    assert taken[2:180:3] == list(range(60))
    assert taken[180:] == [n * n for number in range(9) for n in range(number)]
    assert os.getpid() in taken[:180:3]


def told(kind: str) -> Iterator[tuple[str, int]]:
    """Work whose result says what is to be done with it."""
    yield kind, os.getpid()


def sign(folder: Path, kind: str) -> None:
    """Says who did an errand, or fails."""
    if kind == "bad":
        raise errors.WorkspaceFailed("no space")
    with (folder / str(os.getpid())).open("a") as file:
        file.write(kind)


@pytest.mark.parametrize("helps", [True, False])
def test_errands_are_done_where_the_result_was_made_and_all_before_the_end(
    tmp_path: Path, helps: bool
) -> None:
    makers: list[int] = []

    def take(result: tuple[str, int]) -> Callable[[], None]:
        makers.append(result[1])
        return partial(sign, tmp_path, result[0])

    with pools.pool(workers=2, size=1 << 40, helps=helps) as pool:
        pool.run(Task(work=partial(told, "x"), take=take) for _ in range(40))
        done = {int(path.name): len(path.read_text()) for path in tmp_path.iterdir()}
    assert done == Counter(makers)
    assert sum(done.values()) == 40


@pytest.mark.parametrize("helps", [True, False])
def test_an_errand_that_fails_is_heard_of(tmp_path: Path, helps: bool) -> None:
    with (
        pytest.raises(errors.WorkspaceFailed, match="no space"),
        pools.pool(workers=2, size=1 << 40, helps=helps) as pool,
    ):
        pool.run(
            Task(work=partial(told, kind), take=lambda result: partial(sign, tmp_path, result[0]))
            for kind in ["x"] * 5 + ["bad"]
        )


def shelving(count: int) -> Iterator[tuple[shelves.Shelved, int]]:
    """Work that leaves lines on the shelf, of which one is more than there should be."""
    shelves._MAX_BYTES = 1
    for _ in range(count):
        yield shelves.SHELF.put(b"line"), shelves.SHELF.num_bytes


def test_no_more_is_made_while_a_shelf_is_full() -> None:
    sizes: list[int] = []

    def take(result: tuple[shelves.Shelved, int]) -> Callable[[], None]:
        sizes.append(result[1])
        return partial(shelves.clear, [], [result[0].number])

    with pools.pool(workers=2, size=1 << 40, helps=False) as pool:
        pool.run(Task(work=partial(shelving, 20), take=take) for _ in range(6))
    assert sizes == [4] * 120


@pytest.mark.parametrize(
    ("work", "kind", "words", "final"),
    [
        (partial(failing, "data"), errors.BadData, "a bad day", True),
        (partial(failing, "other"), errors.WorkerFailed, "RuntimeError: a worse day", False),
        (partial(dying, signal.SIGKILL), errors.WorkerFailed, "killed by signal 9.*limits.memory", False),
        (partial(dying, signal.SIGTERM), errors.WorkerFailed, "killed by signal 15", False),
    ],
    ids=["an error of ours", "any other", "killed", "terminated"],
)
def test_a_failure_has_a_name_and_leaves_nobody(
    work: Callable[[], Any], kind: type[errors.DataError], words: str, final: bool
) -> None:
    workers: list[subprocess.Popen[bytes]] = []
    works: list[Work] = [work, *[partial(squares, [1])] * 9]
    with pytest.raises(kind, match=words) as caught, pools.pool(workers=2, size=1 << 40, helps=False) as pool:
        workers += [worker.process for worker in pool._workers]  # type: ignore[attr-defined]
        pool.run(Task(work=item, take=lambda result: None) for item in works)
    assert caught.value.final is final
    assert [worker.poll() is not None for worker in workers] == [True, True]


def test_an_error_of_the_caller_ends_workers_in_the_middle_of_work(gate: Path) -> None:
    workers: list[subprocess.Popen[bytes]] = []

    def interrupted(result: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), pools.pool(workers=2, size=1 << 40, helps=False) as pool:
        workers += [worker.process for worker in pool._workers]  # type: ignore[attr-defined]
        never = partial(after, gate)
        works: list[Work] = [partial(squares, [1]), never, never]
        pool.run(Task(work=work, take=interrupted) for work in works)
    assert [worker.poll() is not None for worker in workers] == [True, True]


CALLER = """
import sys
from functools import partial
from pathlib import Path
from tests.image.test_data_pools import after, pids
from sftrun_data import pools
with pools.pool(workers=2, size=1 << 40, helps=False) as pool:
    work = [partial(pids, 1)] * 20 + [partial(after, Path(sys.argv[1]))] * 2
    print([worker.process.pid for worker in pool._workers], flush=True)
    pool.run(pools.Task(work=item, take=lambda result: print("result", flush=True)) for item in work)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["terminated", "killed"])
def test_workers_end_with_their_caller_whatever_ends_it(gate: Path, number: signal.Signals) -> None:
    caller = subprocess.Popen(
        [sys.executable, "-c", CALLER, str(gate)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert caller.stdout is not None
    workers = [int(pid) for pid in caller.stdout.readline().strip("[]\n").split(",")]
    assert caller.stdout.readline() == "result\n"
    caller.send_signal(number)
    caller.wait(PATIENCE)
    caller.stdout.close()
    deadline = time.monotonic() + PATIENCE
    while any(map(is_running, workers)) and time.monotonic() < deadline:
        os.sched_yield()
    assert [is_running(pid) for pid in workers] == [False, False]


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("workers", "size", "expected"),
    [(None, 0, 0), (8, 0, 0), (1, 1 << 40, 0), (3, 1 << 40, 3), (8, 2 * pools.BYTES_A_WORKER, 2)],
)
def test_as_many_workers_as_the_input_is_worth(workers: int | None, size: int, expected: int) -> None:
    with pools.pool(workers=workers, size=size) as pool:
        assert pool.num_workers == expected


def test_by_default_as_many_as_there_are_cpus() -> None:
    assert 1 <= pools.num_cpus() <= len(os.sched_getaffinity(0))
