"""Suspend, resume, retry, delete: what is said before, and what becomes of each of several runs."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from tests.cli.api_servers import Canned, Server, serving, status

from sftrun_cli.cluster import connections, transports
from sftrun_cli.errors import CommandError
from sftrun_cli.forms import ListForm
from sftrun_cli.steering import acting, waits
from sftrun_cli.steering.facts import Run, duration
from sftrun_cli.steering.verdicts import Verb, judge

RUNS = "/apis/sftrun.dev/v1alpha1/namespaces/team/sftruns"


def run(phase: str | None = "Training", /, *, spec: dict[str, Any] | None = None, **status: Any) -> Run:
    told = {"phase": phase, "attempt": 2, **status} if phase is not None else {}
    metadata = {"name": "x", "namespace": "team", "uid": "u", "resourceVersion": "7"}
    claim = {"workspace": {"persistentVolumeClaim": {"claimName": "training"}}}
    whole = {"apiVersion": "sftrun.dev/v1alpha1", "kind": "SFTRun", "metadata": metadata}
    return Run(whole | {"spec": claim | (spec or {}), "status": told})


AT_640 = {"progress": {"step": 640, "totalSteps": 2400}, "effective": {"saveSteps": 500}}
SAVED = {"outputs": {"checkpointPath": "/workspace/artifacts/model/x/checkpoint-600"}}
OFF: dict[str, Any] = {"suspend": True}
WEIGHTS = {"training": {"save": {"onlyModel": True}}}
NO_GPU = {"infrastructure": {"accelerator": "CPU"}}
OUT = {"reason": "OutOfMemory", "message": "GPU 3 ran out"}
SAID: dict[str, tuple[Verb, Run, tuple[str, ...]]] = {
    "suspend in training": (
        Verb.SUSPEND, run(**AT_640),
        ("has 10 min for it", "from checkpoint-500: about 140 steps done again", "8 GPUs are free", "kept:"),
    ),
    "suspend, one known": (Verb.SUSPEND, run(**AT_640, **SAVED), ("checkpoint-600: 40 steps done again",)),
    "suspend before the first": (
        Verb.SUSPEND, run(progress={"step": 9, "totalSteps": 20}, effective={"saveSteps": 10}),
        ("from the start: about 9 steps done again",),
    ),
    "suspend, interval unknown": (
        Verb.SUSPEND, run(progress={"step": 9, "totalSteps": 20}), ("from the last one in the output folder",)
    ),
    "suspend, weights only": (Verb.SUSPEND, run(spec=WEIGHTS, **AT_640), ("begin anew: 640 steps lost",)),
    "suspend, one GPU": (Verb.SUSPEND, run(display={"gpus": 1}, **AT_640), ("1 GPU is free",)),
    "suspend in preparation": (Verb.SUSPEND, run("Preparing"), ("stages that are done are kept",)),
    "suspend in the queue": (Verb.SUSPEND, run("Queued"), ("leaves the queue",)),
    "suspend at the end": (Verb.SUSPEND, run("Collecting"), ("training is done",)),
    "suspend what no operator saw": (Verb.SUSPEND, run(None), ("no pod of it runs",)),
    "resume": (
        Verb.RESUME, run("Suspended", spec=OFF, **AT_640, **SAVED),
        ("attempt 3 asks for 8 GPUs", "from checkpoint-600; 40 steps are done again"),
    ),
    "resume from an exact stop": (
        Verb.RESUME, run("Suspended", spec=OFF, **SAVED, progress={"step": 600, "totalSteps": 900}),
        ("from checkpoint-600; no step is done again",),
    ),
    "resume, nothing told": (Verb.RESUME, run("Suspended", spec=OFF, **AT_640), ("last whole checkpoint",)),
    "resume, not trained yet": (
        Verb.RESUME, run("Suspended", spec=OFF | NO_GPU), ("has not begun", "asks for no GPU")
    ),
    "resume, weights only": (
        Verb.RESUME, run("Suspended", spec=OFF | WEIGHTS, **AT_640), ("anew", "640 steps are done again")
    ),
    "resume while its pod ends": (Verb.RESUME, run("Suspending", spec=OFF), ("its old pod still ends",)),
    "retry": (
        Verb.RETRY, run("Failed", failure=OUT, **AT_640, **SAVED),
        ("failed with OutOfMemory: GPU 3 ran out", "only where the cause is mended", "checkpoint-600"),
    ),
    "retry, suspended": (Verb.RETRY, run("Failed", spec=OFF), ("nothing starts before kubectl sft resume",)),
    "delete at work": (
        Verb.DELETE, run(**AT_640),
        ("at work (Training, step 640 of 2400, 8 GPUs)", "8 GPUs are free", "gone: the object",
         "kept: every file, on claim training: /workspace/artifacts/model/x", "existingOutput: Resume"),
    ),
    "delete at the end": (
        Verb.DELETE, run("Succeeded", outputs={"modelPath": "/ws/model/y"}), ("claim training: /ws/model/y",)
    ),
}  # fmt: skip


@pytest.mark.parametrize(("verb", "found", "parts"), SAID.values(), ids=SAID)
def test_what_it_comes_to(verb: Verb, found: Run, parts: tuple[str, ...]) -> None:
    verdict = judge(verb, found)
    assert verdict.acts
    text = "\n".join(verdict.consequences)
    for part in parts:
        assert part in text


REFUSED: dict[str, tuple[Verb, Run, str]] = {
    "suspend what is over": (Verb.SUSPEND, run("Failed"), "it is over (Failed)"),
    "resume what succeeded": (Verb.RESUME, run("Succeeded"), "it is over (Succeeded)"),
    "resume what failed": (Verb.RESUME, run("Failed"), "kubectl sft retry starts it again"),
    "retry what succeeded": (Verb.RETRY, run("Succeeded"), "under another name"),
    "retry what runs": (Verb.RETRY, run("Training"), "it is not over (Training)"),
    "retry what is suspended": (Verb.RETRY, run("Suspended", spec=OFF), "kubectl sft resume"),
    "retry what was refused": (Verb.RETRY, run("Rejected"), "correct it and apply it"),
}
ALREADY: dict[str, tuple[Verb, Run, str]] = {
    "suspended": (Verb.SUSPEND, run("Suspended", spec=OFF), "it is suspended"),
    "on its way": (Verb.SUSPEND, run("Suspending", spec=OFF), "to be suspended already (Suspending now)"),
    "not suspended": (Verb.RESUME, run("Training"), "it is not suspended (Training)"),
    "asked for": (
        Verb.RETRY,
        run("Failed", spec={"restartRequest": 2}, handledRestartRequest=1),
        "restart 2",
    ),
}


@pytest.mark.parametrize(("verb", "found", "why"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_done_says_what_to_do_instead(verb: Verb, found: Run, why: str) -> None:
    verdict = judge(verb, found)
    assert why in verdict.refused
    assert not verdict.acts and not verdict.patch


@pytest.mark.parametrize(("verb", "found", "why"), ALREADY.values(), ids=ALREADY)
def test_what_is_so_already_is_no_mistake(verb: Verb, found: Run, why: str) -> None:
    verdict = judge(verb, found)
    assert why in verdict.already
    assert not verdict.acts and not verdict.refused and not verdict.patch


PATCHES: list[tuple[Verb, Run, dict[str, Any]]] = [
    (Verb.SUSPEND, run(), {"metadata": {"uid": "u"}, "spec": {"suspend": True}}),
    (Verb.RESUME, run("Suspended", spec=OFF), {"metadata": {"uid": "u"}, "spec": {"suspend": False}}),
    (
        Verb.RETRY,
        run("Failed", spec={"restartRequest": 1}, handledRestartRequest=3),
        {"metadata": {"uid": "u", "resourceVersion": "7"}, "spec": {"restartRequest": 4}},
    ),
]


@pytest.mark.parametrize(("verb", "found", "patch"), PATCHES)
def test_patches_name_the_object_that_was_looked_at(verb: Verb, found: Run, patch: dict[str, Any]) -> None:
    assert judge(verb, found).patch == patch


@pytest.mark.parametrize("status", [{}, {"progress": None, "conditions": 3, "outputs": "x", "effective": []}])
@pytest.mark.parametrize("verb", list(Verb))
def test_a_status_that_is_not_what_it_should_be_is_survived(verb: Verb, status: dict[str, Any]) -> None:
    for phase in (None, "Training", "Failed", "Suspended", "Brewing"):
        judge(verb, run(phase, **status))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(45, "45 s"), (600, "10 min"), (3600, "1 h"), (7500, "2 h 5 min"), (7140, "1 h 59 min")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def options(*names: str, **change: Any) -> acting.Options:
    values: dict[str, Any] = {
        "names": names, "selector": "", "yes": True, "dry_run": False, "wait": False, "patience": 5.0,
        "form": ListForm.TABLE,
    }  # fmt: skip
    return acting.Options(**values | change)


def act(server: Server, folder: Path, verb: Verb, wanted: acting.Options) -> int:
    """Returns the exit code."""
    import typer

    with connections.connect(kubeconfig=server.kubeconfig(folder), seconds=5) as cluster:
        try:
            acting.act(cluster, verb, wanted)
        except typer.Exit as end:
            return int(end.exit_code)
    return 0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transports, "PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(waits, "LOOK_SECONDS", 0.01)


def stored(phase: str = "Failed", **rest: Any) -> Canned:
    return Canned(body=dict(run(phase, **rest).whole))


def test_one_that_fails_keeps_no_other_from_its_turn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = status(404, "sftruns x not found", name="gone", kind="sftruns")
    with serving(
        **{f"{RUNS}/gone": missing, f"{RUNS}/x": stored("Training"), f"{RUNS}/y": stored("Failed")}
    ) as server:
        assert act(server, tmp_path, Verb.SUSPEND, options("gone", "sftrun.sftrun.dev/x", "y", "x")) == 1
        assert [each for each in server.asked if each.startswith("PATCH")] == [
            f"PATCH {RUNS}/x?fieldValidation=Strict"
        ]
    out, err = capsys.readouterr()
    assert out == "sftrun.sftrun.dev/x suspended\n"
    assert "no SFTRun gone" in err and "cannot suspend: it is over (Failed)" in err


def test_two_who_retry_at_once_start_one_attempt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = Canned(
        status=409, body={"kind": "Status", "code": 409, "message": "the object has been modified"}
    )
    raised = stored(spec={"restartRequest": 1})
    with serving(**{f"{RUNS}/x": [stored(), changed, raised]}) as server:
        assert act(server, tmp_path, Verb.RETRY, options("x")) == 1
        assert [each.split()[0] for each in server.asked] == ["GET", "PATCH", "GET"]
    assert "it has changed meanwhile: restart 1 is asked for already" in capsys.readouterr().err


def test_a_retry_whose_run_only_moved_on_is_sent_again(tmp_path: Path) -> None:
    changed = Canned(
        status=409, body={"kind": "Status", "code": 409, "message": "the object has been modified"}
    )
    with serving(**{f"{RUNS}/x": [stored(), changed, stored(), stored()]}) as server:
        assert act(server, tmp_path, Verb.RETRY, options("x")) == 0
        assert [each.split()[0] for each in server.asked] == ["GET", "PATCH", "GET", "PATCH"]


def test_nothing_happens_where_nobody_can_be_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(**{f"{RUNS}/x": stored("Training")}) as server:
        with pytest.raises(CommandError, match="say --yes") as caught:
            act(server, tmp_path, Verb.DELETE, options("x", yes=False))
        assert caught.value.code == 2
        assert act(server, tmp_path, Verb.DELETE, options("x", yes=False, dry_run=True)) == 0
        assert all(each.startswith("GET") for each in server.asked)


def test_runs_are_named_or_selected(tmp_path: Path) -> None:
    listed = Canned(body={"items": [run("Training").whole, run("Succeeded").whole]})
    with serving(**{RUNS: listed, f"{RUNS}/x": stored("Training")}) as server:
        for wanted in (options(), options("x", selector="a=b")):
            with pytest.raises(CommandError, match="but not both"):
                act(server, tmp_path, Verb.SUSPEND, wanted)
        assert act(server, tmp_path, Verb.SUSPEND, options(selector="a=b")) == 1  # one of them is over
        assert f"GET {RUNS}?labelSelector=a%3Db&limit=250" in server.asked


@pytest.mark.parametrize("form", ["json", "yaml", "name"])
def test_the_objects_on_the_pipe(tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    with serving(**{f"{RUNS}/x": [stored("Training"), stored("Training", spec=OFF)]}) as server:
        assert act(server, tmp_path, Verb.SUSPEND, options("x", form=ListForm(form))) == 0
    out = capsys.readouterr().out
    if form == "json":
        assert json.loads(out)["spec"]["suspend"] is True
    else:
        assert out.startswith(
            {"yaml": "apiVersion: sftrun.dev/v1alpha1", "name": "sftrun.sftrun.dev/x\n"}[form]
        )


WAITS: dict[str, tuple[Verb, list[Canned], str]] = {
    "until it stands still": (
        Verb.SUSPEND,
        [stored("Training", spec=OFF), stored("Suspending", spec=OFF), stored("Suspended", spec=OFF)],
        "",
    ),
    "a server that is away for a while": (
        Verb.SUSPEND, [*[Canned(status=503)] * 5, stored("Suspended", spec=OFF)], "",
    ),
    "a run that comes to its end first": (Verb.SUSPEND, [stored("Succeeded")], "came to its end first"),
    "a run that somebody deletes": (Verb.RESUME, [status(404, "x", name="x")], "was deleted meanwhile"),
    "patience that ends": (Verb.RESUME, [stored("Suspended")], "x is not there after 0 s: Suspended"),
    "a restart that was taken up": (Verb.RETRY, [stored("Pending", handledRestartRequest=1)], ""),
}  # fmt: skip


@pytest.mark.parametrize(("verb", "answers", "why"), WAITS.values(), ids=WAITS)
def test_waiting(tmp_path: Path, verb: Verb, answers: list[Canned], why: str) -> None:
    told: list[str] = []
    seen = run("Failed", spec={"restartRequest": 1})
    seconds = 0.2 if "patience" in why or "after" in why else 30.0
    expected = pytest.raises(CommandError, match=why) if why else contextlib.nullcontext()
    with (
        serving(**{f"{RUNS}/x": answers}) as server,
        connections.connect(kubeconfig=server.kubeconfig(tmp_path), seconds=5) as cluster,
        expected,
    ):
        waits.follow(cluster, seen, verb, seconds=seconds, told=told.append)
    assert len(told) == len(dict.fromkeys(told))


def test_waiting_for_a_deletion_is_waiting_for_its_pods(tmp_path: Path) -> None:
    pod = {"metadata": {"name": "x-1-abc"}, "status": {"phase": "Running"}}
    gone = status(404, "x", name="x")
    answers = {
        f"{RUNS}/x": [stored("Training"), gone],
        "/api/v1/namespaces/team/pods": [Canned(body={"items": [pod]}), Canned(body={"items": []})],
    }
    told: list[str] = []
    with (
        serving(**answers) as server,
        connections.connect(kubeconfig=server.kubeconfig(tmp_path), seconds=5) as cluster,
    ):
        waits.follow(cluster, run(), Verb.DELETE, seconds=30, told=told.append)
    assert told == ["x: the object is being deleted", "x: x-1-abc still ends", "x: gone"]
