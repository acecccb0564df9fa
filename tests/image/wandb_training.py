"""What rank 0 does with Weights & Biases, without the training: `wandb_training.py STATE LOSS…`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from sftrun_api.exit_codes import ExitCode
from sftrun_trainer import events, wandb_runs, worker


def main(state: Path, *losses: str) -> None:
    writer = events.EventWriter(state / "events.jsonl")
    seconds = float(os.environ["BEGIN_SECONDS"])
    wandb_runs.END_SECONDS = float(os.environ["END_SECONDS"])
    wandb_runs.begin(state, tell=writer.check, seconds=seconds)
    import wandb

    # As transformers goes on with a run that it finds.
    assert (wandb.run is None) == (os.environ["WANDB_MODE"] == "disabled")
    for loss in losses:
        wandb.log({"train/loss": float(loss)})
        if "GO" in os.environ:
            (state / f"logged-{loss}").touch()
            worker_waits(state / os.environ["GO"])
    (state / "trained.json").write_text(json.dumps(losses))
    worker.leave(ExitCode.DONE, writer)


def worker_waits(path: Path) -> None:
    import select

    while not path.exists():
        select.select([], [], [], 0.01)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
