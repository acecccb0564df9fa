"""Which versions go together, and that all that carries a version carries the same one."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from sftrun_api import API_VERSION, versions
from sftrun_api.llamafactory import VERSION as LLAMAFACTORY
from sftrun_api.reports import REPORT_VERSION
from sftrun_api.run_files import RUN_FILE_VERSION
from sftrun_api.versions import CURRENT, RELEASES, Release, mismatch, release_of

ROOT = Path(__file__).parents[2]
OWN = "registry.test/team/tuner:0.1.0"
IMAGES: dict[str, str] = {
    "registry.test/team/tuner:0.0.9": "0.0.9",
    "registry.test/team/tuner:v0.0.9": "0.0.9",
    "registry.test/team/tuner:0.0.9-fa2": "0.0.9",
    "registry.test/team/tuner:0.0.9.post1": "0.0.9",
    "registry.test/team/tuner:0.0": "",
    "registry.test/team/tuner:0.0.99": "0.0.99",
    "registry.test/team/tuner:latest": "",
    "registry.test/team/tuner": "",
    "registry.test/team/tuner@sha256:" + "0" * 64: "",
    "registry.test/team/tuner:0.0.9@sha256:" + "0" * 64: "",
    "mirror.test:5000/copies/sftrun/trainer:0.0.9": "0.0.9",
    "sftrun/trainer:0.0.9": "0.0.9",
    "sftrun-trainer:0.0.9": "0.0.9",
    "registry.test/team/other:0.0.9": "",
}
OLD = Release(report=0, run_file=RUN_FILE_VERSION, api="v1alpha1", llamafactory="0.9", kubernetes="1.31")


@pytest.mark.parametrize(("image", "release"), IMAGES.items())
def test_a_tag_names_a_release_where_the_repository_is_ours(image: str, release: str) -> None:
    assert release_of(image, own_image=OWN) == release


@pytest.mark.parametrize(
    ("release", "words"),
    [
        (replace(OLD, report=REPORT_VERSION), ""),
        (OLD, "release 0.0.9 speaks report version 0, this operator reads 1"),
        (replace(OLD, report=REPORT_VERSION + 1), "speaks report version 2"),
        (replace(OLD, report=REPORT_VERSION, run_file=7), "release 0.0.9 reads run files of version 7"),
    ],
)
def test_what_is_known_not_to_fit_is_said(release: Release, words: str) -> None:
    found = mismatch("sftrun/trainer:0.0.9", own_image=OWN, releases={"0.0.9": release})
    assert found.startswith(words) if not words else words in found
    assert bool(found) is bool(words)
    assert mismatch("sftrun/trainer:0.0.8", own_image=OWN, releases={"0.0.9": release}) == ""


def test_the_report_version_before_ours_is_read_too() -> None:
    assert versions.READABLE_REPORTS[0] == REPORT_VERSION
    assert set(versions.READABLE_REPORTS) == {v for v in (REPORT_VERSION, REPORT_VERSION - 1) if v > 0}


def test_this_release_s_row_is_what_this_code_speaks() -> None:
    expected = Release(
        report=REPORT_VERSION,
        run_file=RUN_FILE_VERSION,
        api=API_VERSION,
        llamafactory=LLAMAFACTORY,
        kubernetes=_chart()["kubeVersion"].removeprefix(">=").removesuffix(".0-0"),
    )
    assert RELEASES[CURRENT] == expected


def test_everything_carries_the_table_s_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    chart = _chart()
    build = re.search(r"VERSION:-([0-9.]+)\}", (ROOT / "hack" / "images" / "build.sh").read_text())
    assert build is not None
    found = {project["version"], chart["version"], chart["appVersion"], build.group(1)}
    assert found == {CURRENT}


def test_the_trainer_s_llamafactory_is_the_table_s() -> None:
    locked = (ROOT / "requirements" / "trainer.txt").read_text()
    assert f"llamafactory=={RELEASES[CURRENT].llamafactory} " in locked


def _chart() -> dict[str, str]:
    found: dict[str, str] = yaml.safe_load((ROOT / "charts" / "sftrun-operator" / "Chart.yaml").read_text())
    return found
