"""Images and pods of other versions: refused where it is known, left alone where they run."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.operator.plan_factories import (
    CONFIG,
    accepted,
    after,
    answer,
    condition,
    ended,
    job,
    kinds,
    look,
    report,
    run,
    running,
    said,
    seen,
    settled,
    success,
    told,
    training,
)

from sftrun_api.reports import REPORT_VERSION
from sftrun_api.run_files import RUN_FILE_VERSION
from sftrun_api.versions import Release
from sftrun_operator.observations import Observed
from sftrun_operator.plans import reports

ANCIENT = Release(report=0, run_file=RUN_FILE_VERSION, api="v1alpha1", llamafactory="0.9", kubernetes="1.31")
FITTING = replace(ANCIENT, report=REPORT_VERSION)
KNOWING = replace(CONFIG, releases={"0.0.9": ANCIENT, "0.0.10": FITTING})
OLD = {"infrastructure": {"image": "registry.test/trainer:0.0.9"}}


def test_an_image_that_is_known_to_speak_another_version_is_refused_before_anything_is_made() -> None:
    made = look(run(**OLD), config=KNOWING)
    status = after(run(**OLD), made)
    refused = condition(status, "Accepted")
    assert (refused["status"], refused["reason"], status["phase"]) == (
        "False",
        "UnsupportedImage",
        "Rejected",
    )
    assert refused["message"] == (
        "infrastructure.image registry.test/trainer:0.0.9: release 0.0.9 speaks report version 0, this "
        "operator reads 1; choose an image of this operator's version"
    )
    assert (kinds(made), told(made)) == ([], [("Warning", "UnsupportedImage")])
    again = look(run(status, **OLD), config=KNOWING)
    assert (again.status_patch, again.events) == (None, ())


def test_the_default_image_is_judged_too() -> None:
    config = replace(KNOWING, trainer_image="registry.test/trainer:0.0.9")
    assert condition(after(run(), look(run(), config=config)), "Accepted")["reason"] == "UnsupportedImage"


@pytest.mark.parametrize("tag", ["0.0.10", "0.0.10-fa2", "0.0.11", "mine"])
def test_other_images_are_taken(tag: str) -> None:
    given = {"infrastructure": {"image": f"registry.test/trainer:{tag}"}}
    assert kinds(look(run(**given), config=KNOWING)) == ["ConfigMap swe-abcde-1", "Job swe-abcde-1"]


def test_a_refused_run_is_accepted_by_an_operator_that_knows_the_image() -> None:
    status = after(run(**OLD), look(run(**OLD), config=KNOWING))
    made = look(run(status, **OLD), config=replace(KNOWING, releases={"0.0.9": FITTING}))
    assert kinds(made) == ["ConfigMap swe-abcde-1", "Job swe-abcde-1"]


def test_an_image_is_judged_when_it_changes_while_suspended_and_never_once_it_is_pinned() -> None:
    suspended = after(run(suspend=True), look(run(suspend=True)))
    changed = run(suspended, **OLD)
    made = look(changed, config=KNOWING)
    assert kinds(made) == []
    assert condition(after(changed, made), "Accepted")["reason"] == "UnsupportedImage"
    pinned = after(run(suspend=True, **OLD), look(run(suspend=True, **OLD)))
    resumed = look(run(pinned, **OLD), config=KNOWING)
    assert kinds(resumed) == ["ConfigMap swe-abcde-1", "Job swe-abcde-1"]


def test_a_running_pod_of_another_version_is_left_alone() -> None:
    status = settled(training(), running(answer=answer(report(format_version=99))), now=1_800_000_040.0)
    available = condition(status, "ProgressAvailable")
    assert (available["status"], available["reason"]) == ("False", "ReportVersionUnsupported")
    assert "report version 99" in available["message"] and "it reads 1)" in available["message"]
    assert status["phase"] == "Training"
    made = look(run(status), running(answer=answer(report(format_version=99))), now=1_800_000_080.0)
    assert (made.create, made.delete, made.status_patch) == ((), (), None)


def _complete(version: int) -> Observed:
    last = ended(message=said(success(format_version=version)))
    return seen(job=job(ended="Complete"), pods=(last,))


def test_its_complete_job_is_judged_by_the_files_with_an_image_that_speaks_ours() -> None:
    given = {"infrastructure": {"image": "registry.test/trainer:0.0.9"}}
    status = accepted(**given)
    made = look(run(status, **given), _complete(99))
    images = [
        manifest["spec"]["template"]["spec"]["containers"][0]["image"]
        for manifest in made.create
        if manifest["kind"] == "Job"
    ]
    assert images == [CONFIG.trainer_image]
    assert after(run(status, **given), made)["phase"] == "Collecting"


def test_a_report_that_was_lost_is_read_with_the_run_s_own_image() -> None:
    given = {"infrastructure": {"image": "registry.test/trainer:0.0.9"}}
    made = look(run(accepted(**given), **given), seen(job=job(ended="Complete"), pods=(ended(),)))
    jobs = [manifest for manifest in made.create if manifest["kind"] == "Job"]
    assert jobs[0]["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.test/trainer:0.0.9"


def test_its_failed_job_is_judged_by_the_job() -> None:
    last = ended(code=64, message=said(report(format_version=99)))
    failed = seen(job=job(ended="Failed", reason="PodFailurePolicy", failed=1), pods=(last,))
    failure = settled(training(), failed)["failure"]
    assert (failure["reason"], failure["exitCode"]) == ("JobFailed", 64)


def test_each_version_that_is_readable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "READABLE_REPORTS", (3, 2))
    read = {version: not reports.unsupported(report(format_version=version)) for version in (1, 2, 3, 4)}
    assert read == {1: False, 2: True, 3: True, 4: False}
    assert reports.readable() == "3 and 2"
