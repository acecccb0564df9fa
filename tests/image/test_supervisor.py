"""The supervisor as a process, over small fake children: how it ends, what it leaves, and where the next
one starts."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.image import supervisor_fakes as fakes

from sftrun_api.reports import Report
from sftrun_trainer import commands, locks, processes, starts, wakes

pytestmark = pytest.mark.processes

STAGES = ("Prepare", "Register", "Train")
OUR_CHECKS = {"Environment"}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[fakes.Cluster]:
    with fakes.cluster(tmp_path) as opened:
        yield opened


def reason_of(report: Report) -> str | None:
    return report.failure.reason if report.failure else None


def reason(pod: fakes.Pod) -> str | None:
    return reason_of(pod.report())


def last_start(pod: fakes.Pod) -> starts.Start:
    return starts.read(pod.state)[-1]


def test_a_run_from_nothing_to_its_report(cluster: fakes.Cluster) -> None:
    code, pod = cluster.finish()
    report = pod.report()
    assert (code, report.outcome, report.stage, pod.did()) == (0, "Succeeded", "Collect", list(STAGES))
    assert json.loads((pod.folder / "sftrun-report.json").read_text()) == report.to_json_object()
    assert report.dataset is not None and report.dataset.converted == 2
    assert report.effective == {"totalSteps": 4}
    assert {check.group for check in report.checks} == OUR_CHECKS | {"Model"}
    metrics = report.outputs and report.outputs.training_metrics
    assert metrics is not None
    assert metrics.to_json_object() == {
        "finalLoss": 1.0,
        "meanTrainLoss": pytest.approx(25 / 12),
        "totalSteps": 4,
        "trainRuntimeSeconds": 2.0,
    }
    lock = locks.read(pod.state)
    assert lock is not None and lock.released
    assert last_start(pod).cause == "Succeeded"
    assert sorted(path.name for path in (pod.state / "logs").iterdir()) == [
        "1-pod-1-prepare.log",
        "1-pod-1-register.log",
        "1-pod-1-train.log",
    ]


def test_a_finished_run_started_again_does_nothing_and_says_the_same(cluster: fakes.Cluster) -> None:
    _, first = cluster.finish()
    code, second = cluster.finish(pod_uid="pod-2")
    assert (code, second.did()) == (0, list(STAGES))
    before, after = (pod.report().to_json_object() for pod in (first, second))
    for report in (before, after):
        for key in ("podUid", "podName"):
            report.pop(key)
        for key in ("updatedAt", "smoothedLoss", "done"):
            report["progress"].pop(key, None)
    assert before == after


@pytest.mark.parametrize(
    ("mode", "expected"), [("Train", STAGES), ("PrepareData", STAGES[:2]), ("DryRun", STAGES[:2])]
)
def test_the_mode_says_which_stages_run(cluster: fakes.Cluster, mode: str, expected: tuple[str, ...]) -> None:
    code, pod = cluster.finish(run=fakes.run_file(cluster.workspace, mode=mode))
    assert (code, tuple(pod.did())) == (0, expected)
    outputs = pod.report().outputs
    assert (outputs is None or outputs.model_path is None) == (mode != "Train")


@pytest.mark.parametrize("stage", STAGES)
def test_sigterm_ends_with_75_in_every_stage_and_the_next_pod_goes_on(
    cluster: fakes.Cluster, stage: str
) -> None:
    started = cluster.start({stage: [["mark", "ready"], ["hang"]]})
    started.did_so_far("ready")
    started.terminate()
    assert started.wait() == 75
    assert (started.report().outcome, started.report().failure) == ("Stopped", None)
    code, _ = cluster.finish(pod_uid="pod-2")
    again = [s for s in STAGES if STAGES.index(s) >= STAGES.index(stage)]
    assert (code, started.did()) == (0, [*STAGES[: STAGES.index(stage) + 1], "ready", *again])


def test_sigterm_before_the_folder_is_ours_ends_with_75(cluster: fakes.Cluster) -> None:
    holder = cluster.start({"Prepare": [["mark", "ready"], ["hang"]]})
    holder.did_so_far("ready")
    waiting = cluster.start(pod_uid="pod-2")
    waiting.until(lambda: "output folder" not in waiting.text() and waiting.process.poll() is None)
    waiting.until(lambda: (cluster.folder / "start-1" / "output.log").stat().st_size > 0)
    waiting.terminate()
    assert waiting.wait() == 75


def test_sigterm_gives_training_the_time_to_save(cluster: fakes.Cluster) -> None:
    pod = cluster.start(
        {"Train": [["steps", 1, 2, 4], ["save_when_stopped", 2], ["mark", "ready"], ["hang"]]},
        run=fakes.run_file(cluster.workspace, lifecycle={"terminationGracePeriodSeconds": 30}),
    )
    pod.did_so_far("ready")
    pod.terminate()
    assert (pod.wait(), pod.did()[-1]) == (75, "saved")
    entry = last_start(pod)
    assert (entry.stage, entry.step, entry.advanced, entry.cause) == ("Train", 2, True, "Stopped")


def test_training_is_stopped_as_by_sigterm_when_whoever_holds_it_is_killed(cluster: fakes.Cluster) -> None:
    with subprocess.Popen(["sleep", "600"], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        pod = cluster.start(
            {"Train": [["steps", 1, 2, 4], ["save_when_stopped", 2], ["mark", "ready"], ["hang"]]},
            run=fakes.run_file(cluster.workspace, lifecycle={"terminationGracePeriodSeconds": 30}),
            options={"tied_to": holder.stdout.fileno()},
        )
        pod.did_so_far("ready")
        assert pod.process.poll() is None
        holder.kill()
        assert (pod.wait(), pod.did()[-1], pod.report().outcome) == (75, "saved", "Stopped")


def test_training_that_ignores_sigterm_is_killed_within_the_grace_period(cluster: fakes.Cluster) -> None:
    pod = cluster.start(
        {"Train": [["ignore", signal.SIGTERM], ["grandchild"], ["mark", "ready"], ["hang"]]},
        run=fakes.run_file(cluster.workspace, lifecycle={"terminationGracePeriodSeconds": 1}),
    )
    pod.did_so_far("ready")
    grandchild = next(int(word[4:]) for word in pod.did() if word.startswith("pid-"))
    pod.terminate()
    assert pod.wait() == 75
    fakes.wait_until(lambda: processes.parent_of(grandchild) is None, what="the grandchild lives")


def test_sigterm_while_the_result_is_served_ends_with_75_and_loses_nothing(cluster: fakes.Cluster) -> None:
    port = fakes.free_port()
    pod = cluster.start(
        {"Train": [["steps", 1, 4, 4], ["mark", "ready"], ["wait_for", "go"], ["result", {"totalSteps": 4}]]},
        port=port,
        options={"linger": 60.0},
    )
    pod.did_so_far("ready")
    assert fakes.fetch(port, "/progress")[0] == 200
    (pod.state / "go").touch()
    pod.until(lambda: b'"Succeeded"' in fakes.read(pod.folder / "sftrun-report.json"))
    pod.terminate()
    assert (pod.wait(), pod.report().outcome) == (75, "Stopped")
    code, after = cluster.finish(pod_uid="pod-2")
    assert (code, after.did().count("Train"), after.report().outcome) == (0, 1, "Succeeded")


@pytest.mark.parametrize("stage", STAGES)
def test_a_supervisor_killed_in_any_stage_takes_its_children_along_and_is_replaced(
    cluster: fakes.Cluster, stage: str
) -> None:
    pod = cluster.start({stage: [["mark_pid"], ["mark", "ready"], ["hang"]]})
    pod.did_so_far("ready")
    child = next(int(word[5:]) for word in pod.did() if word.startswith("self-"))
    pod.process.kill()
    assert pod.wait() == -signal.SIGKILL
    fakes.wait_until(lambda: processes.parent_of(child) is None, what="the child lives on")
    code, after = cluster.finish()  # the same pod's container: at once
    assert code == 0
    assert [word for word in after.did() if word in STAGES].count(stage) == 2
    assert len(after.did()) == 3 + 2 + 1


FAILURES: list[tuple[str, list[list[Any]], int, str, str]] = [
    ("says so itself", [["fail", "EmptyJob", "jobs/one holds no trial", True]], 64, "EmptyJob", "jobs/one"),
    ("says try again", [["fail", "HubFailed", "the hub is down", False]], 1, "HubFailed", "the hub"),
    ("ends without a word", [["exit", 0]], 1, "Crashed", "without a result"),
    ("exit code", [["exit", 3]], 1, "Crashed", "exit code 3"),
    ("final exit code", [["exit", 64]], 64, "Crashed", "exit code 64"),
    ("signal", [["die", 6]], 1, "Crashed", "SIGABRT"),
    ("killed", [["die", 9]], 1, "Killed", "SIGKILL"),
    (
        "a log that tells",
        [["say", "[rank0]: ValueError: Undefined dataset foo"], ["say", "CalledProcessError"], ["exit", 1]],
        64,
        "BadData",
        "data set foo",
    ),
    (
        "a full GPU",
        [["say", "torch.OutOfMemoryError: CUDA out of memory."], ["exit", 1]],
        1,
        "GPUOutOfMemory",
        "perDev",
    ),
    (
        "a full disk",
        [["say", "OSError: [Errno 28] No space left on device"], ["exit", 1]],
        1,
        "WorkspaceFull",
        "space",
    ),
    ("half an event", [["raw", '{"kind": "result", "payl'], ["exit", 1]], 1, "Crashed", "exit code 1"),
]


@pytest.mark.parametrize(
    ("case", "actions", "code", "expected", "words"), FAILURES, ids=[row[0] for row in FAILURES]
)
def test_a_child_that_fails(
    cluster: fakes.Cluster, case: str, actions: list[list[Any]], code: int, expected: str, words: str
) -> None:
    found, pod = cluster.finish({"Register": actions})
    failure = pod.report().failure
    assert failure is not None
    assert (found, failure.reason, failure.exit_code, failure.pod) == (code, expected, code, "pod-1-name")
    assert words in failure.message
    assert "Train" not in pod.did()
    assert last_start(pod).cause == expected


def test_a_child_that_crashes_after_its_result_is_done(cluster: fakes.Cluster) -> None:
    code, _ = cluster.finish({"Train": [["steps", 1, 4, 4], ["result", {"totalSteps": 4}], ["die", 6]]})
    assert code == 0


def test_a_child_that_never_exits_after_its_result_is_done(cluster: fakes.Cluster) -> None:
    actions = [["ignore", signal.SIGTERM], ["steps", 1, 4, 4], ["result", {"totalSteps": 4}], ["hang"]]
    code, pod = cluster.finish({"Train": actions}, options={"exit_within": 0.3})
    assert (code, pod.report().outcome) == (0, "Succeeded")


def test_a_result_that_is_not_there_is_none(cluster: fakes.Cluster) -> None:
    code, pod = cluster.finish({"Train": [["result", {"broken": True}]]})
    assert (code, reason(pod)) == (64, "WeightsMissing")


def test_hostile_events_harm_nobody(cluster: fakes.Cluster) -> None:
    actions: list[list[Any]] = [
        ["raw", "\x00\x01garbage\n"],
        ["raw", "x" * 400_000 + "\n"],
        ["raw", "[" * 100_000 + "\n"],
        ["raw", '{"kind":"step","record":{"step":-1},"totalSteps":4}\n'],
        ["raw", '{"kind":"step","record":{"step":1,"loss":NaN},"totalSteps":4}\n'],
        ["raw", '{"kind":"failure","reason":"no good reason!","message":"","final":true}\n'],
        ["raw", '{"kind":"progress","done":1e999}\n'],
        ["raw", '{"kind":"unheard-of"}\n\n\n{}\nnull\n[]\n'],
        ["event", {"kind": "check", "group": "g", "name": "n" * 65, "result": "Pass"}],
        ["event", {"kind": "progress", "done": 5, "total": 3, "aNewerField": 1}],
        *[["event", {"kind": "check", "group": "g", "name": f"n{n}", "result": "Warn"}] for n in range(200)],
        [
            "raw",
            '{"kind":"result","payload":{"effective":{"bad":NaN,"good":1},"dataset":{"converted":-1}}}\n',
        ],
    ]
    code, pod = cluster.finish({"Register": actions})
    report = pod.report()
    assert (code, report.outcome) == (0, "Succeeded")
    assert len(pod.termination_log.read_bytes()) <= 4096
    whole = Report.model_validate_json((pod.folder / "sftrun-report.json").read_bytes())
    assert (whole.effective, len(whole.checks)) == ({"good": 1}, 64)


def test_a_stalled_child_shows_its_stacks_and_is_tried_again(cluster: fakes.Cluster) -> None:
    code, pod = cluster.finish(
        {"Train": [["dump_stacks"], ["steps", 1, 1, 4], ["grandchild"], ["hang"]]},
        run=fakes.run_file(cluster.workspace, lifecycle={"stallTimeoutSeconds": 3}),
    )
    failure = pod.report().failure
    assert failure is not None
    assert (code, failure.reason) == (1, "Stalled")
    log = (pod.state / "logs" / "1-pod-1-train.log").read_text()
    assert "no sign of life" in log and "in hang" in log
    grandchild = next(int(word[4:]) for word in pod.did() if word.startswith("pid-"))
    fakes.wait_until(lambda: processes.parent_of(grandchild) is None, what="the grandchild lives")


def test_five_starts_that_come_to_nothing_are_enough(cluster: fakes.Cluster) -> None:
    codes = [cluster.finish({"Prepare": [["exit", 1]]}, pod_uid=f"pod-{n}")[0] for n in range(5)]
    assert codes == [1, 1, 1, 1, 64]
    code, pod = cluster.finish(pod_uid="pod-9")
    failure = pod.report().failure
    assert failure is not None
    assert (code, failure.reason) == (64, "NoProgress")
    assert pod.did().count("Prepare") == 5
    assert cluster.finish(run=fakes.run_file(cluster.workspace, attempt=2), pod_uid="pod-10")[0] == 0


def test_starts_that_are_killed_or_stopped_count_too(cluster: fakes.Cluster) -> None:
    for number in range(5):
        pod = cluster.start({"Prepare": [["mark", f"ready-{number}"], ["hang"]]})
        pod.did_so_far(f"ready-{number}")
        pod.process.send_signal(signal.SIGKILL if number % 2 else signal.SIGTERM)
        assert pod.wait() != 64
    code, pod = cluster.finish()
    assert (code, reason(pod)) == (64, "NoProgress")


def test_a_newer_checkpoint_is_progress(cluster: fakes.Cluster) -> None:
    codes = []
    for number in range(1, 8):
        train = [["steps", number, number, 9], ["checkpoint", number], ["exit", 1]]
        codes.append(cluster.finish({"Train": train}, pod_uid=f"pod-{number}")[0])
    assert codes == [1] * 7


def test_out_of_memory_twice_at_one_place_is_final(cluster: fakes.Cluster) -> None:
    crash = [
        ["steps", 1, 3, 9],
        ["say", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate"],
        ["exit", 1],
    ]
    earlier = [["steps", 1, 2, 9], *crash[1:]]
    codes = [
        cluster.finish({"Train": train}, pod_uid=f"pod-{n}")[0]
        for n, train in enumerate((earlier, crash, crash))
    ]
    assert codes == [1, 1, 64]
    code, pod = cluster.finish(pod_uid="pod-9")
    assert (code, reason(pod)) == (64, "GPUOutOfMemory")


def test_what_was_prepared_is_prepared_again_when_it_is_gone_or_the_spec_changed(
    cluster: fakes.Cluster,
) -> None:
    data = cluster.folder / "data.jsonl"
    data.write_text("records")
    script = {
        "Prepare": [["result", {"dataset": {"name": "quick", "path": str(data)}}]],
        "Train": [["exit", 1]],
    }
    cluster.finish(script)
    cluster.finish(script, pod_uid="pod-2")
    assert cluster.finish(script, pod_uid="pod-3")[1].did().count("Prepare") == 1
    data.unlink()
    did = cluster.finish(script, pod_uid="pod-4")[1].did()
    assert (did.count("Prepare"), did.count("Register")) == (2, 2)  # what is made of it is made again
    data.write_text("records")
    changed = fakes.run_file(cluster.workspace, spec_hash="hash-2", attempt=2)
    assert cluster.finish(script, run=changed, pod_uid="pod-5")[1].did().count("Prepare") == 3


def test_a_finished_run_needs_no_data_any_more(cluster: fakes.Cluster) -> None:
    data = cluster.folder / "data.jsonl"
    data.write_text("records")
    script = {"Prepare": [["result", {"dataset": {"name": "quick", "path": str(data)}}]]}
    cluster.finish(script)
    data.unlink()
    code, pod = cluster.finish(script, pod_uid="pod-2")
    assert (code, pod.did()) == (0, list(STAGES))


@pytest.mark.parametrize("content", ["", "{", "null", '{"stage": "Prepare"', "\x00\x7f", "[" * 20_000])
def test_garbage_in_our_own_files_costs_only_time(cluster: fakes.Cluster, content: str) -> None:
    run = fakes.run_file(cluster.workspace, training={"existingOutput": "Overwrite"})
    pod = cluster.finish({"Train": [["fail", "HubFailed", "later", False]]}, run=run)[1]
    for name in (
        "stages/prepare.json",
        "stages/register.json",
        "stages/train.json",
        "starts.json",
        "claim.json",
    ):
        (pod.state / name).write_text(content)
    (pod.state / "stages" / ".train.json.12.0123abcd.tmp").write_text(content)
    code, pod = cluster.finish(run=run, pod_uid="pod-2")
    assert (code, pod.report().outcome) == (0, "Succeeded")
    assert not list(pod.state.rglob("*.tmp"))


def test_a_run_file_that_cannot_be_read_is_final(tmp_path: Path, cluster: fakes.Cluster) -> None:
    pod = cluster.start()
    pod.wait()
    for content in (b"", b"{}", b"\xff"):
        (cluster.folder / "start-0" / "run.json").write_bytes(content)
        flags = [
            "--run-file",
            str(cluster.folder / "start-0" / "run.json"),
            "--termination-log",
            str(tmp_path / "t"),
        ]
        programs = fakes.FakePrograms(tmp_path)
        code = commands.run(settings=commands.parse(flags, {}), stage_programs=programs, wake=wakes.Wakes())
        report = Report.model_validate_json((tmp_path / "t").read_bytes())
        assert (code, reason_of(report)) == (64, "BadRunFile")
