"""Which checkpoint a run may go on from.

LLaMA-Factory takes the highest number, whole or not, and dies of half a checkpoint at every start. Here a
checkpoint counts only when everything that a resume reads is there and not cut short: weights, the trainer's
state, and for each process its random state and, under DeepSpeed, its shards. What was sealed must be as it
was then (`seals`); what was not is read whole. What a killed pod left half written is passed over and
removed.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sftrun_api.reasons import Reason
from sftrun_api.run_files import RunFile
from sftrun_trainer import files, seals, weights
from sftrun_trainer.failures import failure

NAME = re.compile(r"^checkpoint-([1-9]\d*)$")
RANDOM_STATE = re.compile(r"^rng_state_(\d{1,4})\.pth$")
READ_SECONDS = 120.0
"""The longest that what was not sealed is read: a terabyte read in silence would count as a stall."""
STATE_FILE = "trainer_state.json"
STALE_WEIGHTS = (*weights.SINGLE, *weights.INDEXES, *weights.ADAPTERS)
"""In an output folder without a checkpoint LLaMA-Factory refuses to start beside these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A whole checkpoint."""

    path: Path
    step: int


def find_all(output_dir: Path) -> tuple[Checkpoint, ...]:
    """Returns what looks like a checkpoint by its name, newest first, whole or not."""
    try:
        entries = [(NAME.match(entry.name), entry) for entry in output_dir.iterdir() if entry.is_dir()]
    except FileNotFoundError:
        return ()
    found = (Checkpoint(path=entry, step=int(match[1])) for match, entry in entries if match)
    return tuple(sorted(found, key=lambda checkpoint: -checkpoint.step))


def find_last_complete(output_dir: Path, *, world_size: int) -> Checkpoint | None:
    """Returns the newest checkpoint that a run of `world_size` processes can go on from."""
    for checkpoint in find_all(output_dir):
        if fault_of(checkpoint.path, world_size=world_size) is None:
            return checkpoint
    return None


def fault_of(path: Path, *, world_size: int) -> str | None:
    """Returns what keeps `world_size` processes from resuming from a checkpoint, `None` when nothing does."""
    return next(_faults(path, world_size), None)


def _faults(path: Path, world_size: int) -> Iterator[str]:
    state = files.read_json(path / STATE_FILE)
    if state is None or not isinstance(state.get("global_step"), int):
        yield f"{STATE_FILE} is missing or cut short"
        return
    match = NAME.match(path.name)
    if match and state["global_step"] != int(match[1]):
        yield f"{STATE_FILE} is of step {state['global_step']}"
    fault = weights.fault_of_weights(path)
    if fault:
        yield fault
    if not (path / "scheduler.pt").is_file() and not _deepspeed_folder(path, state["global_step"]).is_dir():
        yield "it holds weights only (training.save.onlyModel), no optimizer state"
    yield from _faults_of_ranks(path, world_size)
    yield from _faults_of_deepspeed(path, state["global_step"], world_size)
    seal = seals.read(path)
    if seal is not None:
        if fault := seals.broken(path, seal):
            yield fault
        return
    yield from _faults_of_content(path)


def _faults_of_content(path: Path) -> Iterator[str]:
    """Reads a checkpoint that nobody has sealed, as much of it as there is time for."""
    until = time.monotonic() + READ_SECONDS
    look = partial(weights.fault_of_content, go_on=lambda: time.monotonic() < until)
    with ThreadPoolExecutor() as pool:  # checksums are computed outside Python's lock
        yield from filter(None, pool.map(look, sorted(path.rglob("*.*"))))


def _faults_of_ranks(path: Path, world_size: int) -> Iterator[str]:
    names = ["rng_state.pth"] if world_size == 1 else [f"rng_state_{rank}.pth" for rank in range(world_size)]
    if world_size > 1 and (path / f"rng_state_{world_size}.pth").exists():
        yield f"it was written by more than {world_size} processes (infrastructure.processesPerNode)"
    for name in names:
        if not (path / name).is_file():
            yield f"{name} is missing: it was cut short, or written by another number of processes"
        elif fault := weights.fault_of_file(path / name):
            yield fault


def _deepspeed_folder(path: Path, step: int) -> Path:
    return path / f"global_step{step}"


def _faults_of_deepspeed(path: Path, step: int, world_size: int) -> Iterator[str]:
    folder = _deepspeed_folder(path, step)
    if not folder.is_dir():
        if not (path / "optimizer.pt").is_file():
            yield f"neither optimizer.pt nor {folder.name} is there"
        elif fault := weights.fault_of_file(path / "optimizer.pt"):
            yield fault
        return
    latest = path / "latest"
    if not latest.is_file() or latest.read_text(encoding="utf-8").strip() != folder.name:
        yield f"latest does not name {folder.name}"
    names = {entry.name for entry in folder.iterdir()}
    for rank in range(world_size):
        if not any(
            re.match(rf"^(bf16_|fp16_)?zero_pp_rank_{rank}_mp_rank_\d+_optim_states\.pt$", name)
            for name in names
        ):
            yield f"the optimizer states of process {rank} are missing in {folder.name}"
    if any(re.match(rf"^(bf16_|fp16_)?zero_pp_rank_{world_size}_", name) for name in names):
        yield f"it was written by more than {world_size} processes (infrastructure.processesPerNode)"
    if not any(name.endswith("model_states.pt") for name in names):
        yield f"the model states are missing in {folder.name}"
    sharded = [name for name in names if re.match(r"^zero_pp_rank_\d+_mp_rank_\d+_model_states\.pt$", name)]
    if sharded and len(sharded) < world_size:
        yield f"{world_size - len(sharded)} of {world_size} model states are missing in {folder.name}"
    for name in sorted(names):
        if fault := weights.fault_of_file(folder / name):
            yield fault


def to_resume_from(run: RunFile) -> Checkpoint | None:
    """Returns where training goes on, and clears what would mislead LLaMA-Factory; `None` begins anew.

    To be called by the owner of the output folder only. Half checkpoints are deleted; without any whole one,
    so are weights of an earlier end. A checkpoint that the spec names is used where the folder has none.
    Raises `StageFailure` (`CannotResume`) when that one is not whole or one of the folder was written by
    another number of processes (which deletes nothing), and `OSError`.
    """
    output_dir, world_size = Path(run.resolved.output_dir), run.resolved.processes_per_node
    newest: Checkpoint | None = None
    for checkpoint in find_all(output_dir):
        if newest is None and fault_of(checkpoint.path, world_size=world_size) is None:
            newest = checkpoint
        elif newest is None:
            _refuse_other_world(checkpoint.path, world_size=world_size)
            shutil.rmtree(checkpoint.path)
    seals.prune(output_dir)
    if newest is not None:
        return newest
    start = named(run)
    if start is not None:
        return start
    for name in STALE_WEIGHTS:
        (output_dir / name).unlink(missing_ok=True)
    return None


def spoil(path: Path) -> None:
    """Makes a checkpoint that could not be written out count as half written. Never raises."""
    with contextlib.suppress(OSError):
        (path / STATE_FILE).unlink(missing_ok=True)


def _refuse_other_world(path: Path, *, world_size: int) -> None:
    """Raises `StageFailure` when a checkpoint is whole, only not for this number of processes."""
    writers = _num_writers(path)
    if writers == world_size or fault_of(path, world_size=writers) is not None:
        return
    details = (
        f"it was written by {writers} processes and infrastructure.processesPerNode is {world_size}; set it "
        f"to {writers}, or begin anew with training.existingOutput: Overwrite"
    )
    raise failure(Reason.CANNOT_RESUME, path=path, details=details)


def _num_writers(path: Path) -> int:
    """Returns how many processes left their random state in a checkpoint."""
    ranks = [int(match[1]) for entry in path.iterdir() if (match := RANDOM_STATE.match(entry.name))]
    return max(ranks) + 1 if ranks else 1


def named(run: RunFile) -> Checkpoint | None:
    """Returns the checkpoint that the spec names, `None` where it names none.

    Raises `StageFailure` (`CannotResume`) when it is not whole.
    """
    given = run.spec.training.resume_from_checkpoint
    if given is None:
        return None
    return _named(Path(run.resolved.workspace, given), world_size=run.resolved.processes_per_node)


def _named(path: Path, *, world_size: int) -> Checkpoint:
    fault = fault_of(path, world_size=world_size) if path.is_dir() else "there is no such folder"
    if fault:
        raise failure(Reason.CANNOT_RESUME, path=path, details=fault)
    state = files.read_json(path / STATE_FILE) or {}
    return Checkpoint(path=path, step=int(state.get("global_step", 0)))
