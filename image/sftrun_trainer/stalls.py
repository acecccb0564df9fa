"""What the processes of a stalled stage are doing: the stacks of all their threads for the log, and in a few
words for the report, which is what the person who is called at night sees first.

One process is asked after another. All at once they would write into one pipe, and their stacks into each
other.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

from sftrun_trainer import processes

DUMP_SIGNAL = signal.SIGUSR1
"""`calls.main` and `worker.main` register faulthandler for it."""
PY_SPY_SECONDS = 10
WRITE_SECONDS = 1.0
"""The longest that a process' own stacks are waited for."""
QUIET_SECONDS = 0.05
MOST_PROCESSES = 32
MOST_FRAMES = 4
NO_STACK = "no stack to be had"
_FRAME = re.compile(
    r'^ +File "(?P<path>[^"\n]+)", line (?P<line>\d+) in (?P<name>\S+)$'
    r"|^ +(?P<spied>\S+) \((?P<file>[^()\n]+):(?P<at>\d+)\)$",
    re.MULTILINE,
)
_MAIN = re.compile(r'^(?:Current thread .*|Thread .*"MainThread")$', re.MULTILINE)


class Output(Protocol):
    """The log of the stage."""

    num_bytes: int
    """How much was printed so far."""

    def note(self, text: str) -> None:
        """Adds a line of ours."""

    def tail(self) -> str:
        """Returns the end of it."""


def dump(mark: str, *, log: Output, py_spy: str | None = None) -> str:
    """Has the stacks of all marked processes written: by themselves where they can, else by py-spy.

    Returns a line a process, ranks last: where its main thread is, the innermost call first.
    """
    py_spy = py_spy or _beside_python() or shutil.which("py-spy")
    found = []
    for pid in processes.marked(mark)[:MOST_PROCESSES]:
        rank = processes.variable_of(pid, "RANK")
        who = f"process {pid}" if rank is None else f"rank {rank} (process {pid})"
        head = f"sftrun: stacks of {who}"
        log.note(head)
        if processes.catches(pid, DUMP_SIGNAL):
            before = log.num_bytes
            processes.send(pid, DUMP_SIGNAL)
            _await(log, before)
        elif py_spy is not None:
            log.note(_spy(py_spy, pid))
        order = int(rank) if rank is not None and rank.isdecimal() else -1
        stacks = log.tail().rpartition(f"{head}\n")[2]
        found.append((order, f"{who}: {in_few_words(stacks)}"))
    return "\n".join(line for _, line in sorted(found))


def in_few_words(stacks: str) -> str:
    """Returns where a process is, from what faulthandler or py-spy has written of it."""
    blocks = re.split(r"\n\s*\n|\n(?=Thread |Current thread )", f"\n{stacks}")
    chosen = next((block for block in blocks if _MAIN.search(block)), blocks[-1])
    frames = [
        f"{frame['name'] or frame['spied']} ({Path(frame['path'] or frame['file']).name}:"
        f"{frame['line'] or frame['at']})"
        for frame in _FRAME.finditer(chosen)
    ]
    return " < ".join(frames[:MOST_FRAMES]) or NO_STACK


def _await(log: Output, before: int) -> None:
    """Waits until something more was printed, and then nothing for a moment."""
    until = time.monotonic() + WRITE_SECONDS
    last = before
    while time.monotonic() < until:
        time.sleep(QUIET_SECONDS)
        printed = log.num_bytes
        if printed == last != before:
            return
        last = printed


def _beside_python() -> str | None:
    """Returns the py-spy of this environment, which need not be on PATH."""
    path = Path(sys.executable).with_name("py-spy")
    return str(path) if path.is_file() else None


def _spy(py_spy: str, pid: int) -> str:
    try:
        done = subprocess.run(
            [py_spy, "dump", "--pid", str(pid)],
            capture_output=True, text=True, timeout=PY_SPY_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"({NO_STACK}: {error})"
    return (done.stdout or done.stderr).strip()
