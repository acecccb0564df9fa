"""Workspaces for the tests of cleaning, as the trainer's own functions write them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from sftrun_api.run_files import RunIdentity
from sftrun_trainer import folders, locks

MEGABYTE = 1024 * 1024
LONG_AGO = 1_000_000_000.0


def identity(name: str = "a", uid: str = "11111111-0000", attempt: int = 1) -> RunIdentity:
    return RunIdentity(namespace="ns", name=name, uid=uid, attempt=attempt)


def checkpoint(folder: Path, step: int, *, best: int | None = None, whole: bool = True) -> Path:
    """Writes a checkpoint of a megabyte; one that is not whole lacks what is written last."""
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "model.safetensors").write_bytes(b"\0" * MEGABYTE)
    if whole:
        named = str(folder / f"checkpoint-{best}") if best else None
        state: dict[str, Any] = {"global_step": step, "best_model_checkpoint": named, "log_history": []}
        (path / "trainer_state.json").write_text(json.dumps(state))
    return path


def output_folder(
    workspace: Path, run: RunIdentity, *steps: int, name: str | None = None, ended: str | None = "Completed"
) -> Path:
    """Writes an output folder of a run that is over and has let go of its lock."""
    folder = workspace / "artifacts" / "model" / (name or run.name)
    state = folder / ".sftrun"
    state.mkdir(parents=True)
    folders.write_claim(state, run, training_digest="d")
    lock = hold(folder, run)
    lock.release()
    for step in steps:
        checkpoint(folder, step)
    if ended is not None:
        (state / "training.json").write_text(json.dumps({"ending": ended, "step": 9, "totalSteps": 9}))
    return folder


def hold(folder: Path, run: RunIdentity) -> locks.Lock:
    """Takes the lock of an output folder."""
    state = folder / ".sftrun"
    state.mkdir(parents=True, exist_ok=True)
    lock = locks.Lock(state_dir=state, owner=locks.owner_of(run, "pod-1"))
    lock.take()
    return lock


def archive(workspace: Path, run: RunIdentity) -> Path:
    folder = workspace / "artifacts" / "archives" / f"{run.name}-{run.uid[:5]}-{run.attempt}"
    folder.mkdir(parents=True)
    (folder / "metadata.yaml").write_text("{}\n")
    return folder


def tokenized(workspace: Path, digest: str, *, of: Path | None = None) -> Path:
    """Writes a tokenised set, and the marker of the run that trains from it."""
    folder = workspace / ".cache" / "sftrun" / "tokenized" / digest
    folder.mkdir(parents=True)
    (folder / "found.json").write_text("{}")
    if of is not None:
        marker = of / ".sftrun" / "stages" / "register.json"
        marker.parent.mkdir(parents=True)
        value = {
            "stage": "Register",
            "payload": {"files": {"tokenized": f"/workspace/.cache/sftrun/tokenized/{digest}/found.json"}},
        }
        marker.write_text(json.dumps(value))
    return folder


def cache(workspace: Path, place: str) -> Path:
    folder = workspace / place
    folder.mkdir(parents=True)
    (folder / "file").write_bytes(b"\0" * MEGABYTE)
    return folder


def age(path: Path, *, seconds: float = LONG_AGO) -> None:
    """Sets back the times of everything in a folder."""
    for each in (*path.rglob("*"), path):
        os.utime(each, (seconds, seconds), follow_symlinks=False)
