"""One run as a picture for a terminal, from 60 columns up. Words carry the meaning, colours only repeat it;
they are told apart without red and green."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sftrun_cli import consoles, sparklines
from sftrun_cli.runs import figures, times
from sftrun_cli.runs.curves import Curve
from sftrun_cli.runs.sources import Event
from sftrun_cli.runs.views import View

LABEL_WIDTH = 8
STYLES = {
    "Succeeded": "bold blue", "Failed": "bold yellow", "Rejected": "bold yellow", "Suspended": "dim",
    "Suspending": "dim", "Training": "bold cyan", "Collecting": "cyan", "Preparing": "cyan",
}  # fmt: skip
SIGNS = {
    "Succeeded": "✓", "Failed": "✗", "Rejected": "✗", "Suspended": "‖", "Suspending": "‖", "Training": "▶",
    "Collecting": "▶", "Preparing": "▷", "Pending": "·", "Queued": "·",
}  # fmt: skip
NO_CURVE = Curve()
_SHOWN = ("Accepted", "DataReady", "Running", "Healthy")
_MARKS = {"True": "yes", "False": "no"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """All that is known at a moment."""

    run: View
    curve: Curve = NO_CURVE
    events: Sequence[Event] = ()
    log: Sequence[str] = ()
    notes: Sequence[str] = ()
    """What could not be had, and why."""
    lost: str = ""
    """Why the cluster does not answer now; empty: it does."""


def picture(scene: Scene, *, now: float, width: int) -> Group:
    """Returns the picture."""
    run = scene.run
    rows: list[RenderableType] = [_head(run, now=now)]
    if scene.lost:
        rows.append(_words(f"connection lost: {scene.lost}", style="bold yellow"))
    if run.message:
        rows.append(_words(run.message, style="yellow" if run.phase in ("Failed", "Rejected") else ""))
    rows.append(_bar(run, width=width))
    rows += _figures(scene, width=width)
    rows += _conditions(run)
    if scene.events:
        rows += [Text("events", style="bold"), *(_event(each, now=now) for each in scene.events)]
    if scene.log:
        rows.append(Text("log", style="bold"))
        rows += [_text(f"  {consoles.printable(line)}", style="dim") for line in scene.log]
    rows += [_words(f"note: {note}", style="dim") for note in scene.notes]
    return Group(*rows)


def phase_text(phase: str) -> Text:
    """Returns a phase with its sign."""
    return Text(f"{SIGNS.get(phase, '·')} {phase}", style=STYLES.get(phase, ""))


def _head(run: View, *, now: float) -> Text:
    parts = [f"attempt {run.attempt}" if run.attempt else "", run.text("status", "nodeName")]
    end = times.seconds_of(run.text("status", "completionTime"))
    started = times.age(run.text("status", "startTime") or run.created, now=end if end is not None else now)
    parts.append(started)
    line = Text.assemble(
        (run.name, "bold"), "  ", phase_text(run.phase), "  ", "  ".join(p for p in parts if p)
    )
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def _bar(run: View, *, width: int) -> RenderableType:
    share = run.progress("percent")
    words = "  ".join(
        part for part in (figures.percent(run), figures.place(run), figures.remaining(run)) if part
    )
    if share is None:
        return _labelled(run.stage or "stage", words or "nothing is counted yet")
    grid = Table.grid(padding=(0, 1))
    room = max(10, min(60, width - LABEL_WIDTH - len(words) - 4))
    bar = ProgressBar(total=100, completed=share, width=room, complete_style="cyan", finished_style="blue")
    grid.add_row(Text(f"{run.stage or 'stage':<{LABEL_WIDTH}}", style="bold"), bar, Text(words))
    return grid


def _figures(scene: Scene, *, width: int) -> Iterator[Text]:
    run = scene.run
    losses = [loss for _, loss in scene.curve.losses]
    if len(losses) > 1:
        room = max(10, min(60, width - LABEL_WIDTH - 20))
        spark = sparklines.sparkline(losses, width=room)
        yield _labelled("curve", f"{spark} {losses[0]:.3g} → {losses[-1]:.3g}", style="cyan")
        if scene.curve.restarts:
            steps = ", ".join(map(str, scene.curve.restarts[-5:]))
            yield _labelled("", f"resumed at step {steps}", style="dim")
    for label, words in (
        ("loss", figures.losses(run)),
        ("speed", figures.speed(run)),
        ("GPUs", figures.gpus(run)),
    ):
        if words:
            yield _labelled(label, words)


def _conditions(run: View) -> Iterator[Text]:
    """Yields the conditions in one line, and what is wrong in one of its own."""
    known = {each.type: each for each in run.conditions}
    told = [known[kind] for kind in _SHOWN if kind in known and known[kind].status in _MARKS]
    words = [f"{each.type} {_MARKS[each.status]}" for each in told]
    if words:
        yield _labelled("state", "  ".join(words))
    healthy = known.get("Healthy")
    if healthy is not None and healthy.status == "False":
        yield _words(f"{healthy.reason}: {healthy.message}", style="yellow")


def _event(event: Event, *, now: float) -> Text:
    style = "yellow" if event.type == "Warning" else ""
    age = times.age(event.at, now=now)
    return _text(f"  {age:>6}  {event.reason}: {consoles.printable(event.message)}", style=style)


def _labelled(label: str, words: str, *, style: str = "") -> Text:
    return _one_line(Text.assemble((f"{label:<{LABEL_WIDTH}} ", "bold"), (consoles.printable(words), style)))


def _words(words: str, *, style: str = "") -> Text:
    """Returns a sentence, on as many lines as it needs."""
    return Text(consoles.printable(words), style=style)


def _text(words: str, *, style: str = "") -> Text:
    return _one_line(Text(consoles.printable(words), style=style))


def _one_line(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
