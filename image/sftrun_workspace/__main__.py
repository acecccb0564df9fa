"""`python -m sftrun_workspace PATH`: in a pod of the trainer's image, for `kubectl sft clean`.

Prints lines of JSON (see `lines`). Nothing is removed without `--yes`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from sftrun_workspace import lines, listings, plans, removals
from sftrun_workspace.values import Category, Wish


def main(arguments: Sequence[str] | None = None) -> int:
    """Looks, and removes where it was told to; returns the exit code."""
    options = _parser().parse_args(arguments)
    wish = wish_of(options)
    try:
        plan = plans.plan(listings.read(options.path), wish, now=time.time())
        for line in lines.of_plan(plan):
            _say(line)
        if options.yes:
            for removed in removals.remove(options.path, plan, wish):
                _say(lines.of_removed(removed))
    except OSError as error:
        sys.stderr.write(f"{options.path}: {error.strerror or error}\n")
        return 1
    _say(lines.end())
    return 0


def arguments_of(path: str, wish: Wish, *, yes: bool) -> list[str]:
    """Returns the arguments that ask the program for a wish."""
    words = [path, *(f"--{category.value}" for category in sorted(wish.categories))]
    words += ["--older-than", f"{wish.older_than:.0f}"] if wish.older_than else []
    words += ["--run", wish.run] if wish.run is not None else []
    words += [f"--live={uid}" for uid in sorted(wish.live)]
    words += [f"--keep={kept}" for kept in sorted(wish.protected)]
    return [*words, "--yes"] if yes else words


def wish_of(options: argparse.Namespace) -> Wish:
    """Returns the wish that the command line says."""
    return Wish(
        categories=frozenset(category for category in Category if getattr(options, category.value)),
        older_than=options.older_than,
        run=options.run,
        live=frozenset(options.live),
        protected=frozenset(options.keep),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sftrun_workspace", description=__doc__)
    parser.add_argument("path", type=Path, help="the workspace")
    for category in Category:
        parser.add_argument(f"--{category.value}", action="store_true")
    parser.add_argument("--older-than", type=float, default=0.0, help="seconds")
    parser.add_argument("--run", help="only what belongs to the run of this name")
    parser.add_argument("--live", action="append", default=[], help="uid of a run that is not over")
    parser.add_argument("--keep", action="append", default=[], help="a path that somebody refers to")
    parser.add_argument("--yes", action="store_true", help="remove it")
    return parser


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
