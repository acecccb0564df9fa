"""A real run with all that lets it be seen: validation, Weights & Biases online, the page of its curves, its
archive. One run, looked at from all sides.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.image import local_runs, wandb_server

from sftrun_api import archives, names
from sftrun_api.specs import SFTRunSpec
from sftrun_api.statuses import Outputs

pytestmark = [pytest.mark.llamafactory, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def server() -> Iterator[wandb_server.Wandb]:
    with wandb_server.serving() as opened:
        yield opened


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory, server: wandb_server.Wandb) -> local_runs.Trainer:
    place = local_runs.Place(root=tmp_path_factory.mktemp("seen")).make()
    sections: dict[str, Any] = {
        "dataset": {"validation": {"fraction": 0.25}},
        "training": {"maxSteps": 6, "evaluation": {"steps": 2, "onStart": True, "keepBest": True}},
        "infrastructure": {"processesPerNode": 1},
        "deepspeed": {"zeroStage": 0},
        "tracking": {"wandb": {"mode": "Online", "project": "seen", "baseURL": server.url}},
        "credentials": {"wandbAPIKeySecretRef": {"name": "wandb", "key": "api-key"}},
    }
    run = place.run_file(name="seen", sections=sections)
    started = place.start(run, secrets={names.WANDB_KEY_FILE: wandb_server.KEY})
    assert started.wait(560) == 0, started.text()[-4000:]
    return started


@pytest.fixture(scope="module")
def outputs(trainer: local_runs.Trainer) -> Outputs:
    found = trainer.report().outputs
    assert found is not None
    return found


def test_every_step_and_evaluation_is_on_the_server(
    trainer: local_runs.Trainer, outputs: Outputs, server: wandb_server.Wandb
) -> None:
    assert outputs.training_curves is not None
    page = f"{server.url}/{wandb_server.ENTITY}/seen/runs/uid-1"
    assert (outputs.training_curves.wandb_run_id, outputs.training_curves.url) == ("uid-1", page)
    lines = server.lines["uid-1"]
    assert [line["train/global_step"] for line in lines if "train/loss" in line] == [1, 2, 3, 4, 5, 6]
    assert [line["train/global_step"] for line in lines if "eval/loss" in line][:4] == [0, 2, 4, 6]
    assert "uid-1" in server.completed
    assert wandb_server.KEY not in trainer.text()


def test_the_page_of_curves_lies_beside_the_weights(trainer: local_runs.Trainer, outputs: Outputs) -> None:
    assert outputs.artifacts is not None
    assert outputs.artifacts.curves_plot == str(trainer.folder / "sftrun-curves.png")
    assert (trainer.folder / "sftrun-curves.png").read_bytes().startswith(b"\x89PNG")
    assert "validation" not in outputs.artifacts.curves_plot and outputs.best_checkpoint is not None


def test_the_archive_holds_the_run_and_gives_its_spec_back(
    trainer: local_runs.Trainer, outputs: Outputs
) -> None:
    assert outputs.artifacts is not None and outputs.artifacts.archive is not None
    place = Path(outputs.artifacts.archive)
    metadata = archives.Metadata.model_validate(yaml.safe_load((place / "metadata.yaml").read_text()))
    assert metadata.missing == {} and metadata.outcome == "Succeeded"
    assert {log.stage for log in metadata.logs} == {"prepare", "register", "train", "supervisor"}
    assert {path.name for path in (place / "plots").iterdir()} >= {"sftrun-curves.png", "training_loss.png"}
    value = yaml.safe_load((place / "sftrun.yaml").read_text())
    assert SFTRunSpec.model_validate(value["spec"]) == trainer.run.spec
    assert (place / "started" / "llamafactory.yaml").is_file()
    weights = [path for path in place.rglob("*") if path.suffix in (".safetensors", ".pt", ".bin")]
    assert not weights and sum(path.stat().st_size for path in place.rglob("*") if path.is_file()) < 2**21
    for path in place.rglob("*"):
        assert not path.is_file() or wandb_server.KEY.encode() not in path.read_bytes(), path
