"""What `watch` and `describe` show of runs: it fits the terminal, and says what is there."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.cli import api_servers
from tests.cli.api_servers import Canned, serving, status

from sftrun_cli.cluster import connections, refusals
from sftrun_cli.runs import descriptions, pictures, screens, tables, times
from sftrun_cli.runs.curves import Curve, Point
from sftrun_cli.runs.lists import RunList
from sftrun_cli.runs.pictures import Scene
from sftrun_cli.runs.sources import Event
from sftrun_cli.runs.views import View

NOW = 1_800_000_000.0
PROGRESS = {
    "stage": "Train", "done": 10, "total": 24, "percent": 41.6, "step": 10, "totalSteps": 24, "epoch": 1.25,
    "loss": 1.245, "evalLoss": 1.4, "gradNorm": 0.8, "learningRate": 1e-4, "tokensPerSecond": 123456.0,
    "stepSecondsP50": 0.5, "stepSecondsP95": 0.7, "gpuMemoryGiB": 61.5, "gpuUtilization": 83.0,
    "remainingSeconds": 3200,
}  # fmt: skip


def run(phase: str = "Training", name: str = "qwen3-8b-swe", **rest: Any) -> View:
    found: dict[str, Any] = {
        "phase": phase,
        "message": "step 10 of 24, loss 1.24",
        "attempt": 2,
        "startTime": "2027-01-15T07:00:00Z",
        "display": {"progress": "41%", "loss": "1.24", "eta": "53m", "gpus": 8},
        "progress": PROGRESS,
        "conditions": [
            {"type": "Accepted", "status": "True", "reason": "Accepted"},
            {"type": "Healthy", "status": "False", "reason": "LossDiverges", "message": "the loss rises"},
        ],
    }
    metadata = {
        "name": name,
        "namespace": "team",
        "uid": f"uid-{name}",
        "creationTimestamp": "2027-01-15T07:00:00Z",
    }
    return View({"metadata": metadata, "spec": {}, "status": found | rest})


def shown(renderable: Any, *, width: int) -> list[str]:
    console = Console(width=width, force_terminal=False, highlight=False)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get().splitlines()


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_run_fits_the_terminal_and_says_all(width: int) -> None:
    points = tuple(Point(step=step, loss=3 - step / 10) for step in range(1, 11))
    scene = Scene(
        run=run(),
        curve=Curve(points=points, restarts=(5,)),
        events=[
            Event(at="2027-01-15T07:00:00Z", type="Warning", reason="Slow", message="x" * 300, about="Pod")
        ],
        log=["\x1b[2Jloss " + "y" * 300],
        notes=["the figures are the status' own"],
        lost="the API server https://x did not answer in 10 s",
    )
    lines = shown(pictures.picture(scene, now=NOW, width=width), width=width)
    assert max(map(len, lines)) <= width
    text = " ".join(line.strip() for line in lines)
    for word in (
        "Training", "attempt 2", "step 10/24", "41%", "53m20s left", "▁", "resumed at step 5", "eval 1.4",
        "123,456 tokens/s", "83% busy", "Accepted yes", "Healthy no", "LossDiverges: the loss rises", "Slow:",
        "connection lost", "the status' own", r"\u001b[2J",
    ):  # fmt: skip
        assert word in text, (word, text)


def test_a_run_of_which_nothing_is_known_is_shown_too() -> None:
    lines = shown(pictures.picture(Scene(run=View({"metadata": {"name": "x"}})), now=NOW, width=60), width=60)
    assert "x  · Pending" in lines[0] and "has not said anything" in lines[1]


def rows(count: int, phase: str = "Succeeded") -> dict[str, tables.Row]:
    return {str(place): tables.row_of(run(phase, f"run-{place}")) for place in range(count)}


@pytest.mark.parametrize("width", [60, 80, 120])
def test_thousands_of_runs_are_a_screen(width: int) -> None:
    many = rows(5000) | {"active": tables.row_of(run("Training", "active-one"))}
    lines = shown(tables.table(many, now=NOW, width=width, height=20), width=width)
    assert len(lines) == 19 and max(map(len, lines)) <= width
    assert lines[0].split()[:3] == ["NAME", "PHASE", "PROGRESS"]
    assert lines[1].startswith("active-one")
    assert lines[-2:] == ["… and 4,985 more", "1 Training  5,000 Succeeded"]


def test_a_namespace_is_a_column_where_there_are_several() -> None:
    (header, *_) = shown(tables.table(rows(1), now=NOW, width=60, namespaces=True), width=60)
    assert header.split()[:2] == ["NAMESPACE", "NAME"]


EARLY: dict[str, Any] = {"attempt": 1, "progress": {}}
WENT = "qwen3-8b-swe  Training  attempt 2  step 10/24  41%  loss 1.245  eval 1.4  53m20s left"
FAILURE = {"reason": "Bad", "message": "m"}
LINES: list[tuple[list[Scene], list[str]]] = [
    ([Scene(run=run()), Scene(run=run())], [WENT]),
    (
        [
            Scene(run=run("Pending", **EARLY, message="waits")),
            Scene(run=run("Failed", **EARLY, failure=FAILURE)),
        ],
        ["qwen3-8b-swe  Pending  41%  waits", "qwen3-8b-swe  Failed  41%  Bad: m"],
    ),
    (
        [Scene(run=run("Pending", **EARLY), lost="no route")],
        ["qwen3-8b-swe  Pending  41%  connection lost: no route"],
    ),
]


@pytest.mark.parametrize(("scenes", "expected"), LINES)
def test_a_pipe_gets_a_line_a_change(scenes: Iterable[Scene], expected: list[str]) -> None:
    assert list(screens.changes(scenes)) == expected


AGES = [(0, "0s"), (59, "59s"), (192, "3m12s"), (3600, "1h"), (3605, "1h"), (200_000, "2d7h"), (-5, "0s")]


@pytest.mark.parametrize(("seconds", "words"), AGES)
def test_ages_are_short(seconds: float, words: str) -> None:
    assert times.short(seconds) == words


RUNS = "/apis/sftrun.dev/v1alpha1/namespaces/team/sftruns"


def listed(*names: str) -> Canned:
    return Canned(
        body={"metadata": {"resourceVersion": "5"}, "items": [dict(run(name=each).object) for each in names]}
    )


def event(kind: str, name: str) -> str:
    import json

    return json.dumps({"type": kind, "object": dict(run(name=name).object)}) + "\n"


def followed(server: api_servers.Server, folder: Path, names: set[str]) -> str:
    """Follows until these runs are there. Returns what was said of the connection meanwhile."""
    said = set()
    with connections.connect(kubeconfig=server.kubeconfig(folder)) as cluster:
        runs = RunList(cluster, pauses=(0.01,))
        runs.start()
        until = time.monotonic() + 30
        while time.monotonic() < until:
            runs.changed.wait(0.05)
            found, lost = runs.seen()
            said.add(lost)
            if {row.name for row in found.values()} == names:
                runs.stop()
                return " ".join(sorted(said))
    raise AssertionError(f"never seen: {names}; last {found}")


def test_the_list_follows_the_watch_and_begins_anew_when_it_is_too_old(tmp_path: Path) -> None:
    expired = Canned(body='{"type": "ERROR", "object": {"code": 410, "message": "too old"}}\n')
    changes = Canned(body=event("ADDED", "c") + event("DELETED", "a"))
    with serving(
        **{RUNS: [listed("a", "b"), changes, expired, listed("b", "c", "d"), Canned(delay=60)]}
    ) as server:
        followed(server, tmp_path, {"b", "c", "d"})
        assert [("watch=1" in line) for line in server.asked[:4]] == [False, True, True, False]


def test_a_list_lives_through_a_server_that_is_away(tmp_path: Path) -> None:
    away = [Canned(hang_up=True)] * 8
    with serving(**{RUNS: [listed("a"), *away, Canned(body=event("ADDED", "b"))]}) as server:
        assert "trying again" in followed(server, tmp_path, {"a", "b"})


def test_who_may_not_list_is_told(tmp_path: Path) -> None:
    rights = 'sftruns is forbidden: User "u" cannot list resource "sftruns" in API group "sftrun.dev"'
    with serving(**{RUNS: status(403, rights)}) as server, pytest.raises(refusals.ForbiddenError):
        followed(server, tmp_path, {"never"})


def test_a_description_has_what_kubectl_has_not() -> None:
    described = run(
        "Failed",
        failure={"reason": "NonFiniteLoss", "message": "the loss is no number; lower the rate"},
        checks=[
            {"group": "Model", "name": "template", "result": "Warn", "message": "differs"},
            {"group": "GPU", "name": "count", "result": "Pass", "message": "8"},
            {"group": "diagnosis", "name": "Diverged", "result": "Warn", "message": "it rises"},
        ],
        dataset={
            "converted": 512,
            "truncated": 3,
            "excluded": [{"reason": "LowReward", "count": 31}],
            "path": "/w/x",
        },
        outputs={"modelPath": "/w/m", "artifacts": {"trainLossPlot": "/w/p.png"}},
    )
    assert list(descriptions.diagnosis(described)) == [
        "NOT healthy: LossDiverges: the loss rises",
        "Warn Diverged: it rises",
        "failed: NonFiniteLoss: the loss is no number; lower the rate",
    ]
    assert list(descriptions.check_lines(described, whole=False)) == [
        "1 passed, 1 warn, 0 failed", "Warn Model / template: differs",
    ]  # fmt: skip
    assert list(descriptions.data(described)) == [
        "512 records, 3 cut to cutoffLen", "left out      31  LowReward", "/w/x",
    ]  # fmt: skip
    assert list(descriptions.outputs(described)) == ["model           /w/m", "train loss plot /w/p.png"]
    assert descriptions.next_command(described).startswith("kubectl sft logs qwen3-8b-swe -n team")
