"""Curves as a file, in the form that its name asks for."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sftrun_cli.errors import CommandError
from sftrun_cli.exit_codes import ExitCode
from sftrun_cli.plots.series import Series

COLUMNS = ("run", "kind", "step", "loss", "learningRate", "gradNorm", "seconds", "tokensPerSecond", "restart")


def content(shown: Sequence[Series], *, path: Path) -> bytes:
    """Returns what is to be written to `path`.

    Raises:
        CommandError: its ending is none that is known, or what it needs is not installed.
    """
    make = FORMS.get(path.suffix.lower())
    if make is None:
        raise CommandError(
            f"--out {path}: {path.suffix or 'no ending'} is not known; choose one of {', '.join(FORMS)}",
            code=ExitCode.USAGE,
        )
    return make(shown)


def as_csv(shown: Sequence[Series]) -> bytes:
    """Returns one line a point: kind `train` or `eval`; restart 1 where another pod went on."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for each in shown:
        restarts = set(each.curve.restarts)
        for point in each.curve.points:
            figures = (
                point.loss,
                point.learning_rate,
                point.grad_norm,
                point.seconds,
                point.tokens_per_second,
            )
            writer.writerow(
                [each.name, "train", point.step, *map(_cell, figures), "1" if point.step in restarts else ""]
            )
        for step, loss in each.curve.evaluations:
            writer.writerow([each.name, "eval", step, _cell(loss), "", "", "", "", ""])
    return text.getvalue().encode()


def as_html(shown: Sequence[Series]) -> bytes:
    """Returns a page that loads nothing: the picture, and the figures as a table."""
    from sftrun_cli.plots import pictures

    svg = pictures.picture(shown, form="svg").decode()
    svg = svg[svg.index("<svg") :]
    names = ", ".join(each.name for each in shown)
    rows = "".join(_row(each) for each in shown)
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(names)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #222 }}
body {{ max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
svg {{ width: 100%; height: auto }}
table {{ border-collapse: collapse }} th, td {{ text-align: left; padding: .2rem 1rem .2rem 0 }}
td.n {{ text-align: right; font-variant-numeric: tabular-nums }}
</style></head><body>
<h1>{html.escape(names)}</h1>
{svg}
<table><thead><tr><th>run</th><th>steps</th><th>first loss</th><th>last loss</th><th>last evaluation</th>
<th>resumed at step</th></tr></thead><tbody>{rows}</tbody></table>
</body></html>
"""
    return page.encode()


def _row(each: Series) -> str:
    losses, evaluations = each.curve.losses, each.curve.evaluations
    cells = (
        str(losses[-1][0]) if losses else "",
        _cell(losses[0][1]) if losses else "",
        _cell(losses[-1][1]) if losses else "",
        _cell(evaluations[-1][1]) if evaluations else "",
        ", ".join(map(str, each.curve.restarts)),
    )
    figures = "".join(f'<td class="n">{html.escape(cell)}</td>' for cell in cells)
    return f"<tr><td>{html.escape(each.name)}</td>{figures}</tr>"


def _cell(value: float | None) -> str:
    return f"{value:.6g}" if value is not None else ""


def _picture(form: str) -> Callable[[Sequence[Series]], bytes]:
    def make(shown: Sequence[Series]) -> bytes:
        from sftrun_cli.plots import pictures

        return pictures.picture(shown, form=form)

    return make


FORMS: Mapping[str, Callable[[Sequence[Series]], bytes]] = {
    ".csv": as_csv,
    ".html": as_html,
    ".png": _picture("png"),
    ".svg": _picture("svg"),
}
