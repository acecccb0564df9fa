"""How torchrun is started: its command, its environment, and the checkpoint to go on from.

torchrun is started directly and not through LLaMA-Factory's launcher, which does not hand SIGTERM on: the
launcher would die and leave the ranks running. Each rank is `sftrun_trainer.worker`.
"""

from __future__ import annotations

import math
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sftrun_api.reports import Stage
from sftrun_api.run_files import RunFile
from sftrun_trainer import arguments, markers, tokenising
from sftrun_trainer.calls import ChildCall

WORKER = "sftrun_trainer.worker"
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What to start."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]


def build(
    *, call: ChildCall, run: RunFile, resume: Path | None, base: Mapping[str, str], port: int | None = None
) -> Launch:
    """Returns the launch, and writes the checkpoint to go on from into the arguments. Raises `OSError`.

    `resume` is a checkpoint that was verified; without one LLaMA-Factory must find none by itself
    (`checkpoints.to_resume_from` sees to it). `base` is the child's environment so far.
    """
    path = call.state_dir / arguments.ARGUMENTS_FILE
    values = arguments.read(path)
    values.pop("resume_from_checkpoint", None)
    if resume is not None:
        values["resume_from_checkpoint"] = str(resume)
    arguments.write(path, values)
    processes = run.resolved.processes_per_node
    argv = (
        *(sys.executable, "-m", "torch.distributed.run"),
        *("--nnodes=1", "--node_rank=0", f"--nproc_per_node={processes}", "--max_restarts=0"),
        *(f"--master_addr={LOOPBACK}", f"--master_port={port or free_port()}"),
        *("-m", WORKER, *call.arguments()),
    )
    marker = markers.read(call.state_dir, Stage.REGISTER)
    wandb_mode = marker.payload.get("wandbMode") if marker is not None else None
    return Launch(argv=argv, environment={**base, **environment(run, base, wandb_mode=wandb_mode)})


def environment(run: RunFile, base: Mapping[str, str], *, wandb_mode: str | None) -> dict[str, str]:
    """Returns what the ranks need besides the environment of every child. The user's own values win.

    `wandb_mode` is what Register found to work.
    """
    processes = run.resolved.processes_per_node
    wanted = {
        "OMP_NUM_THREADS": str(max(1, cpus() // processes)),
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
        "TORCH_NCCL_AVOID_RECORD_STREAMS": "1",
        **tokenising.MEDIA_PLACEHOLDERS,
        **_wandb(run, wandb_mode),
    }
    if on_cpu(run):
        # Else torch starts a pool of compilers beside each rank, 600 MB each, for kernels nobody asks for.
        wanted["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    forced = {"CUDA_VISIBLE_DEVICES": "", "DS_ACCELERATOR": "cpu"} if on_cpu(run) else {}
    return {name: value for name, value in wanted.items() if name not in base} | forced


def on_cpu(run: RunFile) -> bool:
    """Returns whether training uses no GPU, whatever the pod was given."""
    return run.spec.infrastructure.accelerator == "CPU"


def _wandb(run: RunFile, mode: str | None) -> dict[str, str]:
    wandb = run.spec.tracking.wandb
    if wandb.mode == "Disabled":
        return {}
    values = {
        "WANDB_MODE": mode or wandb.mode.lower(),
        "WANDB_PROJECT": wandb.project,
        "WANDB_ENTITY": wandb.entity,
        "WANDB_RUN_GROUP": wandb.group,
        "WANDB_TAGS": ",".join(wandb.tags),
        # All attempts of a run share one curve.
        "WANDB_RUN_ID": wandb.run_id or run.run.uid,
        "WANDB_RESUME": "allow",
        "WANDB_BASE_URL": wandb.base_url,
        "WANDB_NAME": run.resolved.run_name,
        "WANDB_LOG_MODEL": "false",
        "WANDB_WATCH": "false",
    }
    return {name: value for name, value in values.items() if value}


def free_port() -> int:
    """Returns a port of the loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        port: int = listener.getsockname()[1]
        return port


def cpus(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Returns the CPUs that this container may use: the kernel's set, bounded by the cgroup's quota."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = (cgroup / "cpu.max").read_text(encoding="ascii").split()
        return max(1, min(count, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no quota: "max"
        return count
