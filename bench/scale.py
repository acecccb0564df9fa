"""The operator under load, against Kubeflow Trainer's figures and ceilings of our own: `make bench-scale`.

Eight parts, each on a light cluster of its own (real API server, etcd, Job controller), with the operator as
its image holds it and the rights of its chart:

  kubeflow    1,000 TrainJobs of Kubeflow Trainer by 16 parallel creators, measured as `thousand` is: only
              when it is asked for, as its programs have to be built first; what is compared with Kubeflow
              Trainer is then compared with these figures, else with those that `scale_goals.py` has
  floor       1,000 runs by 16 parallel creators, for a client that sends what the operator sends and
              thinks nothing: the least that it could take here
  ruleless    the same with our schema and none of its CEL rules
  schemaless  the same with a CRD that takes anything
  thousand    1,000 runs by 16 parallel creators: from the API server's receipt to its answer to the Job
  ten         10,000 runs as fast as the API server takes them, then a minute of quiet, then a restart
  polls       1,000 running pods that are asked for their progress, some of which hang
  malformed   1,000 malformed runs among good ones

Times and writes are the audit log's; CPU seconds and memory are the operator's process', from /proc. The
ceilings stand in `scale_goals.py`. "All" is every part but `kubeflow`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "hack")]

from bench import scale_goals, scale_kubeflow, scale_malformed, scale_polls, scale_runs  # noqa: E402
from bench.scale_goals import P99, Ceiling  # noqa: E402
from bench.stages import say  # noqa: E402

KUBEFLOW = "kubeflow"
PARTS = ("floor", "ruleless", "schemaless", "thousand", "ten", "polls", "malformed")


async def bench(options: argparse.Namespace) -> dict[str, Any]:
    """Runs the parts and returns the line for machines."""
    parts: dict[str, Callable[[], Awaitable[dict[str, float]]]] = {
        KUBEFLOW: lambda: scale_kubeflow.kubeflow(num_runs=options.runs),
        "floor": lambda: scale_runs.floor(num_runs=options.runs),
        "ruleless": lambda: scale_runs.floor(num_runs=options.runs, thinned=scale_runs.without_rules),
        "schemaless": lambda: scale_runs.floor(num_runs=options.runs, thinned=scale_runs.without_schema),
        "thousand": lambda: scale_runs.thousand(num_runs=options.runs),
        "ten": lambda: scale_runs.ten_thousand(num_runs=10 * options.runs),
        "polls": lambda: scale_polls.polls(num_runs=options.runs),
        "malformed": lambda: scale_malformed.among_malformed(num_runs=options.runs),
    }
    found: dict[str, Mapping[str, float]] = {}
    for name in options.parts or PARTS:
        say(f"\n== {name}")
        found[name] = await parts[name]()
        for figure, value in found[name].items():
            say(f"{figure:54} {value:10g}")
    for name, ceilings in held(found).items():
        say(f"\n== {name}, and its goals")
        tell(found[name], ceilings)
    return line(found)


def held(found: Mapping[str, Mapping[str, float]]) -> dict[str, tuple[Ceiling, ...]]:
    """Returns the ceilings of the parts that were run, by Kubeflow Trainer as measured if it was too."""
    ceilings = scale_goals.ceilings(found.get(KUBEFLOW))
    return {name: ceilings[name] for name in found if name in ceilings}


def tell(figures: Mapping[str, float], ceilings: tuple[Ceiling, ...]) -> None:
    """Writes what has a ceiling beside it."""
    for ceiling in ceilings:
        value = figures[ceiling.name]
        source = f" ({ceiling.source})" if ceiling.source else ""
        missed = "  MISSED" if value > ceiling.most else ""
        say(f"{ceiling.name:54} {value:10g}  at most {ceiling.most:g} {ceiling.unit}{source}{missed}")


def line(found: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Returns the line for machines: a thousand runs' p99 stands for all, `holds` speaks for all."""
    value = found.get("thousand", {}).get(P99)
    baseline = found.get(KUBEFLOW, scale_goals.KUBEFLOW)[P99]
    holds = all(
        found[name][each.name] <= each.most for name, ceilings in held(found).items() for each in ceilings
    )
    return {
        "name": "scale",
        "value": value,
        "unit": "s",
        "baseline": baseline,
        "ratio": round(value / baseline, 3) if value is not None else None,
        "goal": scale_goals.SHARES[P99],
        "holds": holds and set(PARTS) <= set(found),
        "parts": found,
    }


def main() -> int:
    """Prints the figures, and at last their line of JSON. Returns 1 when a ceiling is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "parts", nargs="*", choices=[KUBEFLOW, *PARTS, []], help="only these (`holds` needs all)"
    )
    parser.add_argument("--runs", type=int, default=1000, help="less, to try it out (1000)")
    result = asyncio.run(bench(parser.parse_args()))
    print(json.dumps(result))
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
