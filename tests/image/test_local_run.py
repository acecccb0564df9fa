"""The trainer as the image starts it, over the real LLaMA-Factory with ZeRO-3 in two processes on the CPU."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest
from tests.image import local_runs
from tests.image.supervisor_fakes import wait_until

from sftrun_trainer import checkpoints, forecasts, processes, seals, steps

pytestmark = [pytest.mark.llamafactory, pytest.mark.timeout(1200)]
MINUTES = 600.0


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> local_runs.Place:
    return local_runs.Place(root=tmp_path_factory.mktemp("local")).make()


@pytest.fixture(scope="module")
def undisturbed(place: local_runs.Place) -> local_runs.Trainer:
    trainer = place.start(place.run_file(), pod_uid="undisturbed")
    assert trainer.wait(MINUTES) == 0, trainer.text()[-4000:]
    return trainer


def losses(trainer: local_runs.Trainer) -> dict[int, float | None]:
    return {record.step: record.loss for record in steps.read(trainer.steps).steps}


def test_the_report_says_what_lies_on_disk(undisturbed: local_runs.Trainer) -> None:
    folder, report = undisturbed.folder, undisturbed.report()
    results = json.loads((folder / "train_results.json").read_text())
    state = json.loads((folder / "trainer_state.json").read_text())
    assert report.outputs is not None and report.outputs.training_metrics is not None
    metrics = report.outputs.training_metrics
    assert metrics.mean_train_loss == pytest.approx(results["train_loss"], abs=1e-6)
    assert metrics.total_steps == state["global_step"] == 12
    assert report.dataset is not None
    assert (report.dataset.converted, report.dataset.excluded) == (24, ())
    assert report.outputs.checkpoint_path == str(folder / "checkpoint-12")
    assert report.outputs.model_path == str(folder)
    assert {check.group: check.result for check in report.checks if check.result != "Pass"} == {}
    assert len(undisturbed.termination.read_bytes()) <= 4096


def test_its_checkpoints_are_sealed_and_a_flipped_bit_is_seen(
    undisturbed: local_runs.Trainer, tmp_path: Path
) -> None:
    copy = shutil.copytree(undisturbed.folder, tmp_path / "copy")
    for path in (copy / "checkpoint-10", copy / "checkpoint-12"):
        assert seals.read(path) is not None
        assert checkpoints.fault_of(path, world_size=2) is None
        shard = next(path.rglob("*optim_states.pt"))
        content = bytearray(shard.read_bytes())
        content[len(content) // 2] ^= 1
        shard.write_bytes(content)
        assert f"{shard.parent.name}/{shard.name}" in (checkpoints.fault_of(path, world_size=2) or "")


def test_a_checkpoint_takes_the_disk_that_was_forecast(
    place: local_runs.Place, undisturbed: local_runs.Trainer
) -> None:
    forecast = forecasts.fit(undisturbed.run, model=place.workspace / "models" / "tiny").disk
    assert forecast is not None
    kept = [
        path.stat().st_size
        for path in (undisturbed.folder / "checkpoint-12").rglob("*")
        if path.suffix == ".safetensors" or path.name.endswith("optim_states.pt")
    ]
    assert sum(kept) == pytest.approx(forecast.checkpoint, rel=0.03)
    assert (undisturbed.folder / "model.safetensors").stat().st_size == pytest.approx(
        forecast.weights, rel=0.03
    )


def test_the_same_spec_under_another_name_prepares_nothing_twice(
    place: local_runs.Place, undisturbed: local_runs.Trainer
) -> None:
    before = {
        path: path.stat().st_mtime_ns for path in (place.workspace / ".cache" / "sftrun").rglob("*.arrow")
    }
    twin = place.start(place.run_file(name="twin", uid="uid-2"), pod_uid="twin")
    assert twin.wait(MINUTES) == 0, twin.text()[-4000:]
    after = {
        path: path.stat().st_mtime_ns for path in (place.workspace / ".cache" / "sftrun").rglob("*.arrow")
    }
    assert before and after == before
    assert losses(twin) == losses(undisturbed)


def test_a_run_stopped_and_killed_in_mid_training_comes_to_the_same(
    place: local_runs.Place, undisturbed: local_runs.Trainer
) -> None:
    run = place.run_file(name="disturbed", uid="uid-3")
    stopped = place.start(run, pod_uid="stopped")
    stopped.until_step(3, seconds=MINUTES)
    stopped.process.terminate()
    assert stopped.wait(MINUTES) == 75, stopped.text()[-4000:]
    reached = stopped.num_steps()
    assert (stopped.folder / f"checkpoint-{reached}").is_dir()

    killed = place.start(run, pod_uid="killed")
    killed.until_step(reached + 3, seconds=MINUTES)
    killed.process.kill()
    assert killed.wait() == -signal.SIGKILL
    folder = str(run.resolved.output_dir).encode()
    wait_until(lambda: not running(folder), what="ranks live on")

    finished = place.start(run, pod_uid="finished")
    # The killed pod could not release the lock: its replacement waits until the counter has stood still.
    assert finished.wait(MINUTES) == 0, finished.text()[-4000:]
    assert losses(finished) == pytest.approx(losses(undisturbed))
    assert figures(finished) == pytest.approx(figures(undisturbed))


def figures(trainer: local_runs.Trainer) -> list[float | None]:
    outputs = trainer.report().outputs
    assert outputs is not None and outputs.training_metrics is not None
    metrics = outputs.training_metrics
    return [metrics.mean_train_loss, metrics.final_loss, metrics.total_steps]


def running(word: bytes) -> list[int]:
    """Returns the pids of all processes that have a word in their command line."""
    found = []
    for entry in processes.PROC.iterdir():
        if entry.name.isdigit():
            try:
                if word in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def test_a_model_that_is_not_there_is_final_before_training(place: local_runs.Place) -> None:
    run = place.run_file(name="lost", uid="uid-4", sections={"model": {"path": "models/none"}})
    trainer = place.start(run, pod_uid="lost")
    assert trainer.wait(MINUTES) == 64, trainer.text()[-4000:]
    failure = trainer.report().failure
    assert failure is not None
    assert (failure.reason, "models/none" in failure.message) == ("MissingModel", True)
