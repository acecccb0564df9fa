"""What the watch has told us, kept small, and never older than what we wrote ourselves.

A watch can repeat, lag behind our own writes, and (after a relist) say nothing of what vanished meanwhile. So
every entry carries the resourceVersion that it was read at: older news is dropped, unchanged news is no news,
and `sweep` compares with a consistent list. Absence from here proves nothing; `observations` asks live for
that.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import orjson

from sftrun_api.models import JsonObject
from sftrun_operator import summaries, views
from sftrun_operator.observations import JobView, PodView, Run
from sftrun_operator.summaries import Summary

Kind = Literal["SFTRun", "Job", "Pod"]
FORMER_NAMES = 10_000
"""How many names of runs that are gone are known; each costs some 200 bytes."""
V = TypeVar("V")


class Key(NamedTuple):
    """A namespaced name. For runs also the key of the queue."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Generic[V]):
    """One object, reduced."""

    key: Key
    uid: str
    version: str
    run: Key
    """The run that it belongs to; a run belongs to itself."""
    value: V


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedRun:
    """A run whose spec and status are one byte string: a tenth of what the parsed dicts take."""

    head: Run
    body: bytes
    summary: Summary
    """What figures over all runs need, so that none is unpacked for them."""

    @property
    def is_new(self) -> bool:
        """Whether nobody has written a status yet."""
        return self.body.endswith(b'"status":{}}')

    def unpack(self) -> Run:
        """Returns the run as `plan` takes it."""
        body = unpack(self.body)
        return replace(self.head, spec=body["spec"], status=body["status"])


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What a watch or a list says about one object."""

    kind: Kind
    entry: Entry[Any]
    gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a finished list held."""

    kind: Kind
    scope: str | None
    """The namespace that was listed; `None` for all."""
    version: str
    """The resourceVersion that it was read at."""
    keys: Collection[Key]


def key_of(obj: Mapping[str, Any]) -> Key:
    """Returns the name that an object is known by."""
    metadata = views.mapping(obj, "metadata")
    return Key(views.text(metadata, "namespace"), views.text(metadata, "name"))


def news_of(kind: Kind, obj: Mapping[str, Any], *, gone: bool = False) -> News:
    """Returns the object reduced to what is kept of it."""
    metadata, key = views.mapping(obj, "metadata"), key_of(obj)
    value: PackedRun | JobView | PodView
    run = Key(key.namespace, views.run_label(obj))
    if kind == "SFTRun":
        seen = views.run_view(obj)
        body = _pack({"spec": dict(seen.spec), "status": dict(seen.status)})
        summary = summaries.of(seen.spec, seen.status)
        value, run = PackedRun(head=replace(seen, spec={}, status={}), body=body, summary=summary), key
    elif kind == "Job":
        value = views.job_view(obj)
    else:
        value = views.pod_view(obj)
    uid, version = views.text(metadata, "uid"), views.text(metadata, "resourceVersion")
    return News(kind=kind, entry=Entry(key=key, uid=uid, version=version, run=run, value=value), gone=gone)


Knows = Callable[[Kind, Mapping[str, Any]], bool]
"""Whether exactly this object, in this version, is known."""


class ListReader:
    """Reads one list page by page: which of its objects are news, and in the end what it held."""

    def __init__(self, kind: Kind, scope: str | None, *, knows: Knows) -> None:
        self._kind = kind
        self._scope = scope
        self._knows = knows
        self._version = ""
        self._keys: set[Key] = set()

    def read(self, objects: Collection[Mapping[str, Any]], version: str) -> list[News]:
        """Takes a page and the list's resourceVersion. Returns what is not known yet: only that is taken
        apart."""
        self._version = self._version or version
        self._keys.update(key_of(each) for each in objects)
        return [news_of(self._kind, each) for each in objects if not self._knows(self._kind, each)]

    def finish(self) -> Listing:
        """Returns what the list held; once there are no more pages."""
        return Listing(kind=self._kind, scope=self._scope, version=self._version, keys=self._keys)


def _pack(body: JsonObject) -> bytes:
    try:
        return bytes(memoryview(orjson.dumps(body)))  # a copy: orjson's own keeps a 32 KiB buffer (ran)
    except TypeError:  # numbers beyond 64 bits, broken Unicode
        return json.dumps(body, separators=(",", ":")).encode("ascii")


def unpack(body: bytes | str) -> Any:
    """Returns what JSON says, also where orjson refuses it: halves of surrogates.

    Raises json.JSONDecodeError, which is a ValueError.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return json.loads(body)


def is_older(version: str, other: str) -> bool:
    """Whether `version` is known to be older. Versions that are no numbers (never so in Kubernetes itself)
    are not comparable, and then nothing is known."""
    return version.isdigit() and other.isdigit() and int(version) < int(other)


class Store(Generic[V]):
    """The objects of one kind, found by their name and by their run."""

    def __init__(self, *, former_names: int = 0) -> None:
        """Knows the names of that many objects that are gone."""
        self._entries: dict[Key, Entry[V]] = {}
        self._by_run: dict[Key, set[Key]] = {}
        self._former: dict[Key, None] = {}
        self._most_former = former_names

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._entries)

    def entries(self) -> Iterable[Entry[V]]:
        """Returns all that is known, for as long as nothing changes."""
        return self._entries.values()

    def get(self, key: Key) -> Entry[V] | None:
        """Returns what is known under the name."""
        return self._entries.get(key)

    def had_another(self, key: Key) -> bool:
        """Whether an object that is gone now had the name not long ago."""
        return key in self._former

    def of_run(self, run: Key) -> list[Entry[V]]:
        """Returns what is known of the run's objects."""
        return [self._entries[key] for key in sorted(self._by_run.get(run, ()))]

    def put(self, entry: Entry[V]) -> bool:
        """Keeps the entry unless a newer one is known. Returns whether it was news."""
        known = self._entries.get(entry.key)
        if known is not None:
            if is_older(entry.version, known.version):
                return False
            if (known.uid, known.version) == (entry.uid, entry.version):
                return False
            self._drop(known)
            if known.uid != entry.uid:
                self._part_with(known.key)
        self._entries[entry.key] = entry
        self._by_run.setdefault(entry.run, set()).add(entry.key)
        return True

    def remove(self, key: Key, uid: str) -> bool:
        """Drops the object of that uid; its successor under the same name stays. Returns whether it was
        known."""
        known = self._entries.get(key)
        if known is None or known.uid != uid:
            return False
        self._drop(known)
        self._part_with(key)
        return True

    def sweep(self, candidates: Iterable[Key], listed: Collection[Key], version: str) -> list[Entry[V]]:
        """Drops and returns those of `candidates` that a list of `version` does not hold. Entries that are
        newer than the list stay: it could not know them."""
        known = [self._entries[key] for key in candidates if key in self._entries and key not in listed]
        vanished = [entry for entry in known if not is_older(version, entry.version)]
        for entry in vanished:
            self._drop(entry)
            self._part_with(entry.key)
        return vanished

    def _part_with(self, key: Key) -> None:
        self._former.pop(key, None)
        self._former[key] = None
        if len(self._former) > self._most_former:
            del self._former[next(iter(self._former))]

    def _drop(self, entry: Entry[V]) -> None:
        del self._entries[entry.key]
        siblings = self._by_run[entry.run]
        siblings.discard(entry.key)
        if not siblings:
            del self._by_run[entry.run]


class Caches:
    """Runs, Jobs and pods."""

    def __init__(self) -> None:
        self.runs: Store[PackedRun] = Store(former_names=FORMER_NAMES)
        self.jobs: Store[JobView] = Store()
        self.pods: Store[PodView] = Store()
        self.listed = asyncio.Event()
        """Set once every kind has been listed: before that, what is not known may well be there."""

    def store(self, kind: Kind) -> Store[Any]:
        """Returns the store of a kind."""
        stores: dict[Kind, Store[Any]] = {"SFTRun": self.runs, "Job": self.jobs, "Pod": self.pods}
        return stores[kind]

    def take(self, news: News) -> bool:
        """Takes news in. Returns whether it changed anything."""
        store = self.store(news.kind)
        if news.gone:
            return store.remove(news.entry.key, news.entry.uid)
        return store.put(news.entry)

    def knows(self, kind: Kind, obj: Mapping[str, Any]) -> bool:
        """Whether exactly this object, in this version, is known. May be asked from any thread."""
        metadata = views.mapping(obj, "metadata")
        entry = self.store(kind).get(key_of(obj))
        known = (entry.uid, entry.version) if entry is not None else None
        return known == (views.text(metadata, "uid"), views.text(metadata, "resourceVersion"))

    def sweep(self, listing: Listing) -> list[News]:
        """Drops what vanished unseen, which a finished list proves. Returns it as news."""
        store = self.store(listing.kind)
        scoped = [key for key in store if listing.scope in (None, key.namespace)]
        vanished = store.sweep(scoped, listing.keys, listing.version)
        return [News(kind=listing.kind, entry=entry, gone=True) for entry in vanished]

    def learn(self, kind: Kind, obj: Mapping[str, Any]) -> None:
        """Takes in what the API server answered to us directly: the watch will say the same, later."""
        self.take(news_of(kind, obj))

    def is_first(self, key: Key) -> bool:
        """Whether nothing is known that an earlier run of that name could have left behind."""
        known = self.runs.had_another(key) or self.pods.of_run(key) or self.jobs.of_run(key)
        return self.listed.is_set() and not known

    def is_new(self, key: Key) -> bool:
        """Whether there is such a run, and nobody has written its status yet."""
        entry = self.runs.get(key)
        return entry is not None and entry.value.is_new

    def run(self, key: Key) -> Run | None:
        """Returns the run as it was last seen."""
        entry = self.runs.get(key)
        return entry.value.unpack() if entry is not None else None
