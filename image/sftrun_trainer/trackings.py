"""Weights & Biases before training: a key that is refused or a server that does not answer is said, and the
run goes on offline. Otherwise transformers would find out in the training process, and end it.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from sftrun_api.preflights import Group
from sftrun_api.run_files import RunFile
from sftrun_api.statuses import Check
from sftrun_trainer.preflight.findings import line

SECONDS = 15
GROUP = Group.WANDB


def ask_server(base_url: str | None) -> str:
    """Returns who the key is of, as the server says that the run will report to (`None`: the public one).

    Raises whatever the client raises; waits `SECONDS` a request.
    """
    import wandb  # noqa: PLC0415 - only runs that report online pay for the import

    viewer = wandb.Api(overrides={"base_url": base_url} if base_url else None, timeout=SECONDS).viewer
    return str(getattr(viewer, "entity", None) or getattr(viewer, "username", ""))


def check(run: RunFile, *, ask: Callable[[str | None], str] = ask_server) -> tuple[str, Check]:
    """Returns the mode to train with (`disabled`, `offline`, `online`) and what is to be said about it."""
    mode = run.spec.tracking.wandb.mode
    if mode == "Disabled":
        return "disabled", line(GROUP, "mode", "Pass", "tracking.wandb.mode is Disabled")
    if mode == "Offline":
        message = "curves are written to the workspace's cache, for wandb sync later"
        return "offline", line(GROUP, "mode", "Pass", message)
    try:
        who = ask(run.spec.tracking.wandb.base_url or os.environ.get("WANDB_BASE_URL"))
    except Exception as error:  # a client of its own, with exceptions of its own
        # Its messages may hold the server's answer, never the key: that goes into a header.
        message = (
            f"{type(error).__name__}; the run goes on offline: check credentials.wandbAPIKeySecretRef, "
            "tracking.wandb.baseURL and the way there, and sync it later from the workspace's cache"
        )
        return "offline", line(GROUP, "server", "Warn", message)
    return "online", line(GROUP, "server", "Pass", f"the key of {who}")
