"""Links in the volumes must not lead the trainer out of them.

Who can write to a volume need not be who created the run: a link from a data set to the mounted secrets, or
from the output folder into another claim, would have the trainer copy or write what its author may not touch.
So every path of the run is resolved before anything is read or written, and must end in a mounted volume.
What is swapped while the run works is kept out only where we open files ourselves, which follows no link.

Without a cluster there are no mounts, and the user's own links are his to make; the places that hold what is
not his data stay closed there too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from sftrun_api.names import CONFIG_DIR, CREDENTIALS_DIR
from sftrun_api.reasons import Reason
from sftrun_api.rules.about_paths import spec_paths
from sftrun_api.run_files import RunFile
from sftrun_trainer import folders
from sftrun_trainer.endings import fail

CLOSED = ("/proc", "/sys", "/dev", "/etc", "/run/secrets", str(CONFIG_DIR), str(CREDENTIALS_DIR))
"""What is never a user's data, unless a volume is mounted there, as on a tmpfs below /dev."""
WRITTEN = (
    *("artifacts/data/im_data", "artifacts/data/lf_data", ".cache/sftrun/tokenized", ".cache/sftrun/models"),
    *(
        "artifacts",
        "artifacts/archives",
        ".cache/huggingface",
        ".cache/triton",
        ".cache/torch",
        ".cache/wandb",
    ),
)
"""Folders of the workspace that runs write to, beside their output."""
MOST_ENTRIES = 10_000
"""Of a model's folder."""


def check(run: RunFile, *, private: Path) -> None:
    """Looks at every path of the run, and at what lies in its model folders.

    Raises `Ending` (`BadRequest`, final) for one that leads elsewhere; `private` is where secrets are
    mounted.
    """
    local = run.resolved.workspace != run.spec.workspace.mount_path
    mounts = _mounts(run)
    closed = tuple(os.path.realpath(path) for path in CLOSED)
    secrets = os.path.realpath(private)
    for field, path in _all_paths(run):
        real = os.path.realpath(path)
        in_mount = any(_inside(real, mount) for mount in mounts)
        elsewhere = local and not any(_inside(real, folder) for folder in closed)
        if _inside(real, secrets) or not (in_mount or elsewhere):
            details = (
                f"{field}: {path} leads to {real}, outside the mounted volumes; put there what the link "
                "points to, or mount its volume with spec.volumes"
            )
            raise fail(Reason.BAD_REQUEST, details=details)


def _mounts(run: RunFile) -> tuple[str, ...]:
    """Returns where the volumes really are."""
    paths = (run.resolved.workspace, *(volume.mount_path for volume in run.spec.volumes))
    return tuple(os.path.realpath(path) for path in paths)


def _all_paths(run: RunFile) -> Iterator[tuple[str, Path]]:
    workspace, output = Path(run.resolved.workspace), folders.of_run(run)
    for location, text in spec_paths(run.spec):
        field = ".".join(map(str, location))
        if field == "training.outputDir":
            continue
        path = workspace / text
        yield field, path
        if location[0] in ("model", "training"):
            yield from ((field, entry) for entry in _links_in(path))
    yield from (("workspace", workspace / part) for part in WRITTEN)
    for path in (output.root, output.state, output.logs, output.report):
        yield "training.outputDir", path
    yield from (("training.outputDir", entry) for entry in _links_in(output.root))
    yield from (("training.outputDir", entry) for entry in _links_in(output.state))


def _links_in(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            found = [Path(entry.path) for entry in islice(entries, MOST_ENTRIES) if entry.is_symlink()]
    except OSError:
        return  # absent, or closed to us: said by whoever needs it
    yield from sorted(found)


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
