"""Curves drawn: each told from the others without its colour, and files that need nothing else."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from sftrun_cli.errors import CommandError
from sftrun_cli.plots import Series, files, terminals
from sftrun_cli.runs.curves import Curve, Point


def series(name: str, *, lowest: float = 1.0, restarts: tuple[int, ...] = ()) -> Series:
    points = tuple(Point(step=step, loss=lowest + 2 / step, learning_rate=1e-4) for step in range(1, 41))
    evaluations = ((10, lowest + 0.5), (40, lowest + 0.2))
    return Series(
        name=name, curve=Curve(points=points, evaluations=evaluations, restarts=restarts, num_steps=40)
    )


@pytest.mark.parametrize("width", [60, 100])
def test_without_colour_a_curve_is_told_by_its_letter(width: int) -> None:
    both = [series("one"), series("two", lowest=0.4, restarts=(20,))]
    text = terminals.drawn(both, width=width, colour=False)
    lines = text.splitlines()
    assert lines[0] == "A one  loss 3 → 1.05  a eval 1.2"
    assert lines[1].startswith("B two  loss 2.4 → 0.45  b eval 0.6") and "resumed at step 20" in lines[1]
    plot = "\n".join(lines[2:])
    assert "\x1b" not in text and max(map(len, lines[2:])) <= width
    assert {"A", "B", "a", "b"} <= set(plot)


def test_with_colour_the_plot_is_the_same() -> None:
    both = [series("one"), series("two", lowest=0.4)]
    coloured = terminals.drawn(both, width=80, colour=True)
    assert "\x1b[38;5;33m" in coloured
    plain = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert plain == terminals.drawn(both, width=80, colour=False)


def test_one_curve_needs_no_letter() -> None:
    text = terminals.drawn([series("one")], width=60, colour=False)
    assert terminals.EVALUATION in text and "A" not in text


def test_a_single_step_is_drawn_too() -> None:
    alone = Series(name="one", curve=Curve(points=(Point(step=1, loss=1.0),), num_steps=1))
    assert "one" in terminals.drawn([alone], width=60, colour=False)


def test_a_table_has_every_point() -> None:
    rows = list(csv.DictReader(files.as_csv([series("a,b", restarts=(2,))]).decode().splitlines()))
    assert len(rows) == 42
    assert rows[1] == {
        "run": "a,b", "kind": "train", "step": "2", "loss": "2", "learningRate": "0.0001", "gradNorm": "",
        "seconds": "", "tokensPerSecond": "", "restart": "1",
    }  # fmt: skip
    assert (rows[-1]["kind"], rows[-1]["step"], rows[-1]["loss"]) == ("eval", "40", "1.2")


def test_pictures_are_pictures_and_the_same_each_time() -> None:
    both = [series("one", restarts=(7,)), series("$x_1$")]
    png, svg = (files.content(both, path=Path(f"x{ending}")) for ending in (".png", ".SVG"))
    assert png.startswith(b"\x89PNG") and b"<svg" in svg
    assert svg == files.content(both, path=Path("x.svg"))


def test_a_page_loads_nothing_and_takes_no_name_for_markup() -> None:
    page = files.content([series("<script>alert(1)</script>")], path=Path("x.html")).decode()
    assert "<script" not in page and "&lt;script&gt;" in page
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!#)""", page)
    assert "url(http" not in page and "@import" not in page


def test_an_ending_that_is_not_known_is_said_with_those_that_are() -> None:
    with pytest.raises(CommandError, match=r"\.pdf is not known; choose one of \.csv, \.html, \.png, \.svg"):
        files.content([], path=Path("x.pdf"))
