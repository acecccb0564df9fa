"""Training with the real LLaMA-Factory, DeepSpeed ZeRO-3 and two processes on CPUs: few runs, much looked at.

One undisturbed run is shared; what the others must equal is read from it.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.image import training_runs
from tests.image.training_runs import TrainingRun

from sftrun_api.names import ENV_POD_UID
from sftrun_trainer import (
    checkpoints,
    events,
    figures,
    launches,
    processes,
    results,
    signatures,
    steps,
    training_ends,
)

pytestmark = [pytest.mark.llamafactory, pytest.mark.timeout(900)]

BASE = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), ENV_POD_UID: "pod", "HF_HUB_OFFLINE": "1"}


def start(made: TrainingRun) -> subprocess.Popen[str]:
    """Starts torchrun as the supervisor would."""
    found = checkpoints.to_resume_from(made.run)
    launch = launches.build(call=made.call, run=made.run, resume=found.path if found else None, base=BASE)
    log = (made.root / "train.log").open("a")
    return subprocess.Popen(
        launch.argv, env=dict(launch.environment), stdout=log, stderr=log, text=True, start_new_session=True
    )


def wait_for(made: TrainingRun, process: subprocess.Popen[str], seen: Callable[[events.Event], bool]) -> None:
    """Waits until an event is there. Fails when the process ends before."""
    reader = events.EventReader(made.call.events)
    while process.poll() is None:
        if any(seen(event) for event in reader.read()):
            return
        time.sleep(0.02)
    pytest.fail((made.root / "train.log").read_text()[-3000:])


def curve(made: TrainingRun) -> steps.Curve:
    """Returns the run's steps."""
    return steps.read(made.call.state_dir / steps.STEPS_FILE)


def losses(made: TrainingRun) -> list[tuple[int, float | None]]:
    """Returns step and loss of every record."""
    return [(record.step, record.loss) for record in curve(made).steps]


def finish(made: TrainingRun, process: subprocess.Popen[str]) -> results.Outcome:
    """Waits for the end and judges it, whatever the exit code."""
    process.wait()
    return results.judge(made.run, state_dir=made.call.state_dir, total_steps=12)


def registered(root: Path, **options: Any) -> TrainingRun:
    """Returns a run that is ready for torchrun."""
    made = training_runs.make(root, **options)
    made.register()
    return made.own()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> TrainingRun:
    """A run that nothing has happened to: ZeRO-3, two processes, twelve steps, a checkpoint every three."""
    made = registered(tmp_path_factory.mktemp("undisturbed"))
    assert finish(made, start(made)).succeeded, (made.root / "train.log").read_text()[-3000:]
    return made


def test_an_undisturbed_run_equals_llamafactorys_own_figures(undisturbed: TrainingRun) -> None:
    own = json.loads((undisturbed.output / "train_results.json").read_text())
    state = json.loads((undisturbed.output / "trainer_state.json").read_text())
    found = curve(undisturbed).steps
    assert [record.step for record in found] == list(range(1, 13))
    assert figures.mean_loss(found) == pytest.approx(own["train_loss"], rel=1e-9)
    assert state["global_step"] == 12
    logged = [entry for entry in state["log_history"] if "loss" in entry]
    assert [record.loss for record in found] == [entry["loss"] for entry in logged]
    assert [record.learning_rate for record in found] == [entry["learning_rate"] for entry in logged]
    assert sum(record.tokens or 0 for record in found) == own["num_input_tokens_seen"]
    assert found[-1].loss is not None
    assert found[0].loss is not None
    assert found[-1].loss < found[0].loss


def test_its_weights_load_and_were_trained(undisturbed: TrainingRun) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(undisturbed.output)
    before = AutoModelForCausalLM.from_pretrained(undisturbed.run.resolved.model_path)
    assert model.dtype == torch.bfloat16
    assert len(AutoTokenizer.from_pretrained(undisturbed.output)) == 2048
    changed = [
        not torch.equal(first, second)
        for first, second in zip(model.parameters(), before.parameters(), strict=True)
    ]
    assert sum(changed) > len(changed) / 2


def test_what_it_leaves_is_found(undisturbed: TrainingRun) -> None:
    found = results.outputs(undisturbed.run)
    assert found.checkpoint_path == str(undisturbed.output / "checkpoint-12")
    assert found.model_path == str(undisturbed.output)
    assert found.artifacts is not None
    assert found.artifacts.train_loss_plot is not None
    saved = [event for event in undisturbed.events() if isinstance(event, events.Saved)]
    assert [event.step for event in saved] == [3, 6, 9, 12]
    # Two of them are kept; ZeRO-3 wrote a shard for each process.
    assert [checkpoint.step for checkpoint in checkpoints.find_all(undisturbed.output)] == [12, 9]
    shards = list((undisturbed.output / "checkpoint-12" / "global_step12").glob("*optim_states.pt"))
    assert len(shards) == 2
    end = training_ends.read(undisturbed.call.state_dir)
    assert end is not None
    assert end.ending == "Completed"


def kill(process: subprocess.Popen[str]) -> None:
    """Kills torchrun and its ranks at once, as the end of a container does."""
    for pid in (*processes.children_of(process.pid), process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


MOMENTS = os.environ.get("SFTRUN_KILL_MOMENTS", "checkpoint-6/global_step6/*").split(", ")
"""The files whose appearing is answered with a kill, one start after another; any number may be given."""


def test_killed_while_a_checkpoint_is_written_it_resumes_and_equals_the_undisturbed_run(
    tmp_path: Path, undisturbed: TrainingRun
) -> None:
    made = registered(tmp_path)
    for moment in MOMENTS:
        process = start(made)
        while process.poll() is None and not any(made.output.glob(moment)):
            time.sleep(0.001)
        assert process.poll() is None, (made.root / "train.log").read_text()[-3000:]
        kill(process)
        assert not results.judge(made.run, state_dir=made.call.state_dir, total_steps=12).succeeded
        step = int(moment.partition("/")[0].removeprefix("checkpoint-"))
        found = checkpoints.find_last_complete(made.output, world_size=2)
        assert found is not None
        assert found.step in (step - 3, step)
    assert finish(made, start(made)).succeeded
    assert losses(made) == losses(undisturbed)
    weights = "model.safetensors"
    assert (made.output / weights).read_bytes() == (undisturbed.output / weights).read_bytes()


def test_of_a_checkpoint_written_in_any_order_up_to_any_byte_only_the_whole_is_whole(
    tmp_path: Path, undisturbed: TrainingRun
) -> None:
    """Two processes write at once, in an order of their own, and a kill may come at any byte."""
    whole = undisturbed.output / "checkpoint-12"
    names = sorted(path.relative_to(whole).as_posix() for path in whole.rglob("*") if path.is_file())
    needed = {
        name
        for name in names
        if name in ("model.safetensors", "trainer_state.json", "latest")
        or name.startswith(("rng_state", "global_step"))
    }
    assert len(needed) == 3 + 2 + 4
    assert checkpoints.fault_of(whole, world_size=2) is None
    chance = random.Random(20261129)
    counts = {True: 0, False: 0}
    for number in range(150):
        order = chance.sample(names, len(names))
        written, cut = order[: (end := chance.randint(len(names) // 2, len(names)))], order[end : end + 1]
        copy = tmp_path / str(number) / "checkpoint-12"
        for name in written + cut:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            os.link(whole / name, copy / name) if name in written else shutil.copyfile(
                whole / name, copy / name
            )
        for name in cut:
            os.truncate(copy / name, chance.randrange((copy / name).stat().st_size))
        complete = needed <= set(written)
        counts[complete] += 1
        fault = checkpoints.fault_of(copy, world_size=2)
        assert (fault is None) <= complete, (written, cut)
        assert complete <= (fault is None or any(name in fault for name in cut)), fault
        shutil.rmtree(copy.parent)
    assert min(counts.values()) > 5


def test_a_disk_that_fills_up_while_a_checkpoint_is_written(tmp_path: Path, undisturbed: TrainingRun) -> None:
    made = registered(tmp_path)
    shutil.copytree(made.output, tmp_path / "state")
    one = sum(p.stat().st_size for p in (undisturbed.output / "checkpoint-12").rglob("*") if p.is_file())
    mount = ["mount", "-t", "tmpfs", "-o", f"size={int(one * 1.7)}", "tmpfs", str(made.output)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        return  # only root may; what the errors lead to is tested without a mount, too
    try:
        shutil.copytree(tmp_path / "state", made.output, dirs_exist_ok=True)
        assert not finish(made, start(made)).succeeded
        finding = signatures.find((made.root / "train.log").read_text())
        assert finding is not None
        assert (finding.reason, finding.final) == ("WorkspaceFull", False)
        found = checkpoints.find_last_complete(made.output, world_size=2)
        assert found is not None
        assert found.step == 3
        subprocess.run(["mount", "-o", f"remount,size={one * 8}", str(made.output)], check=True)
        assert finish(made, start(made)).succeeded, (made.root / "train.log").read_text()[-3000:]
        assert losses(made) == losses(undisturbed)
    finally:
        subprocess.run(["umount", "--lazy", str(made.output)], check=True)


def test_a_loss_that_is_no_number_is_seen_and_ends_a_run_that_wants_it(tmp_path: Path) -> None:
    """LLaMA-Factory's own log would show 0.0 for it."""
    from safetensors.torch import load_file, save_file

    made = training_runs.make(tmp_path, processes=1, lifecycle={"stopOn": ["NaN"]})
    weights = Path(str(made.run.resolved.model_path)) / "model.safetensors"
    tensors = load_file(weights)
    tensors["model.norm.weight"].fill_(float("nan"))
    save_file(tensors, weights, metadata={"format": "pt"})
    made.register()
    assert not finish(made.own(), start(made)).succeeded
    (failure,) = [event for event in made.events() if isinstance(event, events.Failure)]
    assert (failure.reason, failure.final) == ("NonFiniteLoss", True)
    assert "since step 1" in failure.message
    (first,) = curve(made).steps
    assert (first.step, first.loss, first.non_finite) == (1, None, True)


def test_a_stop_saves_soon_and_the_run_goes_on_from_there(tmp_path: Path, undisturbed: TrainingRun) -> None:
    made = registered(tmp_path)
    process = start(made)
    wait_for(made, process, lambda event: isinstance(event, events.Step) and event.record.step == 4)
    for pid in processes.children_of(process.pid):
        os.kill(pid, signal.SIGTERM)
    outcome = finish(made, process)
    assert not outcome.succeeded
    end = training_ends.read(made.call.state_dir)
    assert end is not None
    assert end.ending == "Stopped"
    assert 5 <= end.step < 12
    found = checkpoints.find_last_complete(made.output, world_size=2)
    assert found is not None
    assert found.step == end.step
    assert not (made.output / "model.safetensors").exists()
    assert finish(made, start(made)).succeeded
    assert losses(made) == losses(undisturbed)


def test_evaluation_early_stopping_and_yarn(tmp_path: Path) -> None:
    from transformers import AutoConfig

    made = registered(
        tmp_path,
        native_length=64,
        held_out=[training_runs.record(100)],
        processes=1,
        training={
            "cutoffLen": 128,
            "maxSteps": 12,
            "save": {},
            "loggingSteps": 5,
            "evaluation": {
                "steps": 2,
                "onStart": True,
                "keepBest": True,
                "earlyStopping": {"patience": 1, "threshold": 50},
            },
        },
    )
    outcome = finish(made, start(made))
    assert outcome.succeeded, (made.root / "train.log").read_text()[-3000:]
    # The first evaluation sets the best; none is better by 50, so the next one ends the run.
    assert outcome.stopped_early
    assert outcome.step < 12
    found = curve(made)
    assert found.evaluations[0].step == 0
    assert all(item.eval_loss is not None for item in found.evaluations)
    # Every step is in the mean although only every fifth is logged by itself.
    assert sum(record.covers for record in found.steps) == outcome.step
    own = json.loads((made.output / "train_results.json").read_text())
    assert figures.mean_loss(found.steps) == pytest.approx(own["train_loss"], rel=1e-6)
    best = results.outputs(made.run).best_checkpoint
    assert best is not None
    assert Path(best.path).is_dir()
    config = AutoConfig.from_pretrained(made.output)
    assert (config.rope_parameters["rope_type"], config.max_position_embeddings) == ("yarn", 128)
