"""A Harbor job folder: its trials, what each was for, and what reward each was given.

Rewards and task names come from several files, some of which may be missing or torn; the nearer one wins.
Nothing
here reads a trajectory.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sftrun_data import files, jsons
from sftrun_data.exclusions import LeftOut

TRIAL_MARKS = ("agent", "result.json", "config.json", "trial.log", "steps", "verifier", "exception.txt")
"""What makes a folder a trial's. One of them is enough: a trial may end at any point."""

_SEPARATORS = re.compile(r"[/\\]+")
_REPOSITORY_KEYS = ("repo", "repository", "repo_name", "repo_full_name")
_REPOSITORY = re.compile(r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$")
_INSTANCE = re.compile(r"^([A-Za-z0-9.-]+(?:_[A-Za-z0-9.-]+)*)__([A-Za-z0-9_.-]+?)-\d+(?:__\w+)?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One attempt at one task."""

    name: str
    folder: Path
    instance: str
    repositories: frozenset[str]
    """`owner/name` in lower case: all that the task's name and metadata show, none if they show none."""
    rewards: Mapping[str, float]
    errored: str = ""
    """The type of the exception that ended it."""
    rewarded: bool = True
    """False for logs outside of a job: there is no reward to judge by."""
    result_broken: bool = False
    trouble: LeftOut | None = None
    """Why nothing of it may be read at all."""
    read_whole: Mapping[str, str] = field(default_factory=dict)
    """The files that all this was read from, and a digest of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A folder of trials."""

    root: Path
    folders: tuple[Path, ...]
    rewards: Mapping[str, Mapping[str, float]]
    """By trial, as the job's own `result.json` has them."""
    errors: Mapping[str, str]

    def trials(self) -> Iterator[Trial]:
        """Yields the trials in the order of their names, those that left no folder behind included."""
        for folder in self.folders:
            yield self._trial(folder)

    def _trial(self, folder: Path) -> Trial:
        read_whole: dict[str, str] = {}
        result, broken = _document(f"{folder}{os.sep}result.json", self.root, read_whole)
        config, _ = _document(f"{folder}{os.sep}config.json", self.root, read_whole)
        instance = instance_of(result, config, default=folder.name)
        exception = result.get("exception_info")
        return Trial(
            name=folder.name,
            folder=folder,
            instance=instance,
            repositories=repositories_of(instance, result, config),
            rewards=dict(self.rewards.get(folder.name, {}))
            | _rewards_of(folder, result, self.root, read_whole),
            errored=str(exception.get("exception_type") or "exception")
            if isinstance(exception, dict)
            else self.errors.get(folder.name, ""),
            result_broken=broken,
            trouble=files.trouble_with(folder, root=self.root),
            read_whole=read_whole,
        )


def is_job(path: Path) -> bool:
    """Whether a folder is a Harbor job: it holds a trial, or a job's result."""
    return _is_job_result(path) or any(
        _has_marks(child) for child in files.children(path, field="harborJob.path")
    )


def is_trial(path: Path) -> bool:
    """Whether a folder is a trial's, not a job's."""
    return _has_marks(path) and not _is_job_result(path) and not _holds_trials(path)


def _is_trial_folder(path: Path) -> bool:
    """What may not be entered is counted as a trial: it is lost like one."""
    return _has_marks(path) or (files.is_dir(path) and not os.access(path, os.X_OK))


def _has_marks(path: Path) -> bool:
    # Of nothing but a folder can this be true; and the first one is there nearly always.
    return any(files.exists(f"{path}{os.sep}{mark}") for mark in TRIAL_MARKS)


def _holds_trials(path: Path) -> bool:
    """A job that ended early has `config.json` and no result: what it holds tells it from a trial."""
    parts = ("agent", "steps", "verifier", "artifacts")
    return any(
        _has_marks(child) for child in files.children(path, field="harborJob.path") if child.name not in parts
    )


def open_job(path: Path) -> Job:
    """Returns the job in a folder, or the one trial that the folder is. Raises UnreadableSource."""
    if is_trial(path):
        return Job(root=path, folders=(path,), rewards={}, errors={})
    result, _ = _document(f"{path}{os.sep}result.json", path)
    rewards, errors = _stats(result)
    present = {
        child.name: child for child in files.children(path, field="harborJob.path") if _is_trial_folder(child)
    }
    vanished = {name: path / name for name in (*rewards, *errors) if name not in present and _is_name(name)}
    named = present | vanished
    return Job(
        root=path, folders=tuple(named[name] for name in sorted(named)), rewards=rewards, errors=errors
    )


def instance_of(result: Mapping[str, Any], config: Mapping[str, Any], *, default: str) -> str:
    """Returns the task's name: from the result, else from the configured path, else the folder's own."""
    task_id = result.get("task_id")
    task = config.get("task")
    for candidate in (
        result.get("task_name"),
        task_id if isinstance(task_id, str) else None,
        _name_in(task_id),
        _name_in(task),
    ):
        if isinstance(candidate, str) and candidate.strip():
            return _last_segment(candidate) if _is_path(candidate) else candidate
    return default


def repositories_of(instance: str, *metadata: Mapping[str, Any]) -> frozenset[str]:
    """Returns every `owner/name` in lower case that a task's name (`owner__name-123`) or metadata shows."""
    found = {name for document in metadata for name in _repositories_in(document, depth=4)}
    if match := _INSTANCE.match(_last_segment(instance)):
        found.add(f"{match[1]}/{match[2]}")
    return frozenset(name.lower() for name in found)


def _repositories_in(value: Any, *, depth: int) -> Iterator[str]:
    if not isinstance(value, dict) or depth == 0:
        return
    for key, item in value.items():
        if key in _REPOSITORY_KEYS and isinstance(item, str) and _REPOSITORY.match(item):
            yield item
        elif isinstance(item, dict):
            yield from _repositories_in(item, depth=depth - 1)


def _name_in(task: Any) -> str | None:
    if not isinstance(task, dict):
        return None
    if isinstance(task.get("name"), str) and isinstance(task.get("org"), str):
        return f"{task['org']}/{task['name']}"
    for key in ("path", "name"):
        if isinstance(task.get(key), str):
            return _last_segment(task[key]) if key == "path" else task[key]
    return None


def _is_path(name: str) -> bool:
    return "\\" in name or name.startswith(("/", "./", "../")) or name.count("/") > 1


def _last_segment(path: str) -> str:
    segments = [segment for segment in _SEPARATORS.split(path) if segment]
    return segments[-1] if segments else path


def _rewards_of(
    folder: Path, result: Mapping[str, Any], root: Path, read_whole: dict[str, str]
) -> dict[str, float]:
    verifier = result.get("verifier_result")
    if isinstance(verifier, dict) and (rewards := _numbers(verifier.get("rewards"))):
        return rewards
    written, _ = _document(str(folder / "verifier" / "reward.json"), root, read_whole)
    if rewards := _numbers(written):
        return rewards
    try:
        path = folder / "verifier" / "reward.txt"
        text = files.read(path, root=root, limit=4096, read_whole=read_whole)
    except LeftOut:
        return {}
    return _numbers({"reward": text.decode(errors="replace").strip()})


def _numbers(rewards: Any) -> dict[str, float]:
    if not isinstance(rewards, dict):
        return {}
    numbers = {str(name): number(value) for name, value in rewards.items()}
    return {name: value for name, value in numbers.items() if value is not None}


def number(value: Any) -> float | None:
    """Returns a reward as a number, whatever it was written as (1, "1", "1.0", true); None for what is
    none."""
    try:
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def _stats(result: Mapping[str, Any]) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    rewards: dict[str, dict[str, float]] = {}
    errors: dict[str, str] = {}
    stats = result.get("stats")
    evals = stats.get("evals") if isinstance(stats, dict) else None
    for evaluation in evals.values() if isinstance(evals, dict) else ():
        if not isinstance(evaluation, dict):
            continue
        for name, value, trial in _rewarded(evaluation.get("reward_stats")):
            rewards.setdefault(trial, {})[name] = value
        exceptions = evaluation.get("exception_stats")
        for kind, trials in exceptions.items() if isinstance(exceptions, dict) else ():
            errors.update(
                {trial: str(kind) for trial in trials if isinstance(trial, str)}
                if isinstance(trials, list)
                else {}
            )
    return rewards, errors


def _rewarded(reward_stats: Any) -> Iterator[tuple[str, float, str]]:
    for name, values in reward_stats.items() if isinstance(reward_stats, dict) else ():
        for written, trials in values.items() if isinstance(values, dict) else ():
            value = number(written)
            if value is not None and isinstance(trials, list):
                yield from ((str(name), value, trial) for trial in trials if isinstance(trial, str))


def _is_name(name: str) -> bool:
    return bool(name) and not _SEPARATORS.search(name) and name not in (".", "..") and "\0" not in name


def _is_job_result(path: Path) -> bool:
    result, _ = _document(f"{path}{os.sep}result.json", path)
    return isinstance(result.get("stats"), dict) or "n_total_trials" in result


def _document(path: str, root: Path, read_whole: dict[str, str] | None = None) -> tuple[dict[str, Any], bool]:
    """Returns a JSON object that helps where it is there, and whether it is there but broken."""
    try:
        data = files.read(path, root=root, limit=files.MAX_METADATA_BYTES, read_whole=read_whole)
        value = jsons.loads(data).value
    except (LeftOut, jsons.BrokenJSON):
        return {}, files.exists(path)
    return (value, False) if isinstance(value, dict) else ({}, True)
