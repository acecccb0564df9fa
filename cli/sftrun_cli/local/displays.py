"""What a person sees of a local run: a live picture on a terminal, a line a change elsewhere."""

from __future__ import annotations

import datetime
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sftrun_api.reports import Report
from sftrun_api.statuses import Progress
from sftrun_cli import sparklines
from sftrun_cli.local.statuses import phase_of

SPARK_WIDTH = sparklines.WIDTH


class Display(Protocol):
    """Shows reports as they come."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, report: Report | None) -> None:
        """Shows the newest report."""

    def say(self, text: str) -> None:
        """Says something beside it."""


class LiveDisplay:
    """Redraws a few lines in place."""

    def __init__(self, console: Console, *, name: str) -> None:
        self._console, self._name = console, name
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._losses: list[tuple[int, float]] = []

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def show(self, report: Report | None) -> None:
        """Redraws."""
        progress = report.progress if report is not None else None
        self._remember(progress)
        self._live.update(self._picture(report, progress), refresh=True)

    def _remember(self, progress: Progress | None) -> None:
        if progress is None or not progress.step or progress.loss is None:
            return
        if not self._losses or self._losses[-1][0] < progress.step:
            self._losses.append((progress.step, progress.loss))

    def say(self, text: str) -> None:
        """Prints a line above the picture."""
        self._console.print(text, markup=False)

    def _picture(self, report: Report | None, progress: Progress | None) -> Group:
        head = Table.grid(padding=(0, 2))
        head.add_row(
            Text(self._name, style="bold"), Text(phase_of(report), style="cyan"), Text(figures(progress))
        )
        lines: list[Table | Text] = [head]
        if progress is not None and progress.percent is not None:
            bar = Table.grid()
            bar.add_row(ProgressBar(total=100, completed=progress.percent, width=SPARK_WIDTH))
            lines.append(bar)
        if len(self._losses) > 1:
            lines.append(
                Text(f"loss {sparklines.sparkline([loss for _, loss in self._losses])}", style="green")
            )
        if report is not None and report.message:
            lines.append(Text(report.message, style="dim", overflow="ellipsis", no_wrap=True))
        return Group(*lines)


class LineDisplay:
    """Prints a line when the stage, the message or a tenth of the way has changed: for logs and pipes."""

    def __init__(self, console: Console, *, name: str) -> None:
        self._console, self._name = console, name
        self._shown: tuple[str, str, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def show(self, report: Report | None) -> None:
        """Prints what is new."""
        progress = report.progress if report is not None else None
        tenth = int((progress.percent or 0) // 10) if progress is not None else 0
        training = report is not None and phase_of(report) == "Training"
        message = report.message if report is not None and not training else ""
        key = (phase_of(report), message, tenth)
        if key == self._shown:
            return
        self._shown = key
        parts = [part for part in (f"{self._name}  {phase_of(report)}", figures(progress), message) if part]
        self._console.print("  ".join(parts), markup=False, highlight=False)

    def say(self, text: str) -> None:
        """Prints a line."""
        self._console.print(text, markup=False)


def figures(progress: Progress | None) -> str:
    """Returns the figures of a progress in one line; what is not known is left out."""
    if progress is None:
        return ""
    words: list[str] = []
    if progress.step and progress.total_steps:
        words.append(f"step {progress.step}/{progress.total_steps}")
    elif progress.total:
        words.append(f"{progress.done}/{progress.total}")
    if progress.percent is not None:
        words.append(f"{int(progress.percent)}%")
    if progress.loss is not None:
        words.append(f"loss {progress.loss:.4g}")
    if progress.eval_loss is not None:
        words.append(f"eval {progress.eval_loss:.4g}")
    if progress.tokens_per_second:
        words.append(f"{progress.tokens_per_second:,.0f} tokens/s")
    if progress.remaining_seconds is not None:
        words.append(f"{datetime.timedelta(seconds=progress.remaining_seconds)} left")
    return "  ".join(words)


def display_of(console: Console, *, name: str) -> Display:
    """Returns the display that a console can show."""
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveDisplay(console, name=name)
    return LineDisplay(console, name=name)
