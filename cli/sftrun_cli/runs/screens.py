"""What `watch` shows while it goes on: a live picture on a terminal, a line a change in a pipe."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live

from sftrun_cli import consoles, outputs
from sftrun_cli.runs import figures, pictures, tables
from sftrun_cli.runs.pictures import Scene

if TYPE_CHECKING:
    from sftrun_cli.runs.lists import RunList

DRAW_SECONDS = 1.0


def pictures_of(scenes: Iterable[Scene], console: Console) -> str:
    """Draws each scene in place of the one before; the last one stays. Returns the last phase."""
    phase = ""
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        for scene in scenes:
            phase = scene.run.phase
            live.update(pictures.picture(scene, now=time.time(), width=console.width), refresh=True)
    return phase


def lines(scenes: Iterable[Scene], console: Console) -> str:
    """Prints a line when the phase, the message or a tenth of the way has changed. Returns the last phase."""
    phase = ""
    for text in changes(scenes):
        console.print(text, markup=False, highlight=False)
        phase = text.phase
    return phase


class Line(str):
    """A line, and the phase that it tells."""

    phase: str = ""


def changes(scenes: Iterable[Scene]) -> Iterator[Line]:
    """Yields what is new, in words."""
    shown: tuple[object, ...] = ()
    for scene in scenes:
        run = scene.run
        tenth = int((run.progress("percent") or 0) // 10)
        training = run.phase in ("Training", "Preparing")
        key = (run.phase, tenth, run.attempt, bool(scene.lost), "" if training else run.message)
        if key == shown:
            continue
        shown = key
        parts = [run.name, run.phase, f"attempt {run.attempt}" if run.attempt > 1 else "", figures.line(run)]
        parts.append(f"connection lost: {scene.lost}" if scene.lost else "" if training else run.message)
        told = Line(consoles.printable("  ".join(part for part in parts if part)))
        told.phase = run.phase
        yield told


def json_lines(scenes: Iterable[Scene]) -> str:
    """Prints the object at each change, one a line. Returns the last phase."""
    phase, version = "", ""
    for scene in scenes:
        phase = scene.run.phase
        if scene.run.version != version:
            version = scene.run.version
            outputs.write(json.dumps(scene.run.object, ensure_ascii=False, allow_nan=False) + "\n")
    return phase


def table(runs: RunList, console: Console, *, namespaces: bool) -> None:
    """Draws the table in place until Ctrl-C."""
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            runs.changed.wait(DRAW_SECONDS * 5)
            runs.changed.clear()
            rows, lost = runs.seen()
            live.update(
                tables.table(
                    rows, now=time.time(), width=console.width, height=console.height,
                    namespaces=namespaces, lost=lost,
                ),
                refresh=True,
            )  # fmt: skip
            time.sleep(DRAW_SECONDS)


def table_lines(runs: RunList, console: Console, *, namespaces: bool) -> None:
    """Prints a line a change of a run until Ctrl-C."""
    shown: dict[str, str] = {}
    said = ""
    while True:
        runs.changed.wait()
        runs.changed.clear()
        rows, lost = runs.seen()
        for key in [key for key in shown if key not in rows]:
            del shown[key]
            console.print(f"{key if namespaces else key.partition('/')[2]}  deleted", markup=False)
        for key, row in rows.items():
            if shown.get(key) != row.line:
                shown[key] = row.line
                console.print(f"{key if namespaces else row.name}  {row.line}", markup=False, highlight=False)
        if lost and lost != said:
            console.print(consoles.printable(f"connection lost: {lost}"), markup=False)
        said = lost
        time.sleep(DRAW_SECONDS)
