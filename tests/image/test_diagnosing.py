"""The trainer looks at its own curve: followed as it grows, judged with the run's settings."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
from tests.image import supervisor_fakes as fakes

from sftrun_api import diagnoses
from sftrun_api.diagnoses import Diagnosis, Severity
from sftrun_trainer import diagnosing, steps
from sftrun_trainer.diagnosing import EVERY_SECONDS, Diagnoser, Situation
from sftrun_trainer.step_tails import Tail


def record(step: int, loss: float | None = 1.0, **fields: float) -> steps.StepRecord:
    return steps.step_record(step=step, loss=loss, seconds=1.0, tokens=100, **fields)  # type: ignore[arg-type]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_growing_file_is_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / steps.STEPS_FILE
    tail, parsed = Tail(path), list[bytes]()
    real = steps.parse_line

    def parse(line: bytes) -> steps.StepRecord | steps.Evaluation | None:
        parsed.append(line)
        return real(line)

    monkeypatch.setattr(steps, "parse_line", parse)
    assert tail.curve() == steps.Curve()
    with steps.StepWriter(path) as writer:
        for step in range(1, 101):
            writer.append(record(step))
            writer.sync()
            assert len(tail.curve().steps) == step
        assert tail.curve() is tail.curve()
        writer.append(record(100, 7.0))
        writer.append(steps.Evaluation(step=100, eval_loss=0.5))
    assert tail.curve() == steps.read(path)
    assert len(parsed) == 102 + 102, "each line once by the tail, once by `read`"


def test_a_torn_line_is_read_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / steps.STEPS_FILE
    line = record(1).model_dump_json(by_alias=True).encode() + b"\n"
    tail = Tail(path)
    for end in range(len(line)):
        path.write_bytes(line[:end]) if not path.exists() else _append(path, line[end - 1 : end])
        assert tail.curve().steps == ()
    _append(path, line[-1:])
    assert [each.step for each in tail.curve().steps] == [1]


def _append(path: Path, content: bytes) -> None:
    with path.open("ab") as stream:
        stream.write(content)


@pytest.mark.parametrize("how", ["replaced", "shortened", "gone"])
def test_another_file_under_the_name_is_another_curve(tmp_path: Path, how: str) -> None:
    path = tmp_path / steps.STEPS_FILE
    with steps.StepWriter(path) as writer:
        for step in (1, 2, 3):
            writer.append(record(step))
    tail = Tail(path)
    assert len(tail.curve().steps) == 3
    if how == "gone":
        path.unlink()
        assert len(tail.curve().steps) == 3
        return
    other = tmp_path / "other"
    with steps.StepWriter(other) as writer:
        writer.append(record(9))
    if how == "replaced":
        other.replace(path)
    else:
        path.write_bytes(other.read_bytes())
    assert [each.step for each in tail.curve().steps] == [9]


def diagnoser(tmp_path: Path, records: list[steps.StepRecord]) -> tuple[Diagnoser, Clock, Path]:
    path = tmp_path / "state" / steps.STEPS_FILE
    with steps.StepWriter(path) as writer:
        for each in records:
            writer.append(each)
    clock = Clock()
    made = Diagnoser(run=fakes.run_file(tmp_path), tail=Tail(path), clock=clock)
    return made, clock, path


def test_it_looks_now_and_then_and_always_at_the_end(tmp_path: Path) -> None:
    flat = [record(step, 1.5) for step in range(1, 61)]
    made, clock, path = diagnoser(tmp_path, flat)
    assert made.look(Situation(total_steps=200)) == ()
    with steps.StepWriter(path) as writer:
        for step in range(61, 201):
            writer.append(record(step, 1.5))
    clock.now = EVERY_SECONDS - 1
    assert made.look(Situation(total_steps=200)) == ()
    clock.now = EVERY_SECONDS
    assert [each.rule for each in made.look(Situation(total_steps=200))] == ["LossBarelyMoves"]
    out_of_memory = made.look(Situation(total_steps=200, out_of_memory=True))
    assert {"OutOfMemoryAdvice", "LossBarelyMoves"} <= {each.rule for each in out_of_memory}


def test_two_who_ask_at_once_get_the_same_answer_from_one_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, _, _ = diagnoser(tmp_path, [record(step, 1.5) for step in range(1, 201)])
    looks, looking, go_on = list[int](), threading.Event(), threading.Event()
    real = diagnoses.diagnose

    def slow(*given: Any) -> tuple[Diagnosis, ...]:
        looks.append(1)
        looking.set()
        assert go_on.wait(60)
        return real(*given)

    monkeypatch.setattr(diagnoses, "diagnose", slow)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(made.look, Situation(total_steps=200))
        assert looking.wait(60)
        second = pool.submit(made.look, Situation(total_steps=200))
        # The second must not be told "nothing is wrong" while the first still looks.
        assert not wait([second], timeout=0.2).done
        go_on.set()
        assert first.result(60) == second.result(60) != ()
    assert len(looks) == 1


def test_the_settings_are_the_run_s(tmp_path: Path) -> None:
    run = fakes.run_file(tmp_path, training={"weightDecay": 0.3, "maxGradNorm": 2.0, "numTrainEpochs": 5})
    facts = diagnosing.facts_of(run, (), Situation(total_steps=200, num_samples=7))
    assert (facts.weight_decay, facts.max_grad_norm, facts.num_epochs) == (0.3, 2.0, 5)
    assert (facts.num_samples, facts.method, facts.lora_rank) == (7, "full", None)
    assert facts.learning_rate == run.resolved.learning_rate
    assert facts.warmup_steps == round((run.resolved.warmup_ratio or 0) * 200)


@pytest.mark.parametrize(
    ("waited", "share"),
    [([None] * 100, None), ([0.0] * 20, None), ([0.0] * 100, 0.0), ([1.0] * 100, 0.5), ([0.25] * 200, 0.2)],
)
def test_the_share_of_waiting_for_data(waited: list[float | None], share: float | None) -> None:
    records = [steps.step_record(step=i, loss=1.0, seconds=1.0, waited=w) for i, w in enumerate(waited)]
    assert diagnosing.loader_share(records) == share


def diagnosis(rule: str, severity: Severity) -> Diagnosis:
    return Diagnosis(rule=rule, severity=severity, evidence="e" * 300, cause="c" * 300, remedy="r")


def test_only_an_alarm_makes_a_run_unhealthy() -> None:
    notice, alarm = diagnosis("NoisyLoss", Severity.NOTICE), diagnosis("Overfitting", Severity.ALARM)
    assert diagnosing.health_of([notice]) is None
    assert diagnosing.health_of([diagnosis("NonFiniteLoss", Severity.ALARM)]) is None
    health = diagnosing.health_of([alarm, notice])
    assert health is not None and (health.healthy, health.reason) == (False, "Overfitting")
    info = diagnosis("RepeatedData", Severity.INFO)
    checks = diagnosing.checks_of([alarm, notice, info])
    assert [(check.name, check.result) for check in checks] == [
        ("Overfitting", "Warn"),
        ("NoisyLoss", "Warn"),
        ("RepeatedData", "Pass"),
    ]
