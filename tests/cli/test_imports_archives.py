"""`sftrun import ARCHIVE`: the object that was run comes back, as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.crds import samples
from tests.image import test_archives as made
from tests.image.supervisor_fakes import run_file
from typer.testing import CliRunner

from sftrun_api.specs import SFTRunSpec
from sftrun_cli.errors import CommandError
from sftrun_cli.imports import archived
from sftrun_cli.main import app
from sftrun_trainer import archive


def archive_of(tmp_path: Path, *, spec: Any = None, **sections: Any) -> tuple[Path, SFTRunSpec]:
    run = run_file(tmp_path / "workspace", **sections)
    if spec is not None:
        run = run.model_copy(update={"spec": SFTRunSpec.model_validate(spec)})
    given = made.attempt(tmp_path, run=run)
    place = archive.place_of(given)
    archive.write(given, place)
    return place, run.spec


@pytest.mark.parametrize("given", [samples.MINIMAL, samples.FULL], ids=["minimal", "full"])
def test_the_object_comes_back_as_it_was(tmp_path: Path, given: dict[str, Any]) -> None:
    place, spec = archive_of(tmp_path, spec=given)
    found = archived.read(str(place))
    again = yaml.safe_load(found.yaml)
    assert SFTRunSpec.model_validate(again["spec"]) == spec == SFTRunSpec.model_validate(given)
    assert again == found.document and found.complete
    assert again["metadata"] == {"name": "quick", "namespace": "team"}


def test_what_was_left_out_is_said_and_fails(tmp_path: Path) -> None:
    place, _ = archive_of(tmp_path, infrastructure={"env": [{"name": "MY_KEY", "value": "x"}]})
    found = archived.read(str(place), name="again")
    assert found.document["metadata"]["name"] == "again"
    (problem,) = found.problems
    assert "infrastructure.env[MY_KEY]" in problem
    ended = CliRunner().invoke(app, ["import", str(place), "-o", "json"])
    assert ended.exit_code == 1
    assert json.loads(ended.stdout)["problems"] == [problem]


def test_the_image_that_ran_is_named_where_the_spec_names_none(tmp_path: Path) -> None:
    place, _ = archive_of(tmp_path)
    assert any("trainer:1 is what ran" in remark for remark in archived.read(str(place)).remarks)
    assert "trainer:1" in archived.read(str(place)).yaml


def test_what_is_no_whole_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="is no archive"):
        archived.read(str(tmp_path))
    place, _ = archive_of(tmp_path)
    (place / "sftrun.yaml").write_text("- just\n- a list\n")
    with pytest.raises(CommandError, match="holds no SFTRun"):
        archived.read(str(place))
    (place / "metadata.yaml").unlink()
    with pytest.raises(CommandError, match="not finished"):
        archived.read(str(place))


def test_options_of_other_systems_are_refused(tmp_path: Path) -> None:
    place, _ = archive_of(tmp_path)
    ended = CliRunner().invoke(app, ["import", str(place), "--gpus", "4"])
    assert ended.exit_code != 0
