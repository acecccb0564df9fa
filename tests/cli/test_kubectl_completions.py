"""What `kubectl sft <TAB>` is answered."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.api_servers import page, serving, status

from sftrun_cli import kubectl_completions

RUNS = "/apis/sftrun.dev/v1alpha1/namespaces/team/sftruns"


def values(*words: str) -> list[str]:
    return [line.split("\t")[0] for line in kubectl_completions.lines(words)]


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        pytest.param(["wat"], ["watch\tWatch a run on the cluster, or all.", ":4"], id="command"),
        pytest.param(
            ["watch", "--sel"],
            ["--selector\tOnly runs with these labels, as kubectl has it.", ":4"],
            id="option",
        ),
        pytest.param(["describe", "--output", "j"], ["json", ":4"], id="value"),
        pytest.param(["describe", "--output=j"], ["json", ":4"], id="value-joined"),
        pytest.param(["plot", "a", "--out", ""], [":0"], id="file"),
        pytest.param(["lint", ""], [":0"], id="text"),
    ],
)
def test_a_word_is_completed(words: list[str], answer: list[str]) -> None:
    assert kubectl_completions.lines(words) == answer


@pytest.mark.parametrize("words", [[], [""]])
def test_every_command_is_offered(words: list[str]) -> None:
    assert {"new", "watch", "delete", "doctor", ":4"} <= set(values(*words))


COMMANDS = ["watch", "describe", "logs", "plot", "compare", "suspend", "resume", "retry", "delete"]


@pytest.mark.parametrize("before", [[each] for each in COMMANDS] + [["clean", "--run"]], ids=" ".join)
def test_names_of_runs_are_offered(
    before: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(**{RUNS: page(["qwen", "qwen-2", "other"])}) as server:
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(tmp_path)))
        assert values(*before, "qw") == ["qwen", "qwen-2", ":4"]


def test_a_name_that_stands_there_is_not_offered_again(tmp_path: Path) -> None:
    with serving(**{RUNS: page(["a", "b"])}) as server:
        options = ["--kubeconfig", str(server.kubeconfig(tmp_path))]
        assert values("compare", *options, "a", "") == ["b", ":4"]


@pytest.mark.parametrize("wrong", ["refuses", "is gone", "kubeconfig is no YAML", "kubeconfig is missing"])
def test_nothing_is_said_of_a_cluster_that_cannot_be_asked(
    wrong: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(**{RUNS: status(403, "no")}) as server:
        config = server.kubeconfig(tmp_path)
        if wrong == "refuses":
            assert values("watch", "--kubeconfig", str(config), "q") == [":0"]
            assert server.asked
    if wrong == "kubeconfig is no YAML":
        config.write_text("{nothing: [")
    if wrong == "kubeconfig is missing":
        config.unlink()
    assert values("watch", "--kubeconfig", str(config), "q") == [":0"]
    assert capfd.readouterr().err == ""


@pytest.mark.processes
def test_kubectl_finds_the_program(tmp_path: Path) -> None:
    with serving(**{RUNS: page(["qwen", "other"])}) as server:
        there = {"KUBECONFIG": str(server.kubeconfig(tmp_path)), "HOME": str(tmp_path)}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["kubectl", "__complete", "sft", "watch", "q"],
            env={**os.environ, **there, "PATH": path},
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout == "qwen\n:4\n"
