"""`artifacts/index.yaml`: many runs write it, on several nodes, over file systems whose locks may not work.

So there is no lock. A writer replaces the file as a whole, so that nobody ever reads half of it, and then
looks again: whoever is the last to replace it sees every archive that was whole by then, and puts in whose
line is not there. What is lost all the same (a node that does not see another's folder yet) comes back with
the next archive.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from sftrun_api import archives
from sftrun_trainer import files

INDEX_BYTES = 64 * 1024 * 1024
MOST_ROUNDS = 8
HEAD = "# One line an archive of artifacts/archives, oldest first; written by sftrun.\n"


class UnknownIndex(Exception):
    """What lies in the index's place is none of ours to write into."""


def record(workspace: Path, entry: archives.Entry) -> None:
    """Puts an archive's line into the index. Raises `OSError` and `UnknownIndex`."""
    path, folder = workspace / archives.INDEX, workspace / archives.ARCHIVES
    for _ in range(MOST_ROUNDS):
        before = _read(path)
        after = _with(before, entry, folder=folder)
        if after == before:
            return
        files.write_atomically(path, after)


def _read(path: Path) -> str:
    content = files.read_bounded(path, INDEX_BYTES) or b""
    if len(content) >= INDEX_BYTES:
        raise UnknownIndex(f"{path} is longer than {INDEX_BYTES} bytes")
    return content.decode("utf-8", "replace")


def _with(text: str, entry: archives.Entry, *, folder: Path) -> str:
    """Returns the index with this entry, and with those of archives that it does not know yet."""
    lines = text.split("\n")
    foreign = [line for line in lines if not archives.is_ours(line)]
    _check("\n".join(foreign))
    known = {each.archive: each for each in archives.entries(text)}
    if known.get(entry.archive) == entry:
        kept = known
    else:
        kept = {name: each for name, each in known.items() if name != entry.archive}
        kept[entry.archive] = entry
    lost = [each for each in map(_entry_in, _others(folder, kept)) if each is not None]
    own = [archives.line_of(each) for each in (*lost, *kept.values())]
    head = "\n".join(foreign).strip("\n")
    return (f"{head}\n" if head else HEAD) + "".join(own)


def _check(foreign: str) -> None:
    """Raises `UnknownIndex` unless lines of ours can follow: beside a list's items, or where nothing is."""
    try:
        value: Any = yaml.safe_load(foreign)
    except (yaml.YAMLError, RecursionError) as error:
        raise UnknownIndex(f"{archives.INDEX} is no YAML; mend it or move it away ({error})") from error
    if value is not None and not (isinstance(value, list) and foreign.lstrip().startswith(("-", "#"))):
        raise UnknownIndex(f"{archives.INDEX} holds something else than a list; move it away")


def _others(folder: Path, known: dict[str, archives.Entry]) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.name not in known)
    except OSError:
        return []


def _entry_in(archive: Path) -> archives.Entry | None:
    """Returns the line's values for a whole archive, `None` for anything else."""
    try:
        value = yaml.safe_load(files.read_bounded(archive / archives.METADATA_FILE) or b"")
        metadata = archives.Metadata.model_validate(value)
        report = files.read_json(archive / archives.REPORT_FILE) or {}
        return archives.entry_from(metadata, archive=archive.name, report=report)
    except (OSError, ValueError, TypeError, AttributeError, yaml.YAMLError):
        return None
