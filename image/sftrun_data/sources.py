"""A source, opened: what it depends on, and its trajectories one after the other, each with a way to read it.

Job folders, loose logs and rows of files all become `Unit`s, so everything behind this module knows one
thing only.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from sftrun_data import files, jobs
from sftrun_data.conversations import Conversation
from sftrun_data.exclusions import Note
from sftrun_data.jobs import Job, Trial
from sftrun_data.raw_conversations import RawConversation
from sftrun_data.readers import gatherings, reader_for
from sftrun_data.readers.base import Place, Reader
from sftrun_data.requests import HarborJobInput, SourceRequest
from sftrun_data.selections import Candidate, seeded_order

_METADATA = (
    "result.json",
    "config.json",
    "verifier/reward.json",
    "verifier/reward.txt",
)
"""Of a trial."""
Part = Callable[[], Iterator[Conversation | RawConversation]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A trajectory that may be read: one trial, one log, one row."""

    candidate: Candidate
    parts: tuple[Part, ...]
    """Each may fail on its own: the steps of a trial have a log each."""
    notes: frozenset[str] = frozenset()
    read_whole: Mapping[str, str] = field(default_factory=dict)
    """The files that were read from beginning to end so far, by its parts and for its candidate, and a digest
    of each."""


class Source(Protocol):
    """An opened source."""

    @property
    def request(self) -> SourceRequest:
        """What was asked."""

    @property
    def field(self) -> str:
        """Its path in the spec, for messages."""

    @property
    def where(self) -> str:
        """Its path, for messages."""

    @property
    def reader_id(self) -> str:
        """Name and version of what reads it: a part of the digest."""

    @property
    def total(self) -> int | None:
        """How many units there are, if that is known before reading."""

    @property
    def in_seeded_order(self) -> bool:
        """Whether units come in the order in which `maxInstances` takes them."""

    def inputs(self) -> Iterator[tuple[str, str]]:
        """Yields every file that may be read, and its name within the source."""

    def units(self, *, seed: int) -> Iterator[Unit]:
        """Yields the units."""


def open_logs(request: SourceRequest, harbor: HarborJobInput, *, field: str) -> Source:
    """Returns a Harbor job, or a scaffold's own logs, opened.

    Raises MissingJobFolder, UnreadableSource, EmptyJob, UnknownFormat.
    """
    field = f"{field}.harborJob"
    path = files.require(harbor.path, field=f"{field}.path")
    if files.is_dir(path) and (jobs.is_trial(path) or jobs.is_job(path)):
        job = jobs.open_job(path)
        if not job.folders:
            raise files.nothing_in(path, field=f"{field}.path")
        in_job = (place for folder in job.folders for place in _places(folder, job, request.name))
        return JobSource(
            request=request, field=field, job=job, reader=reader_for(harbor.scaffold, in_job, field=field)
        )
    root = path if files.is_dir(path) else path.parent
    found = (
        [path] if files.is_file(path) else [item for item in files.walk(path) if item.suffix in LOG_SUFFIXES]
    )
    if not found:
        raise files.nothing_in(path, field=f"{field}.path")
    places = (
        _loose_places(found, root, request.name) if root == path else [_loose_place(path, root, request.name)]
    )
    reader = reader_for(harbor.scaffold, places, field=field)
    if harbor.scaffold == "Auto":
        places = [place for place in places if reader.claims(place)] or places
    return LogSource(request=request, field=field, places=tuple(places), reader=reader)


LOG_SUFFIXES = frozenset({".json", ".jsonl", ".txt", ".traj"})


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSource:
    """A Harbor job."""

    request: SourceRequest
    field: str
    job: Job
    reader: Reader

    @property
    def where(self) -> str:
        """Returns the job's folder."""
        return str(self.job.root)

    @property
    def reader_id(self) -> str:
        """Returns the reader's name and version."""
        return f"{self.reader.scaffold}/{self.reader.version}"

    @property
    def total(self) -> int | None:
        """Returns the number of trials."""
        return len(self.job.folders)

    @property
    def in_seeded_order(self) -> bool:
        """With a limit, tasks are drawn before their logs are read."""
        return True

    def inputs(self) -> Iterator[tuple[str, str]]:
        """Yields the job's result and, of each trial, its metadata and logs."""
        root = self.job.root
        yield os.path.join(root, "result.json"), "result.json"  # noqa: PTH118 - hot: a path of `Path` costs 5 us
        for folder in self.job.folders:
            own = [f"{folder}{os.sep}{name}" for name in _METADATA]
            logs = [
                str(path)
                for place in _places(folder, self.job, self.request.name)
                for path in self.reader.inputs(place)
            ]
            for path in (*own, *logs):
                yield path, files.relative(path, root=root)

    def units(self, *, seed: int) -> Iterator[Unit]:
        """Yields the trials by name; with a limit by the seeded order of their tasks."""
        folders = self.job.folders
        if self.request.options.max_instances:
            keyed = sorted(
                (seeded_order(trial.instance, seed=seed), trial.name, trial.folder)
                for trial in self.job.trials()
            )
            folders = tuple(folder for _, _, folder in keyed)
        for trial in Job(
            root=self.job.root, folders=folders, rewards=self.job.rewards, errors=self.job.errors
        ).trials():
            yield self._unit(trial)

    def _unit(self, trial: Trial) -> Unit:
        candidate = Candidate(
            name=trial.name,
            instance=trial.instance,
            repositories=trial.repositories,
            rewards=trial.rewards,
            rewarded=True,
            errored=trial.errored,
            trouble=trial.trouble,
        )
        options = self.request.options
        read_whole = dict(trial.read_whole)
        places = _places(trial.folder, self.job, self.request.name, trial, read_whole)
        parts = tuple(
            partial(self.reader.read, place, form=options.tool_call_form, branches=options.branches)
            for place in places
        )
        return Unit(
            candidate=candidate,
            parts=parts,
            notes=frozenset({Note.RESULT_FILE_BROKEN}) if trial.result_broken else frozenset(),
            read_whole=read_whole,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSource:
    """Logs of one scaffold outside of any job: no rewards, so none is asked for."""

    request: SourceRequest
    field: str
    places: tuple[Place, ...]
    reader: Reader

    @property
    def where(self) -> str:
        """Returns the logs' folder."""
        return str(self.places[0].root)

    @property
    def reader_id(self) -> str:
        """Returns the reader's name and version."""
        return f"{self.reader.scaffold}/{self.reader.version}"

    @property
    def total(self) -> int | None:
        """Returns the number of logs, None where files hold many."""
        return None if any(map(gatherings.holds_many, self.places)) else len(self.places)

    @property
    def in_seeded_order(self) -> bool:
        """Their names are known before they are read."""
        return True

    def inputs(self) -> Iterator[tuple[str, str]]:
        """Yields the logs."""
        for place in self.places:
            for path in self.reader.inputs(place):
                yield str(path), files.relative(path, root=place.root)

    def units(self, *, seed: int) -> Iterator[Unit]:
        """Yields the logs by name; with a limit in seeded order."""
        places: Iterable[Place] = (run for place in self.places for run in gatherings.runs_of(place))
        if self.request.options.max_instances:
            places = sorted(places, key=lambda place: seeded_order(place.instance, seed=seed))
        options = self.request.options
        for place in places:
            candidate = Candidate(
                name=place.trial,
                instance=place.instance,
                repositories=jobs.repositories_of(place.instance),
            )
            read = partial(self.reader.read, place, form=options.tool_call_form, branches=options.branches)
            yield Unit(candidate=candidate, parts=(read,), read_whole=place.read_whole)


def _places(
    folder: Path,
    job: Job,
    source: str,
    trial: Trial | None = None,
    read_whole: dict[str, str] | None = None,
) -> list[Place]:
    """Returns where a trial's logs lie: one place, or one a step of a trial that has several. They tell
    `read_whole` what was read of them."""
    folders = [folder / "agent"]
    if os.path.isdir(f"{folder}{os.sep}steps") and not files.is_dir(folders[0]):  # noqa: PTH112 - hot
        folders = [step / "agent" for step in files.folders_in(folder / "steps")] or folders
    return [
        Place(
            source=source,
            trial=folder.name,
            instance=trial.instance if trial else folder.name,
            root=job.root,
            folder=place,
            rewards=trial.rewards if trial else {},
            first_part=1000 * number if len(folders) > 1 else 0,
            listings=files.Listings(),
            read_whole={} if read_whole is None else read_whole,
        )
        for number, place in enumerate(folders, 1)
    ]


def _loose_places(found: list[Path], root: Path, source: str) -> list[Place]:
    """Returns a place a file, and one a folder for the formats that spread one run over many files."""
    places: dict[Path, Place] = {}
    for path in found:
        place = _loose_place(path, root, source)
        folder = gatherings.folder_of(place, path)
        if folder is None:
            places[path] = place
            continue
        inside = folder if folder.is_relative_to(root) else root
        name = root.name if inside == root else files.relative(inside, root=root)
        places[inside] = Place(source=source, trial=name, instance=name, root=root, folder=inside)
    return list(places.values())


def _loose_place(path: Path, root: Path, source: str) -> Place:
    name = files.relative(path, root=root)
    return Place(source=source, trial=name, instance=name, root=root, folder=path.parent, file=path)
