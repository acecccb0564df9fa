"""Curves as PNG and SVG, drawn by matplotlib, which the extra `sftrun[plots]` brings.

A picture that is read in a report deserves real axes; who only looks need not install thirty megabytes.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from sftrun_cli.errors import CommandError
from sftrun_cli.plots.series import Series

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("-", "--", "-.", ":")
INCHES = (9.0, 5.2)
DPI = 150


def picture(shown: Sequence[Series], *, form: str) -> bytes:
    """Returns the picture, `form` png or svg; the same curves are the same bytes.

    Raises:
        CommandError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise CommandError(
            f"a picture needs matplotlib: pip install 'sftrun[plots]'; .csv and the terminal do not ({error})"
        ) from error
    with matplotlib.rc_context({"svg.hashsalt": "sftrun", "svg.fonttype": "none", "axes.grid": True}):
        figure = Figure(figsize=INCHES, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        for place, each in enumerate(shown):
            _draw(axes, each, place=place)
        axes.set_xlabel("step")
        axes.set_ylabel("loss")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        written = io.BytesIO()
        metadata = {"Date": None, "Creator": None} if form == "svg" else {"Software": None}
        figure.savefig(written, format=form, dpi=DPI, metadata=metadata)
    return written.getvalue()


def _draw(axes: Any, each: Series, *, place: int) -> None:
    colour = PALETTE[place % len(PALETTE)]
    dash = DASHES[place // len(PALETTE) % len(DASHES)]
    losses = each.curve.losses
    if losses:
        axes.plot(
            *zip(*losses, strict=True), color=colour, linestyle=dash, linewidth=1.4, label=_plain(each.name)
        )
    if each.curve.evaluations:
        marker = "osD^vP"[place % 6]
        axes.plot(
            *zip(*each.curve.evaluations, strict=True), color=colour, marker=marker, linestyle="none",
            label=f"{_plain(each.name)}, evaluation",
        )  # fmt: skip
    for index, restart in enumerate(each.curve.restarts):
        axes.axvline(
            restart, color=colour, linestyle=":", linewidth=1.0, alpha=0.7,
            label=f"{_plain(each.name)}, resumed" if not index else None,
        )  # fmt: skip


def _plain(name: str) -> str:
    """Returns a name that matplotlib takes for no formula and no hidden label."""
    return name.replace("$", r"\$").lstrip("_")
