"""A supervisor struck at any touch of any file, by a kill or by the disk: its successor comes to the same end
and does nothing twice that was done."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.image import supervisor_fakes as fakes

from sftrun_trainer import checkpoints, locks, seals, steps

pytestmark = pytest.mark.processes

STAGES = ("Prepare", "Register", "Train")
SEED = 20261129
POINTS = 4
"""Of some eighty, all of which were gone through when this was written; which ones is drawn."""
SCRIPT: fakes.Script = {
    "Train": [["steps", 1, 2, 4], ["checkpoint", 2], ["steps", 3, 4, 4], ["checkpoint", 4], ["result", {}]]
}
DISK = {"WorkspaceFull", "WorkspaceFailed", "NotWritable"}


def facts(pod: fakes.Pod) -> str:
    """Returns the report without who wrote it, when, and where."""
    report = pod.report().to_json_object()
    for key in ("podUid", "podName"):
        report.pop(key)
    for key in ("updatedAt", "smoothedLoss", "done"):
        report["progress"].pop(key, None)
    report["checks"] = [(check["group"], check["name"], check["result"]) for check in report["checks"]]
    return json.dumps(report).replace(pod.run.resolved.workspace, "W")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[str]]:
    """The report of a run that nothing happened to, and the files that it touched, in order."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with fakes.cluster(folder) as cluster:
        code, pod = cluster.finish(SCRIPT, environment={"TELL": "1"})
        assert code == 0
        touches = (folder / "start-0" / "touches").read_text().splitlines()
    touched = "\n".join(touches)
    for name in ("lock.json", "starts.json", "claim.json", "stages/.train.json", "seals/.checkpoint-4.json"):
        assert name in touched
    return facts(pod), touches


@pytest.mark.parametrize("blow", ["a kill", "EIO", "ENOSPC"])
def test_struck_at_any_touch_of_a_file_it_comes_to_the_same(
    tmp_path: Path, undisturbed: tuple[str, list[str]], blow: str
) -> None:
    expected, touches = undisturbed
    number = {"EIO": 5, "ENOSPC": 28}.get(blow)
    for point in sorted(random.Random(f"{SEED}{blow}").sample(range(1, len(touches) + 1), POINTS)):
        folder = tmp_path / f"at-{point}"
        folder.mkdir()
        where = f"{blow} before {touches[point - 1]}"
        with fakes.cluster(folder) as cluster:
            environment = {"DIE_AT": str(point)} if number is None else {"FAIL_AT": f"{point}:{number}"}
            struck = cluster.start(SCRIPT, environment=environment)
            code = struck.wait()
            done = [stage for stage in STAGES if (struck.state / "stages" / f"{stage.lower()}.json").exists()]
            if number is None:
                assert code in (-signal.SIGKILL, 0), where  # the lock beats as often as there is time for
            else:
                failure = struck.report().failure
                assert (code, failure is not None) in ((0, False), (1, True), (64, True)), where
                assert failure is None or failure.reason in DISK, f"{where}: {failure}"
            # The same pod's container, or another pod, which has to wait for the lock.
            code, pod = cluster.finish(SCRIPT, pod_uid=f"pod-{1 + point % 2}", options=fakes.IMPATIENT)
            assert code == 0, f"{where}: {pod.text()}"
            assert facts(pod) == expected, where
            # A beat that was never renamed stays: it might be a contender's.
            left = [
                path.name for path in pod.folder.rglob("*.tmp") if not path.name.startswith(".lock.json.")
            ]
            assert left == [], where
            did = [word for word in pod.did() if word in STAGES]
            assert {stage for stage in STAGES if did.count(stage) > 1}.isdisjoint(done), where
            assert [record.step for record in steps.read(pod.state / steps.STEPS_FILE).steps] == [1, 2, 3, 4]
            lock = locks.read(pod.state)
            assert lock is not None and lock.released, where


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[fakes.Cluster]:
    with fakes.cluster(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize(("number", "reason"), [(5, "WorkspaceFailed"), (28, "WorkspaceFull")])
def test_a_checkpoint_that_the_volume_did_not_take_is_none_and_ends_the_training(
    cluster: fakes.Cluster, number: int, reason: str
) -> None:
    script: fakes.Script = {"Train": [["steps", 1, 2, 4], ["checkpoint", 2], ["hang"]]}
    code, pod = cluster.finish(script, environment={"SYNC_FAILS": str(number)})
    failure = pod.report().failure
    assert failure is not None
    assert (code, failure.reason) == (1, reason)
    assert str(pod.folder) in failure.message
    assert checkpoints.fault_of(pod.folder / "checkpoint-2", world_size=2) is not None
    assert seals.read(pod.folder / "checkpoint-2") is None
    assert cluster.finish(SCRIPT)[0] == 0


def test_what_is_saved_after_sigterm_is_sealed_before_the_pod_ends(cluster: fakes.Cluster) -> None:
    pod = cluster.start(
        {"Train": [["steps", 1, 2, 4], ["save_when_stopped", 2], ["mark", "ready"], ["hang"]]}
    )
    pod.did_so_far("ready")
    pod.terminate()
    assert pod.wait() == 75
    assert seals.read(pod.folder / "checkpoint-2") is not None


@pytest.mark.parametrize("file", ["stages/.prepare.json", "stages/.train.json", "seals/.checkpoint-4.json"])
def test_a_volume_that_becomes_read_only_in_mid_run(cluster: fakes.Cluster, file: str) -> None:
    code, pod = cluster.finish(SCRIPT, environment={"FAIL_FROM": f"{file}:30"})
    failure = pod.report().failure
    assert failure is not None
    assert (code, failure.reason) == (1, "WorkspaceFailed")
    assert "Read-only file system" in failure.message and str(pod.folder) in failure.message
    assert cluster.finish(SCRIPT, pod_uid="pod-2", options=fakes.IMPATIENT)[0] == 0
