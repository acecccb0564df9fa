"""Writes the archive of an attempt, in place and file by file, with `metadata.yaml` last.

What cannot be taken over is named in the metadata; only what makes the archive worthless raises. Weights and
data are left where they are.
"""

from __future__ import annotations

import datetime
import errno
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from sftrun_api import archives, names
from sftrun_api.reports import Outcome
from sftrun_trainer import arguments, files, folders, registrations, starts, steps
from sftrun_trainer.archive import copies, indexes, inventories, log_files, objects
from sftrun_trainer.archive.attempts import Attempt
from sftrun_trainer.archive.contents import Contents

FILE_BYTES = 64 << 20
"""The most of any file but a log: the curve of 200,000 steps."""
RESULTS = (
    *("train_results.json", "eval_results.json", "all_results.json", "trainer_log.jsonl"),
    *("config.json", "generation_config.json", "adapter_config.json"),
)
PLOTS = (*folders.PLOTS, "training_loss.png", "training_eval_loss.png")


def place_of(attempt: Attempt) -> Path:
    """Returns the attempt's folder; another one where that holds an attempt of another uid."""
    run = attempt.run.run
    place = attempt.workspace / archives.ARCHIVES / archives.folder_name(run)
    found = _metadata(place)
    if found is None or found.run.uid == run.uid:
        return place
    return place.with_name(f"{run.name}-{run.uid.replace('/', '_')}-{run.attempt}")


def write(attempt: Attempt, place: Path) -> archives.Metadata:
    """Writes the archive. Raises `OSError`."""
    if not attempt.workspace.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the workspace is not there", str(attempt.workspace))
    place.mkdir(parents=True, exist_ok=True)
    if place.is_symlink():
        raise OSError(errno.ELOOP, "is a link", str(place))
    contents = Contents(root=place)
    run, redacted = objects.clean(attempt.run, attempt.redact)
    report, installed = attempt.report.to_json_object(), inventories.packages()
    contents.take(archives.OBJECT_FILE, lambda path: files.write_atomically(path, objects.document(run)))
    contents.take(archives.RUN_FILE, lambda path: files.write_json(path, run.to_json_object()))
    contents.take(archives.REPORT_FILE, lambda path: files.write_json(path, report))
    packages = "".join(f"{name}=={version}\n" for name, version in installed.items())
    contents.take(archives.PACKAGES_FILE, lambda path: files.write_atomically(path, packages))
    for name, source in _sources(attempt):
        _take(contents, name, source, attempt)
    logs = log_files.take(contents, attempt)
    metadata = _metadata_of(attempt, installed, redacted=redacted, logs=logs, missing=contents.missing)
    text = yaml.safe_dump(metadata.to_json_object(), sort_keys=False, allow_unicode=True, width=110)
    files.write_atomically(place / archives.METADATA_FILE, text)
    return metadata


def note(attempt: Attempt, metadata: archives.Metadata, place: Path) -> tuple[str, ...]:
    """Puts the archive's line into the index; returns why that failed, if it did."""
    report = attempt.report.to_json_object()
    try:
        indexes.record(attempt.workspace, archives.entry_from(metadata, archive=place.name, report=report))
    except (OSError, indexes.UnknownIndex) as error:
        return (f"{archives.INDEX} has no line of it: {error}",)
    return ()


def _take(contents: Contents, name: str, source: Path, attempt: Attempt) -> None:
    hide = None if name.startswith(archives.PLOTS) else attempt.redact.in_events
    contents.take(name, lambda path: copies.copy(source, path, most=FILE_BYTES, change=hide))


def _sources(attempt: Attempt) -> Iterator[tuple[str, Path]]:
    """Yields the archive's name of each small file, and where it is now."""
    root, state = attempt.folder.root, attempt.folder.state
    for name in (names.LLAMAFACTORY_FILE, names.DEEPSPEED_FILE):
        # Kubelet mounts a ConfigMap as links into a folder beside them; nobody else may write there.
        yield f"{archives.RENDERED}/{name}", (attempt.config_dir / name).resolve()
    if not _owns(attempt):
        return  # refused the folder: what lies in it is another run's
    for name in (arguments.ARGUMENTS_FILE, arguments.DEEPSPEED_FILE, starts.STARTS_FILE):
        yield f"{archives.STARTED}/{name}", state / name
    yield f"{archives.STARTED}/{registrations.INFO_FILE}", state / "dataset" / registrations.INFO_FILE
    yield archives.STEPS_FILE, state / steps.STEPS_FILE
    yield from ((f"{archives.RESULTS}/{name}", root / name) for name in RESULTS)
    yield from ((f"{archives.PLOTS}/{name}", root / name) for name in PLOTS)


def _metadata_of(
    attempt: Attempt,
    installed: Mapping[str, str],
    *,
    redacted: tuple[str, ...],
    logs: tuple[archives.LogFile, ...],
    missing: Mapping[str, str],
) -> archives.Metadata:
    run, report = attempt.run, attempt.report
    progress, failure = report.progress, report.failure
    return archives.Metadata(
        run=run.run,
        pod_uid=attempt.pod_uid,
        pod_name=attempt.pod_name,
        node_name=attempt.environment.get(names.ENV_NODE_NAME, ""),
        outcome=str(report.outcome or Outcome.RETRY),
        reason=failure.reason if failure is not None else "",
        message=failure.message if failure is not None else report.message,
        stage=str(report.stage),
        step=(progress.step if progress is not None else None) or 0,
        started_at=_rfc3339(attempt.started_at),
        ended_at=_rfc3339(attempt.ended_at),
        image=run.image,
        spec_hash=run.spec_hash,
        digests=_digests(attempt),
        versions=inventories.versions(installed, environment=attempt.environment),
        environment=inventories.environment(
            attempt.environment,
            named=[variable.name for variable in run.spec.infrastructure.env],
            redact=attempt.redact,
        ),
        redacted=redacted,
        logs=logs,
        missing=dict(missing),
    )


def _digests(attempt: Attempt) -> dict[str, str]:
    report, claim = attempt.report, folders.read_claim(attempt.folder.state)
    found = {
        "dataset": report.dataset.digest if report.dataset is not None else None,
        "training": claim.training_digest if claim is not None and _owns(attempt) else None,
        "modelRevision": report.effective.get("modelRevision"),
    }
    return {name: value for name, value in found.items() if isinstance(value, str)}


def _owns(attempt: Attempt) -> bool:
    claim = folders.read_claim(attempt.folder.state)
    return claim is not None and claim.owned_by(attempt.run.run)


def _metadata(place: Path) -> archives.Metadata | None:
    try:
        value = yaml.safe_load(files.read_bounded(place / archives.METADATA_FILE) or b"")
        return archives.Metadata.model_validate(value)
    except (OSError, ValueError, yaml.YAMLError):
        return None


def _rfc3339(seconds: float) -> str:
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
