"""The pages' `sftrun` commands, run in a folder that holds what they speak of."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.docs import documents
from tests.docs.documents import Command
from typer.testing import CliRunner

from sftrun_cli.main import app

COMMANDS = tuple(each for each in documents.commands() if each.words[0] == "sftrun")
JOB = documents.ROOT / "examples" / "quickstart" / "job"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a job, a trial by the pages' name, a file of conversations, and the examples."""
    place = tmp_path_factory.mktemp("reader")
    job = place / "jobs" / "swe-0812"
    shutil.copytree(JOB, job)
    trial = next(
        path.parent for path in sorted(job.glob("*/result.json")) if (path.parent / "agent").is_dir()
    )
    trial.rename(job / "owner__repo-123")
    turns = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4"}]
    (place / "data").mkdir()
    (place / "data" / "chats.jsonl").write_text(json.dumps({"messages": turns}) + "\n")
    (place / "examples").symlink_to(documents.ROOT / "examples")
    return place


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.text)
def test_sftrun(command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(app, command.words[1:])
    assert done.exit_code == 0, done.output
    assert done.output.strip()
