"""The page itself, by matplotlib. All is told apart by line and mark, so that it reads in black and white."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")

from matplotlib import pyplot
from matplotlib.ticker import AutoMinorLocator, FixedLocator, FuncFormatter, MaxNLocator

from sftrun_trainer.plots.histories import History, Restart
from sftrun_trainer.plots.words import Words

SIZE = (11.69, 8.27)
"""A4, landscape, in inches."""
DPI = 150
LEFT = 0.085
MOST_MARKS = 60
"""Along an edge."""
MOST_LABELS = 12
"""Restarts beyond these have a line, but no words: they would cover each other."""
STYLE = {
    "font.size": 11,
    "text.parse_math": False,  # a run's name may hold a dollar
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.8,
    "svg.hashsalt": "sftrun",
    "svg.fonttype": "path",
}
RAW, SMOOTH, EVALUATED, RATE = "0.68", "#12436d", "#a43200", "0.15"


def draw(history: History, words: Words, *, paths: tuple[Path, ...]) -> None:
    """Writes the page under each path, in the form that its name ends in. Raises `OSError`."""
    with pyplot.rc_context(STYLE):
        figure, (losses, rates) = pyplot.subplots(
            2, 1, sharex=True, figsize=SIZE, gridspec_kw={"height_ratios": (3.2, 1), "hspace": 0.09}
        )
        figure.subplots_adjust(left=LEFT, right=0.97, top=0.8, bottom=0.105)
        _losses(losses, history, unit=words.unit)
        _rates(rates, history)
        _restarts((losses, rates), history)
        _scales(losses, rates, history)
        figure.text(LEFT, 0.955, words.title, fontsize=17, fontweight="bold", va="center")
        figure.text(LEFT, 0.918, words.figures, fontsize=11, color="0.25", va="center")
        figure.text(LEFT, 0.025, words.footer, fontsize=8.5, color="0.45", va="center")
        for path in paths:
            kind = path.suffix.removeprefix(".")
            metadata = {"Date": None} if kind == "svg" else {"Software": None}
            figure.savefig(path, format=kind, dpi=DPI, metadata=metadata)
        pyplot.close(figure)


def _losses(axes: Any, history: History, *, unit: str) -> None:
    alone = len(history.raw) <= 1
    colour, width = (RAW, 0.9) if history.smooth else (SMOOTH, 2.0)  # the only curve there is
    if history.raw:
        x, y = zip(*history.raw, strict=True)
        axes.plot(
            x, y, color=colour, lw=width, marker="o" if alone else None, label="training loss as logged"
        )
    if len(history.smooth) > 1:
        x, y = zip(*history.smooth, strict=True)
        axes.plot(x, y, color=SMOOTH, lw=2.2, label=f"its mean over {history.window:,} logs")
    _evaluations(axes, history)
    if history.ceiling is not None:
        _clip(axes, history, history.ceiling)
    if history.non_finite:
        count = len(history.non_finite)
        words = f"{count} step{'s' if count > 1 else ''} not a number, from {history.non_finite[0]}"
        _mark_edge(axes, history.non_finite, mark="x", label=words)
    axes.set_ylabel(f"loss ({unit})" if unit else "loss")
    axes.yaxis.set_minor_locator(AutoMinorLocator(2))
    axes.tick_params(labelbottom=False)
    if axes.get_legend_handles_labels()[0]:
        # Above the panel: inside it would cover a curve sooner or later.
        axes.legend(
            loc="lower left", bbox_to_anchor=(-0.008, 1.075), ncols=5, frameon=False, borderpad=0,
            handlelength=2.2, columnspacing=1.8, fontsize=10.5,
        )  # fmt: skip


def _evaluations(axes: Any, history: History) -> None:
    if not history.evaluations:
        return
    x, y = zip(*history.evaluations, strict=True)
    few = len(x) <= 60
    axes.plot(
        x, y, color=EVALUATED, lw=1.6, ls=(0, (5, 2)), label="validation loss",
        marker="o" if few else None, ms=6, mfc="white", mew=1.6, zorder=3,
    )  # fmt: skip
    best = history.best
    if best is not None and len(x) > 1:
        label = f"lowest: {best[1]:.4g}"
        axes.plot(
            *best, color=EVALUATED, marker="*", ms=15, mec="white", mew=0.8, ls="", zorder=4, label=label
        )


def _clip(axes: Any, history: History, ceiling: float) -> None:
    """Ends the axis below the few highest points, and says where they are."""
    beyond = [(step, value) for step, value in (*history.raw, *history.evaluations) if value > ceiling]
    lowest = min(value for _, value in (*history.raw, *history.evaluations))
    axes.set_ylim(lowest - 0.06 * (ceiling - lowest), ceiling)
    highest = max(value for _, value in beyond)
    _mark_edge(axes, [step for step, _ in beyond], mark="^", label=f"above the page, up to {highest:.4g}")


def _mark_edge(axes: Any, at: Any, *, mark: str, label: str) -> None:
    at = at[:: -(-len(at) // MOST_MARKS)]
    axes.plot(
        at, [0.985] * len(at), mark, transform=axes.get_xaxis_transform(),
        color="black", ms=8, mew=1.8, mfc="none", clip_on=False, zorder=5, label=label,
    )  # fmt: skip


def _rates(axes: Any, history: History) -> None:
    if history.rates:
        x, y = zip(*history.rates, strict=True)
        axes.plot(x, y, color=RATE, lw=1.6, marker="o" if len(x) == 1 else None)
        axes.set_ylim(bottom=0)
    axes.set_ylabel("learning rate")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: rate(value)))
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    axes.set_xlabel("optimizer step")


def rate(value: float) -> str:
    """Returns a learning rate as people write it: `1e-5`."""
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    short = mantissa.rstrip("0").rstrip(".")
    return f"{short}e{int(exponent)}" if value else "0"


def _scales(losses: Any, rates: Any, history: History) -> None:
    """Steps below, passes over the data above."""
    margin = max(0.012 * history.num_steps, 0.5)
    first = 0 if any(step == 0 for step, _ in history.evaluations) else min(1, history.num_steps)
    rates.set_xlim(first - margin, history.num_steps + margin)
    few = history.num_steps <= 1
    rates.xaxis.set_major_locator(FixedLocator([first, 1]) if few else MaxNLocator(12, integer=True))
    rates.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    if not history.epochs or history.num_steps < 2:
        return
    steps_an_epoch = history.num_steps / history.epochs
    scale = losses.secondary_xaxis(
        "top", functions=(lambda step: step / steps_an_epoch, lambda epoch: epoch * steps_an_epoch)
    )
    scale.xaxis.set_major_locator(MaxNLocator(10))
    scale.spines["top"].set_visible(False)
    scale.tick_params(length=3, color="0.5", labelcolor="0.35", labelsize=9.5, pad=1)
    losses.annotate(
        "epoch", (0, 1), xycoords="axes fraction", xytext=(-6, 13), textcoords="offset points",
        ha="right", va="top", fontsize=9.5, color="0.35",
    )  # fmt: skip


def _restarts(panels: tuple[Any, Any], history: History) -> None:
    labelled = history.restarts if len(history.restarts) <= MOST_LABELS else ()
    for restart in history.restarts:
        for axes in panels:
            axes.axvline(restart.step - 0.5, color="0.35", lw=1.1, ls=(0, (1, 2)), zorder=1)
            if restart.redone:
                end = restart.step - 0.5 + restart.redone
                axes.axvspan(restart.step - 0.5, end, fc="none", ec="0.8", hatch="////", lw=0, zorder=0)
    for restart in labelled:
        panels[0].annotate(
            _label(restart), (restart.step - 0.5, 0.98), xycoords=panels[0].get_xaxis_transform(),
            xytext=(3, 0), textcoords="offset points", rotation=90, fontsize=9, color="0.2", va="top",
            bbox={"fc": "white", "ec": "none", "pad": 1.2, "alpha": 0.9},
        )  # fmt: skip


def _label(restart: Restart) -> str:
    again = f", {restart.redone:,} again" if restart.redone else ""
    return f"restart (attempt {restart.attempt}){again}"
