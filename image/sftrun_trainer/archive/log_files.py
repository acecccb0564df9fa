"""The logs of an attempt: of every pod and stage that it had, and what its supervisors said."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from sftrun_api import archives
from sftrun_trainer import files, starts
from sftrun_trainer.archive import copies
from sftrun_trainer.archive.attempts import Attempt
from sftrun_trainer.archive.contents import Contents

SUPERVISOR = "supervisor"
STAGES = ("prepare", "register", "train", SUPERVISOR)
LOGS_BYTES = 512 << 20
"""The most of all logs together: two that have reached their own limit."""


def take(contents: Contents, attempt: Attempt, *, most: int = LOGS_BYTES) -> tuple[archives.LogFile, ...]:
    """Takes over the logs of all the attempt's pods, the newest first; returns them in their order."""
    name = f"{archives.LOGS}/{_name(attempt, attempt.pod_uid, SUPERVISOR)}"
    said = attempt.redact(attempt.said)
    (contents.root / archives.LOGS).mkdir(exist_ok=True)
    contents.take(name, lambda path: files.write_atomically(path, said))
    found, room = [], most
    for pod_uid, stage, source in reversed(tuple(_sources(contents, attempt))):
        log = _taken(contents, source, pod_uid=pod_uid, stage=stage, room=room)
        if log is not None:
            room = max(0, room - log.num_bytes)
            found.append(log)
    return tuple(reversed(found))


def _taken(
    contents: Contents, source: Path, *, pod_uid: str, stage: str, room: int
) -> archives.LogFile | None:
    name = f"{archives.LOGS}/{source.name}"
    sizes: list[tuple[int, int]] = []
    if stage == SUPERVISOR:  # written here, by this pod or an earlier one
        sizes.append((source.stat().st_size, 0))
    else:
        contents.take(name, lambda path: sizes.append(copies.copy_log(source, path, most=room)))
    if not sizes:
        return None
    num_bytes, left_out = sizes[0]
    return archives.LogFile(file=name, pod_uid=pod_uid, stage=stage, num_bytes=num_bytes, left_out=left_out)


def _sources(contents: Contents, attempt: Attempt) -> Iterator[tuple[str, str, Path]]:
    """Yields pod, stage and place of each log of the attempt, in the order of the pods."""
    who = (attempt.run.run.uid, attempt.run.run.attempt)
    pods = [start.pod_uid for start in starts.read(attempt.folder.state) if (start.uid, start.attempt) == who]
    for pod_uid in dict.fromkeys((*pods, attempt.pod_uid)):
        for stage in STAGES:
            folder = contents.root / archives.LOGS if stage == SUPERVISOR else attempt.folder.logs
            path = folder / _name(attempt, pod_uid, stage)
            if os.path.lexists(path):
                yield pod_uid, stage, path


def _name(attempt: Attempt, pod_uid: str, stage: str) -> str:
    """Returns a log's name, as `runners` gives it."""
    return f"{attempt.run.run.attempt}-{pod_uid}-{stage}.log".replace("/", "_")
