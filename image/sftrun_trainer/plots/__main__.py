"""`python -m sftrun_trainer.plots`: draws the page of a run's curves into its output folder.

A process of its own: matplotlib is no part of the supervisor, and what is wrong with it costs the picture.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from sftrun_api.run_files import RunFile
from sftrun_trainer import folders, starts, steps
from sftrun_trainer.plots import histories, pages, words


def main(given: Sequence[str] | None = None) -> int:
    """Draws; returns the exit code: 0 also where there is nothing to draw."""
    parser = argparse.ArgumentParser(prog="sftrun-plots", description=__doc__)
    parser.add_argument("--run-file", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="the output folder")
    values = parser.parse_args(given)
    run = RunFile.model_validate_json(values.run_file.read_bytes())
    draw(run, folders.OutputFolder(root=values.folder))
    return 0


def draw(run: RunFile, folder: folders.OutputFolder) -> tuple[Path, ...]:
    """Draws what `steps.jsonl` holds; returns the pictures, none without a step. Raises `OSError`."""
    lines = tuple(steps.read_lines(folder.state / steps.STEPS_FILE))
    began = [start.at for start in starts.read(folder.state)]
    history = histories.history(lines, starts=began)
    if not history.raw and not history.evaluations and not history.non_finite:
        return ()
    told = words.words(run, history, at=max((line.at for line in lines), default=0.0))
    paths = tuple(folder.root / name for name in folders.PLOTS)
    beside = tuple(path.with_name(f".sftrun-probe-{os.getpid()}{path.suffix}") for path in paths)
    try:
        pages.draw(history, told, paths=beside)
        for made, path in zip(beside, paths, strict=True):
            made.replace(path)
    finally:
        for made in beside:
            made.unlink(missing_ok=True)
    return paths


if __name__ == "__main__":
    sys.exit(main())
