"""Which log, which lines of it, and how it is read in a workspace."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cli.api_servers import Canned, serving

from sftrun_cli import consoles
from sftrun_cli.cluster import connections, transports
from sftrun_cli.runs import log_archives, log_lines
from sftrun_cli.runs.logs import Follower
from sftrun_cli.runs.views import View

LOG = [
    "python warns",
    "sftrun: stage Prepare begins",
    "reading",
    "sftrun: stage Train begins",
    "[rank0]: W NCCL",
    "[rank3]: Traceback",
    "step 1",
    "sftrun: stage Train begins",
    "again",
]
STAGES = [
    (
        "supervisor",
        [
            "python warns",
            "sftrun: stage Prepare begins",
            "sftrun: stage Train begins",
            "sftrun: stage Train begins",
        ],
    ),
    ("prepare", ["reading"]),
    ("Train", ["[rank0]: W NCCL", "[rank3]: Traceback", "step 1", "again"]),
    ("register", []),
]


@pytest.mark.parametrize(("stage", "expected"), STAGES)
def test_a_stage_is_between_its_marks(stage: str, expected: list[str]) -> None:
    assert list(log_lines.of_stage(LOG, stage)) == expected


def test_a_rank_has_the_lines_that_name_it() -> None:
    assert list(log_lines.of_rank(LOG, 3)) == ["[rank3]: Traceback"]
    assert "[rank3]: Traceback" not in list(log_lines.of_rank(LOG, 0))
    assert "step 1" in list(log_lines.of_rank(LOG, 0))


def view(mount: Path) -> View:
    metadata = {"name": "x", "namespace": "team", "uid": "abcde123-4"}
    return View({"metadata": metadata, "spec": {"workspace": {"mountPath": str(mount)}, "training": {}}})


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Two pods of attempt 1, one of attempt 2; the archive has attempt 1 only."""
    state = tmp_path / "artifacts/model/x/.sftrun/logs"
    archive = tmp_path / "artifacts/archives/x-abcde-1/logs"
    for folder in (state, archive):
        folder.mkdir(parents=True)
        names = [
            "1-pod-a-prepare",
            "1-pod-a-train",
            "1-pod-b-train",
            *(["2-pod-c-train"] * (folder is state)),
        ]
        for place, name in enumerate(names):
            path = folder / f"{name}.log"
            path.write_text("".join(f"{name} {folder is archive} {line}\n" for line in (1, 2)) + "torn")
            os.utime(path, (place, place))
    (archive / "1-pod-z-train.log").symlink_to("/etc/passwd")
    return tmp_path


def read(workspace: Path, attempt: int, **rest: object) -> tuple[int, list[tuple[str, str]]]:
    asked = {"stage": None, "tail": None} | rest
    command = log_archives.command(view(workspace), attempt=attempt, **asked)  # type: ignore[arg-type]
    done = subprocess.run([sys.executable, *command[1:]], capture_output=True, text=True, check=False)
    return done.returncode, list(log_archives.parted(iter(done.stdout.split("\n")[:-1])))


def test_the_archive_is_read_in_the_order_of_the_pods(workspace: Path) -> None:
    code, lines = read(workspace, 1)
    assert code == 0 and len(lines) == 9
    assert list(dict.fromkeys(file for file, _ in lines)) == [
        "1-pod-a-prepare.log", "1-pod-a-train.log", "1-pod-b-train.log",
    ]  # fmt: skip
    assert lines[0] == ("1-pod-a-prepare.log", "1-pod-a-prepare True 1")


CHOICES = [
    (2, {}, ["2-pod-c-train False 1", "2-pod-c-train False 2", "torn"]),
    (1, {"stage": "Prepare"}, ["1-pod-a-prepare True 1", "1-pod-a-prepare True 2", "torn"]),
    (1, {"tail": 4}, ["torn", "1-pod-b-train True 1", "1-pod-b-train True 2", "torn"]),
    (1, {"stage": "train", "previous": True, "tail": 1}, ["torn"]),
    (1, {"tail": 0}, []),
]


@pytest.mark.parametrize(("attempt", "rest", "expected"), CHOICES)
def test_what_is_asked_for_is_chosen(
    workspace: Path, attempt: int, rest: dict[str, object], expected: list[str]
) -> None:
    code, lines = read(workspace, attempt, **rest)
    assert (code, [line for _, line in lines]) == (0, expected)


def test_no_log_has_a_code_of_its_own(workspace: Path) -> None:
    assert read(workspace, 3) == (log_archives.NONE_CODE, [])
    assert read(workspace, 2, previous=True) == (log_archives.NONE_CODE, [])
    assert read(workspace, 1, stage="register") == (log_archives.NONE_CODE, [])


def test_a_log_in_a_pipe_is_as_it_was_printed() -> None:
    assert consoles.harmless("a\rb\x1b[2J") == "a\rb\x1b[2J"


RUN = "/apis/sftrun.dev/v1alpha1/namespaces/team/sftruns/x"
PODS = "/api/v1/namespaces/team/pods"


def pod(name: str, *, phase: str = "Running") -> dict[str, Any]:
    metadata = {"name": name, "namespace": "team", "uid": f"uid-{name}", "creationTimestamp": name}
    return {"metadata": metadata, "status": {"phase": phase}}


def run_in(phase: str) -> Canned:
    body = {
        "metadata": {"name": "x", "namespace": "team", "uid": "u"},
        "status": {"phase": phase, "attempt": 1},
    }
    return Canned(body=body)


def pods_of(*names: str) -> Canned:
    return Canned(body={"items": [pod(name) for name in names]})


def follow(tmp_path: Path, told: list[str], **answers: Any) -> tuple[list[str], list[str]]:
    """Returns the lines of a followed run whose first pod is p1, and what was asked."""
    given = {f"{PODS}/{name}": Canned(body=pod(name)) for name in ("p1", "p2")} | answers
    with (
        serving(**given) as server,
        connections.connect(kubeconfig=server.kubeconfig(tmp_path)) as cluster,
    ):
        view = View({"metadata": {"name": "x", "namespace": "team", "uid": "u"}})
        follower = Follower(cluster, view, attempt=None, told=told.append, pause=lambda _: None)
        return list(follower.lines(pod("p1"), tail=5)), server.asked


def test_from_a_pod_it_goes_on_to_the_one_that_follows(tmp_path: Path) -> None:
    told: list[str] = []
    lines, asked = follow(
        tmp_path,
        told,
        **{
            RUN: [run_in("Training"), run_in("Training"), run_in("Succeeded")],
            PODS: [pods_of("p1"), pods_of("p1", "p2")],
            f"{PODS}/p1/log": Canned(body="2026-01-01T00:00:01Z one\n2026-01-01T00:00:02Z two\n"),
            f"{PODS}/p2/log": Canned(body="2026-01-01T00:00:03Z three\n"),
        },
    )
    assert (lines, told) == (["one", "two", "three"], ["now the log of pod p2"])
    (first, second) = [line for line in asked if "/log" in line]
    assert "tailLines=5" in first and "tailLines" not in second


def test_after_a_lost_connection_no_line_comes_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transports, "PAUSES", (0.0,))
    told: list[str] = []
    cut = Canned(body="2026-01-01T00:00:01Z one\n", cut_short=True)
    again = Canned(body="2026-01-01T00:00:01Z one\n2026-01-01T00:00:02Z two\n")
    lines, asked = follow(
        tmp_path,
        told,
        **{RUN: run_in("Succeeded"), PODS: pods_of("p1"), f"{PODS}/p1/log": [cut, again]},
    )
    assert lines == ["one", "two"]
    assert len(told) == 1 and told[0].startswith("connection lost: the API server")
    assert "sinceTime=2026-01-01T00%3A00%3A01Z" in asked[-3]
