"""What is known of the attempt that is archived."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sftrun_api.reports import Report
from sftrun_api.run_files import RunFile
from sftrun_trainer import folders
from sftrun_trainer.redactions import Redactor


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt, seen from the pod that ends."""

    run: RunFile
    folder: folders.OutputFolder
    config_dir: Path
    """Where the attempt's ConfigMap is mounted."""
    report: Report
    pod_uid: str
    pod_name: str
    environment: Mapping[str, str]
    started_at: float
    """Epoch seconds, as `ended_at`."""
    ended_at: float
    said: str
    """What the supervisor itself has printed."""
    redact: Redactor

    @property
    def workspace(self) -> Path:
        """The workspace, as seen in the pod."""
        return Path(self.run.resolved.workspace)
