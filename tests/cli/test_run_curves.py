"""Curves as pods and ConfigMaps tell them, whatever stands in there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftrun_cli.runs import curves
from sftrun_cli.runs.curves import Curve, Point, joined, parse

COLUMNS = ["step", "loss", "learningRate", "gradNorm", "seconds", "tokensPerSecond"]


def document(**change: Any) -> str:
    whole = {
        "columns": COLUMNS,
        "numSteps": 9,
        "points": [[1, 2.5, 1e-4, 0.5, 0.1, 900.0], [2, None, None, None, None, None]],
        "evaluations": [[2, 1.5]],
        "restarts": [2],
    }
    return json.dumps(whole | change)


def test_a_curve_is_read_by_its_columns() -> None:
    found = parse(document())
    assert found.points[0] == Point(
        step=1, loss=2.5, learning_rate=1e-4, grad_norm=0.5, seconds=0.1, tokens_per_second=900.0
    )
    assert found.losses == ((1, 2.5),)
    assert (found.evaluations, found.restarts, found.num_steps, found.thinned) == (((2, 1.5),), (2,), 9, True)
    turned = parse(document(columns=["loss", "step"], points=[[0.5, 7]]))
    assert turned.losses == ((7, 0.5),)


RUBBISH = [
    "",
    "[",
    "[]",
    "7",
    "null",
    '{"points": 7}',
    '{"columns": ["step"], "points": [[true], [-1], ["x"], 5]}',
]


@pytest.mark.parametrize("text", RUBBISH)
def test_what_is_no_curve_is_an_empty_one(text: str) -> None:
    assert parse(text) == Curve()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*COLUMNS, "x"]), inner, max_size=4)
    ),
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(json.loads(document()), JSON)))
def test_nothing_in_a_curve_raises(value: dict[str, Any]) -> None:
    found = parse(json.dumps(value))
    assert found.num_steps >= len(found.points)
    joined([found, found])


def curve(*steps: int, restarts: tuple[int, ...] = (), loss: float = 1.0) -> Curve:
    points = tuple(Point(step=step, loss=loss) for step in steps)
    return Curve(points=points, restarts=restarts, num_steps=len(points))


JOINED = [
    ([], (), ()),
    ([curve(1, 2)], (1, 2), ()),
    ([curve(1, 2), Curve(), curve(1, 2, 3, 4)], (1, 2, 3, 4), (3,)),
    ([curve(1, 2, 3), curve(1, 2, 3, 4, restarts=(2,))], (1, 2, 3, 4), (2,)),
    ([curve(1, 2, 3), curve(5, 6)], (1, 2, 3, 5, 6), ()),
]


@pytest.mark.parametrize(("attempts", "steps", "restarts"), JOINED)
def test_attempts_are_one_curve(
    attempts: list[Curve], steps: tuple[int, ...], restarts: tuple[int, ...]
) -> None:
    found = curves.joined(attempts)
    assert tuple(point.step for point in found.points) == steps
    assert found.restarts == restarts


def test_of_a_step_that_was_done_again_the_later_one_counts() -> None:
    assert joined([curve(1, 2, loss=9.0), curve(1, 2, 3)]).losses == ((1, 1.0), (2, 1.0), (3, 1.0))
