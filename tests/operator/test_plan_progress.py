"""A running pod: stages, progress, health; what is written when, and what a hostile answer cannot do."""

from __future__ import annotations

from typing import Any

import pytest
from tests.operator.plan_factories import (
    NOW,
    UID,
    accepted,
    after,
    answer,
    condition,
    look,
    pod,
    progress,
    reason,
    report,
    run,
    running,
    settled,
    told,
    training,
)

from sftrun_api.models import JsonObject
from sftrun_api.reports import Health, Report, Stage
from sftrun_api.run_files import RunIdentity
from sftrun_api.statuses import Check, DatasetStatus, Excluded, Progress
from sftrun_operator.plans.progressions import WRITE_SECONDS


def test_first_sight_of_a_running_pod() -> None:
    made = look(run(accepted()), running(proven=False))
    status = after(run(accepted()), made)
    assert (status["phase"], status["podName"], status["nodeName"], status["jobUID"]) == (
        "Preparing",
        "swe-abcde-1-pod1",
        "node-1",
        "job-1",
    )
    assert (made.poll_pod, told(made)) == ("pod-1", [("Normal", "Started")])
    assert status["startTime"] == "2027-01-15T07:59:40Z"


STAGES = {
    Stage.PREPARE: "Preparing",
    Stage.REGISTER: "Preparing",
    Stage.TRAIN: "Training",
    Stage.COLLECT: "Collecting",
}


@pytest.mark.parametrize("stage", STAGES)
def test_stage_becomes_phase(stage: Stage) -> None:
    status = settled(accepted(), running(answer=answer(report(stage=stage))))
    assert status["phase"] == STAGES[stage]
    assert condition(status, "ProgressAvailable")["status"] == "True"
    assert condition(status, "DataReady")["status"] == str(stage in (Stage.TRAIN, Stage.COLLECT))


def test_training_in_words_and_columns() -> None:
    status = training()
    assert status["message"] == "step 10 of 24, loss 0.412"
    assert status["display"] == {"gpus": 8, "progress": "41%", "loss": "0.412", "eta": "53m"}
    assert status["progress"]["updatedAt"] == "2027-01-15T08:00:00Z"


WORTH: dict[str, tuple[Report, float, bool]] = {
    "nothing new": (report(), 300, False),
    "another step, too soon": (report(progress=progress(11)), WRITE_SECONDS - 1, False),
    "another step": (report(progress=progress(11)), WRITE_SECONDS, True),
    "only the loss": (report(progress=progress(10, loss=0.2)), 300, False),
    "only the speed": (report(progress=progress(10, tokens_per_second=5.0)), 300, False),
    "health, too soon": (report(health=Health(healthy=False, reason="Stalled")), 10, False),
    "health": (report(health=Health(healthy=False, reason="Stalled")), WRITE_SECONDS, True),
    "stage, at once": (report(stage=Stage.COLLECT), 1, True),
}


@pytest.mark.parametrize("case", WORTH)
def test_writes_only_what_is_worth_it(case: str) -> None:
    said, seconds, expected = WORTH[case]
    made = look(run(training()), running(answer=answer(said)), now=NOW + seconds)
    assert (made.status_patch is not None) is expected
    assert made.poll_pod == "pod-1"
    assert made.look_again_in is not None and made.look_again_in <= 60


def test_no_minute_holds_three_writes_however_late_the_first_one_arrives() -> None:
    status, moments = training(), list[float]()
    for tick in range(1, 2400):
        now = NOW + tick / 10
        made = look(
            run(status), running(answer=answer(report(progress=progress(11 + len(moments))))), now=now
        )
        if made.status_patch is not None:
            status = after(run(status), made)
            moments.append(now)
    late = 4.0
    assert len(moments) > 5
    assert all(third - (first + late) >= 60 for first, third in zip(moments, moments[2:], strict=False))


def test_what_comes_too_soon_is_looked_at_in_time() -> None:
    soon = NOW + WRITE_SECONDS - 1
    made = look(run(training()), running(answer=answer(report(progress=progress(11)))), now=soon)
    assert made.look_again_in == pytest.approx(1)


def test_a_hostile_pod_cannot_make_the_operator_write_more_often() -> None:
    status, writes = training(), 0
    for second in range(0, 600, 5):
        stage = (Stage.TRAIN, Stage.PREPARE, Stage.REGISTER)[second % 3]
        said = report(
            stage=stage,
            progress=None if second % 2 else progress(second, percent=None),
            health=Health(healthy=bool(second % 2), reason=f"R{second}", message=str(second)),
            effective={"x": second},
            message=str(second),
        )
        made = look(run(status), running(answer=answer(said)), now=NOW + second)
        writes += made.status_patch is not None
        status = after(run(status), made)
    assert writes <= 20
    assert status["phase"] == "Training"


def test_stage_never_goes_back_within_one_pod() -> None:
    status = settled(training(), running(answer=answer(report(stage=Stage.PREPARE))), now=NOW + 60)
    assert status["phase"] == "Training"


def test_a_replacement_begins_at_its_own_stage() -> None:
    two = running(
        pods=(pod(2),), answer=answer(report(stage=Stage.REGISTER, pod_uid="pod-2"), pod_uid="pod-2")
    )
    assert settled(training(), two)["phase"] == "Preparing"


UNREACHABLE: dict[str, tuple[dict[str, Any], float, str]] = {
    "not for long": ({"unreachable_since": NOW}, 59, "True"),
    "for a minute": ({"unreachable_since": NOW, "error": "timed out"}, 60, "False"),
}


@pytest.mark.parametrize("case", UNREACHABLE)
def test_unreachable_pods_change_progress_available_and_nothing_else(case: str) -> None:
    fields, seconds, expected = UNREACHABLE[case]
    made = look(run(training()), running(answer=answer(report(), **fields)), now=NOW + seconds)
    status = after(run(training()), made)
    assert condition(status, "ProgressAvailable")["status"] == expected
    assert (status["phase"], status["message"]) == ("Training", training()["message"])
    if expected == "False":
        message = condition(status, "ProgressAvailable")["message"]
        assert all(word in message for word in ("timed out", "NetworkPolic", "mesh", "8080"))
    else:
        assert made.look_again_in == pytest.approx(1)


def test_an_unreachable_pod_is_written_once_however_its_error_reads() -> None:
    first = running(answer=answer(None, unreachable_since=NOW - 90, error="timed out after 2.001 s"))
    status = settled(settled(accepted(), running()), first)
    second = running(answer=answer(None, unreachable_since=NOW - 90, error="timed out after 2.017 s"))
    assert look(run(status), second).status_patch is None
    back = settled(status, running(answer=answer(report())), now=NOW + WRITE_SECONDS)
    assert condition(back, "ProgressAvailable")["status"] == "True"


FOREIGN: dict[str, tuple[Report, str]] = {
    "another run": (
        report(run=RunIdentity(namespace="team", name="swe", uid="o", attempt=1)),
        "ReportNotOurs",
    ),
    "another namespace": (
        report(run=RunIdentity(namespace="x", name="swe", uid=UID, attempt=1)),
        "ReportNotOurs",
    ),
    "another attempt": (report(attempt=2), "ReportNotOurs"),
    "another pod": (report(pod_uid="pod-9"), "ReportNotOurs"),
    "another version": (report(format_version=99), "ReportVersionUnsupported"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_answers_that_are_not_ours_are_ignored_and_told(case: str) -> None:
    foreign, expected = FOREIGN[case]
    status = settled(accepted(), running(answer=answer(foreign)))
    assert (status["phase"], "progress" in status) == ("Preparing", False)
    available = condition(status, "ProgressAvailable")
    assert (available["status"], available["reason"]) == ("False", expected)


def test_a_pod_that_speaks_for_itself_and_for_others_in_turn_is_written_twice_a_minute_at_most() -> None:
    status, writes = training(), 0
    for second in range(0, 120, 5):
        said = report() if second % 2 else report(pod_uid="other")
        made = look(run(status), running(answer=answer(said)), now=NOW + second)
        writes += made.status_patch is not None
        status = after(run(status), made)
    assert writes <= 4


def test_no_minute_sees_three_writes_wherever_in_a_second_they_fall() -> None:
    status, moments = training(), list[float]()
    for step in range(1000):
        now = NOW + 0.95 + step * 0.3
        told = report(progress=progress(step % 24))
        made = look(run(status), running(answer=answer(told)), now=now)
        if made.status_patch is not None:
            moments.append(now)
        status = after(run(status), made)
    assert len(moments) > 6
    assert all(third - first > 60 for first, third in zip(moments, moments[2:], strict=False)), moments


def test_an_answer_of_the_pod_before_is_no_answer() -> None:
    status = settled(accepted(), running(answer=answer(report(), pod_uid="pod-0")))
    assert (status["phase"], condition(status, "ProgressAvailable")["status"]) == ("Preparing", "Unknown")


def test_values_from_the_pod_join_the_effective_ones_but_never_replace_them() -> None:
    effective: JsonObject = {
        "totalSteps": 24,
        "ropeScaling": {"type": "yarn", "factor": 2.0},
        "outputDir": "/etc",
        "gpusPerNode": 0,
        "huge": 10**30,
        "long": "x" * 5000,
        "none": None,
        "infinite": float("inf"),
        "deep": [[[[float("nan")]]]],
    }
    merged = settled(accepted(), running(answer=answer(report(effective=effective))))["effective"]
    assert merged == accepted()["effective"] | {
        "totalSteps": 24,
        "ropeScaling": {"type": "yarn", "factor": 2.0},
    }


def test_values_from_the_pod_do_not_pile_up() -> None:
    status = training()
    for number in range(9):
        values = {f"key-{number}-{index}": index for index in range(60)}
        said = report(progress=progress(11 + number), effective=values)
        status = settled(status, running(answer=answer(said)), now=NOW + WRITE_SECONDS * (number + 1))
    assert len(status["effective"]) <= 120


def test_data_checks_and_health_are_taken_over() -> None:
    said = report(
        dataset=DatasetStatus(
            name="swe",
            digest="d",
            converted=512,
            excluded=(Excluded(reason="LowReward", count=30), Excluded(reason="LowReward", count=1)),
        ),
        checks=(
            Check(group="model", name="template", result="Warn", message="old"),
            Check(group="model", name="template", result="Pass", message="fits\x1b[31m"),
        ),
        health=Health(healthy=False, reason="Loss Spike!", message="loss spiked"),
    )
    status = settled(accepted(), running(answer=answer(said)))
    assert status["dataset"]["excluded"] == [{"reason": "LowReward", "count": 31}]
    assert [(c["name"], c["result"], c["message"]) for c in status["checks"]] == [
        ("template", "Pass", "fits [31m")
    ]
    assert (reason(status, "Healthy"), condition(status, "Healthy")["status"]) == ("LossSpike", "False")
    assert "512 (31 trajectories left out)" in condition(status, "DataReady")["message"]


def test_absurd_figures_fit_into_their_columns() -> None:
    absurd = Progress(stage="Train\x00", done=2**52, step=2**52, loss=-1e308, remaining_seconds=2**52)
    status = settled(accepted(), running(answer=answer(report(progress=absurd))))
    assert status["display"]["eta"] == "11574d1h"
    assert status["progress"]["stage"] == "Train"
    assert len(status["display"]["loss"]) <= 32


PREPARING: dict[str, tuple[Report, str]] = {
    "its own words": (report(stage=Stage.PREPARE, message="converting 3 of 9\n"), "converting 3 of 9"),
    "none": (report(stage=Stage.PREPARE), "pod swe-abcde-1-pod1 prepares the data"),
}


@pytest.mark.parametrize("case", PREPARING)
def test_other_stages_speak_for_themselves(case: str) -> None:
    said, expected = PREPARING[case]
    assert settled(accepted(), running(answer=answer(said)))["message"] == expected


def test_keys_that_we_do_not_know_are_left_alone() -> None:
    newer = training() | {"futureField": {"a": 1}}
    newer["conditions"] = [*newer["conditions"], {"type": "FutureCondition", "status": "True", "reason": "X"}]
    newer["progress"] = newer["progress"] | {"futureSpeed": 3}
    made = look(run(newer), running(answer=answer(report(progress=progress(12)))), now=NOW + 60)
    assert made.status_patch is not None and "futureField" not in made.status_patch
    status = after(run(newer), made)
    assert status["progress"]["futureSpeed"] == 3
    assert condition(status, "FutureCondition")["reason"] == "X"


def test_a_transition_time_changes_only_with_the_status() -> None:
    before = condition(training(), "Running")
    status = settled(training(), running(answer=answer(report(stage=Stage.COLLECT))), now=NOW + 500)
    assert condition(status, "Running")["reason"] == "CollectingResult"
    assert condition(status, "Running")["lastTransitionTime"] == before["lastTransitionTime"]
