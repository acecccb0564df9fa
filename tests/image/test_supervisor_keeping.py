"""What a supervisor keeps of an attempt: at every end, and never at the cost of that end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.image import supervisor_fakes
from tests.image.supervisor_fakes import Cluster, Pod

from sftrun_api import archives
from sftrun_api.reports import Report
from sftrun_api.statuses import Artifacts

pytestmark = pytest.mark.processes


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with supervisor_fakes.cluster(tmp_path) as opened:
        yield opened


def place(pod: Pod) -> Path:
    return Path(pod.run.resolved.workspace) / "artifacts" / "archives" / "quick-0b7d3-1"


def metadata(pod: Pod) -> archives.Metadata:
    return archives.Metadata.model_validate(yaml.safe_load((place(pod) / "metadata.yaml").read_text()))


def artifacts(pod: Pod) -> Artifacts:
    outputs = pod.report().outputs
    assert outputs is not None and outputs.artifacts is not None, pod.text()
    return outputs.artifacts


def warned(pod: Pod) -> dict[str, str]:
    checks = Report.model_validate_json((pod.folder / "sftrun-report.json").read_bytes()).checks
    return {check.name: check.message for check in checks if check.group == "archive"}


def test_success_leaves_an_archive_and_a_picture(cluster: Cluster) -> None:
    code, pod = cluster.finish()
    assert code == 0, pod.text()
    found = artifacts(pod)
    assert found.archive == str(place(pod)) and warned(pod) == {}
    assert found.curves_plot == str(pod.folder / "sftrun-curves.png")
    assert metadata(pod).outcome == "Succeeded"
    assert (place(pod) / "plots" / "sftrun-curves.png").read_bytes() == b"a picture"
    archived = Report.model_validate_json((place(pod) / "report.json").read_bytes())
    assert archived.outputs == pod.report().outputs
    log = (place(pod) / "logs" / "1-pod-1-supervisor.log").read_text()
    assert "stage Train begins" in log and "ends: Succeeded" in log
    index = Path(pod.run.resolved.workspace, "artifacts", "index.yaml").read_text()
    assert [entry.outcome for entry in archives.entries(index)] == ["Succeeded"]


@pytest.mark.parametrize(
    ("script", "code", "outcome"),
    [
        ({"Train": [["steps", 1, 2, 4], ["fail", "BadData", "the data is bad", True]]}, 64, "Failed"),
        ({"Train": [["steps", 1, 2, 4], ["fail", "Crashed", "once more", False]]}, 1, "Retry"),
        ({"Prepare": [["fail", "BadData", "the data is bad", True]]}, 64, "Failed"),
    ],
)
def test_failure_leaves_one_too(cluster: Cluster, script: Any, code: int, outcome: str) -> None:
    ended, pod = cluster.finish(script)
    assert ended == code, pod.text()
    assert (artifacts(pod).archive, metadata(pod).outcome) == (str(place(pod)), outcome)
    assert metadata(pod).step == (2 if "Train" in script else 0)


def test_a_stopped_run_is_archived_without_a_picture(cluster: Cluster) -> None:
    script: supervisor_fakes.Script = {"Train": [["steps", 1, 2, 4], ["wait_for", "never"]]}
    pod = cluster.start(script, options={"grace_margin": 60.0})
    pod.did_so_far("Train")
    pod.terminate()
    assert pod.wait() == 75, pod.text()
    assert metadata(pod).outcome == "Stopped"
    assert artifacts(pod).curves_plot is None and artifacts(pod).archive == str(place(pod))


def test_the_pods_of_an_attempt_share_an_archive(cluster: Cluster) -> None:
    cluster.finish({"Train": [["steps", 1, 2, 4], ["fail", "Crashed", "once more", False]]})
    code, pod = cluster.finish(pod_uid="pod-2")
    assert code == 0, pod.text()
    pods = [log.pod_uid for log in metadata(pod).logs if log.stage == "train"]
    assert pods == ["pod-1", "pod-2"] and metadata(pod).outcome == "Succeeded"


def test_a_picture_that_fails_is_a_warning(cluster: Cluster) -> None:
    code, pod = cluster.finish(environment={"FAKE_PLOT": "no ink"})
    assert code == 0 and "no ink" in warned(pod)["plot"]
    assert artifacts(pod).curves_plot is None and artifacts(pod).archive is not None


def test_an_archive_that_cannot_be_written_is_a_warning(cluster: Cluster) -> None:
    (cluster.workspace / "artifacts").mkdir()
    (cluster.workspace / "artifacts" / "archives").write_text("in the way")
    code, pod = cluster.finish()
    assert code == 0, pod.text()
    assert "could not be written" in warned(pod)["archive"]
    assert artifacts(pod).archive is None and artifacts(pod).curves_plot is not None


def test_an_index_of_another_kind_is_a_warning(cluster: Cluster) -> None:
    (cluster.workspace / "artifacts").mkdir()
    (cluster.workspace / "artifacts" / "index.yaml").write_text("runs: {}\n")
    code, pod = cluster.finish()
    assert code == 0 and "index.yaml" in warned(pod)["archive"]
    assert artifacts(pod).archive == str(place(pod))


def test_no_time_for_an_archive_is_a_warning(cluster: Cluster) -> None:
    code, pod = cluster.finish(options={"keep_within": 0.0})
    assert code == 0, pod.text()
    assert set(warned(pod)) == {"archive", "plot"}


@pytest.mark.parametrize("mode", ["DryRun", "PrepareData"])
def test_what_does_not_train_is_archived_but_for_trials(cluster: Cluster, mode: str) -> None:
    run = supervisor_fakes.run_file(cluster.workspace, mode=mode)
    code, pod = cluster.finish(run=run)
    assert code == 0, pod.text()
    assert place(pod).exists() is (mode == "PrepareData")


def test_who_may_not_have_the_folder_writes_no_archive_over_the_holders(cluster: Cluster) -> None:
    holder = cluster.start({"Train": [["wait_for", "go"]]})
    holder.did_so_far("Train")
    second = cluster.start(pod_uid="pod-2")
    second.until(lambda: "attempt 1" in second.text())  # from then on it knows of signals
    second.terminate()
    assert second.wait() == 75
    assert not place(second).exists()


def test_a_path_out_of_the_volumes_is_not_written_through(cluster: Cluster, tmp_path: Path) -> None:
    elsewhere = Path("/etc")
    (cluster.workspace / "artifacts").symlink_to(elsewhere)
    code, pod = cluster.finish()
    assert code == 64, pod.text()
    assert not (elsewhere / "archives").exists()
