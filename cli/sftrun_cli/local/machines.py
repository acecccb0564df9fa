"""What this machine has: GPUs, and a Python that holds the trainer."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping

from sftrun_cli.errors import CommandError
from sftrun_cli.exit_codes import ExitCode

PYTHON_VARIABLE = "SFTRUN_TRAINER_PYTHON"
"""Names the Python that holds the trainer, where it is another one than ours."""
SECONDS = 20.0


def num_gpus(environment: Mapping[str, str] | None = None) -> int:
    """Returns how many NVIDIA GPUs a process of ours would see; 0 where there is no driver."""
    visible = (environment if environment is not None else os.environ).get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([each for each in visible.split(",") if each.strip() not in ("", "-1")])
    program = shutil.which("nvidia-smi")
    if program is None:
        return 0
    try:
        listed = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return (
        sum(line.startswith("GPU ") for line in listed.stdout.splitlines()) if listed.returncode == 0 else 0
    )


def trainer_command(environment: Mapping[str, str] | None = None) -> list[str]:
    """Returns how the trainer is started here.

    Raises CommandError where it is not installed.
    """
    named = (environment if environment is not None else os.environ).get(PYTHON_VARIABLE)
    if named:
        return [named, "-m", "sftrun_trainer"]
    if all(importlib.util.find_spec(name) for name in ("sftrun_trainer", "llamafactory")):
        return [sys.executable, "-m", "sftrun_trainer"]
    program = shutil.which("sftrun-trainer")
    if program is not None and not importlib.util.find_spec("sftrun_trainer"):
        return [program]
    raise CommandError(
        "LLaMA-Factory is not installed beside this program; pip install 'sftrun[trainer]' brings it "
        f"(torch: gigabytes), or name a Python that has it in {PYTHON_VARIABLE}",
        code=ExitCode.USAGE,
    )
