"""What is kept of an attempt that has ended: the page of its curves and its archive.

Neither changes how the run ends. Both are done in a thread with a time limit, because a volume that no longer
answers would hold the eight GPUs, or use up the grace period.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sftrun_api.run_files import RunFile
from sftrun_api.statuses import Check
from sftrun_trainer import archive, folders, locks, redactions, reporting, sayings, stages
from sftrun_trainer.settings import Settings

GROUP = "archive"


def within(seconds: float, work: Callable[[], str]) -> str:
    """Does something that may hang or raise, for so many seconds; returns why it was not done, or nothing."""
    if seconds <= 0:
        return "no time was left for it"
    told: list[str] = []

    def do() -> None:
        try:
            told.append(work())
        except OSError as error:
            told.append(str(error))
        except Exception as error:
            traceback.print_exc()
            told.append(f"{type(error).__name__}: {error}")

    thread = threading.Thread(target=do, name="keeping", daemon=True)
    thread.start()
    thread.join(seconds)
    return told[0] if told else f"it was not done within {seconds:.3g} s"


@dataclass(frozen=True, kw_only=True)
class Keeper:
    """Keeps what one start of an attempt leaves."""

    run: RunFile
    settings: Settings
    programs: stages.Programs
    folder: folders.OutputFolder
    owner: locks.Owner
    account: reporting.Account
    began_at: float
    """Epoch seconds."""

    def keep(self, *, draws: bool, stopping: bool) -> None:
        """Draws the curves, where that is ours to do, and writes the archive. What fails becomes a Warn."""
        if self.run.spec.mode == "DryRun":
            return
        seconds = self.settings.keep_within
        if stopping:
            seconds = self.settings.last_moments(self.run.spec.lifecycle.termination_grace_period_seconds)
        if draws and not stopping:
            self._draw(seconds)
        self._archive(seconds)

    def _draw(self, seconds: float) -> None:
        picture = self.folder.root / folders.PLOTS[0]
        before = _changed(picture)
        why = within(
            seconds, lambda: self.programs.plot(run=self.run, folder=self.folder, settings=self.settings)
        )
        if why:
            self._warn("plot", f"the curves could not be drawn: {why}")
        elif _changed(picture) != before:
            self.account.add_artifacts(curves_plot=str(picture))

    def _archive(self, seconds: float) -> None:
        written: list[Path] = []

        def work() -> str:
            place = archive.place_of(self._attempt())
            self.account.add_artifacts(archive=str(place))
            metadata = archive.write(self._attempt(), place)
            written.append(place)
            missing = [f"{name} is not in it: {why}" for name, why in metadata.missing.items()]
            return "; ".join((*missing, *archive.note(self._attempt(), metadata, place)))

        why = within(seconds, work)
        if not written:
            self.account.add_artifacts(archive=None)
        if why:
            self._warn("archive", f"the archive could not be written as a whole: {why}")

    def _warn(self, name: str, why: str) -> None:
        self.account.add_check(Check(group=GROUP, name=name, result="Warn", message=why[:512]))
        sayings.say(why)

    def _attempt(self) -> archive.Attempt:
        settings = self.settings
        return archive.Attempt(
            run=self.run,
            folder=self.folder,
            config_dir=settings.run_file.parent,
            report=self.account.report(),
            pod_uid=self.owner.pod_uid,
            pod_name=self.account.pod_name,
            environment=settings.environment,
            started_at=self.began_at,
            ended_at=settings.now(),
            said=sayings.said(),
            redact=redactions.redactor_for(settings.credentials_dir),
        )


def _changed(path: Path) -> int:
    """Returns when a file was last changed; 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
