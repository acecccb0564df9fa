"""What lies in a workspace, read from disk: output folders, archives, caches, and who is at work in them.

Whatever is not what it should be (a link, a torn file, a folder that may not be read) is left out or marked,
so that nothing is ever decided on it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from sftrun_workspace import folders, places
from sftrun_workspace.values import (
    Archive,
    Cache,
    Category,
    Checkpoint,
    Extent,
    Listing,
    Lock,
    OutputFolder,
    Owner,
)

T = TypeVar("T")
Measure = Callable[[int, str], Extent]
SMALL = 4 * 1024 * 1024
STATE = 64 * 1024 * 1024
"""trainer_state.json grows with every logged step."""


def read(path: Path) -> Listing:
    """Returns what lies in the workspace. Raises `OSError` where it cannot be opened at all."""
    with folders.workspace(path) as root:
        return of_descriptor(root)


def of_descriptor(root: int, *, with_sizes: bool = True) -> Listing:
    """Returns what lies in the workspace that is open. Without sizes and ages it takes a moment only."""
    return _Reader(root, extent=folders.extent if with_sizes else _place_only).listing()


def _place_only(root: int, path: str) -> Extent:
    del root
    return Extent(path=path)


def _lock(root: int, path: str) -> Lock | None:
    """Returns the lock of a folder that a trainer works in. Raises `OSError`."""
    found = folders.read(root, f"{path}/{places.STATE}/{places.LOCK}", limit=SMALL)
    if found is None:
        broken = folders.exists(root, f"{path}/{places.STATE}/{places.LOCK}")
        return Lock(owner=None, released=False, modified=0.0) if broken else None
    content, modified = found
    value = _object(content)
    released = value.get("released")
    return Lock(owner=_owner(value.get("owner")), released=released is True, modified=modified)


class _Reader:
    """Reads part by part, and remembers what it could not look into."""

    def __init__(self, root: int, *, extent: Measure) -> None:
        self._root, self._measure = root, extent
        self._unreadable: list[str] = []

    def listing(self) -> Listing:
        """Returns the whole."""
        return Listing(
            folders=tuple(self._each(places.MODELS, self._output_folder)),
            archives=tuple(self._each(places.ARCHIVES, self._archive)),
            caches=tuple(self._caches()),
            remains=tuple(self._remains()),
            unreadable=tuple(sorted(set(self._unreadable))),
        )

    def _each(self, path: str, make: Callable[[str, str], T | None]) -> Iterator[T]:
        for name in self._names(path):
            if name.startswith(places.REMAINS):
                continue
            try:
                found = make(f"{path}/{name}", name)
            except OSError:
                self._unreadable.append(f"{path}/{name}")
                continue
            if found is not None:
                yield found

    def _names(self, path: str) -> list[str]:
        try:
            return folders.names_of_folders(self._root, path)
        except OSError:
            self._unreadable.append(path)
            return []

    def _output_folder(self, path: str, _: str) -> OutputFolder:
        return _output_folder(self._root, path, extent=self._measure)

    def _archive(self, path: str, name: str) -> Archive | None:
        match = places.ARCHIVE.fullmatch(name)
        if match is None:
            return None
        return Archive(extent=self._measure(self._root, path), run=match["run"], uid_start=match["uid"])

    def _caches(self) -> Iterator[Cache]:
        yield from self._each(places.TOKENIZED, self._tokenized)
        yield from self._each(places.LINKED_MODELS, self._linked_model)
        yield from self._each(places.TRIALS, self._trial)
        for category, known in ((Category.CACHES, places.SHARED_CACHES), (Category.HUB, places.HUB_CACHES)):
            for path, what in known.items():
                parent, _, name = path.rpartition("/")
                if name not in self._names(parent):
                    continue
                try:
                    extent = self._measure(self._root, path)
                except OSError:
                    self._unreadable.append(path)
                    continue
                yield Cache(extent=extent, category=category, what=what)

    def _tokenized(self, path: str, name: str) -> Cache:
        return Cache(
            extent=self._measure(self._root, path),
            category=Category.CACHES,
            what="a tokenised data set",
            tokenized=name,
        )

    def _linked_model(self, path: str, _: str) -> Cache:
        extent = self._measure(self._root, path)
        return Cache(extent=extent, category=Category.CACHES, what="links to a model, with another config")

    def _trial(self, path: str, _: str) -> Cache:
        return Cache(
            extent=self._measure(self._root, path),
            category=Category.CACHES,
            what="where a dry run worked",
            owner=_owner(_read_object(self._root, f"{path}/{places.STATE}/{places.CLAIM}")),
            lock=_lock(self._root, path),
        )

    def _remains(self) -> Iterator[Extent]:
        parents = [places.ARCHIVES, places.TOKENIZED, places.LINKED_MODELS, places.TRIALS, ".cache"]
        parents += [".cache/huggingface", ".cache/wandb", places.MODELS]
        parents += [f"{places.MODELS}/{name}" for name in self._names(places.MODELS)]
        for parent in parents:
            for name in self._names(parent):
                if name.startswith(places.REMAINS):
                    try:
                        yield self._measure(self._root, f"{parent}/{name}")
                    except OSError:
                        self._unreadable.append(f"{parent}/{name}")


def _output_folder(root: int, path: str, *, extent: Measure) -> OutputFolder:
    marker = _read_object(root, f"{path}/{places.STATE}/{places.REGISTER_MARKER}")
    end = _read_object(root, f"{path}/{places.STATE}/{places.TRAINING_END}")
    checkpoints = sorted(_checkpoints(root, path, extent), key=lambda each: each.step)
    return OutputFolder(
        path=path,
        owner=_owner(_read_object(root, f"{path}/{places.STATE}/{places.CLAIM}")),
        lock=_lock(root, path),
        finished=end.get("ending") in ("Completed", "StoppedEarly"),
        best=_best(root, path, checkpoints),
        checkpoints=tuple(checkpoints),
        tokenized=_tokenized_of(marker),
    )


def _checkpoints(root: int, path: str, extent: Measure) -> Iterator[Checkpoint]:
    for name in folders.names_of_folders(root, path):
        match = places.CHECKPOINT.fullmatch(name)
        if match is None:
            continue
        state = _state(root, f"{path}/{name}")
        yield Checkpoint(
            extent=extent(root, f"{path}/{name}"),
            step=int(match[1]),
            whole=state is not None and state.get("global_step") == int(match[1]),
        )


def _state(root: int, path: str) -> dict[str, Any] | None:
    found = folders.read(root, f"{path}/{places.TRAINER_STATE}", limit=STATE)
    return _object(found[0]) if found is not None else None


def _best(root: int, path: str, checkpoints: list[Checkpoint]) -> frozenset[str] | None:
    """Returns the checkpoints that are called the best by the newest whole checkpoint, by the end of training
    and by the report; `None` where one of them is there and cannot be read."""
    names: set[str] = set()
    newest = next((each.extent.path for each in reversed(checkpoints) if each.whole), None)
    for place in filter(None, (newest, path)):
        state = _state(root, place)
        if not state and folders.exists(root, f"{place}/{places.TRAINER_STATE}"):
            return None
        names.add(_name((state or {}).get("best_model_checkpoint")))
    report = _read_object(root, f"{path}/{places.REPORT}")
    if not report and folders.exists(root, f"{path}/{places.REPORT}"):
        return None
    outputs = report.get("outputs")
    if isinstance(outputs, dict):
        names.add(_name(outputs.get("checkpointPath")))
        best = outputs.get("bestCheckpoint")
        names.add(_name(best.get("path") if isinstance(best, dict) else None))
    return frozenset(names - {""})


def _name(path: object) -> str:
    return path.rstrip("/").rpartition("/")[2] if isinstance(path, str) else ""


def _tokenized_of(marker: dict[str, Any]) -> str | None:
    payload = marker.get("payload")
    files = payload.get("files") if isinstance(payload, dict) else None
    path = files.get("tokenized") if isinstance(files, dict) else None
    if not isinstance(path, str):
        return None
    before, found, after = path.partition(f"{places.TOKENIZED}/")
    return after.partition("/")[0] if found and before else None


def _owner(value: object) -> Owner | None:
    if not isinstance(value, dict):
        return None
    found = [value.get(key) for key in ("namespace", "name", "uid")]
    if not all(isinstance(each, str) and each for each in found[1:]) or not isinstance(found[0], str):
        return None
    return Owner(namespace=found[0], name=str(found[1]), uid=str(found[2]))


def _read_object(root: int, path: str) -> dict[str, Any]:
    found = folders.read(root, path, limit=SMALL)
    return _object(found[0]) if found is not None else {}


def _object(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
