"""What is not the run's but the place's: paths, ports and intervals. Tests set them to milliseconds."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sftrun_api.names import CREDENTIALS_DIR, PROGRESS_PORT, TERMINATION_LOG
from sftrun_trainer import locks


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Defaults are the pod's. All times are in seconds."""

    run_file: Path
    termination_log: Path | None = Path(TERMINATION_LOG)
    port: int | None = PROGRESS_PORT
    """0: any free one; `None`: no progress server."""
    host: str | None = None
    credentials_dir: Path = Path(CREDENTIALS_DIR)
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    tied_to: int | None = None
    """A descriptor whose end is a request to stop: whoever holds the other end is gone."""
    lock_timing: locks.Timing = field(default_factory=locks.Timing)
    look_every: float = 0.2
    grace_margin: float = 10.0
    """Kept of the grace period for what comes after the child's end; never more than a fifth of it."""
    quick_grace: float = 10.0
    """For stages that have nothing to save."""
    exit_within: float = 60.0
    """A child that has sent its result and does not exit (a hanging upload) is killed after this."""
    linger: float = 30.0
    """The longest that a finished run goes on answering."""
    linger_for_curve: float = 2.0
    """After the final progress was fetched."""
    keep_within: float = 60.0
    """The longest that a run which has ended waits for its picture and its archive."""
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time

    def with_credentials(self, folder: Path) -> Settings:
        """Returns the same with secrets from another folder."""
        return dataclasses.replace(self, credentials_dir=folder)

    def grace(self, grace_period: float) -> float:
        """Returns the seconds that a child is given of the pod's grace period."""
        return max(0.0, grace_period - min(self.grace_margin, grace_period / 5))

    def last_moments(self, grace_period: float) -> float:
        """Returns the seconds of the grace period in which a stopped run may still write its archive: half of
        what its child was not given."""
        return (grace_period - self.grace(grace_period)) / 2
