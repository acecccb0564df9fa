"""From kill -9 of the leading operator to the first thing that the other one does: `make bench-failover`.

A light cluster, two operators with a Lease as processes of their own. Each round the leader is killed, a run
is created in the same moment, and the time to its Job is taken; then a new candidate takes the free place.
What must be waited for is the Lease's 15 seconds, counted by the other from the last renewal that it saw.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "hack")]

from tests.cluster.operator_harness import Harness, OperatorProcess, eventually, harness_of  # noqa: E402

from cluster import handles, light, processes  # noqa: E402

GOAL_SECONDS = 20.0


def say(text: str) -> None:
    """Writes for people; the last line alone is for machines."""
    print(text, file=sys.stderr, flush=True)


async def _says(process: OperatorProcess, words: str) -> bool:
    return words in await asyncio.to_thread(process.log.read_text)


async def measure(here: Harness, *, rounds: int, folder: Path) -> list[float]:
    """Returns the seconds from each kill to the Job of a run that was created then."""

    async def candidate(words: str) -> OperatorProcess:
        made = here.process("--leader-elect", "--lease-namespace", here.namespace, folder=folder)
        await eventually(lambda: _says(made, words), bool, what=words)
        return made

    leader = await candidate("leading, as")
    other = leader
    took = []
    try:
        for number in range(rounds):
            other = await candidate("serving")
            await asyncio.sleep(3)  # it has seen the Lease renewed
            begun = time.monotonic()
            leader.process.kill()
            await here.create(f"r{number}")
            await here.jobs(f"r{number}", 1)
            took.append(time.monotonic() - begun)
            say(f"round {number + 1}: {took[-1]:.1f} s")
            leader.kill()
            leader = other
    finally:
        leader.kill()
        other.kill()
    return took


async def bench(*, rounds: int) -> dict[str, Any]:
    """Runs it all and returns the line for machines."""
    owner = os.getpid()
    started = processes.start_ticks(owner)
    assert started is not None
    run_folder = await asyncio.to_thread(light.up, f"bench-failover-{owner}", owner=(owner, started))
    try:
        cluster = handles.of_folder(run_folder)
        await asyncio.to_thread(cluster.install_crds)
        async with harness_of(cluster) as here:
            with tempfile.TemporaryDirectory(prefix="bench-failover-") as folder:
                took = await measure(here, rounds=rounds, folder=Path(folder))
    finally:
        await asyncio.to_thread(light.down, run_folder)
    worst = max(took)
    return {
        "name": "failover: kill -9 of the leader to the next Job, worst",
        "value": round(worst, 2),
        "unit": "s",
        "baseline": 15.0,
        "ratio": round(worst / 15.0, 2),
        "goal": GOAL_SECONDS,
        "rounds": rounds,
        "holds": worst <= GOAL_SECONDS,
    }


def main() -> int:
    """Prints figures for people to standard error, and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="leaders to kill (5)")
    line = asyncio.run(bench(rounds=parser.parse_args().rounds))
    print(json.dumps(line))
    return 0 if line["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
