"""Conversions by several processes: the same records as by one, and nothing left where they fail."""

from __future__ import annotations

import resource
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from bench import convert_logs
from tests.image import data_samples as samples

from sftrun_data import contents, crews, digests, errors, pools
from sftrun_data.conversions import convert
from sftrun_data.readers.base import Place
from sftrun_data.requests import HarborJobInput

pytestmark = pytest.mark.processes


@pytest.fixture
def several(monkeypatch: pytest.MonkeyPatch) -> None:
    """However small the input, processes are started, and each gets some of it."""
    monkeypatch.setattr(pools, "BYTES_A_WORKER", 1)
    monkeypatch.setattr(contents, "_BYTES_A_TASK", 1)


def job_of(tmp_path: Path) -> Path:
    """A job with everything in it: logs of several shapes, duplicates, low rewards and broken trials."""
    job = tmp_path / "jobs" / "job"
    for shape in convert_logs.SHAPES:
        convert_logs.write_job(job, shape=shape, trials=2, size=convert_logs.Size(calls=6, prompt=200))
        for folder in sorted(job.glob("trial-*")):
            folder.rename(job / f"{shape}-{folder.name}")
    first = sorted(job.iterdir())[0]
    for number in range(3):
        copy = convert_logs.write_trial(job, 100 + number)
        samples.write(copy / convert_logs.LOG, (first / convert_logs.LOG).read_bytes())
    for number, log in enumerate(["", "{", '{"request_body": 1}\n' * 3]):
        samples.write(convert_logs.write_trial(job, 200 + number) / convert_logs.LOG, log)
    samples.write(
        convert_logs.write_trial(job, 300) / "result.json", {"verifier_result": {"rewards": {"r": 0}}}
    )
    return job


def add_to(told: list[Any], *what: Any) -> None:
    """Notes what was told."""
    told.append(what)


OPTIONS: list[dict[str, Any]] = [
    {},
    {"max_instances": 5},
    {"branches": "All"},
    {"min_score": 0.95},
    {"samples": "PerTurn"},
]


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize("options", OPTIONS, ids=[" ".join(options) or "plain" for options in OPTIONS])
def test_the_same_bytes_for_any_number_of_workers(tmp_path: Path, options: dict[str, Any]) -> None:
    job = job_of(tmp_path)
    found = []
    for workers in (1, 2, 3):
        workspace = tmp_path / f"workspace-{workers}"
        progress: list[tuple[int, int | None]] = []
        request = samples.request(
            workspace, HarborJobInput(path=job, scaffold="ClaudeCode"), validation=0.3, **options
        )
        result = convert(request, on_progress=partial(add_to, progress), workers=workers)
        contents = [Path(result.im_path), *(Path(dataset.path) for dataset in result.datasets)]
        found.append(
            (
                [path.read_bytes() for path in contents],
                [path.name for path in contents],
                result.digest,
                result.excluded,
                result.noted,
                result.figures,
                progress,
            )
        )
    assert found[0] == found[1] == found[2]
    assert found[0][-1] == [(number + 1, 23) for number in range(23)]


@pytest.fixture
def hired(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that were started."""
    processes: list[subprocess.Popen[bytes]] = []
    hire = crews.Crew.hire

    def watched(crew: crews.Crew) -> None:
        hire(crew)
        processes.append(crew._workers[-1].process)

    monkeypatch.setattr(crews.Crew, "hire", watched)
    return processes


@pytest.mark.usefixtures("several")
def test_a_worker_that_is_killed_leaves_no_records(
    tmp_path: Path, hired: list[subprocess.Popen[bytes]]
) -> None:
    def kill(done: int, total: int | None) -> None:
        hired[0].kill()

    job = job_of(tmp_path)
    request = samples.request(tmp_path, HarborJobInput(path=job, scaffold="ClaudeCode"))
    with pytest.raises(errors.WorkerFailed, match="killed by signal 9"):
        convert(request, on_progress=kill, workers=2)
    assert [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()] == []


@pytest.mark.usefixtures("several")
def test_workers_have_ended_when_the_draft_is_removed(
    tmp_path: Path, hired: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder with a file that somebody has open stays, on NFS."""
    running: list[bool] = []

    def fail(done: int, total: int | None) -> None:
        raise errors.BadData("a bad day")

    def watched(folder: Path, **how: Any) -> None:
        running.extend(process.poll() is None for process in hired)

    monkeypatch.setattr(shutil, "rmtree", watched)
    request = samples.request(tmp_path, HarborJobInput(path=job_of(tmp_path), scaffold="ClaudeCode"))
    with pytest.raises(errors.BadData, match="a bad day"):
        convert(request, on_progress=fail, workers=2)
    assert running == [False]


@pytest.mark.usefixtures("several")
def test_a_disk_that_is_full_for_a_worker_is_named_and_leaves_no_records(
    tmp_path: Path, hired: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    hire = crews.Crew.hire

    def limited(crew: crews.Crew) -> None:
        hire(crew)
        resource.prlimit(hired[-1].pid, resource.RLIMIT_FSIZE, (0, 0))

    monkeypatch.setattr(crews.Crew, "hire", limited)
    job = job_of(tmp_path)
    request = samples.request(tmp_path, HarborJobInput(path=job, scaffold="ClaudeCode"))
    with pytest.raises(errors.WorkspaceFailed, match=r"/(im|lf) cannot be written by uid .*File too large"):
        convert(request, on_progress=lambda *told: None, workers=2)
    assert [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()] == []


@pytest.mark.usefixtures("several")
def test_rows_are_converted_too(tmp_path: Path) -> None:
    rows = [
        {"messages": [{"role": "user", "content": f"Q{n}"}, {"role": "assistant", "content": "A"}]}
        for n in range(9)
    ]
    path = samples.write(tmp_path / "rows.json", rows)
    result = convert(samples.request(tmp_path, path), on_progress=lambda *told: None, workers=2)
    assert result.converted == 9


def test_the_first_record_is_written_before_the_last_log_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = tmp_path / "jobs" / "job"
    convert_logs.write_job(job, shape="plain", trials=4, size=convert_logs.Size(calls=4, prompt=5000))
    read: list[str] = []
    written: list[int] = []
    seen: list[int] = []
    content_of, lines = digests.content_of, Place.long_lines

    def watched(path: str) -> str:
        read.append(Path(path).parts[-3])
        return content_of(path)

    def watched_lines(place: Place, path: Path) -> Any:
        read.append(path.parts[-3])
        return lines(place, path)

    def look(done: int, total: int | None) -> None:
        written.append(sum(path.stat().st_size for path in tmp_path.glob("artifacts/data/.converting-*/im")))
        seen.append(len({name for name in read if name.startswith("trial-")}))

    monkeypatch.setattr(digests, "content_of", watched)
    monkeypatch.setattr(Place, "long_lines", watched_lines)
    convert(samples.request(tmp_path, job), on_progress=look, workers=1)
    assert written[0] > 0
    assert (seen[0], seen[-1]) == (1, 4)


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_trial_is_read_once_and_digests_are_those_of_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    job = tmp_path / "jobs" / "job"
    convert_logs.write_job(job, shape="plain", trials=4, size=convert_logs.SMALL)
    apart: list[str] = []
    contents_of = digests.contents_of

    def watched(paths: Iterable[str]) -> Iterator[list[str]]:
        apart.extend(paths)
        return contents_of(paths)

    with monkeypatch.context() as patch:
        patch.setattr(digests, "contents_of", watched)
        first = convert(samples.request(tmp_path, job), on_progress=lambda *told: None, workers=1)
    assert apart, "of files that are not there one has to hear as well"
    assert not [path for path in apart if Path(path).is_file() and Path(path).parent != job]
    again = convert(samples.request(tmp_path, job), on_progress=lambda *told: None, workers=workers)
    assert again.reused and again.digest == first.digest


@pytest.mark.usefixtures("several")
def test_files_that_were_all_read_along_need_no_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = tmp_path / "jobs" / "job"
    convert_logs.write_job(job, shape="plain", trials=6, size=convert_logs.SMALL)
    monkeypatch.setattr(contents, "_FILES_A_TASK", 1)
    digest = [
        convert(
            samples.request(tmp_path / str(workers), HarborJobInput(path=job)),
            on_progress=lambda *told: None,
            workers=workers,
        ).digest
        for workers in (1, 2)
    ]
    assert digest[0] == digest[1]
