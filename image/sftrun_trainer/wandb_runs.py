"""The run on Weights & Biases, begun and ended by us, so that it can never end a training.

transformers would begin it when the model is loaded, and let every error through: a server that went away
since Register, or a key that was taken back, would cost the run. Ours is begun before, falls back to offline
with a Warn, and transformers goes on with it. Its end is bounded: the client would try for hours to send the
rest, while eight GPUs wait; what was not sent lies in the workspace for `wandb sync`.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sftrun_api.models import OpenModel
from sftrun_api.preflights import Group
from sftrun_api.statuses import Check
from sftrun_trainer import files
from sftrun_trainer.preflight.findings import line

MODE = "WANDB_MODE"
FILE = "wandb.json"
"""In the state folder: the run as it was begun last."""
BEGIN_SECONDS = 30.0
END_SECONDS = 30.0
PROJECT = "huggingface"
"""transformers' own default, which was used before we began the run."""
Tell = Callable[[Check], None]


class WandbRun(OpenModel):
    """`wandb.json`."""

    run_id: str
    url: str | None = None
    """Absent offline: there is no page yet."""
    mode: str


def begin(state_dir: Path, *, tell: Tell, seconds: float = BEGIN_SECONDS) -> None:
    """Begins the run that the environment asks for, if it does; offline where online fails. Never raises."""
    mode = os.environ.get(MODE, "disabled")
    if mode not in ("online", "offline"):
        return
    error = _begin(seconds)
    if error is not None and mode == "online":
        tell(_warning(f"the run could not be begun on the server ({error}); it goes on offline"))
        mode = os.environ[MODE] = "offline"
        error = _begin(seconds)
    if error is not None:
        tell(_warning(f"curves are not kept for Weights & Biases: {error}"))
        os.environ[MODE] = "disabled"
        return
    run = sys.modules["wandb"].run
    told = WandbRun(run_id=str(run.id), url=run.url if mode == "online" else None, mode=mode)
    with contextlib.suppress(OSError):
        files.write_json(state_dir / FILE, told.to_json_object())


def _begin(seconds: float) -> str | None:
    """Begins the run as the environment says; returns what was wrong, in a line."""
    try:
        import wandb  # noqa: PLC0415 - only runs that keep curves for it pay for the import

        wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT), settings=wandb.Settings(init_timeout=seconds)
        )
    except Exception as error:  # a client of its own, with exceptions of its own
        with contextlib.suppress(Exception):
            sys.modules["wandb"].teardown()
        return f"{type(error).__name__}: {' '.join(str(error).split())}"[:240]
    return None


def end(*, tell: Tell | None, seconds: float | None = None) -> None:
    """Ends the run, and waits so long for what has not been sent. Never raises."""
    run: Any = getattr(sys.modules.get("wandb"), "run", None)
    if run is None:
        return
    ended = threading.Event()

    def finish() -> None:
        with contextlib.suppress(BaseException):
            run.finish()
            ended.set()

    thread = threading.Thread(target=finish, name="wandb", daemon=True)
    thread.start()
    thread.join(END_SECONDS if seconds is None else seconds)
    if not ended.is_set() and tell is not None:
        tell(_warning("not everything could be sent to the server before the end"))


def _warning(what: str) -> Check:
    remedy = "sync it later: wandb sync, in the workspace's .cache/wandb"
    return line(Group.WANDB, "run", "Warn", f"{what}; {remedy}")


def read(state_dir: Path) -> WandbRun | None:
    """Returns the run as it was begun last; `None` where there was none, or garbage."""
    value = files.read_json(state_dir / FILE)
    try:
        return WandbRun.model_validate(value) if value is not None else None
    except ValueError:
        return None
