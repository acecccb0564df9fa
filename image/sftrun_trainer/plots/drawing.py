"""Has the page drawn, by a child with a time limit; the run's end never depends on it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from sftrun_api.run_files import RunFile
from sftrun_trainer import environments, folders, steps

SECONDS = 60.0
"""Drawing takes two; importing matplotlib from a cold volume may take far longer."""


def draw(
    run: RunFile, *, folder: folders.OutputFolder, run_file: Path, environment: Mapping[str, str]
) -> str:
    """Draws the page into the output folder; returns why that failed, empty where it did not."""
    if not (folder.state / steps.STEPS_FILE).is_file():
        return ""
    argv = [
        *(sys.executable, "-m", "sftrun_trainer.plots"),
        *("--run-file", str(run_file), "--folder", str(folder.root)),
    ]
    hidden = environments.NEVER_PASSED_ON
    own = {name: value for name, value in environment.items() if name not in hidden}
    caches = environments.caches(Path(run.resolved.workspace))
    try:
        ran = subprocess.run(
            argv,
            env={**caches, **own, "MPLBACKEND": "agg"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it took longer than {SECONDS:.0f} s"
    except OSError as error:
        return str(error)
    if ran.returncode == 0:
        return ""
    last = ran.stderr.decode("utf-8", "replace").strip().rsplit("\n", 1)[-1]
    return f"exit code {ran.returncode}: {last}"[:400]
