"""How fast trajectories become training data, and in how much memory: `make bench-convert`.

Made-up Harbor jobs (`bench/convert_logs.py`) are converted by `sftrun_data` and, beside it, read with nothing
done, parsed with `orjson`, and converted in a straightforward way (`bench/convert_baseline.py`). What is
compared runs in turns in processes of their own, on one core each, by its CPU time; a ratio is the median of
those of each turn, because a machine's speed changes from one to the next; and what they write to is memory
that the machine has (`bench/backed_memory.py`). Scaling and memory are of the whole, by the clock: of one
process on one core, with all of its threads, and of as many processes as there are cores.

    python bench/convert.py [--size small|full] [--rounds 5] [--only NAME]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "image"), str(ROOT / "crds")]

from bench import backed_memory, convert_baseline, convert_logs, footprints  # noqa: E402
from bench.convert_logs import Size  # noqa: E402

from sftrun_data import conversions, pools  # noqa: E402
from sftrun_data.requests import ConversionRequest, HarborJobInput, SourceRequest  # noqa: E402

LINES = "*/agent/*.jsonl"
TEMPLATE = "qwen3"
MEMORY_GOAL = 300 * 1024 * 1024
MB = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is converted. Bytes are what they come to, about."""

    size: Size
    log_trials: int
    rewritten_trials: int
    atif_trials: int
    baseline_trials: int
    scaling_log_trials: tuple[int, ...]
    scaling_atif_trials: tuple[int, ...]
    """What a process costs to start counts for little in a real job, and is shown by a small one."""
    memory_trials: int


SCALES = {
    "small": Scale(
        size=Size(calls=80),
        log_trials=3,
        rewritten_trials=2,
        atif_trials=40,
        baseline_trials=1,
        scaling_log_trials=(12,),
        scaling_atif_trials=(80,),
        memory_trials=12,
    ),
    "full": Scale(
        size=Size(calls=200),
        log_trials=3,
        rewritten_trials=1,
        atif_trials=150,
        baseline_trials=1,
        scaling_log_trials=(12, 48),
        scaling_atif_trials=(300, 1200),
        memory_trials=21,
    ),
}


@dataclass(frozen=True, slots=True)
class Spent:
    """What a process spent on a piece of work: seconds on a CPU, and by the clock."""

    cpu: float
    wall: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure against its goal."""

    name: str
    value: float
    unit: str
    baseline: float
    ratio: float
    goal: float
    at_least: bool = True

    @property
    def holds(self) -> bool:
        """Whether the goal is reached."""
        return self.ratio >= self.goal if self.at_least else self.ratio <= self.goal


def _unheard(done: int, total: int | None) -> None:
    """Hears of progress."""


def convert(job: Path, workspace: Path, *, workers: int) -> None:
    """Converts a job as users do."""
    conversions.convert(
        ConversionRequest(
            workspace=workspace,
            dataset_name="bench",
            template=TEMPLATE,
            sources=(SourceRequest(name="job", input=HarborJobInput(path=job)),),
        ),
        on_progress=_unheard,
        workers=workers,
    )


def read(job: Path, pattern: str) -> None:
    """Reads every line and does nothing with it."""
    for path in sorted(job.glob(pattern)):
        with path.open("rb") as file:
            for _ in file:
                pass


def parse(job: Path, pattern: str) -> None:
    """Parses every line."""
    import orjson  # noqa: PLC0415 - in the process that is measured

    for path in sorted(job.glob(pattern)):
        with path.open("rb") as file:
            for line in file:
                orjson.loads(line)


WORKS: dict[str, Callable[[Path, Path, str], None]] = {
    "ours": lambda job, scratch, _: convert(job, scratch, workers=1),
    "straightforward": lambda job, scratch, _: _straightforward(job, scratch),
    "orjson": lambda job, _, pattern: parse(job, pattern),
    "reading": lambda job, _, pattern: read(job, pattern),
}


def _straightforward(job: Path, scratch: Path) -> None:
    convert_baseline.convert(job, out=scratch, template=TEMPLATE)


def measured(work: str, job: Path, pattern: str) -> Spent:
    """Does a piece of work in a process of its own and returns what it spent on it, imports aside."""
    with tempfile.TemporaryDirectory(prefix="bench-convert-", dir=job.parent) as scratch:
        argv = [sys.executable, __file__, "--work", work, str(job), scratch, pattern]
        done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True)
    cpu, wall = map(float, done.stdout.split())
    return Spent(cpu, wall)


def do_work(work: str, job: str, scratch: str, pattern: str) -> None:
    """Is the process of `measured`."""
    backed_memory.have_for(Path(job))
    began, cpu = time.perf_counter(), time.process_time()
    WORKS[work](Path(job), Path(scratch), pattern)
    print(time.process_time() - cpu, time.perf_counter() - began)


def in_turns(works: Sequence[str], job: Path, pattern: str, *, rounds: int) -> dict[str, list[Spent]]:
    """Returns what each kind of work spends on a job, turn by turn."""
    spent: dict[str, list[Spent]] = {work: [] for work in works}
    for number in range(rounds):
        # Who goes first changes: a machine that warms up favours nobody.
        for work in works if number % 2 == 0 else reversed(works):
            spent[work].append(measured(work, job, pattern))
    return spent


def speed(num_bytes: int, turns: Sequence[Spent]) -> float:
    """Returns MB a second of CPU time, in the median."""
    return num_bytes / statistics.median(spent.cpu for spent in turns) / MB


def against(name: str, num_bytes: int, spent: dict[str, list[Spent]], other: str, goal: float) -> Row:
    """Returns how much faster we are than something else."""
    ratios = [theirs.cpu / ours.cpu for ours, theirs in zip(spent["ours"], spent[other], strict=True)]
    say(f"  {name} / {other}, turn by turn: {', '.join(f'{ratio:.2f}' for ratio in ratios)}")
    return Row(
        name=f"{name} / {other}",
        value=speed(num_bytes, spent["ours"]),
        unit="MB/s",
        baseline=speed(num_bytes, spent[other]),
        ratio=statistics.median(ratios),
        goal=goal,
    )


def growing(scratch: Path, scale: Scale, rounds: int) -> Iterator[Row]:
    """Yields the rows of histories that grow: against everything."""
    for shape in convert_logs.GROWING:
        job = scratch / shape
        trials = scale.log_trials * (1 if shape == "plain" else 4)
        num_bytes = convert_logs.write_job(job, shape=shape, trials=trials, size=scale.size)
        say(f"{shape}: {num_bytes / MB:.0f} MB")
        spent = in_turns(("ours", "orjson", "reading", "straightforward"), job, LINES, rounds=rounds)
        if shape == "plain":
            yield against(shape, num_bytes, spent, "straightforward", 20)
            yield against(shape, num_bytes, spent, "orjson", 3)
            yield against(shape, num_bytes, spent, "reading", 0.25)
        else:
            yield against(shape, num_bytes, spent, "orjson", 0.7)
            say(f"  {against(shape, num_bytes, spent, 'straightforward', 0).ratio:.1f} x straightforward")


def rewritten(scratch: Path, scale: Scale, rounds: int) -> Iterator[Row]:
    """Yields the rows of histories that are rewritten."""
    for shape in convert_logs.REWRITTEN:
        job = scratch / shape
        num_bytes = convert_logs.write_job(job, shape=shape, trials=scale.rewritten_trials, size=scale.size)
        say(f"{shape}: {num_bytes / MB:.0f} MB")
        yield against(
            shape, num_bytes, in_turns(("ours", "orjson"), job, LINES, rounds=rounds), "orjson", 0.7
        )


def other_formats(scratch: Path, scale: Scale, rounds: int) -> Iterator[Row]:
    """Yields the rows of ATIF and session files."""
    makers = {
        "ATIF": (convert_logs.write_atif_job, "*/agent/*.json"),
        "sessions": (convert_logs.write_session_job, "*/agent/sessions/projects/*/*.jsonl"),
    }
    for name, (make, pattern) in makers.items():
        job = scratch / name
        num_bytes = make(job, trials=scale.atif_trials, size=scale.size)
        say(f"{name}: {num_bytes / MB:.0f} MB")
        yield against(
            name, num_bytes, in_turns(("ours", "orjson"), job, pattern, rounds=rounds), "orjson", 0.7
        )


def scaling(scratch: Path, scale: Scale, rounds: int) -> Iterator[Row]:
    """Yields how much faster all cores are than one, as a share of their number."""
    logs: Callable[..., int] = partial(convert_logs.write_job, shape="plain")
    jobs = (
        *(("logs", logs, trials) for trials in scale.scaling_log_trials),
        *(("ATIF", convert_logs.write_atif_job, trials) for trials in scale.scaling_atif_trials),
    )
    with _compiled_as_in_an_image(scratch):
        for name, write, trials in jobs:
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                job = Path(folder) / name
                yield scaled(job, write(job, trials=trials, size=scale.size), rounds)


@contextmanager
def _compiled_as_in_an_image(scratch: Path) -> Iterator[None]:
    """Lets processes find their code compiled, as they do where it was installed, until the context ends."""
    before = dict(os.environ)
    os.environ["PYTHONPYCACHEPREFIX"] = str(scratch / "compiled")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    path = os.pathsep.join(item for item in sys.path if item)
    argv = [sys.executable, "-c", "import sftrun_data.pool_workers, sftrun_data.pipelines"]
    try:
        subprocess.run(argv, env=os.environ | {"PYTHONPATH": path}, check=True)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def scaled(job: Path, num_bytes: int, rounds: int) -> Row:
    """Returns how much faster all cores convert a job than one."""
    cores = pools.num_cpus()
    say(f"scaling, {job.name}: {num_bytes / MB:.0f} MB on {cores} cores")
    spent: dict[int, list[Spent]] = {1: [], cores: []}
    for _ in range(rounds):
        for workers, times in spent.items():
            with tempfile.TemporaryDirectory(dir=job.parent) as workspace:
                backed_memory.have_for(job)
                with _on_cores(workers):
                    began, cpu = time.perf_counter(), all_cpu()
                    convert(job, Path(workspace), workers=workers)
                    times.append(Spent(all_cpu() - cpu, time.perf_counter() - began))
    one, all_of_them = (min(item.wall for item in times) for times in spent.values())
    cpus = [min(item.cpu for item in times) for times in spent.values()]
    say(f"  CPU time {cpus[0]:.2f} s in one process, {cpus[1]:.2f} s in {cores}: {cpus[0] / cpus[1]:.2f}")
    say(f"  {cores} processes that convert a part each and share nothing: {apart(job, cores, rounds):.2f}")
    return Row(
        name=f"all cores, {num_bytes / MB:.0f} MB of {job.name}",
        value=num_bytes / all_of_them / MB,
        unit="MB/s",
        baseline=num_bytes / one / MB,
        ratio=one / all_of_them / cores,
        goal=0.9,
    )


@contextmanager
def _on_cores(count: int) -> Iterator[None]:
    """Leaves this process so many cores until the context ends: what is sent to the disk is sent by a thread,
    which would have a core of its own beside the one that is measured."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def apart(job: Path, cores: int, rounds: int) -> float:
    """Returns the most that can be reached: what share of its cores the machine gives to as many processes
    that convert a part of the job each. They share nothing, and their start is not counted."""
    with tempfile.TemporaryDirectory(dir=job.parent) as folder:
        parts = [Path(folder) / str(number) for number in range(cores)]
        for number, trial in enumerate(path for path in sorted(job.iterdir()) if path.is_dir()):
            shutil.copytree(trial, parts[number % cores] / trial.name, copy_function=os.link)
        with _on_cores(1):
            one = min(measured("ours", job, "").wall for _ in range(rounds))
        with ThreadPoolExecutor(cores) as pool:
            together = min(
                max(spent.wall for spent in pool.map(lambda part: measured("ours", part, ""), parts))
                for _ in range(rounds)
            )
    return one / together / cores


def all_cpu() -> float:
    """Returns the CPU time of this process and of its children that have ended."""
    kinds = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in kinds)


def memory(scratch: Path, scale: Scale) -> Iterator[Row]:
    """Yields the peak memory of a large job: of this process's children, the largest."""
    job = scratch / "memory"
    num_bytes = convert_logs.write_job(job, shape="plain", trials=scale.memory_trials, size=scale.size)
    for workers in (1, pools.num_cpus()):
        with tempfile.TemporaryDirectory(dir=scratch) as workspace:
            argv = [sys.executable, __file__, "--peak", str(job), workspace, str(workers)]
            done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True)
        peak = int(done.stdout)
        say(f"memory: {num_bytes / MB:.0f} MB in {workers} workers")
        yield Row(
            name=f"peak memory, {workers} workers",
            value=peak / MB,
            unit="MB",
            baseline=num_bytes / MB,
            ratio=peak / MEMORY_GOAL,
            goal=1.0,
            at_least=False,
        )


def do_peak(job: str, workspace: str, workers: str) -> None:
    """Is the process of `memory`: prints the peak of itself and its workers, whichever is larger. What
    `getrusage` says of a process itself begins with the peak of the one that started it."""
    convert(Path(job), Path(workspace), workers=int(workers))
    workers_peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(max(footprints.of(os.getpid()).peak_bytes, workers_peak))


def first_record(scratch: Path, scale: Scale) -> Iterator[Row]:
    """Yields how much of a job was converted when its first record was on disk, as a share."""
    job = scratch / "first"
    convert_logs.write_job(job, shape="plain", trials=8, size=scale.size)
    seen: list[float] = []

    def look(done: int, total: int | None) -> None:
        if not seen and any(
            path.stat().st_size for path in scratch.glob("w/artifacts/data/.converting-*/im")
        ):
            seen.append(done / (total or 1))

    conversions.convert(
        ConversionRequest(
            workspace=scratch / "w",
            dataset_name="bench",
            template=TEMPLATE,
            sources=(SourceRequest(name="job", input=HarborJobInput(path=job)),),
        ),
        on_progress=look,
        workers=1,
    )
    share = seen[0] if seen else 1.0
    yield Row(
        name="first record written at",
        value=share * 100,
        unit="% read",
        baseline=100,
        ratio=share,
        goal=0.99,
        at_least=False,
    )


def say(text: str) -> None:
    """Tells how far we are."""
    print(text, file=sys.stderr, flush=True)


def table(rows: Sequence[Row]) -> str:
    """Returns the rows for people."""
    lines = [f"{'':34} {'ours':>9} {'other':>9} {'':7} {'ratio':>7} {'goal':>8}  holds"]
    for row in rows:
        goal = f"{'>=' if row.at_least else '<='} {row.goal:g}"
        lines.append(
            f"{row.name:34} {row.value:9.0f} {row.baseline:9.0f} {row.unit:7} {row.ratio:7.2f} {goal:>8}  "
            f"{'yes' if row.holds else 'NO'}"
        )
    return "\n".join(lines)


def main(given: list[str] | None = None) -> int:
    """Runs the benchmark; returns 0 when every goal holds."""
    parser = argparse.ArgumentParser(prog="bench-convert")
    parser.add_argument("--size", choices=SCALES, default="full")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="growing, rewritten, formats, scaling, memory or first")
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(given)
    if options.work:
        do_work(*options.work)
        return 0
    if options.peak:
        do_peak(*options.peak)
        return 0
    scale = SCALES[options.size]
    parts: dict[str, Callable[[Path], Iterator[Row]]] = {
        "growing": lambda scratch: growing(scratch, scale, options.rounds),
        "rewritten": lambda scratch: rewritten(scratch, scale, options.rounds),
        "formats": lambda scratch: other_formats(scratch, scale, options.rounds),
        "scaling": lambda scratch: scaling(scratch, scale, options.rounds),
        "memory": lambda scratch: memory(scratch, scale),
        "first": lambda scratch: first_record(scratch, scale),
    }
    rows: list[Row] = []
    for name, part in parts.items():
        if options.only in (None, name):
            with tempfile.TemporaryDirectory(prefix="bench-convert-") as scratch:
                rows += part(Path(scratch))
    say(f"\n{table(rows)}\n{os.cpu_count()} CPUs, {time.strftime('%Y-%m-%d')}")
    main_row = rows[0]
    result = {
        "name": "convert",
        "value": round(main_row.value, 1),
        "unit": main_row.unit,
        "baseline": round(main_row.baseline, 1),
        "ratio": round(main_row.ratio, 2),
        "goal": main_row.goal,
        "holds": all(row.holds for row in rows),
        "rows": {row.name: [round(row.ratio, 3), row.goal, row.holds] for row in rows},
    }
    print(json.dumps(result))
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
