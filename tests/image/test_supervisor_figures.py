"""Figures and curves from the steps of a run, and the files and events that carry them."""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sftrun_api.diagnoses import Diagnosis, Severity
from sftrun_api.reasons import Reason
from sftrun_api.reports import CURVE_BYTES, Health, Stage
from sftrun_api.run_files import RunIdentity
from sftrun_trainer import curves, events, figures, reporting, shortenings, starts, steps
from sftrun_trainer.endings import retry
from sftrun_trainer.step_tails import Tail

RUN = RunIdentity(namespace="n", name="a", uid="u", attempt=1)


def record(step: int, loss: float | None = 1.0, **values: Any) -> steps.StepRecord:
    return steps.step_record(step=step, loss=loss, **values)


def test_steps_are_read_back_and_the_later_line_wins(tmp_path: Path) -> None:
    path = tmp_path / "deep" / steps.STEPS_FILE
    with steps.StepWriter(path) as writer:
        for step in range(1, 6):
            writer.append(record(step, 1.0 * step, attempt=1))
        writer.append(steps.Evaluation(step=4, eval_loss=0.5))
    with steps.StepWriter(path) as writer:
        writer.append(record(4, 40.0, attempt=2))
        writer.append(steps.Evaluation(step=4, eval_loss=None))
        writer.append(record(6, float("nan"), attempt=2))
    curve = steps.read(path)
    assert [(r.step, r.loss, r.attempt) for r in curve.steps] == [
        (1, 1.0, 1), (2, 2.0, 1), (3, 3.0, 1), (4, 40.0, 2), (5, 5.0, 1), (6, None, 2),
    ]  # fmt: skip
    assert [r.non_finite for r in curve.steps] == [False] * 5 + [True]
    assert [(e.step, e.eval_loss) for e in curve.evaluations] == [(4, None)]
    assert steps.read(tmp_path / "none") == steps.Curve()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_file_torn_at_any_byte_keeps_its_whole_lines(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("torn") / "steps.jsonl"
    with steps.StepWriter(path) as writer:
        for step in range(1, 4):
            writer.append(record(step, step / 3))
    content = path.read_bytes()
    cut = data.draw(st.integers(min_value=0, max_value=len(content)))
    path.write_bytes(content[:cut])
    whole = content[:cut].count(b"\n")
    assert [r.step for r in steps.read(path).steps] == list(range(1, whole + 1))
    with steps.StepWriter(path) as writer:
        writer.append(record(9))
    assert [r.step for r in steps.read(path).steps][-1] == 9
    assert len(steps.read(path).steps) in (whole + 1, whole + 2)


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=400))
def test_foreign_lines_are_passed_over(line: bytes) -> None:
    steps.parse_line(line)
    events.parse_line(line)
    events.parse_line(b'{"kind":"step","record":' + line + b"}")


def test_events_arrive_once_in_order_however_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "events"
    reader = events.EventReader(path)
    assert list(reader.read()) == []
    sent: list[events.Event] = [
        events.Progress(done=1, total=None, message="é"),
        events.Step(record=record(1), total_steps=3, gpu_memory_gi_b=1.5),
        events.Evaluated(step=1),
        events.Saved(step=1, path="/w/checkpoint-1"),
        events.CheckLine(group="g", name="n", result="Warn"),
        events.Failure(reason="BadData", message="m", final=True),
        events.Result(payload={"a": [1, None, "é"]}),
    ]
    with events.EventWriter(tmp_path / "all") as writer:
        for event in sent:
            writer.write(event)
    found: list[events.Event] = []
    with path.open("ab", buffering=0) as stream:
        for byte in (tmp_path / "all").read_bytes():
            stream.write(bytes([byte]))
            if byte % 7 == 0:
                found += reader.read()
    found += reader.read()
    assert found == sent


def test_a_line_without_end_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "events"
    reader = events.EventReader(path)
    with path.open("wb") as stream:
        for _ in range(40):
            stream.write(b"x" * 100_000)
            stream.flush()
            assert list(reader.read()) == []
        assert len(reader._rest) <= events.LINE_BYTES + 1
        stream.write(b'\n{"kind":"evaluated","step":1}\n')
    assert list(reader.read()) == [events.Evaluated(step=1)]


losses = st.lists(st.floats(min_value=-1e6, max_value=1e6), min_size=1, max_size=300)


@settings(max_examples=60, deadline=None)
@given(losses)
def test_the_mean_is_the_mean_of_all_steps(values: list[float]) -> None:
    records = [record(number, value) for number, value in enumerate(values, 1)]
    assert figures.mean_loss(records) == pytest.approx(statistics.fmean(values), abs=1e-6)
    smooth = figures.Rates()
    for item in records:
        smooth.add(item)
    assert smooth.smoothed_loss is not None
    assert min(values) - 1e-6 <= smooth.smoothed_loss <= max(values) + 1e-6


@pytest.mark.parametrize(
    ("num_steps", "num_last"), [(1, 1), (9, 1), (10, 1), (11, 2), (24, 3), (100, 10), (200, 20), (5000, 20)]
)
def test_the_final_loss_is_of_the_last_tenth_at_most_twenty(num_steps: int, num_last: int) -> None:
    records = [record(step, float(step)) for step in range(1, num_steps + 1)]
    assert figures.final_loss(records) == pytest.approx(num_steps - (num_last - 1) / 2)


def test_records_weigh_as_many_steps_as_they_cover() -> None:
    records = [record(10, 1.0, covers=10, seconds=20.0), record(12, 4.0, covers=2, seconds=6.0)]
    assert figures.mean_loss(records) == pytest.approx(1.5)
    rates = figures.Rates()
    for item in records:
        rates.add(item)
    assert (rates.step_seconds(0.5), rates.step_seconds(0.95)) == (2.0, 3.0)
    assert rates.remaining_seconds(step=12, total_steps=20) == 16


def test_no_steps_have_no_figures() -> None:
    metrics = figures.metrics_of(steps.Curve(), total_steps=None)
    assert metrics.to_json_object() == {"totalSteps": 0, "trainRuntimeSeconds": 0.0}
    rates = figures.Rates()
    assert (rates.smoothed_loss, rates.tokens_per_second, rates.remaining_seconds(step=0, total_steps=9)) == (
        None,
    ) * 3


@pytest.mark.parametrize(
    ("losses_seen", "mean", "final"),
    [
        ([2.0, 4.0], 3.0, 4.0),
        ([2.0, float("nan"), float("inf"), 4.0], None, 4.0),
        ([2.0, 4.0, float("nan")], None, None),
        ([float("-inf")], None, None),
    ],
)
def test_what_was_no_number_is_never_averaged_away(
    losses_seen: list[float], mean: float | None, final: float | None
) -> None:
    """As LLaMA-Factory's own mean, which then is NaN; the status leaves such figures out."""
    records = [record(step, loss) for step, loss in enumerate(losses_seen, 1)]
    assert (figures.mean_loss(records), figures.final_loss(records)) == (mean, final)


@pytest.mark.parametrize("num_steps", [0, 1, 3, 2000, 2001, 20_000])
def test_a_curve_fits_and_keeps_its_spike(num_steps: int) -> None:
    spike = num_steps // 2 + 1
    records = tuple(
        record(
            step,
            99.0 if step == spike else math.sin(step),
            grad_norm=1 / 3,
            learning_rate=1e-5 / 3,
            seconds=1 / 7,
        )
        for step in range(1, num_steps + 1)
    )
    evaluations = tuple(steps.Evaluation(step=step, eval_loss=1 / 3) for step in range(1, num_steps + 1, 2))
    body = curves.encode(RUN, steps.Curve(steps=records, evaluations=evaluations))
    value = json.loads(body)
    assert len(body) <= CURVE_BYTES
    assert value["numSteps"] == num_steps
    found = [point[0] for point in value["points"]]
    assert found == sorted(set(found))
    if num_steps:
        assert (found[0], found[-1]) == (1, num_steps)
        assert max(point[1] for point in value["points"]) == (99.0 if num_steps > 0 else None)


def test_a_curve_file_is_read_again_only_when_it_changed(tmp_path: Path) -> None:
    path = tmp_path / steps.STEPS_FILE
    found = curves.CurveFile(tail=Tail(path), run=RUN)
    assert json.loads(found.read())["numSteps"] == 0
    with steps.StepWriter(path) as writer:
        writer.append(record(1))
        assert json.loads(found.read())["numSteps"] == 1
        assert found.read() is found.read()
        writer.append(record(2))
    assert json.loads(found.read())["numSteps"] == 2
    path.unlink()
    assert json.loads(found.read())["numSteps"] == 2


def test_a_curve_says_where_it_was_gone_on_with(tmp_path: Path) -> None:
    """A pod that repeats steps, and one of the next attempt that repeats none."""
    path = tmp_path / steps.STEPS_FILE
    with steps.StepWriter(path) as writer:
        for step, attempt in ((1, 1), (2, 1), (3, 1), (2, 1), (3, 1), (4, 2)):
            writer.append(record(step, attempt=attempt))
    value = json.loads(curves.CurveFile(tail=Tail(path), run=RUN).read())
    assert value["restarts"] == [2, 4]


def account() -> reporting.Account:
    return reporting.Account(run=RUN, pod_uid="p", pod_name="pod", now=lambda: 1_700_000_000.0)


def test_a_loss_that_is_no_number_is_left_out_flagged_and_forgotten_when_it_heals() -> None:
    state = account()
    state.enter(Stage.TRAIN)
    state.take(events.Step(record=record(1, float("nan")), total_steps=9))
    report = state.report()
    assert report.progress is not None and report.health is not None
    assert (report.progress.loss, report.progress.non_finite) == (None, True)
    assert (report.health.healthy, report.health.reason) == (False, "NonFiniteLoss")
    assert report.message == "step 1 of 9, loss not finite"
    state.take(events.Step(record=record(2, 0.5), total_steps=9))
    report = state.report()
    assert report.progress is not None and report.health is not None
    assert (report.progress.loss, report.progress.non_finite, report.health.healthy) == (0.5, None, True)


absurd = st.one_of(st.integers(), st.floats(), st.text(max_size=5), st.none(), st.just(10**400))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(sorted(steps.StepRecord.model_fields)), absurd), max_size=4))
def test_whatever_a_child_says_the_report_can_be_written(records: list[dict[str, Any]]) -> None:
    state = account()
    state.enter(Stage.TRAIN)
    kept = []
    for number, values in enumerate(records, 1):
        line = json.dumps({"kind": "step", "record": {"step": number, **values}, "totalSteps": 9})
        event = events.parse_line(line.encode())
        if isinstance(event, events.Step):
            state.take(event)
            kept.append(event.record)
    json.loads(shortenings.encode(state.report()))
    curve = steps.merge(kept)
    json.dumps(figures.metrics_of(curve, total_steps=None).to_json_object(), allow_nan=False)
    curves.encode(RUN, curve)


def test_losses_at_the_edge_of_numbers() -> None:
    records = [record(1, 1.7e308), record(2, 1.7e308), record(3, -1.7e308)]
    for count in (1, 2, 3):
        metrics = figures.metrics_of(steps.Curve(steps=tuple(records[:count])), total_steps=3)
        json.dumps(metrics.to_json_object(), allow_nan=False)


def test_what_each_stage_says() -> None:
    state = account()
    assert state.report().message == "starting"
    state.enter(Stage.PREPARE)
    state.take(events.Progress(done=3, total=12))
    assert state.report().message == "converting trajectories: 3 of 12"
    state.take(events.Progress(done=4, total=None, message="reading"))
    assert state.report().message == "reading"
    state.merge({"dataset": {"name": "d", "converted": 9, "excluded": [{"reason": "LowReward", "count": 2}]}})
    state.merge(
        {
            "truncated": 3,
            "excluded": [{"reason": "Overlong", "count": 1}],
            "effective": {"a": float("inf"), "b": 1},
        }
    )
    report = state.report()
    assert report.dataset is not None
    assert report.dataset.to_json_object() == {
        "name": "d", "converted": 9, "validation": 0, "truncated": 3,
        "excluded": [{"reason": "LowReward", "count": 2}, {"reason": "Overlong", "count": 1}],
    }  # fmt: skip
    assert report.effective == {"b": 1}
    assert report.progress is not None and report.progress.updated_at == "2023-11-14T22:13:20Z"


def start(cause: str | None = "Crashed", *, attempt: int = 1, **values: Any) -> starts.Start:
    return starts.Start(uid="u", attempt=attempt, pod_uid="p", cause=cause, **values)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ((), 0),
        ((start(),), 1),
        ((start(), start(None), start("Stopped")), 3),
        ((start(), start(advanced=True), start()), 1),
        ((start(), start(advanced=True)), 0),
        ((start(), start(attempt=2)), 1),
        ((start().model_copy(update={"uid": "other"}), start()), 1),
    ],
)
def test_starts_without_progress(entries: tuple[starts.Start, ...], expected: int) -> None:
    attempt = entries[-1].attempt if entries else 1
    assert starts.without_progress(entries, uid="u", attempt=attempt) == expected


OOM: dict[str, Any] = {"stage": "Train", "step": 7}


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ((start("OutOfMemory", **OOM),), False),
        ((start("OutOfMemory", **OOM), start("OutOfMemory", **OOM)), True),
        ((start("OutOfMemory", **OOM), start("GPUOutOfMemory", **OOM)), True),
        ((start("OutOfMemory", **OOM), start("Crashed"), start("OutOfMemory", **OOM)), True),
        ((start("OutOfMemory", **OOM), start("OutOfMemory", stage="Train", step=8)), False),
        ((start("OutOfMemory", stage="Register", step=7), start("OutOfMemory", **OOM)), False),
        ((start("OutOfMemory", **OOM), start("OutOfMemory", attempt=2, **OOM)), False),
        ((start("OutOfMemory", **OOM), start("OutOfMemory", **OOM), start("Stopped")), False),
    ],
)
def test_out_of_memory_again(entries: tuple[starts.Start, ...], expected: bool) -> None:
    assert starts.out_of_memory_again(entries, uid="u", attempt=entries[-1].attempt) is expected


def test_starts_are_kept_bounded_and_garbage_begins_anew(tmp_path: Path) -> None:
    starts.write(tmp_path, tuple(start(step=number) for number in range(100)))
    found = starts.read(tmp_path)
    assert (len(found), found[-1].step) == (starts.KEPT, 99)
    for content in ("", "{", '{"starts": 3}', '{"starts": [{"uid": 1}]}', "[]"):
        (tmp_path / starts.STARTS_FILE).write_text(content)
        assert starts.read(tmp_path) == ()


def alarm() -> Diagnosis:
    return Diagnosis(
        rule="Overfitting", severity=Severity.ALARM, evidence="it rises", cause="by heart", remedy="stop"
    )


def test_an_alarm_is_the_run_s_health_and_stays_in_its_checks_at_the_end() -> None:
    state = account()
    assert state.report().health == Health(healthy=True, reason="Healthy", message="nothing unusual is seen")
    state.diagnosed((alarm(),))
    seen = state.report()
    assert seen.health is not None
    assert (seen.health.reason, seen.health.message) == ("Overfitting", "it rises: by heart; stop")
    assert seen.checks == (), "while it trains a pattern may go as it came"
    state.diagnosed(())
    assert state.report().health == Health(healthy=True, reason="Healthy", message="nothing unusual is seen")
    state.end(None)
    assert state.situation().finished
    state.diagnosed((alarm(),))
    assert [(check.group, check.name) for check in state.report().checks] == [("diagnosis", "Overfitting")]


@pytest.mark.parametrize(
    ("reason", "memory"),
    [(Reason.GPU_OUT_OF_MEMORY, True), (Reason.OUT_OF_MEMORY, True), (Reason.STALLED, False)],
)
def test_an_end_for_want_of_memory_is_told_to_the_rules(reason: Reason, memory: bool) -> None:
    state = account()
    state.end(retry(reason, stage="Train", details="x", step=1, seconds=1, limit="1Gi", pod="p"))
    assert state.situation().out_of_memory is memory and not state.situation().finished


def test_what_only_the_training_process_sees_joins_the_effective_values() -> None:
    state = account()
    state.merge({"effective": {"totalSteps": 24}})
    state.take(events.Effective(values={"attention": "sdpa", "bad": math.nan}))
    assert state.report().effective == {"totalSteps": 24, "attention": "sdpa"}
