"""The output folder: where our files lie in it, whose it is, and what may happen to what is already there.

The lock (`locks`) says who is alive; `claim.json` says whose content this is. They differ after an end, and
while an `Overwrite` is half done: the claim is written only when the old content is gone, so a pod that
replaces one killed in the middle clears again, and one that replaces a later one resumes.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from sftrun_api.models import OpenModel
from sftrun_api.reasons import Reason
from sftrun_api.run_files import RunFile, RunIdentity
from sftrun_trainer import files
from sftrun_trainer.endings import fail
from sftrun_trainer.locks import LOCK_FILE

STATE = ".sftrun"
TRIALS = Path(".cache/sftrun/trials")
"""Below the workspace: where runs work that do not train."""
CLAIM_FILE = "claim.json"
REPORT_FILE = "sftrun-report.json"
PLOTS = ("sftrun-curves.png", "sftrun-curves.svg")
"""Our page of curves, in the order of their use: for people, and for print at any size."""
PROBE = ".sftrun-probe-"
"""How the names of the preflight's files begin; one may stay behind when a pod is killed."""
CHECKPOINT = re.compile(r"^checkpoint-(\d+)$")
OURS = (STATE, REPORT_FILE, *PLOTS)
"""In an otherwise empty folder these alone do not count as content: they are what a failed start leaves."""
HARMLESS = (*OURS, "lost+found", ".snapshot", ".DS_Store")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFolder:
    """Paths in an output folder."""

    root: Path

    @property
    def state(self) -> Path:
        """Ours, inside the folder."""
        return self.root / STATE

    @property
    def report(self) -> Path:
        """The report, beside LLaMA-Factory's own results."""
        return self.root / REPORT_FILE

    @property
    def logs(self) -> Path:
        """Output of the children."""
        return self.state / "logs"


def of_run(run: RunFile) -> OutputFolder:
    """Returns the folder that a run works in: what is not to train has one of its own in the cache.

    A dry run with `existingOutput: Overwrite` would else delete the weights that it was to be tried beside.
    """
    if run.spec.mode == "Train":
        return OutputFolder(root=Path(run.resolved.output_dir))
    identity = run.run
    name = f"{identity.namespace}-{identity.name}-{identity.uid[:8]}"
    return OutputFolder(root=Path(run.resolved.workspace, TRIALS, name))


class Claim(OpenModel):
    """`claim.json`: whose content the folder holds."""

    namespace: str
    name: str
    uid: str
    training_digest: str | None = None
    """Of what Register settled; a run that resumes must come to the same."""

    def owned_by(self, run: RunIdentity) -> bool:
        """Whether it is this very run's; any attempt and pod of it goes on."""
        return self.uid == run.uid

    def same_name(self, run: RunIdentity) -> bool:
        """Whether it is an earlier run's of the same name."""
        return (self.namespace, self.name) == (run.namespace, run.name)


def read_claim(state_dir: Path) -> Claim | None:
    """Returns the claim; `None` where there is none or garbage."""
    value = files.read_json(state_dir / CLAIM_FILE)
    try:
        return Claim.model_validate(value) if value is not None else None
    except ValidationError:
        return None


def write_claim(state_dir: Path, run: RunIdentity, *, training_digest: str | None) -> None:
    """Writes whose content the folder holds from now on. Raises `OSError`."""
    claim = Claim(namespace=run.namespace, name=run.name, uid=run.uid, training_digest=training_digest)
    files.write_json(state_dir / CLAIM_FILE, claim.to_json_object())


def content_of(root: Path) -> tuple[str, ...]:
    """Returns the names of files and folders that are not ours alone, sorted, at most a hundred."""
    try:
        with os.scandir(root) as entries:
            found = [
                entry.name
                for entry in entries
                if entry.name not in HARMLESS and not entry.name.startswith(PROBE)
            ]
    except FileNotFoundError:
        return ()
    return tuple(sorted(found)[:100])


def holds_training(root: Path) -> bool:
    """Returns whether the folder holds a checkpoint: something that a resume would go on from."""
    return newest_checkpoint(root) > 0


def newest_checkpoint(root: Path) -> int:
    """Returns the highest step of a `checkpoint-N` folder, 0 without one. Says nothing about its being
    whole."""
    matches = (CHECKPOINT.match(name) for name in content_of(root))
    return max((int(match[1]) for match in matches if match), default=0)


Decision = Literal["GoOn", "Begin", "Clear"]


def decide(
    *,
    run: RunIdentity,
    existing_output: str,
    claim: Claim | None,
    content: tuple[str, ...],
    root: Path,
) -> Decision:
    """Returns what to do with what the folder holds: go on with it, begin in it, or clear it first.

    Raises `Ending` (final): `OutputFolderTaken` for another run's content, `OutputFolderNotEmpty` for any
    other.
    """
    if claim is not None and claim.owned_by(run):
        return "GoOn"
    if existing_output == "Overwrite":
        return "Clear"
    if not content:
        return "Begin"
    if claim is not None and not claim.same_name(run):
        owner = f"{claim.namespace}/{claim.name} (uid {claim.uid})"
        raise fail(Reason.OUTPUT_FOLDER_TAKEN, path=root, owner=owner)
    if existing_output == "Resume" and claim is not None:
        return "GoOn"
    names = ", ".join(content[:5]) + (" …" if len(content) > 5 else "")
    whose = (
        f"files of an earlier run of this name (uid {claim.uid})"
        if claim
        else "files that no run of ours made"
    )
    raise fail(Reason.OUTPUT_FOLDER_NOT_EMPTY, path=root, found=f"{whose}: {names}")


def clear(root: Path) -> None:
    """Deletes what is in the folder, without ever leaving it: links are removed, not followed.

    Of our own state the lock stays, which the caller holds. Raises `OSError`.
    """
    for entry in _entries(root):
        if entry.name not in HARMLESS or entry.is_symlink():
            _remove(entry)
    clear_own(root)


def clear_own(root: Path) -> None:
    """Deletes an earlier run's state, report and plots, but for the lock, which the caller holds. Raises
    `OSError`."""
    for name in (REPORT_FILE, *PLOTS):
        _remove(root / name)
    for entry in _entries(root / STATE):
        if LOCK_FILE not in entry.name:
            _remove(entry)


def _entries(folder: Path) -> Iterator[Path]:
    try:
        yield from sorted(folder.iterdir())
    except FileNotFoundError:
        return


def _remove(path: Path) -> None:
    try:
        if stat.S_ISDIR(path.lstat().st_mode):
            shutil.rmtree(path)  # opens folders without following links, so none can lead it outside
        else:
            path.unlink()
    except FileNotFoundError:
        return
