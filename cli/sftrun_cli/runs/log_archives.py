"""The log of a pod that is gone: read in the workspace, by a helper pod of the trainer's image.

The archive of the attempt has it; where there is none (yet), the output folder's own state has. Both call the
files `<attempt>-<pod uid>-<stage>.log`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import PurePosixPath

from sftrun_api.names import attempt_name
from sftrun_cli.runs.views import View

FILE_MARK = "\x1e"
"""Before the name of each file that the program prints."""
ARCHIVES = PurePosixPath("artifacts/archives")
NONE_CODE = 44
"""The program's exit code where there is no log."""

PROGRAM = """
import collections, json, pathlib, sys
asked = json.loads(sys.argv[1])
def name_parts(path):
    attempt, _, rest = path.stem.partition("-")
    pod, _, stage = rest.rpartition("-")
    return attempt, pod, stage.lower()
found = []
for folder in asked["folders"]:
    try:
        files = [p for p in pathlib.Path(folder).iterdir() if p.suffix == ".log" and not p.is_symlink()]
    except OSError:
        continue
    found = [p for p in files if name_parts(p)[0] == str(asked["attempt"])]
    if found:
        break
found.sort(key=lambda p: (p.stat().st_mtime_ns, p.name))
order = list(dict.fromkeys(name_parts(p)[1] for p in found))
if asked["previous"]:
    found = [p for p in found if len(order) > 1 and name_parts(p)[1] == order[-2]]
if asked["stage"]:
    found = [p for p in found if name_parts(p)[2] == asked["stage"].lower()]
if not found:
    sys.exit(44)
left = asked["tail"]
chosen = []
for path in reversed(found):
    with path.open("rb") as stream:
        lines = stream if left is None else list(collections.deque(stream, maxlen=left)) if left else []
        if left is None:
            chosen.append((path, None))
        elif lines:
            left -= len(lines)
            chosen.append((path, lines))
out = sys.stdout.buffer
for path, lines in reversed(chosen):
    out.write(b"\\x1e" + path.name.encode() + b"\\n")
    if lines is None:
        with path.open("rb") as stream:
            last = b""
            for last in stream:
                out.write(last)
    else:
        for last in lines:
            out.write(last)
    if not last.endswith(b"\\n"):
        out.write(b"\\n")
out.flush()
"""


def folders(run: View, *, attempt: int) -> list[str]:
    """Returns where the logs of an attempt may lie, as paths in a pod of the run, the best first."""
    root = PurePosixPath(run.text("spec", "workspace", "mountPath") or "/workspace")
    output = run.text("spec", "training", "outputDir") or run.name
    trial = f"{run.namespace}-{run.name}-{run.uid[:8]}"
    return [
        str(root / ARCHIVES / attempt_name(run.name, run.uid, attempt) / "logs"),
        str(root / "artifacts/model" / output / ".sftrun/logs"),
        str(root / ".cache/sftrun/trials" / trial / ".sftrun/logs"),
    ]


def command(
    run: View, *, attempt: int, stage: str | None, tail: int | None, previous: bool = False
) -> list[str]:
    """Returns the program with what it is asked."""
    asked = {
        "folders": folders(run, attempt=attempt),
        "attempt": attempt,
        "stage": stage or "",
        "tail": tail,
        "previous": previous,
    }
    return ["python", "-c", PROGRAM, json.dumps(asked)]


def parted(lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Yields (file, line) of what the program prints; an empty line text stands for none."""
    file = ""
    for line in lines:
        if line.startswith(FILE_MARK):
            file = line[len(FILE_MARK) :]
        else:
            yield file, line
