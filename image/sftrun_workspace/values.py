"""What cleaning knows of a workspace. Paths are relative to it, sizes are bytes on disk, times seconds since
the epoch."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class Category(enum.StrEnum):
    """What may be asked to go."""

    CHECKPOINTS = "checkpoints"
    ARCHIVES = "archives"
    CACHES = "caches"
    HUB = "hub"


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """A file or folder, all that is in it taken together."""

    path: str
    num_bytes: int = 0
    modified: float = 0.0
    """When anything in it was changed last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A run, as claims and locks name it."""

    namespace: str
    name: str
    uid: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """`lock.json` of a folder that a trainer works in."""

    owner: Owner | None
    """`None` where the file is no lock that we can read."""
    released: bool
    modified: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """`checkpoint-N` in an output folder."""

    extent: Extent
    step: int
    whole: bool
    """Whether what is written last is there, and says the same step as the name."""

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.extent.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFolder:
    """A folder below `artifacts/model`."""

    path: str
    owner: Owner | None
    """Of what it holds (`claim.json`); `None`: no run of ours says so."""
    lock: Lock | None
    finished: bool = False
    """Whether training came to its end and said so."""
    best: frozenset[str] | None = frozenset()
    """Names of the checkpoints that the newest states and the report name; `None`: that cannot be told."""
    checkpoints: tuple[Checkpoint, ...] = ()
    tokenized: str | None = None
    """The tokenised set that it trains from, by its name in the cache; `None`: not settled yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """The archive of an attempt."""

    extent: Extent
    run: str
    uid_start: str
    """The first five characters of the run's uid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """Something that would be made again, or fetched again."""

    extent: Extent
    category: Category
    what: str
    """In words for people."""
    tokenized: str | None = None
    """Of a tokenised set: its name."""
    owner: Owner | None = None
    """Of a trial's folder: whose it is."""
    lock: Lock | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A workspace."""

    folders: tuple[OutputFolder, ...] = ()
    archives: tuple[Archive, ...] = ()
    caches: tuple[Cache, ...] = ()
    remains: tuple[Extent, ...] = ()
    """What an interrupted removal has left."""
    unreadable: tuple[str, ...] = ()
    """Folders that could not be looked into."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants to go."""

    categories: frozenset[Category]
    older_than: float = 0.0
    """Seconds that nothing in it has changed."""
    run: str | None = None
    """Only what belongs to the run of this name."""
    live: frozenset[str] = frozenset()
    """Uids of runs that are known not to be over, whatever the locks say."""
    protected: frozenset[str] = frozenset()
    """Paths that somebody refers to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What would go, and why it may."""

    category: Category
    extent: Extent
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What stays although it was asked for, and why."""

    path: str
    why: str
    num_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done."""

    items: tuple[Item, ...] = ()
    kept: tuple[Kept, ...] = ()
    unreadable: tuple[str, ...] = field(default=())

    @property
    def num_bytes(self) -> int:
        """What would be free afterwards."""
        return sum(item.extent.num_bytes for item in self.items)
