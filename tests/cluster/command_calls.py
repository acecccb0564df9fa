"""The program as a user calls it, against the light cluster."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.operator_harness import Harness

SECONDS = 240.0


@dataclass(frozen=True, kw_only=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str


async def sft(here: Harness, *words: str, kubeconfig: Path | None = None, stdin: str = "") -> Said:
    """Runs `kubectl sft …` in the harness' namespace, as its administrator or as somebody else."""
    path = kubeconfig or here.cluster.kubeconfig
    command = [sys.executable, "-m", "sftrun_cli", *words, "-n", here.namespace, "--kubeconfig", str(path)]
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "100"},
    )
    return Said(code=done.returncode, out=done.stdout, err=done.stderr)
