"""`sftrun run`: a trainer as a process, with a pod's files and the status of a cluster."""

from __future__ import annotations

import io
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from tests.image.supervisor_fakes import wait_until

from sftrun_api.reports import Report
from sftrun_cli import sparklines
from sftrun_cli.documents import objects
from sftrun_cli.errors import CommandError
from sftrun_cli.local import check_tables, displays, machines, specs

pytestmark = pytest.mark.processes

FAKE = Path(__file__).with_name("fake_trainer.py")
PATIENCE = 120.0
RUN: dict[str, Any] = {
    "apiVersion": "sftrun.dev/v1alpha1",
    "kind": "SFTRun",
    "metadata": {"name": "small"},
    "spec": {
        "sources": [{"files": {"paths": ["data/a.json"]}}],
        "model": {"path": "/workspace/models/tiny"},
        "training": {"template": "qwen3", "cutoffLen": 512},
        "infrastructure": {
            "accelerator": "CPU",
            "gpusPerNode": 0,
            "processesPerNode": 2,
            "env": [{"name": "MINE", "value": "x"}],
        },
        "workspace": {"persistentVolumeClaim": {"claimName": "training"}},
    },
}
OUTPUTS = {"modelPath": "/ws/model", "checkpointPath": "/ws/model/checkpoint-2"}
DONE = {
    "exit": 0,
    "report": {"outcome": "Succeeded", "stage": "Collect", "message": "done", "outputs": OUTPUTS},
}
FAILED = {
    "exit": 64,
    "report": {
        "outcome": "Failed",
        "failure": {"reason": "MissingModel", "message": "no model", "logTail": "trace"},
    },
}
CHECKS = [
    {"group": "GPU", "name": "devices", "result": "Pass", "message": "none"},
    {"group": "Config", "name": "run file", "result": "Warn", "message": "mind [this]"},
]


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """A program that stands for a Python with the trainer in it."""
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {FAKE} "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "ws"
    folder.mkdir()
    return folder


def start(
    workspace: Path,
    python: Path,
    script: dict[str, Any],
    *options: str,
    run: dict[str, Any] = RUN,
    **more: str,
) -> subprocess.Popen[str]:
    file = workspace.parent / "run.yaml"
    file.write_text(yaml.safe_dump(run))
    return subprocess.Popen(
        [sys.executable, "-m", "sftrun_cli", "run", str(file), "-w", str(workspace), *options],
        env={**os.environ, "SFTRUN_TRAINER_PYTHON": str(python), "FAKE_TRAINER": json.dumps(script), **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def until(there: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    gone = False
    while not there():
        assert time.monotonic() < deadline and not gone, ended(process)
        try:
            process.wait(0.05)
            gone = True
        except subprocess.TimeoutExpired:
            continue


def status_of(workspace: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((workspace / "artifacts/model/small.status.yaml").read_text())[
        "status"
    ]
    return found


def folder_of(workspace: Path, number: int = 1) -> Path:
    (found,) = (workspace / ".cache/sftrun/local").glob(f"small-*/{number}")
    return found


def test_a_run_that_succeeds_leaves_the_models_folder_on_the_pipe(workspace: Path, python: Path) -> None:
    code, out, err = ended(start(workspace, python, DONE))
    assert (code, out) == (0, "/ws/model\n"), err
    status = status_of(workspace)
    assert (status["phase"], status["attempt"]) == ("Succeeded", 1)
    assert status["outputs"] == OUTPUTS
    told = json.loads((folder_of(workspace) / "run.json").read_text())
    assert told["spec"]["workspace"]["mountPath"] == str(workspace)
    assert told["resolved"]["modelPath"] == str(workspace / "models/tiny")
    assert told["resolved"]["outputDir"] == str(workspace / "artifacts/model/small")
    seen = json.loads((folder_of(workspace) / "seen.json").read_text())
    assert seen["environment"]["MINE"] == "x"
    assert "what the trainer says" in (folder_of(workspace) / "trainer.log").read_text()


def test_a_run_that_fails_says_why(workspace: Path, python: Path) -> None:
    code, out, err = ended(start(workspace, python, FAILED))
    assert (code, out) == (1, "")
    assert "MissingModel: no model" in err
    assert "trace" in err
    assert status_of(workspace)["failure"]["reason"] == "MissingModel"


def test_a_trainer_that_says_nothing_is_told_of_with_its_log(workspace: Path, python: Path) -> None:
    code, _, err = ended(start(workspace, python, {"exit": 3}))
    assert code == 1
    assert "ended without a word" in err
    assert "trainer.log" in err


def test_ctrl_c_stops_and_the_same_command_goes_on(workspace: Path, python: Path) -> None:
    process = start(workspace, python, {"waits": True, "report": {"progress": {"stage": "Train", "step": 2}}})
    status = workspace / "artifacts/model/small.status.yaml"
    until(lambda: status.exists() and status_of(workspace)["phase"] == "Training", process)
    process.send_signal(signal.SIGINT)
    code, out, err = ended(process)
    assert (code, out) == (130, ""), err
    assert "a checkpoint is written" in err
    assert status_of(workspace)["phase"] == "Suspended"
    assert ended(start(workspace, python, DONE))[0] == 0
    first, second = (
        json.loads((folder_of(workspace, number) / "run.json").read_text())["run"] for number in (1, 2)
    )
    assert (first["uid"], first["attempt"], second["attempt"]) == (second["uid"], 1, 2)


def test_a_command_that_is_killed_leaves_no_trainer_behind(workspace: Path, python: Path) -> None:
    process = start(workspace, python, {"waits": True, "report": {"progress": {"stage": "Train", "step": 2}}})
    status = workspace / "artifacts/model/small.status.yaml"
    until(lambda: status.exists() and status_of(workspace)["phase"] == "Training", process)
    process.kill()
    process.communicate(timeout=PATIENCE)
    words = folder_of(workspace) / "termination-log"
    wait_until(lambda: words.exists() and words.read_text() != "", what="the trainer runs on")
    assert json.loads(words.read_text())["outcome"] == "Stopped"


def test_another_spec_under_the_same_name_is_another_run(workspace: Path, python: Path) -> None:
    ended(start(workspace, python, DONE))
    changed = RUN | {"spec": RUN["spec"] | {"training": {"template": "qwen3", "cutoffLen": 1024}}}
    ended(start(workspace, python, DONE, run=changed))
    uids = {json.loads(path.read_text())["run"]["uid"] for path in workspace.rglob("run.json")}
    assert len(uids) == 2


def test_a_dry_run_prints_the_checks_in_their_order(workspace: Path, python: Path) -> None:
    script = {"exit": 0, "report": {"outcome": "Succeeded", "checks": CHECKS}}
    code, out, _ = ended(start(workspace, python, script, "--dry-run"))
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()] == [["Warn", "Config"], ["Pass", "GPU"]]
    assert "mind [this]" in out
    assert json.loads((folder_of(workspace) / "run.json").read_text())["spec"]["mode"] == "DryRun"
    assert not (workspace / "artifacts/model/small.status.yaml").exists()


def test_a_dry_run_is_one_of_the_run_that_it_is_a_trial_of(workspace: Path, python: Path) -> None:
    ended(start(workspace, python, DONE, "--dry-run"))
    ended(start(workspace, python, DONE))
    first, second = (json.loads((folder_of(workspace, number) / "run.json").read_text()) for number in (1, 2))
    assert first["run"]["uid"] == second["run"]["uid"]
    assert (first["spec"]["mode"], second["spec"]["mode"]) == ("DryRun", "Train")


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_the_whole_object_on_the_pipe(form: str, workspace: Path, python: Path) -> None:
    _, out, _ = ended(start(workspace, python, DONE, "-o", form))
    found = yaml.safe_load(out)
    assert (found["kind"], found["status"]["phase"]) == ("SFTRun", "Succeeded")


SECRETS = {"wandbAPIKeySecretRef": {"name": "wandb", "key": "api-key"}}


def test_secrets_come_from_the_environment_and_stay_nowhere(workspace: Path, python: Path) -> None:
    run = RUN | {"spec": RUN["spec"] | {"credentials": SECRETS}}
    code, _, err = ended(start(workspace, python, DONE, run=run, WANDB_API_KEY="s3cret"))
    assert code == 0, err
    seen = json.loads((folder_of(workspace) / "seen.json").read_text())
    assert seen["credentials"] == {"wandb-api-key": ["s3cret", "0o600"]}
    (folder_of(workspace) / "seen.json").unlink()
    assert not [path for path in workspace.rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()]


def localise(change: dict[str, Any], **options: Any) -> specs.LocalRun:
    infrastructure = {"accelerator": "GPU", "gpusPerNode": 8} | change
    text = yaml.safe_dump(RUN | {"spec": RUN["spec"] | {"infrastructure": infrastructure}})
    (document,), _ = objects(text)
    values: dict[str, Any] = {"gpus": None, "on_cpu": False, "num_gpus": 2, "mode": None} | options
    return specs.localised(document, workspace=options.pop("workspace", Path("/home/me/ws")), **values)


PLACES: list[tuple[dict[str, Any], dict[str, Any], tuple[str, int | None]]] = [
    ({}, {"gpus": 2}, ("GPU", 2)),
    ({}, {"on_cpu": True}, ("CPU", 8)),
    ({"gpusPerNode": 2}, {}, ("GPU", 2)),
    ({"accelerator": "CPU"}, {"num_gpus": 0}, ("CPU", 8)),
]


@pytest.mark.parametrize(("change", "options", "expected"), PLACES)
def test_where_a_run_computes(
    change: dict[str, Any], options: dict[str, Any], expected: tuple[str, int | None]
) -> None:
    found = localise(change, **options).spec.infrastructure
    assert (found.accelerator, found.gpus_per_node) == expected


REFUSED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {}, "wants 8, and this machine has 2 GPUs; --gpus 2"),
    ({}, {"num_gpus": 0}, "this machine has no GPU; --cpu"),
    ({"env": [{"name": "LD_PRELOAD", "value": "x"}]}, {"gpus": 2}, "cannot be started"),
]


@pytest.mark.parametrize(("change", "options", "why"), REFUSED)
def test_what_this_machine_cannot_do_is_said_before_it_starts(
    change: dict[str, Any], options: dict[str, Any], why: str
) -> None:
    with pytest.raises(CommandError, match=why):
        localise(change, **options)


def test_gpus_are_counted_as_processes_would_see_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert machines.num_gpus({"CUDA_VISIBLE_DEVICES": "0,3"}) == 2
    assert machines.num_gpus({"CUDA_VISIBLE_DEVICES": ""}) == 0
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H100'\necho 'GPU 1: NVIDIA H100'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machines.num_gpus({}) == 2
    program.write_text("#!/bin/sh\nexit 9\n")
    assert machines.num_gpus({}) == 0


@pytest.mark.parametrize(
    ("values", "line"),
    [([], ""), ([1.0], "▁"), ([3, 2, 1], "█▅▁"), ([1, 1], "▁▁"), (list(range(100)), "▁▁▁▂▂▃▃▄▄▅▅▆▆▇▇█")],
)
def test_sparklines(values: list[float], line: str) -> None:
    shown = sparklines.sparkline(values, width=16)
    assert len(shown) == min(len(values), 16)
    assert not line or (shown[0], shown[-1]) == (line[0], line[-1])


@pytest.mark.parametrize("width", [60, 100])
def test_the_live_picture_fits_the_terminal(width: int) -> None:
    console = Console(
        width=width, file=io.StringIO(), force_terminal=True, color_system=None, legacy_windows=False
    )
    display = displays.LiveDisplay(console, name="qwen3-8b-swe")
    for step in range(1, 40):
        report = Report.model_validate(
            {
                "run": {"namespace": "n", "name": "x", "uid": "u", "attempt": 1},
                "podUid": "p",
                "stage": "Train",
                "message": "a message that is too long for any line " * 5,
                "progress": {
                    "stage": "Train", "step": step, "totalSteps": 240, "percent": step / 2.4,
                    "loss": 3 / step,
                    "tokensPerSecond": 12345.6, "remainingSeconds": 4711,
                },
            }
        )  # fmt: skip
        console.file = io.StringIO()
        display.show(report)
    console.print(display._picture(report, report.progress))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    text = "\n".join(lines)
    for part in ("step 39/240", "loss 0.07692", "1:18:31 left", "loss █"):
        assert part in text


def test_unknown_groups_of_checks_come_last() -> None:
    from sftrun_api.statuses import Check

    checks = [Check(group=group, name="x", result="Pass") for group in ("Newer", "GPU", "Config")]
    assert [line.plain.split()[1] for line in check_tables.lines(checks)] == ["Config", "GPU", "Newer"]
