"""The page of curves: what of the lines is shown, and that it is drawn for every kind of run."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.image.supervisor_fakes import run_file

from sftrun_trainer import folders, starts, steps
from sftrun_trainer.plots import __main__ as program
from sftrun_trainer.plots import drawing, histories, pages, words

Line = steps.StepRecord | steps.Evaluation


def step(number: int, **values: Any) -> steps.StepRecord:
    given: dict[str, Any] = {"loss": 2.0, "learning_rate": 1e-5, "seconds": 9.0, "at": float(number)}
    return steps.step_record(
        step=number, epoch=number / 10, attempt=values.pop("attempt", 1), **given | values
    )


def evaluation(number: int, loss: float | None) -> steps.Evaluation:
    return steps.Evaluation(step=number, eval_loss=loss, seconds=1.0, attempt=1, at=float(number))


def trained(first: int, last: int, **values: Any) -> list[Line]:
    return [step(number, **values) for number in range(first, last + 1)]


@pytest.mark.parametrize(
    ("lines", "began", "expected"),
    [
        (trained(1, 9), (), []),
        (trained(1, 9), (0.5,), []),
        (trained(1, 6) + trained(4, 9), (), [(4, 1, 3)]),
        (trained(1, 6) + trained(7, 9, attempt=2), (), [(7, 2, 0)]),
        # A pod that was replaced right after a checkpoint: only the time of its start tells.
        (trained(1, 6) + trained(7, 9, at=50.0), (0.5, 20.0), [(7, 1, 0)]),
        (trained(1, 4) + trained(3, 6) + trained(5, 6, attempt=2), (), [(3, 1, 2), (5, 2, 2)]),
        # Ten steps a line: the first step after the restart is nine before its line.
        ([step(10, covers=10), step(20, covers=10), step(20, covers=10, attempt=2)], (), [(11, 2, 10)]),
    ],
)
def test_restarts(lines: list[Line], began: tuple[float, ...], expected: list[tuple[int, int, int]]) -> None:
    found = histories.history(lines, starts=began).restarts
    assert [(each.step, each.attempt, each.redone) for each in found] == expected


def test_the_later_line_of_a_step_is_drawn() -> None:
    history = histories.history(trained(1, 4, loss=3.0) + trained(3, 4, loss=1.0))
    assert history.raw == ((1, 3.0), (2, 3.0), (3, 1.0), (4, 1.0))


def test_evaluations_and_the_lowest_of_them() -> None:
    lines = [evaluation(0, 3.0), *trained(1, 2), evaluation(2, 1.5), evaluation(4, None)]
    history = histories.history(lines)
    assert history.evaluations == ((0, 3.0), (2, 1.5)) and history.best == (2, 1.5)


def test_a_hundred_thousand_steps_keep_their_peak() -> None:
    lines: list[Line] = [step(n, loss=99.0 if n == 54_321 else 2.0 + n % 7 / 10) for n in range(1, 100_001)]
    history = histories.history(lines)
    assert len(history.raw) <= histories.MOST_POINTS and len(history.smooth) <= histories.MOST_POINTS + 1
    assert (54_321, 99.0) in history.raw
    assert history.smooth[-1][0] == history.num_steps == 100_000


@pytest.mark.parametrize(
    ("losses", "clipped"),
    [
        ([2.0 + n % 5 / 10 for n in range(60)], False),
        ([5.0 - n / 20 for n in range(60)], False),
        ([2.0 + n % 5 / 10 for n in range(60)] + [900.0], True),
        ([1.0, 900.0], False),
    ],
)
def test_the_page_ends_below_what_would_flatten_the_rest(losses: list[float], clipped: bool) -> None:
    history = histories.history([step(n, loss=loss) for n, loss in enumerate(losses, start=1)])
    assert (history.ceiling is not None) is clipped
    if history.ceiling is not None:
        assert 2.4 < history.ceiling < 3
        assert all(value <= history.ceiling + 1e-9 for _, value in history.smooth)


def test_the_smoothed_curve_lags_behind_nothing() -> None:
    """A straight line is its own mean, ends included."""
    history = histories.history([step(n, loss=100.0 - n) for n in range(1, 100)])
    assert history.window == 5
    assert [n for n, _ in history.smooth] == list(range(1, 100))
    assert [loss for _, loss in history.smooth] == pytest.approx([100.0 - n for n in range(1, 100)])


def test_words() -> None:
    run = run_file(Path("/w"))
    lines = [evaluation(0, 3.0), *trained(1, 6), evaluation(6, 1.5), *trained(5, 6, attempt=2)]
    told = words.words(run, histories.history(lines), at=1_790_000_000.0)
    assert told.title == "quick"
    assert re.split(r"\s+·\s+", told.figures) == [
        *("6 steps", "0.6 epochs", "final loss 2", "lowest validation loss 1.5 at step 6"),
        *("56 s of training", "1 restart (2 steps again)"),
    ]
    assert "team/quick" in told.footer and "2026-09-21 14:13 UTC" in told.footer
    assert told.unit == "nats a token"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.4, "0 s"), (99, "99 s"), (100, "2 min"), (5999, "100 min"), (36_000, "10.0 h")]
)
def test_durations(seconds: float, shown: str) -> None:
    assert words.duration(seconds) == shown


@pytest.mark.parametrize(("value", "shown"), [(0, "0"), (1e-5, "1e-5"), (2.5e-6, "2.5e-6"), (0.01, "1e-2")])
def test_rates(value: float, shown: str) -> None:
    assert pages.rate(value) == shown


CASES: dict[str, list[Line]] = {
    "usual": [evaluation(0, 3.0), *trained(1, 40), evaluation(40, 1.0)],
    "one step": trained(1, 1),
    "no evaluation": trained(1, 40),
    "not a number": trained(1, 9, loss=float("nan")),
    "not a number at last": trained(1, 9) + trained(10, 99, loss=float("nan")),
    "no rate": trained(1, 9, learning_rate=None),
    "restarts": [line for n in range(1, 40) for line in trained(n, n + 1, attempt=n)],
    "a spike": [*trained(1, 60), step(61, loss=1e9)],
    "an evaluation alone": [evaluation(0, 3.0)],
}


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_run_is_drawn(tmp_path: Path, name: str) -> None:
    run = run_file(tmp_path, name="a $name$ with \\frac ünd")
    history = histories.history(CASES[name])
    pages.draw(history, words.words(run, history, at=0.0), paths=(tmp_path / "a.svg",))
    assert "</svg>" in (tmp_path / "a.svg").read_text()


def folder_with(tmp_path: Path, lines: list[Line]) -> folders.OutputFolder:
    folder = folders.OutputFolder(root=tmp_path / "output")
    with steps.StepWriter(folder.state / steps.STEPS_FILE) as writer:
        for line in lines:
            writer.append(line)
    return folder


def test_the_program_draws_both_forms_and_leaves_nothing_else(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, CASES["usual"])
    starts.write(folder.state, (starts.Start(uid="u", attempt=1, pod_uid="p", at=20.5),))
    made = program.draw(run_file(tmp_path), folder)
    assert [path.name for path in made] == ["sftrun-curves.png", "sftrun-curves.svg"]
    first = [path.read_bytes() for path in made]
    assert first[0].startswith(b"\x89PNG")
    assert program.draw(run_file(tmp_path), folder) and [path.read_bytes() for path in made] == first
    assert sorted(path.name for path in folder.root.iterdir()) == [".sftrun", *folders.PLOTS]


def test_nothing_is_drawn_of_nothing(tmp_path: Path) -> None:
    assert program.draw(run_file(tmp_path), folder_with(tmp_path, [])) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import sys; sys.exit(0)", ""),
        ("import sys; print('bad luck', file=sys.stderr); sys.exit(3)", "exit code 3: bad luck"),
        ("import time; time.sleep(600)", "it took longer than 1 s"),
    ],
)
def test_what_goes_wrong_with_the_child_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: str
) -> None:
    child = tmp_path / "python"
    child.write_text(f"#!{sys.executable} -S\n{text}\n")
    child.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(child))
    monkeypatch.setattr(drawing, "SECONDS", 1.0 if "sleep" in text else 60.0)
    folder = folder_with(tmp_path, [])
    said = drawing.draw(run_file(tmp_path), folder=folder, run_file=tmp_path / "run.json", environment={})
    assert said == expected


def test_without_a_curve_no_child_is_started(tmp_path: Path) -> None:
    folder = folders.OutputFolder(root=tmp_path)
    assert drawing.draw(run_file(tmp_path), folder=folder, run_file=tmp_path, environment={}) == ""
