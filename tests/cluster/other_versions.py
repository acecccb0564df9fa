"""Another version of the operator, honestly made: there is only one, so the newer one is this one, changed.

What a next version may do, it does: another version number, a key and a condition that this one does not
know, further figures in the parts of the status that both know, and other objects for attempts that begin.
Each change is made to the source and must be found there, so that none is lost in silence. With
OTHER_REVISION set to a commit, that version is taken from git as it was, and no change is made.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from cluster.paths import REPOSITORY

PACKAGES = ("operator/sftrun_operator", "crds/sftrun_api")
VERSION = "99.0.0"
KEY, CONDITION, FIGURE, LABEL = "laterKey", "LaterCondition", "laterFigure", "example.com/later"
VALUE = {"by": VERSION, "list": [1, {"two": 2}]}
CHANGED = not os.environ.get("OTHER_REVISION")
"""Whether the other version is this one, changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One edit of the source."""

    file: str
    old: str
    new: str


CHANGES = (
    Change(
        file="sftrun_operator/main.py",
        old='        return version("sftrun")\n',
        new=f'        return "{VERSION}" if version("sftrun") else ""\n',
    ),
    Change(
        file="sftrun_operator/plans/drafts.py",
        old="        return patch if patch.keys() - LAZY else None\n",
        new=f"""        if not patch.keys() - LAZY:
            return None
        if "{KEY}" not in self._old:
            patch["{KEY}"] = {VALUE!r}
            self.condition("{CONDITION}", "True", "Later", "a later version knows what this means")
            patch["conditions"] = self._conditions
        return patch
""",
    ),
    Change(
        file="sftrun_operator/plans/drafts.py",
        old="        self._new[key] = kept | texts.harmless(value.to_json_object())\n",
        new=f'        self._new[key] = kept | texts.harmless(value.to_json_object()) | {{"{FIGURE}": 7}}\n',
    ),
    Change(
        file="sftrun_operator/manifests/objects.py",
        old="        names.LABEL_MANAGED_BY: names.MANAGED_BY,\n",
        new=f'        names.LABEL_MANAGED_BY: names.MANAGED_BY,\n        "{LABEL}": "yes",\n',
    ),
)


def make(folder: Path) -> Path:
    """Returns a folder for PYTHONPATH in which the other version lies."""
    revision = os.environ.get("OTHER_REVISION", "")
    if revision:
        archive = subprocess.run(
            ["git", "-C", str(REPOSITORY), "archive", revision, *PACKAGES], check=True, capture_output=True
        )
        with tarfile.open(fileobj=BytesIO(archive.stdout)) as packed:
            packed.extractall(folder, filter="data")
    else:
        for package in PACKAGES:
            shutil.copytree(REPOSITORY / package, folder / package)
    for package in PACKAGES:
        (folder / package).rename(folder / Path(package).name)
    if not revision:
        for change in CHANGES:
            _make(change, folder)
    return folder


def _make(change: Change, folder: Path) -> None:
    file = folder / change.file
    text = file.read_text(encoding="utf-8")
    assert text.count(change.old) == 1, f"{change.file} no longer reads {change.old!r}: change it here too"
    file.write_text(text.replace(change.old, change.new), encoding="utf-8")
