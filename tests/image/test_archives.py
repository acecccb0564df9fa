"""The archive of an attempt: what is taken over, what is not, and the index that many runs write."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.image.supervisor_fakes import run_file

from sftrun_api import archives
from sftrun_api.reports import Outcome, Report, Stage
from sftrun_api.run_files import RunFile
from sftrun_api.specs import SFTRunSpec
from sftrun_api.statuses import Failure, Outputs, Progress, TrainingMetrics
from sftrun_trainer import archive, files, folders, starts
from sftrun_trainer.archive import copies, indexes, inventories, log_files
from sftrun_trainer.archive.contents import Contents
from sftrun_trainer.redactions import HIDDEN, Redactor

SECRET = "a-very-secret-value"
LATER = 1_790_000_000.0


def attempt(tmp_path: Path, *, run: RunFile | None = None, **changes: Any) -> archive.Attempt:
    """Returns an attempt with an output folder, its ConfigMap and the logs of two pods."""
    workspace = tmp_path / "workspace"
    run = run or run_file(workspace)
    folder, config = folders.of_run(run), tmp_path / "config"
    for place in (folder.logs, config):
        place.mkdir(parents=True, exist_ok=True)
    (config / "llamafactory.yaml").write_text("stage: sft\n")
    (config / "deepspeed.json").write_text("{}")
    (folder.state / "llamafactory.yaml").write_text(f"stage: sft\nkey: {SECRET}\n")
    (folder.state / "steps.jsonl").write_text('{"step": 1, "loss": 2.0}\n')
    folders.write_claim(folder.state, run.run, training_digest="trained")
    (folder.root / "training_loss.png").write_bytes(b"\x89PNG")
    (folder.root / "model.safetensors").write_bytes(b"weights")
    own = [starts.Start(uid=run.run.uid, attempt=run.run.attempt, pod_uid=pod) for pod in ("pod-1", "pod-2")]
    another = starts.Start(uid="another", attempt=run.run.attempt, pod_uid="pod-0")
    starts.write(folder.state, (another, *own))
    for pod in ("pod-0", "pod-1", "pod-2"):
        (folder.logs / f"1-{pod}-train.log").write_text(f"the log of {pod}\n")
    values: dict[str, Any] = {
        "run": run,
        "folder": folder,
        "config_dir": config,
        "report": report(run),
        "pod_uid": "pod-2",
        "pod_name": "quick-pod",
        "environment": {"NCCL_DEBUG": "INFO", "HF_TOKEN": SECRET, "EDITOR": "vi", "PATH": f"/bin:{SECRET}"},
        "started_at": LATER - 60,
        "ended_at": LATER,
        "said": f"began with {SECRET}\n",
        "redact": Redactor([SECRET]),
    }
    return archive.Attempt(**{**values, **changes})


def report(run: RunFile, **changes: Any) -> Report:
    values: dict[str, Any] = {
        "run": run.run,
        "pod_uid": "pod-2",
        "stage": Stage.TRAIN,
        "outcome": Outcome.FAILED,
        "progress": Progress(stage="Train", step=7),
        "failure": Failure(reason="Diverged", message="the loss rises"),
        "outputs": Outputs(training_metrics=TrainingMetrics(final_loss=1.5)),
    }
    return Report(**{**values, **changes})


def written(given: archive.Attempt) -> tuple[Path, archives.Metadata]:
    place = archive.place_of(given)
    metadata = archive.write(given, place)
    assert archive.note(given, metadata, place) == ()
    return place, metadata


def names_in(place: Path) -> set[str]:
    return {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}


def test_an_archive_holds_all_but_weights_and_data(tmp_path: Path) -> None:
    place, metadata = written(attempt(tmp_path))
    assert place == tmp_path / "workspace" / "artifacts" / "archives" / "quick-0b7d3-1"
    assert names_in(place) == {
        *("sftrun.yaml", "metadata.yaml", "report.json", "run.json", "packages.txt", "steps.jsonl"),
        *("rendered/llamafactory.yaml", "rendered/deepspeed.json"),
        *("started/llamafactory.yaml", "started/starts.json", "plots/training_loss.png"),
        *("logs/1-pod-1-train.log", "logs/1-pod-2-train.log", "logs/1-pod-2-supervisor.log"),
    }
    assert metadata.missing == {}
    read = archives.Metadata.model_validate(yaml.safe_load((place / "metadata.yaml").read_text()))
    assert read == metadata
    assert (read.outcome, read.reason, read.step) == ("Failed", "Diverged", 7)
    assert (read.started_at, read.ended_at) == ("2026-09-21T14:12:20Z", "2026-09-21T14:13:20Z")
    assert [(log.pod_uid, log.stage) for log in read.logs] == [
        ("pod-1", "train"),
        ("pod-2", "train"),
        ("pod-2", "supervisor"),
    ]
    assert read.versions["python"] and read.versions["torch"]


def test_of_another_runs_folder_nothing_is_taken(tmp_path: Path) -> None:
    given = attempt(tmp_path)
    other = run_file(tmp_path / "workspace", name="other", uid="another").run
    folders.write_claim(given.folder.state, other, training_digest="trained")
    place, metadata = written(given)
    names = names_in(place)
    assert not {name for name in names if name.startswith(("started/", "plots/", "results/", "steps"))}
    assert metadata.digests == {} and "rendered/llamafactory.yaml" in names


def test_no_secret_is_in_it(tmp_path: Path) -> None:
    place, metadata = written(attempt(tmp_path))
    for path in place.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path
    assert metadata.environment == {"NCCL_DEBUG": "INFO", "HF_TOKEN": HIDDEN, "PATH": f"/bin:{HIDDEN}"}


@pytest.mark.parametrize(
    ("env", "hidden"),
    [
        ([{"name": "NCCL_DEBUG", "value": "INFO"}], ()),
        ([{"name": "MY_KEY", "value": "x"}, {"name": "A", "value": "b"}], ("infrastructure.env[MY_KEY]",)),
        ([{"name": "URL", "value": "https://me:word@host/"}], ("infrastructure.env[URL]",)),
        ([{"name": "MY_KEY", "value": ""}], ()),
    ],
)
def test_the_object_is_the_spec_but_for_secrets(
    tmp_path: Path, env: list[dict[str, str]], hidden: tuple[str, ...]
) -> None:
    run = run_file(tmp_path / "workspace", infrastructure={"env": env})
    place, metadata = written(attempt(tmp_path, run=run))
    value = yaml.safe_load((place / "sftrun.yaml").read_text())
    assert (value["apiVersion"], value["kind"]) == ("sftrun.dev/v1alpha1", "SFTRun")
    assert value["metadata"] == {"name": "quick", "namespace": "team"}
    spec = SFTRunSpec.model_validate(value["spec"])
    assert metadata.redacted == hidden
    assert (spec == run.spec) is (not hidden)
    assert [each.value == HIDDEN for each in spec.infrastructure.env] == [
        f"infrastructure.env[{each['name']}]" in hidden for each in env
    ]


def test_a_later_pod_of_the_attempt_adds_its_own(tmp_path: Path) -> None:
    first = attempt(tmp_path, pod_uid="pod-1", said="the first\n")
    place, _ = written(first)
    again, metadata = written(attempt(tmp_path, said="the second\n"))
    assert again == place
    assert (place / "logs" / "1-pod-1-supervisor.log").read_text() == "the first\n"
    assert metadata.pod_uid == "pod-2" and len(metadata.logs) == 4
    index = tmp_path / "workspace" / "artifacts" / "index.yaml"
    assert len(archives.entries(index.read_text())) == 1


def test_another_uid_with_the_same_beginning_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    place, _ = written(attempt(tmp_path))
    other = run_file(tmp_path / "workspace", uid="0b7d3fff-other")
    there, _ = written(attempt(tmp_path, run=other))
    assert there != place and there.name == "quick-0b7d3fff-other-1"


def test_what_cannot_be_read_is_named_and_links_are_not_followed(tmp_path: Path) -> None:
    given = attempt(tmp_path)
    private = tmp_path / "private"
    private.write_text("nobody's business")
    curve = given.folder.state / "steps.jsonl"
    curve.unlink()
    curve.symlink_to(private)
    log = given.folder.logs / "1-pod-1-train.log"
    log.unlink()
    log.mkdir()
    place, metadata = written(given)
    assert set(metadata.missing) == {"steps.jsonl", "logs/1-pod-1-train.log"}
    assert b"nobody's" not in b"".join(path.read_bytes() for path in place.rglob("*") if path.is_file())


def test_a_config_map_is_taken_as_kubelet_mounts_it(tmp_path: Path) -> None:
    """Each file is a link into a folder of one moment."""
    given = attempt(tmp_path)
    moment = given.config_dir / "..2026_11_29_07_00_00.1"
    moment.mkdir()
    (given.config_dir / "..data").symlink_to(moment.name)
    for path in (given.config_dir / "llamafactory.yaml", given.config_dir / "deepspeed.json"):
        path.rename(moment / path.name)
        path.symlink_to(Path("..data", path.name))
    place, metadata = written(given)
    assert metadata.missing == {}
    assert (place / "rendered" / "llamafactory.yaml").read_text() == "stage: sft\n"


def test_an_archive_that_is_a_link_is_not_written(tmp_path: Path) -> None:
    given = attempt(tmp_path)
    place, elsewhere = archive.place_of(given), tmp_path / "elsewhere"
    elsewhere.mkdir()
    place.parent.mkdir(parents=True)
    place.symlink_to(elsewhere)
    with pytest.raises(OSError, match="link"):
        archive.write(given, place)
    assert not list(elsewhere.iterdir())


def test_a_workspace_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    given = attempt(tmp_path)
    gone = dataclasses.replace(given, run=run_file(tmp_path / "gone"))
    with pytest.raises(FileNotFoundError):
        archive.write(gone, archive.place_of(gone))
    assert not (tmp_path / "gone").exists()


def test_a_long_log_keeps_its_beginning_and_its_end(tmp_path: Path) -> None:
    source, target = tmp_path / "a.log", tmp_path / "b.log"
    source.write_text("".join(f"line {number}\n" for number in range(10_000)))
    size, left_out = copies.copy_log(source, target, most=4000)
    text = target.read_text()
    assert text.startswith("line 0\n") and text.endswith("line 9999\n")
    assert left_out == source.stat().st_size - 4000 and f"{left_out} bytes are left out" in text
    assert size == len(text.encode()) < 4200


def test_the_newest_logs_come_first_when_there_is_little_room(tmp_path: Path) -> None:
    given = attempt(tmp_path)
    contents = Contents(root=tmp_path / "archive")
    contents.root.mkdir()
    logs = log_files.take(contents, given, most=50)
    assert [log.left_out > 0 for log in logs] == [True, False, False]


def test_a_file_that_is_too_long_is_left_out(tmp_path: Path) -> None:
    source = tmp_path / "a"
    source.write_bytes(b"12345")
    with pytest.raises(copies.TooLong):
        copies.copy(source, tmp_path / "b", most=4)
    assert copies.copy(source, tmp_path / "b", most=5) == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


# The index.


def entry(number: int) -> archives.Entry:
    return archives.Entry(archive=f"run-{number}", name=f"run-{number}", attempt=1, outcome="Succeeded")


def test_a_line_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "artifacts" / "index.yaml"
    path.parent.mkdir()
    for number in (1, 2, 1):
        indexes.record(tmp_path, entry(number))
    assert [item["archive"] for item in yaml.safe_load(path.read_text())] == ["run-1", "run-2"]
    assert [each.archive for each in archives.entries(path.read_text())] == ["run-1", "run-2"]


@pytest.mark.parametrize(
    "before",
    [
        "# notes\n- run_001\n- id: run_002\n  status: completed\n",
        '- {"archive": "torn-1", "na',
        archives.line_of(entry(7)) + '- {"archive": "torn',
        "",
    ],
)
def test_foreign_lines_stay_and_torn_ones_go(tmp_path: Path, before: str) -> None:
    path = tmp_path / "artifacts" / "index.yaml"
    path.parent.mkdir()
    path.write_text(before)
    indexes.record(tmp_path, entry(1))
    value = yaml.safe_load(path.read_text())
    assert isinstance(value, list) and value[-1]["archive"] == "run-1"
    foreign = [line for line in before.split("\n") if line and not archives.is_ours(line)]
    assert all(line in path.read_text().split("\n") for line in foreign)
    assert "torn" not in path.read_text()


@pytest.mark.parametrize("before", ["runs: {a: 1}\n", "just words", "[1, 2", "- [\n"])
def test_what_is_no_list_is_left_alone(tmp_path: Path, before: str) -> None:
    path = tmp_path / "artifacts" / "index.yaml"
    path.parent.mkdir()
    path.write_text(before)
    given = attempt(tmp_path, run=run_file(tmp_path))
    place = archive.place_of(given)
    (why,) = archive.note(given, archive.write(given, place), place)
    assert path.read_text() == before and "index.yaml" in why


def test_a_line_that_got_lost_comes_back(tmp_path: Path) -> None:
    written(attempt(tmp_path))
    index = tmp_path / "workspace" / "artifacts" / "index.yaml"
    index.unlink()
    indexes.record(tmp_path / "workspace", entry(1))
    assert {each.archive for each in archives.entries(index.read_text())} == {"quick-0b7d3-1", "run-1"}


def test_many_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    count = 8
    (tmp_path / "artifacts" / "archives").mkdir(parents=True)
    barrier = threading.Barrier(count)

    def write(number: int) -> None:
        place = tmp_path / "artifacts" / "archives" / f"run-{number}"
        place.mkdir()
        run = run_file(tmp_path, name=f"run-{number}").run
        metadata = archives.Metadata(
            run=run, pod_uid="p", outcome="Succeeded", stage="Collect", started_at="", ended_at="",
            image="i", spec_hash="h",
        )  # fmt: skip
        barrier.wait()
        files.write_atomically(place / "metadata.yaml", yaml.safe_dump(metadata.to_json_object()))
        indexes.record(tmp_path, archives.entry_from(metadata, archive=place.name, report={}))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = archives.entries((tmp_path / "artifacts" / "index.yaml").read_text())
    assert {each.archive for each in found} == {f"run-{number}" for number in range(count)}


# Versions and variables.


def test_versions_name_what_was_asked_for(tmp_path: Path) -> None:
    driver = tmp_path / "version"
    driver.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15\nGCC version\n")
    found = inventories.versions(
        {"Torch": "2.8.0", "flash_attn": "2.8.3"}, environment={"SFTRUN_REVISION": "abc"}, driver=driver
    )
    assert (found["torch"], found["flash-attn"], found["revision"]) == ("2.8.0", "2.8.3", "abc")
    assert found["driver"].endswith("550.54.15")
    none = inventories.versions({}, environment={}, driver=tmp_path / "none")
    assert set(none) == {"python", "kernel"}


def test_packages_are_those_that_are_imported() -> None:
    class Fake(importlib.metadata.Distribution):
        def __init__(self, text: str) -> None:
            self._text = text

        def read_text(self, filename: str) -> str:
            return self._text

        def locate_file(self, path: Any) -> Any:
            return path

    first, second = Fake("Name: a\nVersion: 1\n"), Fake("Name: a\nVersion: 2\n")
    assert inventories.packages([first, second]) == {"a": "1"}
    assert inventories.packages()["pydantic"]


def test_report_and_run_file_are_read_again(tmp_path: Path) -> None:
    given = attempt(tmp_path)
    place, _ = written(given)
    assert Report.model_validate(json.loads((place / "report.json").read_text())) == given.report
    assert RunFile.model_validate(json.loads((place / "run.json").read_text())) == given.run
