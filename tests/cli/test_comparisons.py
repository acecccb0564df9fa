"""Which run is better, by how much of the noise, and in what they differ."""

from __future__ import annotations

import random
from typing import Any

import pytest

from sftrun_cli.comparisons import differences, results, tables, verdicts
from sftrun_cli.comparisons.results import Result
from sftrun_cli.runs.curves import Curve, Point
from sftrun_cli.runs.views import View


def noisy(seed: int, *, lowest: float, steps: int = 200, sigma: float = 0.05, evaluations: int = 0) -> Curve:
    draw = random.Random(seed)
    points = tuple(
        Point(step=step, loss=lowest + 2 / step + draw.gauss(0, sigma), seconds=0.5, tokens_per_second=100.0)
        for step in range(1, steps + 1)
    )
    every = steps // max(1, evaluations)
    held = tuple((step * every, lowest + 0.1 + draw.gauss(0, 0.01)) for step in range(1, evaluations + 1))
    return Curve(points=points, evaluations=held, num_steps=steps)


def result(name: str, curve: Curve, **status: Any) -> Result:
    return results.result_of(run(name, **status), curve, now=10.0)


def run(name: str, *, spec: dict[str, Any] | None = None, **status: Any) -> View:
    return View({"metadata": {"name": name}, "spec": spec or {}, "status": status})


def test_the_scatter_is_that_of_the_noise_whatever_the_slope() -> None:
    draw = random.Random(1)
    falling = [10 - step / 100 + draw.gauss(0, 0.2) for step in range(2000)]
    assert verdicts.scatter(falling, least=6) == pytest.approx(0.2, rel=0.1)
    assert verdicts.scatter([1.0] * 5, least=6) is None
    assert verdicts.scatter([1.0] * 6, least=6) == 0.0


def test_a_true_difference_is_found_and_none_is_not_made_up() -> None:
    """Of a hundred pairs that differ in nothing but chance, about five may be called different; of those that
    differ by five times the noise all are."""
    alike = [_trained(2 * seed, 2 * seed + 1, 0.0) for seed in range(100)]
    assert sum(each.better is not None for each in alike) <= 10
    apart = [_trained(2 * seed, 2 * seed + 1, -0.1) for seed in range(100)]
    assert sum(each.better == "b" for each in apart) >= 99


def _trained(seed: int, other: int, difference: float) -> verdicts.Verdict:
    (found,) = verdicts.verdicts(
        result("a", noisy(seed, lowest=1.0)), result("b", noisy(other, lowest=1.0 + difference))
    )
    return found


def made(difference: float, noise: float | None) -> verdicts.Verdict:
    return verdicts.Verdict(base="a", other="b", metric="evaluation loss", difference=difference, noise=noise)


SENTENCES = [
    (made(-0.2, 0.05), "b is better: the evaluation loss of b is 0.2 below a's, 4.0 times its noise (0.05)"),
    (made(0.2, 0.05), "a is better: the evaluation loss of a is 0.2 below b's, 4.0 times its noise (0.05)"),
    (
        made(-0.05, 0.05),
        "the evaluation loss of b is 0.05 below a's, 1.0 times its noise (0.05): that may be chance",
    ),
    (
        made(-0.2, None),
        "the evaluation loss of b is 0.2 below a's; there are too few values to tell its noise",
    ),
    (made(0.0, 0.05), "a and b have the same evaluation loss"),
    (made(-0.2, 0.0), "b is better: the evaluation loss of b is 0.2 below a's, far above its noise (0)"),
]


@pytest.mark.parametrize(("verdict", "sentence"), SENTENCES)
def test_verdicts_are_sentences(verdict: verdicts.Verdict, sentence: str) -> None:
    assert verdict.sentence == sentence


def test_evaluations_come_first_and_need_four_for_their_noise() -> None:
    few, many = (
        [
            result("a", noisy(1, lowest=1.0, evaluations=count)),
            result("b", noisy(2, lowest=0.5, evaluations=count)),
        ]
        for count in (3, 6)
    )
    assert [each.metric for each in verdicts.verdicts(*few)] == ["evaluation loss", "final training loss"]
    assert verdicts.verdicts(*few)[0].noise is None
    assert verdicts.verdicts(*many)[0].better == "b"
    assert verdicts.verdicts(result("a", Curve()), result("b", Curve())) == ()


def test_results_are_the_statuses_own_figures_first() -> None:
    metrics = {"finalLoss": 0.25, "evalLoss": 0.5, "totalSteps": 24, "trainRuntimeSeconds": 1800.0}
    found = result("a", noisy(1, lowest=1.0), display={"gpus": 8}, outputs={"trainingMetrics": metrics})
    assert (found.final_loss, found.eval_loss, found.steps, found.gpu_hours) == (0.25, 0.5, 24, 4.0)
    assert (found.tokens_per_second, found.seconds_a_step) == (100.0, 0.5)
    running = result(
        "a", noisy(1, lowest=1.0, steps=50), startTime="1970-01-01T00:00:00Z", display={"gpus": 8}
    )
    assert running.train_seconds == 10.0
    assert running.final_loss == pytest.approx(sum(loss for _, loss in running.curve.losses[-5:]) / 5)


def test_differences_are_of_what_was_worked_out_too_and_said_once() -> None:
    first = run(
        "a",
        spec={"training": {"template": "qwen3", "learningRate": 1e-5}, "suspend": True},
        effective={"learningRate": 1e-5},
    )
    second = run(
        "b",
        spec={"training": {"template": "qwen3"}, "sources": [{"harborJob": {"path": "j"}}]},
        effective={"learningRate": 2e-5},
    )
    found = differences.differences([first, second])
    assert [(each.field, each.values) for each in found] == [
        ("spec.sources[0].harborJob.path", ("", "j")), ("effective.learningRate", ("1e-05", "2e-05")),
    ]  # fmt: skip
    assert tables.incomparable(found) == ("spec.sources[0].harborJob.path",)


def test_the_object_for_programs_has_no_nulls() -> None:
    pair = [result("a", noisy(1, lowest=1.0)), result("b", Curve())]
    whole = tables.as_object(pair, (), verdicts.verdicts(*pair))
    assert whole["verdicts"] == [] and "finalLoss" not in whole["runs"][1]
