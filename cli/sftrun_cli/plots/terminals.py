"""Curves as text. Without colours too, each is told by its letter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sftrun_cli.plots.series import Series, letter

COLOURS = (33, 208, 37, 170, 178, 117)
"""Of 256: blue, orange, teal, pink, yellow, sky blue."""
EVALUATION = "◆"
HEIGHT = 18
LETTERS_A_CURVE = 6


def drawn(shown: Sequence[Series], *, width: int, height: int = HEIGHT, colour: bool) -> str:
    """Returns a legend and the plot.

    Args:
        shown: The curves; those without anything are left out.
        width: Columns, 40 at least.
        height: Rows of the plot.
        colour: With colours.
    """
    import plotext

    figure = plotext.figure
    figure.clear()
    figure.theme("simple" if colour else "colorless")
    figure.plot_size(max(40, width), height)
    steps = [step for each in shown for step in _steps(each)]
    for restart in {restart for each in shown for restart in each.curve.restarts}:
        if min(steps) < restart <= max(steps):
            figure.line(restart, "vertical", style="dotted")
    for place, each in enumerate(shown):
        _draw(figure, each, place=place, several=len(shown) > 1)
    ticks = _ticks(min(steps), max(steps))
    figure.ruler("x").ticks(ticks, [str(tick) for tick in ticks])
    text = str(figure.build())
    plot = text if colour else str(plotext.uncolorize(text))
    legend = [_legend(each, place, several=len(shown) > 1, colour=colour) for place, each in enumerate(shown)]
    return "\n".join([*legend, plot.rstrip("\n")]) + "\n"


def _draw(figure: Any, each: Series, *, place: int, several: bool) -> None:
    import plotext

    colour = COLOURS[place % len(COLOURS)]
    losses = each.curve.losses
    if losses:
        xs, ys = [step for step, _ in losses], [loss for _, loss in losses]
        marker = plotext.marker("braille", pixel=colour)
        figure.draw(figure.signal(xs, ys, marker=marker).lines())
        if several:
            every = max(1, len(losses) // LETTERS_A_CURVE)
            at = range((place * every // 3) % max(1, len(losses)), len(losses), every)
            marker = plotext.marker(letter(place), pixel=colour)
            figure.draw(figure.signal([xs[i] for i in at], [ys[i] for i in at], marker=marker))
    if each.curve.evaluations:
        xs, ys = [step for step, _ in each.curve.evaluations], [loss for _, loss in each.curve.evaluations]
        symbol = letter(place).lower() if several else EVALUATION
        figure.draw(figure.signal(xs, ys, marker=plotext.marker(symbol, pixel=colour)))


def _legend(each: Series, place: int, *, several: bool, colour: bool) -> str:
    parts = [f"{letter(place)} {each.name}" if several else each.name]
    losses = each.curve.losses
    if losses:
        parts.append(f"loss {losses[0][1]:.4g} → {losses[-1][1]:.4g}")
    if each.curve.evaluations:
        sign = letter(place).lower() if several else EVALUATION
        parts.append(f"{sign} eval {each.curve.evaluations[-1][1]:.4g}")
    if each.curve.restarts:
        parts.append(f"┊ resumed at step {', '.join(map(str, each.curve.restarts))}")
    words = "  ".join(parts)
    return f"\x1b[38;5;{COLOURS[place % len(COLOURS)]}m{words}\x1b[0m" if colour else words


def _steps(each: Series) -> list[int]:
    return [step for step, _ in (*each.curve.losses, *each.curve.evaluations)]


def _ticks(first: int, last: int) -> list[int]:
    every = max(1, (last - first) // 6)
    return list(range(first, last + 1, every))
