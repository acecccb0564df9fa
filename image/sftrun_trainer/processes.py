"""All processes of a stage, wherever they went: torchrun gives each rank a session of its own, and data
loaders, tokenising pools and wandb start more. They are found by a word in their environment that every one
inherits.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

MARK = "SFTRUN_STAGE"
PROC = Path("/proc")


def marked(mark: str) -> tuple[int, ...]:
    """Returns the pids of all live processes that carry the mark; zombies have no environment and do not
    count."""
    needle = f"{MARK}={mark}".encode()
    found = []
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if needle in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return tuple(found)


def variable_of(pid: int, name: str) -> str | None:
    """Returns a variable of the environment that a process was started with."""
    start = f"{name}=".encode()
    with contextlib.suppress(OSError):
        for entry in (PROC / str(pid) / "environ").read_bytes().split(b"\0"):
            if entry.startswith(start):
                return entry[len(start) :].decode("utf-8", "replace")
    return None


def children_of(pid: int) -> tuple[int, ...]:
    """Returns the pids of a process' direct children."""
    found = []
    for entry in PROC.iterdir():
        if entry.name.isdigit() and parent_of(int(entry.name)) == pid:
            found.append(int(entry.name))
    return tuple(found)


def parent_of(pid: int) -> int | None:
    """Returns the parent's pid, `None` for a process that is gone."""
    try:
        # The command's name stands in parentheses and may hold anything.
        fields = (PROC / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None
    return int(fields[1])


def catches(pid: int, number: signal.Signals) -> bool:
    """Returns whether the process has a handler for a signal, so that it would not die of it."""
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return False
    mask = next((line.split()[1] for line in lines if line.startswith("SigCgt:")), "0")
    return bool(int(mask, 16) >> (number - 1) & 1)


def send(pid: int, number: signal.Signals) -> None:
    """Sends a signal; a process that is gone already is fine."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def kill_marked(mark: str) -> int:
    """Kills every process that carries the mark, those that appear meanwhile too; returns how many there
    were."""
    killed: set[int] = set()
    for _ in range(50):
        fresh = set(marked(mark)) - {os.getpid()}
        if not fresh - killed:
            break  # what is left has been killed and is being torn down
        for pid in fresh:
            send(pid, signal.SIGKILL)
        killed |= fresh
    return len(killed)


def reap_orphans() -> None:
    """Takes leave of ended processes that were handed to us: in a container we are their init."""
    if os.getpid() != 1:
        return
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
