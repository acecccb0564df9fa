"""The whole fault matrix: `make faults`. Ends with one line of JSON.

python -m tests.faults [--only TEXT] [--workers N] [--limit N]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from pathlib import Path

from tests.faults import clusters, matrices
from tests.faults.cases import matrix, spread


def say(text: str) -> None:
    """Writes for people; the last line alone is for machines."""
    print(text, file=sys.stderr, flush=True)


async def _run(options: argparse.Namespace, folder: Path) -> int:
    begun = time.monotonic()
    with clusters.own("faults") as cluster:
        reference = await matrices.golden(cluster, folder)
        cases = [case for case in matrix(matrices.calls_of(reference)) if options.only in str(case)]
        cases = spread(cases, options.limit) if options.limit else cases
        say(f"{len(reference.seen)} calls in a golden life, {len(cases)} cases")
        done = 0

        def tell(ending: matrices.Ending) -> None:
            nonlocal done
            done += 1
            mark = "FAILED" if ending.trouble else "ok" if ending.struck else "ok (the call did not come)"
            seconds = time.monotonic() - begun
            say(f"{done}/{len(cases)} {seconds:.0f} s {ending.case}: {mark} {ending.trouble}")

        endings = await matrices.judge(
            cases, cluster=cluster, folder=folder, reference=reference, num_workers=options.workers, tell=tell
        )
    failed = [ending for ending in endings if ending.trouble]
    struck = sum(ending.struck for ending in endings)
    say(f"{struck} of {len(endings)} cases met their call; operators' logs: {folder}")
    line = {"name": "faults", "cases": len(endings), "struck": struck, "failed": len(failed)}
    print(json.dumps({**line, "seconds": round(time.monotonic() - begun), "holds": not failed}))
    return 1 if failed else 0


def main() -> int:
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases whose name holds this")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="a spread sample of so many")
    parser.add_argument("--workers", type=int, default=6, metavar="N", help="lives at a time (6)")
    options = parser.parse_args()
    folder = Path(".cache/faults")
    folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and take operators and cluster along
    return asyncio.run(_run(options, folder))


if __name__ == "__main__":
    sys.exit(main())
