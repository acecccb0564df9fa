"""Many runs as a table: only what a screen holds is drawn, whatever their number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group
from rich.table import Table
from rich.text import Text

from sftrun_cli import consoles
from sftrun_cli.runs import figures, times
from sftrun_cli.runs.pictures import phase_text
from sftrun_cli.runs.views import ORDER, View

_COLUMNS = ("NAME", "PHASE", "PROGRESS", "LOSS", "NAMESPACE", "ETA", "AGE", "GPUS", "MESSAGE")
"""As they are given room."""
_ORDER = ("NAMESPACE", "NAME", "PHASE", "PROGRESS", "LOSS", "ETA", "GPUS", "AGE", "MESSAGE")
LEAST_MESSAGE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What is kept of a run: a hundredth of the object."""

    namespace: str
    name: str
    phase: str
    progress: str
    loss: str
    eta: str
    gpus: str
    created: str
    message: str
    healthy: bool
    attempt: int

    @property
    def line(self) -> str:
        """Returns it for a pipe."""
        parts = [self.phase, self.progress, f"loss {self.loss}" if self.loss else ""]
        parts.append("" if self.healthy else "not healthy")
        return "  ".join(part for part in parts if part)


def row_of(run: View) -> Row:
    """Returns a run's row."""
    healthy = run.condition("Healthy")
    loss = run.text("status", "display", "loss")
    return Row(
        namespace=run.namespace,
        name=run.name,
        phase=run.phase,
        progress=run.text("status", "display", "progress") or figures.percent(run),
        loss=loss,
        eta="" if run.ended else run.text("status", "display", "eta"),
        gpus=str(run.gpus) if run.gpus is not None else "",
        created=run.created,
        message=run.message if run.at("status", "message") else "",
        healthy=healthy is None or healthy.status != "False",
        attempt=run.attempt,
    )


def table(
    rows: Mapping[str, Row],
    *,
    now: float,
    width: int,
    height: int | None = None,
    namespaces: bool = False,
    lost: str = "",
) -> Group:
    """Returns the table: what goes on first, then the newest; the rest is counted.

    Args:
        rows: By any key.
        now: Epoch seconds, for the ages.
        width: Columns of the terminal; what does not fit is left out, the name never.
        height: Rows of the terminal; absent: all runs.
        namespaces: Show whose they are.
        lost: Why the cluster does not answer now.
    """
    ordered = sorted(rows.values(), key=_newest, reverse=True)
    ordered.sort(key=lambda row: _place(row.phase))
    room = len(ordered) if height is None else max(1, height - 4)
    shown = ordered[:room]
    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    cells = [_cells(row, now=now) for row in shown]
    for name, room in _columns(cells, width=width, namespaces=namespaces).items():
        right = name in ("PROGRESS", "LOSS", "ETA", "GPUS", "AGE")
        made.add_column(
            name, no_wrap=True, overflow="ellipsis", justify="right" if right else "left", width=room
        )
    for each in cells:
        made.add_row(*(each[column.header] for column in made.columns if isinstance(column.header, str)))
    parts: list[Table | Text] = [made]
    if not rows:
        parts = [Text("no runs")]
    if len(ordered) > len(shown):
        parts.append(Text(f"… and {len(ordered) - len(shown):,} more", style="dim"))
    parts.append(Text(summary(rows.values()), style="dim"))
    if lost:
        parts.append(Text(f"connection lost: {lost}", style="bold yellow", no_wrap=True, overflow="ellipsis"))
    return Group(*parts)


def summary(rows: Iterable[Row]) -> str:
    """Returns how many are in each phase."""
    counted = Counter(row.phase for row in rows)
    parts = [f"{counted[phase]:,} {phase}" for phase in sorted(counted, key=_place)]
    return "  ".join(parts)


def _cells(row: Row, *, now: float) -> dict[str, str | Text]:
    phase = phase_text(row.phase)
    if not row.healthy:
        phase.append(" !", style="bold yellow")
    return {
        "NAMESPACE": row.namespace,
        "NAME": row.name,
        "PHASE": phase,
        "PROGRESS": row.progress,
        "LOSS": row.loss,
        "ETA": row.eta,
        "GPUS": row.gpus,
        "AGE": times.age(row.created, now=now),
        "MESSAGE": consoles.printable(row.message),
    }


def _columns(cells: Sequence[Mapping[str, str | Text]], *, width: int, namespaces: bool) -> dict[str, int]:
    """Returns the columns that fit and their widths: the name always, the message where there is room."""
    found: dict[str, int] = {}
    left = width
    for name in _COLUMNS:
        if name == "NAMESPACE" and not namespaces:
            continue
        natural = max([len(name), *(len(each[name]) for each in cells)])
        if name == "MESSAGE":
            if left >= LEAST_MESSAGE:
                found[name] = min(natural, left)
            continue
        taken = min(natural, max(12, width // 2)) if name == "NAME" else natural
        if found and left < taken:
            continue
        found[name] = taken
        left -= taken + 2
    return {name: found[name] for name in _ORDER if name in found}


def _place(phase: str) -> int:
    return ORDER.index(phase) if phase in ORDER else len(ORDER)


def _newest(row: Row) -> tuple[str, str, str]:
    return row.created, row.namespace, row.name
