"""`sftrun clean PATH`, and what the cluster's runs add to the rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer.testing
from tests.image import workspace_samples as samples

from sftrun_cli.cleaning import ages, clusters
from sftrun_cli.main import app
from sftrun_workspace.values import Category, Wish


def call(*words: str) -> tuple[int, str, str]:
    done = typer.testing.CliRunner().invoke(app, ["clean", *words])
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    samples.output_folder(tmp_path, samples.identity(), 2, 4)
    samples.archive(tmp_path, samples.identity())
    samples.cache(tmp_path, ".cache/huggingface/hub")
    return tmp_path


def test_nothing_goes_without_yes(workspace: Path) -> None:
    before = sorted(workspace.rglob("*"))
    code, out, err = call(str(workspace))
    assert code == 0
    assert (
        out.split()
        == [
            *("4.0", "KiB", "archives", "artifacts/archives/a-11111-1", "(of", "run", "a)"),
            *(
                "1.0",
                "MiB",
                "checkpoints",
                "artifacts/model/a/checkpoint-2",
                "(superseded",
                "by",
                "checkpoint-4)",
            ),
            *("1.0", "MiB", "hub", ".cache/huggingface/hub", "(models", "and", "data", "of", "the", "hub)"),
        ]
        or "KiB" in out
    )
    assert "stays: artifacts/model/a/checkpoint-4 (1.0 MiB): the last checkpoint" in err
    assert "--archives --checkpoints --hub --yes removes it" in err
    assert sorted(workspace.rglob("*")) == before


def test_yes_wants_to_be_told_what(workspace: Path) -> None:
    code, _, err = call(str(workspace), "--yes")
    assert code == 2
    assert "--checkpoints, --archives" in err
    code, out, err = call(str(workspace), "--checkpoints", "--yes", "-o", "name")
    assert (code, out) == (0, "artifacts/model/a/checkpoint-2\n")
    assert "1 gone, 1.0 MiB free" in err
    assert (workspace / "artifacts/archives/a-11111-1").is_dir()


def test_the_account_for_programs(workspace: Path) -> None:
    found = json.loads(call(str(workspace), "--archives", "--yes", "-o", "json")[1])
    assert [each["path"] for each in found["removed"]] == ["artifacts/archives/a-11111-1"]
    assert (found["workspace"], found["failed"]) == (str(workspace), [])


@pytest.mark.parametrize("words", [["--older-than", "1d"], ["--run", "b"]])
def test_what_was_not_asked_for_stays(workspace: Path, words: list[str]) -> None:
    code, out, err = call(str(workspace), "--checkpoints", "--yes", *words)
    assert (code, out) == (0, ""), err


WRONG = [
    (["--older-than", "a week"], "is no age: write a number"),
    (["--claim", "training"], "no cluster is asked"),
]


@pytest.mark.parametrize(("words", "why"), WRONG)
def test_command_lines_that_are_wrong(workspace: Path, words: list[str], why: str) -> None:
    code, _, err = call(str(workspace), *words)
    assert code == 2
    assert why in " ".join(err.split())


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("2m", 120), ("1.5h", 5400), ("7d", 604_800), (" 1W ", 604_800)]
)
def test_ages(text: str, seconds: float) -> None:
    assert ages.seconds(text) == seconds


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (112 * 1024**3, "112 GiB"), (2**41, "2.0 TiB")],
)
def test_sizes(number: int, text: str) -> None:
    assert ages.of_bytes(number) == text


def a_run(
    phase: str, *, claim: str = "training", sub_path: str | None = None, **training: Any
) -> dict[str, Any]:
    workspace: dict[str, Any] = {"persistentVolumeClaim": {"claimName": claim}}
    if sub_path:
        workspace["subPath"] = sub_path
    spec = {"workspace": workspace, "model": {"path": "models/m"}, "training": training}
    metadata = {"name": "r", "uid": f"uid-{phase}-{claim}-{sub_path}"}
    return {"metadata": metadata, "spec": spec, "status": {"phase": phase}}


def test_runs_that_are_not_over_keep_what_they_name() -> None:
    runs = [
        a_run("Suspended", resumeFromCheckpoint="artifacts/model/b/checkpoint-5"),
        a_run("Pending", outputDir="/workspace/artifacts/model/c"),
        a_run("Training", sub_path="team", resumeFromCheckpoint="artifacts/model/d/checkpoint-1"),
        a_run("Succeeded", resumeFromCheckpoint="artifacts/model/e/checkpoint-1"),
        a_run("Training", claim="other"),
    ]
    wish = Wish(categories=frozenset(Category), protected=frozenset({"mine"}))
    found = clusters.aware(wish, runs, claim="training", mount="/workspace", sub_path=None)
    assert found.live == {
        "uid-Suspended-training-None", "uid-Pending-training-None", "uid-Training-training-team"
    }  # fmt: skip
    assert found.protected == {
        "mine", "models/m", "artifacts/model/b/checkpoint-5", "artifacts/model/c"
    }  # fmt: skip
    outside = a_run("Pending", resumeFromCheckpoint="/models/x/../y", outputDir="/workspace")
    assert clusters.aware(wish, [outside], claim="training", mount="/workspace", sub_path=None).protected == {
        "mine", "models/m"
    }  # fmt: skip
