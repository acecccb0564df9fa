"""What surrounds the stages: folders that cannot be written, memory, secrets, silence, and a lost report."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.image import supervisor_fakes as fakes

import tiny_model
from sftrun_api.reports import REPORT_VERSION, Outcome, Report, Stage
from sftrun_trainer import (
    children,
    collect,
    environments,
    files,
    folders,
    heartbeats,
    logs,
    markers,
    oom,
    preflights,
    processes,
    tenancies,
    wakes,
)
from sftrun_trainer.endings import Ending

pytestmark = pytest.mark.processes


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[fakes.Cluster]:
    with fakes.cluster(tmp_path) as opened:
        yield opened


def test_the_supervisor_starts_without_heavy_imports() -> None:
    heavy = "torch transformers llamafactory datasets deepspeed pyarrow numpy pandas kubernetes kopf"
    code = f"import sys, sftrun_trainer.commands; print([m for m in {heavy.split()} if m in sys.modules])"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(str(fakes.ROOT / part) for part in ("crds", "image"))}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def ending_of(call: Any) -> Ending:
    with pytest.raises(Ending) as caught:
        call()
    return caught.value


def test_a_folder_that_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    check = preflights.check_writable(tmp_path / "new" / "deeper")
    assert check.result == "Pass"
    assert list((tmp_path / "new" / "deeper").iterdir()) == []


def test_a_pod_that_tidies_the_folder_up_meanwhile_disturbs_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tidied_up(_: int) -> None:
        tenancies.remove_leftovers(folders.OutputFolder(root=tmp_path))

    monkeypatch.setattr(os, "fsync", tidied_up)
    assert preflights.check_writable(tmp_path).result == "Pass"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "reason", "outcome"),
    [
        (13, "NotWritable", Outcome.FAILED),
        (1, "NotWritable", Outcome.FAILED),
        (30, "WorkspaceFailed", Outcome.FAILED),
        (28, "WorkspaceFull", Outcome.RETRY),
        (122, "WorkspaceFull", Outcome.RETRY),
        (116, "WorkspaceFailed", Outcome.RETRY),
        (5, "WorkspaceFailed", Outcome.RETRY),
    ],
)
def test_a_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, reason: str, outcome: Outcome
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    ending = ending_of(lambda: preflights.check_writable(tmp_path))
    assert (ending.reason, ending.outcome) == (reason, outcome)
    assert str(tmp_path) in ending.message


def test_not_writable_names_uid_gid_owner_and_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o770)

    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    message = ending_of(lambda: preflights.check_writable(tmp_path / "artifacts" / "model")).message
    found = tmp_path.stat()
    for words in (
        str(tmp_path), f"uid {os.getuid()}", f"gid {os.getgid()}", f"uid {found.st_uid}", "0770", "fsGroup",
        "infrastructure.securityContext",
    ):  # fmt: skip
        assert words in message


def test_a_workspace_of_another_owner_names_both() -> None:
    root = os.getuid() == 0
    base = Path(tempfile.mkdtemp(prefix="sftrun-owner-"))
    try:
        base.chmod(0o755)
        with fakes.cluster(base) as cluster:
            cluster.workspace.chmod(0o770 if root else 0o500)
            if root:
                os.chown(cluster.workspace, 20013, 20013)
            code, pod = cluster.finish(uid=20014 if root else None)
            failure = pod.report().failure
            assert failure is not None
            assert (code, failure.reason, pod.did()) == (64, "NotWritable", [])
            mine = 20014 if root else os.getuid()
            owner, mode = ("uid 20013, gid 20013", "0770") if root else (f"uid {mine}", "0500")
            for words in (f"for uid {mine}", owner, mode, str(cluster.workspace), "securityContext"):
                assert words in failure.message
            cluster.workspace.chmod(0o700)
    finally:
        shutil.rmtree(base)


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ending = ending_of(lambda: preflights.check_writable(tmp_path / "file" / "below"))
    assert (ending.reason, "a file" in ending.message) == ("WorkspaceFailed", True)


def test_a_full_volume_is_known_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflights, "LEAST_BYTES", 1 << 60)
    assert ending_of(lambda: preflights.check_space(tmp_path)).reason == "WorkspaceFull"


def test_a_workspace_that_is_not_mounted(cluster: fakes.Cluster) -> None:
    code, pod = cluster.finish(run=fakes.run_file(cluster.folder / "nowhere"))
    failure = pod.report().failure
    assert failure is not None
    assert (code, failure.reason, pod.did()) == (1, "WorkspaceFailed", [])


CGROUPS = {
    "v2 with a namespace": ("0::/\n", "memory.events", "low 0\noom 3\noom_kill 2\n", 2),
    "v2 without one": ("0::/kubepods/pod1\n", "kubepods/pod1/memory.events", "oom_kill 4\n", 4),
    "v1 of the host": ("4:memory:/a/b\n", "memory/a/b/memory.oom_control", "under_oom 0\noom_kill 5\n", 5),
    "v1 in a container": ("4:cpu,memory:/a/b\n0::/\n", "memory/memory.oom_control", "oom_kill 6\n", 6),
    "v1 too old to count": ("4:memory:/\n", "memory/memory.oom_control", "under_oom 0\n", None),
    "nothing": ("", "other", "", None),
    "garbage": ("garbage\n::\n", "memory.events", "oom_kill many\n", None),
}


@pytest.mark.parametrize("case", CGROUPS)
def test_the_kernels_count_of_kills(tmp_path: Path, case: str) -> None:
    own, name, content, expected = CGROUPS[case]
    (tmp_path / "own").write_text(own)
    path = tmp_path / "cgroups" / name
    path.parent.mkdir(parents=True)
    path.write_text(content)
    assert oom.num_kills(cgroups=tmp_path / "cgroups", own=tmp_path / "own") == expected


@pytest.mark.parametrize(
    ("limit", "expected"), [("1073741824", 1 << 30), ("max", None), (str((1 << 63) - 4096), None)]
)
def test_the_memory_limit(tmp_path: Path, limit: str, expected: int | None) -> None:
    (tmp_path / "own").write_text("0::/\n")
    (tmp_path / "memory.max").write_text(limit)
    assert oom.memory_limit(cgroups=tmp_path, own=tmp_path / "own") == expected


def memory_group() -> Path | None:
    """A folder in which a memory group of one's own can be made, where this machine lets us."""
    for line in oom.OWN_CGROUP.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            for base in (oom.CGROUPS / "memory" / path.lstrip("/"), oom.CGROUPS / "memory"):
                if os.access(base, os.W_OK) and (base / "memory.limit_in_bytes").exists():
                    return base
    return None


def test_a_child_killed_by_the_kernel_for_memory(cluster: fakes.Cluster) -> None:
    base = memory_group()
    script = {"Train": [["steps", 1, 2, 9], ["memory", 400]]}
    if base is None:
        # Without the right to limit memory the same is told by the counter alone, see above.
        code, _ = cluster.finish({"Train": [["die", 9]]})
        assert code == 1
        return
    group = base / f"sftrun-test-{os.getpid()}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(200 * 1024 * 1024))
        results = []
        for number in range(2):
            pod = cluster.start(script, pod_uid=f"pod-{number}", group=group / "cgroup.procs")
            failure_code = pod.wait()
            failure = pod.report().failure
            assert failure is not None, pod.text()
            results.append((failure_code, failure.reason))
            assert "0.2 GiB" in failure.message or number == 1
    finally:
        fakes.wait_until(lambda: not (group / "cgroup.procs").read_text(), what="processes are left")
        group.rmdir()
    assert results == [(1, "OutOfMemory"), (64, "OutOfMemory")]


def test_no_child_outlives_a_supervisor_that_goes_wrong(tmp_path: Path) -> None:
    def go_wrong(_: object) -> None:
        raise RuntimeError("a mistake of ours")

    order = children.Order(
        argv=(sys.executable, "-c", "import select; select.select([], [], [], 60)"),
        environment=dict(os.environ),
        events=tmp_path / "events",
        look_every=0.01,
    )
    (tmp_path / "events").write_text('{"kind":"progress","done":1}\n')
    child = children.Child(
        order=order, log=logs.Log(path=None, redact=str, echo=io.BytesIO()), wake=wakes.Wakes()
    )
    beats = heartbeats.Heartbeats(clock=time.monotonic, timeout=0)
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        child.run(beats=beats, take=go_wrong)
    fakes.wait_until(lambda: processes.parent_of(child.pid) is None, what="the child lives on")


class SlowToEnd(children.Child):
    """A child whose end is noticed only after the second kill, as that of eight ranks with full memory."""

    num_kills = 0

    def _kill(self) -> None:
        self.num_kills += 1
        super()._kill()

    def _await(self) -> None:
        fakes.wait_until(lambda: self.num_kills > 1, what="no second kill")
        super()._await()


@pytest.mark.parametrize(
    ("stall_after", "abandons", "stops", "how"),
    [(0.01, False, 0, "Stalled"), (0.0, True, 0, "Abandoned"), (0.0, False, 1, "Killed")],
)
def test_a_child_that_takes_its_time_to_end_was_killed_for_what_it_was_killed_for(
    tmp_path: Path, stall_after: float, abandons: bool, stops: int, how: str
) -> None:
    order = children.Order(
        argv=(sys.executable, "-c", "import select; select.select([], [], [], 60)"),
        environment=dict(os.environ),
        events=tmp_path / "events",
        look_every=0.01,
        grace=0.01,
    )
    wake = wakes.Wakes()
    wake.stop_requests = stops
    child = SlowToEnd(order=order, log=logs.Log(path=None, redact=str, echo=io.BytesIO()), wake=wake)
    beats = heartbeats.Heartbeats(clock=time.monotonic, timeout=stall_after)
    ending = child.run(beats=beats, take=lambda _: None, abandon=lambda: abandons)
    assert ending.how == how


def test_a_volume_that_fills_up_in_mid_run(cluster: fakes.Cluster) -> None:
    mount = cluster.folder / "small"
    mount.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=80m", "tmpfs", str(mount)], capture_output=True, check=False
    )
    if done.returncode:
        code, pod = cluster.finish({"Train": [["say", "[Errno 28] No space left on device"], ["exit", 1]]})
        assert (code, pod.report().failure is not None) == (1, True)
        return
    try:
        run = fakes.run_file(mount)
        code, pod = cluster.finish({"Train": [["fill", 100]]}, run=run)
        failure = pod.report().failure
        assert failure is not None
        assert (code, failure.reason) == (1, "WorkspaceFull")
        (pod.folder / "big").unlink()
        # The full volume took no word of the first pod's end either.
        assert cluster.finish(run=run, pod_uid="pod-2", options=fakes.IMPATIENT)[0] == 0
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_each_child_gets_what_it_needs(tmp_path: Path) -> None:
    run = fakes.run_file(
        tmp_path,
        sources=[{"huggingFace": {"repo": "a/b"}}],
        model={"path": "models/tiny"},
        credentials={"huggingFaceTokenSecretRef": {"name": "hf", "key": "token"}},
    )
    (tmp_path / "hugging-face-token").write_text("token-value\n")
    base = {"PATH": "/bin", "HF_TOKEN": "smuggled", "HF_HOME": "/elsewhere", "WANDB_API_KEY": "smuggled"}
    found = {
        stage: environments.child_environment(
            run=run, stage=stage, base=base, pod_uid="pod-1", credentials_dir=tmp_path
        )
        for stage in (Stage.PREPARE, Stage.REGISTER, Stage.TRAIN)
    }
    assert [e.get("HF_TOKEN") for e in found.values()] == ["token-value", "token-value", None]
    assert [e.get("HF_HUB_OFFLINE") for e in found.values()] == [None, "1", "1"]
    assert not any("WANDB_API_KEY" in environment for environment in found.values())
    for environment in found.values():
        assert environment["HF_HOME"] == "/elsewhere"
        assert environment["TRITON_CACHE_DIR"] == str(tmp_path / ".cache" / "triton")
        assert environment["SFTRUN_POD_UID"] == "pod-1"


def test_a_secret_that_is_not_needed_need_not_be_there(tmp_path: Path) -> None:
    run = fakes.run_file(tmp_path, credentials={"wandbAPIKeySecretRef": {"name": "w", "key": "k"}})
    assert environments.credentials_of(run) == ()
    assert preflights.check_credentials(run, tmp_path) == []


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_silence_is_a_stall_and_what_counts_as_life(tmp_path: Path) -> None:
    clock = Clock()
    beats = heartbeats.Heartbeats(clock=clock, timeout=100.0, folder=tmp_path)

    def after(seconds: float) -> bool:
        clock.seconds += seconds
        return beats.stalled()

    assert not after(99)
    beats.printed(10)  # output counts before the first step
    assert not after(99)
    beats.stepped()
    beats.printed(20)
    assert not after(50)
    beats.printed(30)  # and not after it
    (tmp_path / "checkpoint").write_text("begun")
    assert not after(15)  # the folder has grown since the last look
    assert not after(90)
    (tmp_path / "checkpoint").write_text("going on and on")
    assert not after(30)
    assert not after(90)
    assert after(11)
    beats.beat()
    assert not beats.stalled()


def test_without_a_timeout_nothing_stalls() -> None:
    clock = Clock()
    beats = heartbeats.Heartbeats(clock=clock, timeout=0.0)
    clock.seconds = 1e9
    assert not beats.stalled()


@pytest.mark.parametrize(
    ("payload", "valid"),
    [
        ({}, True),
        ({"files": {"a": "{here}", "b": 3, "c": "relative"}}, True),
        ({"files": {"a": "{here}/none"}}, False),
        ({"dataset": {"path": "{here}/none"}}, False),
        ({"dataset": None, "files": []}, True),
    ],
)
def test_a_marker_counts_while_its_files_are_there(tmp_path: Path, payload: Any, valid: bool) -> None:
    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: fill(item) for key, item in value.items()}
        return value.replace("{here}", str(tmp_path)) if isinstance(value, str) else value

    markers.write(tmp_path, markers.Marker(stage=Stage.TRAIN, uid="u", digest="d", payload=fill(payload)))
    assert (markers.valid(tmp_path, Stage.TRAIN, uid="u", digest="d") is not None) is valid
    for uid, digest, stage in (("x", "d", Stage.TRAIN), ("u", "x", Stage.TRAIN), ("u", "d", Stage.PREPARE)):
        assert markers.valid(tmp_path, stage, uid=uid, digest=digest) is None


def test_a_file_is_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"a": 1})

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write_json(path, {"a": 2})
    assert files.read_json(path) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(path, {"a": float("nan")})


def collected(tmp_path: Path, run: Any) -> tuple[int, Report | None]:
    (tmp_path / "run.json").write_bytes(run.model_dump_json(by_alias=True, exclude_none=True).encode())
    out = tmp_path / "termination"
    code = collect.main(["--run-file", str(tmp_path / "run.json"), "--termination-log", str(out)])
    return code, Report.model_validate_json(out.read_bytes()) if out.exists() else None


def test_a_lost_report_is_read_from_the_claim(cluster: fakes.Cluster, tmp_path: Path) -> None:
    _, pod = cluster.finish()
    assert collected(tmp_path, pod.run) == (0, pod.report())


@pytest.mark.parametrize("content", [None, b"", b"{", b"{}", b"\xff", b'{"run": {}}'])
def test_a_report_that_is_not_there_or_not_ours_is_none(tmp_path: Path, content: bytes | None) -> None:
    run = fakes.run_file(tmp_path)
    report = folders.OutputFolder(root=Path(run.resolved.output_dir)).report
    report.parent.mkdir(parents=True)
    if content is not None:
        report.write_bytes(content)
    assert collected(tmp_path, run) == (64, None)


def test_another_runs_report_is_not_taken(cluster: fakes.Cluster, tmp_path: Path) -> None:
    cluster.finish()
    assert collected(tmp_path, fakes.run_file(cluster.workspace, uid="uid-later")) == (64, None)


def _retold(pod: fakes.Pod, **change: Any) -> None:
    """Makes the run's report one of another version."""
    path = pod.folder / folders.REPORT_FILE
    value = json.loads(path.read_text()) | {"formatVersion": 9, "stage": "Elsewhere"}
    path.write_text(json.dumps(value | change))


def test_a_report_of_another_version_is_judged_by_the_weights(cluster: fakes.Cluster, tmp_path: Path) -> None:
    _, pod = cluster.finish()
    _retold(pod)
    assert collected(tmp_path, pod.run) == (64, None), "no weights"
    tiny_model.make(Path(pod.run.resolved.output_dir))
    code, report = collected(tmp_path, pod.run)
    assert code == 0 and report is not None and report.outputs is not None
    assert (report.format_version, report.outcome) == (REPORT_VERSION, "Succeeded")
    assert report.outputs.model_path == pod.run.resolved.output_dir
    assert "version 9" in report.message


def test_a_report_of_another_version_and_another_run_is_not_taken(
    cluster: fakes.Cluster, tmp_path: Path
) -> None:
    _, pod = cluster.finish()
    tiny_model.make(Path(pod.run.resolved.output_dir))
    _retold(pod, run={"namespace": "team", "name": "quick", "uid": "uid-later", "attempt": 1})
    assert collected(tmp_path, pod.run) == (64, None)
    _retold(pod, run=None)
    assert collected(tmp_path, pod.run) == (64, None)


def test_the_log_s_first_lines_say_what_the_image_holds_and_what_accelerates(
    cluster: fakes.Cluster,
) -> None:
    _, pod = cluster.finish(environment={"FAKE_GPUS": "8 of 8: NVIDIA H100, driver 570"})
    first = pod.text().splitlines()[:3]
    assert "sftrun: GPU Pass: devices: 8 of 8: NVIDIA H100, driver 570" in first
