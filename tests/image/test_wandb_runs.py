"""Weights & Biases with the real client against a stand-in of the server: whatever that does, training ends
well, and it is said what became of the curves.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.image import wandb_server
from tests.image.supervisor_fakes import ROOT, run_file, wait_until
from tests.image.wandb_server import KEY, Wandb, serving

from sftrun_trainer import events, folders, programs, trackings, wandb_runs

pytestmark = pytest.mark.processes


def start(
    tmp_path: Path, url: str, *losses: float, key: str = KEY, **variables: str
) -> subprocess.Popen[bytes]:
    state = tmp_path / "state"
    state.mkdir(exist_ok=True)
    environment = {
        **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
        "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("crds", "image", ".")),
        "HOME": str(tmp_path),
        "WANDB_DIR": str(tmp_path),
        "WANDB_MODE": "online",
        "WANDB_BASE_URL": url,
        "WANDB_API_KEY": key,
        "WANDB_PROJECT": "proj",
        "WANDB_RUN_ID": "run-1",
        "WANDB_RESUME": "allow",
        "BEGIN_SECONDS": "60",
        "END_SECONDS": "60",
        **variables,
    }
    program = Path(__file__).with_name("wandb_training.py")
    argv = [sys.executable, str(program), str(state), *map(str, losses)]
    with (tmp_path / "output.log").open("ab") as log:
        return subprocess.Popen(argv, env=environment, stdout=log, stderr=log)


def train(tmp_path: Path, url: str, *losses: float, **options: str) -> list[str]:
    """Runs to the end, which is always a good one; returns what was warned of."""
    process = start(tmp_path, url, *losses, **options)
    assert process.wait(240) == 0, (tmp_path / "output.log").read_text()[-3000:]
    assert (tmp_path / "state" / "trained.json").is_file()
    return warned(tmp_path)


def warned(tmp_path: Path) -> list[str]:
    found = events.EventReader(tmp_path / "state" / "events.jsonl").read()
    return [event.message for event in found if isinstance(event, events.CheckLine)]


def losses_of(server: Wandb) -> list[Any]:
    return [line.get("train/loss") for line in server.lines.get("run-1", [])]


def kept_offline(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "wandb").glob("offline-run-*-run-1/run-run-1.wandb"))


def test_curves_arrive_and_a_resumed_run_goes_on_with_them(tmp_path: Path) -> None:
    with serving() as server:
        assert train(tmp_path, server.url, 3.0, 2.0) == []
        page = f"{server.url}/{wandb_server.ENTITY}/proj/runs/run-1"
        begun = wandb_runs.read(tmp_path / "state")
        assert begun == wandb_runs.WandbRun(run_id="run-1", url=page, mode="online")
        assert losses_of(server) == [3.0, 2.0] and "run-1" in server.completed
        assert train(tmp_path, server.url, 1.0) == []
        assert losses_of(server) == [3.0, 2.0, 1.0] and list(server.runs) == ["run-1"]


@pytest.mark.parametrize("fault", ["wrong key", "500", "hang", "refused"])
def test_a_server_that_is_of_no_use_makes_it_go_on_offline(tmp_path: Path, fault: str) -> None:
    with serving(status=500 if fault == "500" else 200) as server:
        if fault == "hang":
            server.hangs.set()
        url = "http://127.0.0.1:9" if fault == "refused" else server.url
        key = "f" * 40 if fault == "wrong key" else KEY
        seconds = "60" if fault == "wrong key" else "2"
        (warning,) = train(tmp_path, url, 3.0, key=key, BEGIN_SECONDS=seconds)
    assert "goes on offline" in warning and "wandb sync" in warning and key not in warning
    assert len(kept_offline(tmp_path)) == 1
    begun = wandb_runs.read(tmp_path / "state")
    assert begun is not None and (begun.mode, begun.url) == ("offline", None)


def test_a_server_that_dies_in_the_middle_holds_nobody_up(tmp_path: Path) -> None:
    with serving() as server:
        process = start(tmp_path, server.url, 3.0, END_SECONDS="1", GO="go")
        wait_until(
            lambda: (tmp_path / "state" / "logged-3.0").exists() or process.poll() is not None, seconds=240
        )
        server.status = 500
        (tmp_path / "state" / "go").touch()
        assert process.wait(240) == 0, (tmp_path / "output.log").read_text()[-3000:]
    (warning,) = warned(tmp_path)
    assert "not everything could be sent" in warning
    assert list((tmp_path / "wandb").glob("run-*-run-1/run-run-1.wandb"))


@pytest.mark.parametrize(
    ("key", "status", "mode"), [(KEY, 200, "online"), ("f" * 40, 200, "offline"), (KEY, 403, "offline")]
)
def test_the_key_is_tried_on_the_server_that_the_run_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, status: int, mode: str
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", key)
    with serving(status=status) as server:
        wandb = {"mode": "Online", "baseURL": server.url}
        secret = {"wandbAPIKeySecretRef": {"name": "wandb", "key": "api-key"}}
        found, told = trackings.check(run_file(tmp_path, tracking={"wandb": wandb}, credentials=secret))
        assert server.requests
    assert found == mode, told
    assert told.result == ("Pass" if mode == "online" else "Warn") and key not in told.message


@pytest.mark.parametrize("mode", ["disabled", ""])
def test_without_it_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    monkeypatch.setenv("WANDB_MODE", mode)
    wandb_runs.begin(tmp_path, tell=lambda check: pytest.fail(check.message))
    assert wandb_runs.read(tmp_path) is None


@pytest.mark.parametrize(
    ("begun", "expected"),
    [
        (None, ("id-1", "http://w.test/team/p/runs/id-1")),
        (
            wandb_runs.WandbRun(run_id="id-1", url="http://w.test/x", mode="online"),
            ("id-1", "http://w.test/x"),
        ),
        (wandb_runs.WandbRun(run_id="id-1", mode="offline"), ("id-1", None)),
    ],
)
def test_the_status_has_the_page_that_the_server_named(
    tmp_path: Path, begun: wandb_runs.WandbRun | None, expected: tuple[str, str | None]
) -> None:
    wandb = {"mode": "Online", "project": "p", "entity": "team", "runID": "id-1", "baseURL": "http://w.test"}
    secret = {"wandbAPIKeySecretRef": {"name": "wandb", "key": "api-key"}}
    run = run_file(tmp_path, tracking={"wandb": wandb}, credentials=secret)
    folder = folders.OutputFolder(root=tmp_path)
    folder.state.mkdir()
    if begun is not None:
        (folder.state / wandb_runs.FILE).write_text(begun.model_dump_json(by_alias=True))
    curves = programs.LlamaFactoryPrograms().outputs(run=run, folder=folder).training_curves
    assert curves is not None and (curves.wandb_run_id, curves.url) == expected
