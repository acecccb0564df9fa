"""What our callback and worker cost the training phase: `make bench-overhead`.

The same LLaMA-Factory YAML is trained by our worker and bare (`bench/bare_worker.py`): ZeRO-3, two
processes, the tiny Qwen3. Both trainings live at once and train in turns of a few seconds: who is not on is
stopped (SIGSTOP). The machine's speed drifts by 5 % from minute to minute, so whole runs one after the other
do not tell 1 % from 7 %; neighbouring turns do. A step's end is the growth of `trainer_log.jsonl`, which
LLaMA-Factory itself writes after each step in both. Holds when the upper bound of the 95 % interval of the
ratio of a step's time is at most 1.03 and our callback takes at most 1 % of a step.

    python bench/overhead.py [--rounds 3] [--steps 400] [--turn 4]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from scipy import stats

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "hack")]

from tests.image import training_runs  # noqa: E402

from sftrun_api.names import ENV_POD_UID  # noqa: E402
from sftrun_trainer import arguments, launches, training_ends  # noqa: E402

GOAL = 1.03
CALLBACK_GOAL = 0.01
BARE_WORKER = Path(__file__).with_name("bare_worker.py")
LOG = "trainer_log.jsonl"
LOOK_SECONDS = 0.001
"""Between two looks at a log: a hundredth of a step."""
WARM_UP = 2
"""Steps at the beginning of a turn that are not counted: the interrupted one, and one with cold caches."""
LEAST_STEPS = 8
"""A turn with fewer counted steps (the last one of a training) says nothing."""
START_SECONDS = 600.0


@dataclass(kw_only=True)
class Training:
    """One training as a tree of processes that can be stopped and gone on with."""

    process: subprocess.Popen[bytes]
    log: Path
    output: Path
    num_seen: int = 0
    turns: list[float] = field(default_factory=list)
    """Seconds a step, one entry a turn; NaN for a turn that says nothing."""

    def signal_all(self, number: signal.Signals) -> None:
        """Sends a signal to torchrun and its ranks."""
        torchrun = psutil.Process(self.process.pid)
        for process in (torchrun, *torchrun.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended by itself
                process.send_signal(number)

    def num_steps(self) -> int:
        """Returns how many steps LLaMA-Factory has logged."""
        path = self.output / LOG
        try:
            return path.read_bytes().count(b"\n")
        except FileNotFoundError:
            return 0

    def ended(self) -> bool:
        """Returns whether it is done. Raises `SystemExit` with the log's end when it failed."""
        if self.process.poll() is None:
            return False
        if not (self.output / "train_results.json").is_file():
            raise SystemExit(self.log.read_text()[-3000:])
        return True


def make(folder: Path, *, num_steps: int) -> training_runs.TrainingRun:
    """Returns a registered run of `num_steps` steps over samples of a few hundred tokens."""
    made = training_runs.make(
        folder,
        records=[training_runs.record(number, turns=4, words=12) for number in range(256)],
        training={"maxSteps": num_steps, "cutoffLen": 2048, "save": {"steps": num_steps}},
    )
    made.register()
    return made.own()


def environment() -> dict[str, str]:
    """Returns what every child gets."""
    path = os.pathsep.join([str(ROOT / part) for part in ("crds", "image")])
    return {
        **os.environ,
        "PYTHONPATH": path,
        ENV_POD_UID: "pod",
        "HF_HUB_OFFLINE": "1",
        "PYTHONUNBUFFERED": "1",
    }


def start(made: training_runs.TrainingRun, *, bare: bool) -> Training:
    """Starts a training with our worker, or the same arguments without us."""
    launch = launches.build(call=made.call, run=made.run, resume=None, base=environment())
    argv: Sequence[str] = launch.argv
    if bare:
        at = argv.index("-m", argv.index("-m") + 1)
        argv = (*argv[:at], str(BARE_WORKER), str(made.call.state_dir / arguments.ARGUMENTS_FILE))
    log = made.root / "train.log"
    with log.open("w") as stream:
        process = subprocess.Popen(argv, env=dict(launch.environment), stdout=stream, stderr=stream)
    return Training(process=process, log=log, output=made.output)


def warm_up(training: Training) -> None:
    """Waits for the first steps, then stops it. Raises `SystemExit` when it does not come so far."""
    until = time.monotonic() + START_SECONDS
    while training.num_steps() < WARM_UP:
        if training.ended() or time.monotonic() > until:
            raise SystemExit(f"no step within {START_SECONDS:.0f} s:\n{training.log.read_text()[-3000:]}")
        time.sleep(0.05)
    training.signal_all(signal.SIGSTOP)


def take_turn(training: Training, *, seconds: float) -> None:
    """Lets it train for a turn and notes the time of a step in it."""
    path = training.output / LOG
    sizes, ends = [path.stat().st_size], [time.monotonic()]
    training.signal_all(signal.SIGCONT)
    until = ends[0] + seconds
    while (now := time.monotonic()) < until and not training.ended():
        if (size := path.stat().st_size) != sizes[-1]:
            sizes.append(size)
            ends.append(now)
        time.sleep(LOOK_SECONDS)
    if not training.ended():
        training.signal_all(signal.SIGSTOP)
    if len(ends) < 1 + WARM_UP + LEAST_STEPS:
        training.turns.append(math.nan)
        return
    num_steps = path.read_bytes()[sizes[WARM_UP] : sizes[-1]].count(b"\n")
    training.turns.append((ends[-1] - ends[WARM_UP]) / num_steps)


def compare(folder: Path, *, first: str, num_steps: int, seconds: float) -> tuple[Training, Training, float]:
    """Trains ours and bare in turns to their ends; returns both, and our callback's share of a step."""
    made = {who: make(folder / who, num_steps=num_steps) for who in ("ours", "bare")}
    both: dict[str, Training] = {}
    try:
        for who, run in made.items():
            both[who] = start(run, bare=who == "bare")
            warm_up(both[who])
        order = [first, "bare" if first == "ours" else "ours"]
        while not any(training.ended() for training in both.values()):
            for who in order:
                take_turn(both[who], seconds=seconds)
            order.reverse()  # a machine that grows slower favours nobody
        for training in both.values():
            if not training.ended():
                training.signal_all(signal.SIGCONT)
                training.process.wait()
    finally:
        for training in both.values():
            if training.process.poll() is None:
                training.signal_all(signal.SIGKILL)
                training.process.wait()
    end = training_ends.read(made["ours"].call.state_dir)
    assert end is not None, "training wrote how it ended"
    return both["ours"], both["bare"], end.callback_seconds / end.step_seconds


def upper_bound(ratios: Sequence[float]) -> float:
    """Returns the upper end of the mean ratio's two-sided 95 % interval (Student's t, on the logarithms)."""
    logarithms = [math.log(ratio) for ratio in ratios]
    error = statistics.stdev(logarithms) / math.sqrt(len(logarithms))
    return math.exp(statistics.mean(logarithms) + float(stats.t.ppf(0.975, len(logarithms) - 1)) * error)


def main(given: list[str] | None = None) -> int:
    """Runs the benchmark; returns 0 when it holds."""
    parser = argparse.ArgumentParser(prog="bench-overhead", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--turn", type=float, default=4.0, help="seconds")
    options = parser.parse_args(given)
    if options.rounds < 1 or options.steps < 200 or options.turn <= 0:
        parser.error("--rounds must be at least 1, --steps at least 200 and --turn above 0")
    mine: list[float] = []
    others: list[float] = []
    shares: list[float] = []
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory(prefix="bench-overhead-") as scratch:
            first = ("ours", "bare")[number % 2]
            ours, bare, share = compare(
                Path(scratch), first=first, num_steps=options.steps, seconds=options.turn
            )
        pairs = [pair for pair in zip(ours.turns, bare.turns, strict=True) if not math.isnan(sum(pair))]
        mine += [pair[0] for pair in pairs]
        others += [pair[1] for pair in pairs]
        shares.append(share)
        print(
            f"round {number + 1}: {len(pairs)} pairs of turns; a step so far: "
            f"ours {statistics.mean(mine) * 1e3:.1f} ms, bare {statistics.mean(others) * 1e3:.1f} ms; "
            f"callback {share:.2%} of a step",
            file=sys.stderr,
        )
    ratios = [first / second for first, second in zip(mine, others, strict=True)]
    upper, share = upper_bound(ratios), statistics.mean(shares)
    result = {
        "name": "overhead",
        "value": round(statistics.mean(mine), 5),
        "unit": "s/step",
        "baseline": round(statistics.mean(others), 5),
        "ratio": round(upper, 4),
        "goal": GOAL,
        "holds": upper <= GOAL and share <= CALLBACK_GOAL,
        "meanRatio": round(math.exp(statistics.mean(map(math.log, ratios))), 4),
        "pairs": len(ratios),
        "callbackShare": round(share, 5),
    }
    print(json.dumps(result))
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
