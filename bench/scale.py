"""The operator under load, against Kubeflow Trainer's figures and ceilings of our own: `make bench-scale`.

Seven parts, each on a light cluster of its own (real API server, etcd, Job controller), with the operator as
its image holds it and the rights of its chart:

  floor       1,000 runs by 16 parallel creators, for a client that sends what the operator sends and
              thinks nothing: the least that it could take here
  ruleless    the same with our schema and none of its CEL rules
  schemaless  the same with a CRD that takes anything
  thousand    1,000 runs by 16 parallel creators: from the API server's receipt to its answer to the Job
  ten         10,000 runs as fast as the API server takes them, then a minute of quiet, then a restart
  polls       1,000 running pods that are asked for their progress, some of which hang
  malformed   1,000 malformed runs among good ones

Times and writes are the audit log's; CPU seconds and memory are the operator's process', from /proc. The
ceilings stand in `scale_goals.py`.
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

from bench import scale_goals, scale_malformed, scale_polls, scale_runs  # noqa: E402
from bench.scale_goals import KUBEFLOW, P99, Ceiling  # noqa: E402
from bench.stages import say  # noqa: E402

CEILINGS: dict[str, tuple[Ceiling, ...]] = {
    "floor": (),
    "ruleless": (),
    "schemaless": (),
    "thousand": scale_goals.THOUSAND,
    "ten": scale_goals.TEN_THOUSAND,
    "polls": scale_goals.POLLS,
    "malformed": scale_goals.MALFORMED,
}


async def bench(options: argparse.Namespace) -> dict[str, Any]:
    """Runs the parts and returns the line for machines."""
    parts: dict[str, Callable[[], Awaitable[dict[str, float]]]] = {
        "floor": lambda: scale_runs.floor(num_runs=options.runs),
        "ruleless": lambda: scale_runs.floor(num_runs=options.runs, thinned=scale_runs.without_rules),
        "schemaless": lambda: scale_runs.floor(num_runs=options.runs, thinned=scale_runs.without_schema),
        "thousand": lambda: scale_runs.thousand(num_runs=options.runs),
        "ten": lambda: scale_runs.ten_thousand(num_runs=10 * options.runs),
        "polls": lambda: scale_polls.polls(num_runs=options.runs),
        "malformed": lambda: scale_malformed.among_malformed(num_runs=options.runs),
    }
    found: dict[str, Mapping[str, float]] = {}
    for name in options.parts or parts:
        say(f"\n== {name}")
        found[name] = await parts[name]()
        tell(found[name], CEILINGS[name])
    return line(found)


def tell(figures: Mapping[str, float], ceilings: tuple[Ceiling, ...]) -> None:
    """Writes a part's figures beside their ceilings."""
    most = {each.name: each for each in ceilings}
    for name, value in figures.items():
        ceiling = most.get(name)
        goal = "" if ceiling is None else f"  at most {ceiling.most:g} {ceiling.unit}"
        missed = "  MISSED" if ceiling is not None and value > ceiling.most else ""
        say(f"{name:54} {value:10g}{goal}{missed}")


def line(found: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Returns the line for machines: a thousand runs' p99 stands for all, `holds` speaks for all."""
    value = found.get("thousand", {}).get(P99)
    holds = all(figures[each.name] <= each.most for name, figures in found.items() for each in CEILINGS[name])
    return {
        "name": "scale",
        "value": value,
        "unit": "s",
        "baseline": KUBEFLOW[P99],
        "ratio": round(value / KUBEFLOW[P99], 3) if value is not None else None,
        "goal": 0.3,
        "holds": holds and set(found) == set(CEILINGS),
        "parts": found,
    }


def main() -> int:
    """Prints the figures, and at last their line of JSON. Returns 1 when a ceiling is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[*CEILINGS, []], help="only these (`holds` needs all)")
    parser.add_argument("--runs", type=int, default=1000, help="less, to try it out (1000)")
    result = asyncio.run(bench(parser.parse_args()))
    print(json.dumps(result))
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
