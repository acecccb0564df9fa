"""What may go: decided from a listing alone, so that it can be shown before anything is touched.

The rules, in this order. A folder that no claim of ours names is never touched. Nothing goes of a run that
is alive, by its lock or by what the cluster says. The last checkpoint stays, and the best one; of a training
that has not come to its end the last two that look whole, because only the trainer knows which of them it
can go on from. What somebody refers to stays. The rest may go when it is old enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from sftrun_workspace.values import (
    Archive,
    Cache,
    Category,
    Extent,
    Item,
    Kept,
    Listing,
    Lock,
    OutputFolder,
    Owner,
    Plan,
    Wish,
)

SILENCE = 3600.0
"""Seconds after which a lock that nobody released is a dead one's. Its holder rewrites it every 15 s and ends
itself when it cannot for 60 s; the rest is for clocks that disagree."""
LAST_OF_UNFINISHED = 2


def plan(listing: Listing, wish: Wish, *, now: float) -> Plan:
    """Returns what goes and what stays.

    Args:
        listing: The workspace.
        wish: What is asked for.
        now: Seconds since the epoch, by the clock that the files' times are of.
    """
    found = list(_judged(listing, wish, now))
    kept = [each for each in found if isinstance(each, Kept)]
    return Plan(
        items=tuple(sorted((each for each in found if isinstance(each, Item)), key=_order)),
        kept=tuple(sorted(kept, key=lambda each: _counted(each.path))),
        unreadable=listing.unreadable,
    )


def alive(lock: Lock | None, *, now: float) -> bool:
    """Whether somebody works in the folder, as far as its lock can tell."""
    return lock is not None and not lock.released and now - lock.modified < SILENCE


def _order(item: Item) -> tuple[str, list[tuple[int, str]]]:
    return item.category, _counted(item.extent.path)


def _counted(path: str) -> list[tuple[int, str]]:
    """Returns what sorts `checkpoint-9` before `checkpoint-10`."""
    return [(int(part) if part.isdecimal() else -1, part) for part in re.split(r"([0-9]+)", path)]


def _judged(listing: Listing, wish: Wish, now: float) -> Iterator[Item | Kept]:
    living = [folder for folder in listing.folders if _life(folder.owner, folder.lock, wish, now)]
    trials = [cache for cache in listing.caches if _life(cache.owner, cache.lock, wish, now)]
    if Category.CHECKPOINTS in wish.categories:
        for folder in listing.folders:
            yield from _checkpoints(folder, wish, now)
    if Category.ARCHIVES in wish.categories:
        uids = {owner.uid[:5] for owner in (*_owners(living), *(each.owner for each in trials if each.owner))}
        uids |= {uid[:5] for uid in wish.live}
        for archive in listing.archives:
            yield from _archive(archive, wish, now, living=uids)
    for cache in listing.caches:
        if cache.category in wish.categories:
            yield from _cache(cache, wish, now, living=living, trials=trials)
    if wish.run is None and wish.categories:
        for extent in listing.remains:
            yield Item(category=min(wish.categories), extent=extent, why="left by a removal that was cut off")


def _owners(folders: Iterable[OutputFolder]) -> Iterator[Owner]:
    """Whoever has to do with the folders: those who hold them, and those whose content they hold."""
    for folder in folders:
        if folder.owner is not None:
            yield folder.owner
        if folder.lock is not None and folder.lock.owner is not None:
            yield folder.lock.owner


def _life(owner: Owner | None, lock: Lock | None, wish: Wish, now: float) -> str:
    """Returns why a folder's run is taken for alive; empty: it is not."""
    if alive(lock, now=now):
        assert lock is not None
        return f"{lock.owner or 'somebody'} works in it"
    if owner is not None and owner.uid in wish.live:
        return f"run {owner} is not over"
    if lock is not None and lock.owner is not None and lock.owner.uid in wish.live:
        return f"run {lock.owner} is not over"
    return ""


def _checkpoints(folder: OutputFolder, wish: Wish, now: float) -> Iterator[Item | Kept]:
    if wish.run is not None and (folder.owner is None or folder.owner.name != wish.run):
        return
    whole = _whole_why(folder, wish, now)
    if whole:
        num_bytes = sum(each.extent.num_bytes for each in folder.checkpoints)
        if folder.checkpoints:
            yield Kept(path=folder.path, why=whole, num_bytes=num_bytes)
        return
    newest = sorted(folder.checkpoints, key=lambda each: -each.step)
    sound = [each for each in newest if each.whole]
    last = {each.step for each in sound[: 1 if folder.finished else LAST_OF_UNFINISHED]} or {
        each.step for each in newest[:LAST_OF_UNFINISHED]
    }
    for each in newest:
        why = ""
        if each.step in last:
            why = "the last checkpoint" if each.step == max(last) else "training may go on from it"
        elif each.name in (folder.best or ()):
            why = "the best checkpoint"
        elif each.step > max(last):
            why = "newer than the last one that looks whole"
        why = why or _stays(each.extent, wish, now)
        if why:
            yield Kept(path=each.extent.path, why=why, num_bytes=each.extent.num_bytes)
        else:
            told = f"superseded by checkpoint-{max(last)}"
            yield Item(category=Category.CHECKPOINTS, extent=each.extent, why=told)


def _whole_why(folder: OutputFolder, wish: Wish, now: float) -> str:
    """Returns why nothing at all of an output folder may go; empty: something may."""
    if folder.owner is None:
        return "no claim says that a run of ours made it"
    if folder.lock is not None and folder.lock.owner is None:
        return "its lock cannot be read"
    life = _life(folder.owner, folder.lock, wish, now)
    if life:
        return life
    return "its best checkpoint cannot be told" if folder.best is None else ""


def _archive(archive: Archive, wish: Wish, now: float, *, living: set[str]) -> Iterator[Item | Kept]:
    if wish.run is not None and archive.run != wish.run:
        return
    why = "its run is not over" if archive.uid_start in living else _stays(archive.extent, wish, now)
    if why:
        yield Kept(path=archive.extent.path, why=why, num_bytes=archive.extent.num_bytes)
    else:
        yield Item(category=Category.ARCHIVES, extent=archive.extent, why=f"of run {archive.run}")


def _cache(
    cache: Cache, wish: Wish, now: float, *, living: list[OutputFolder], trials: list[Cache]
) -> Iterator[Item | Kept]:
    if wish.run is not None and (cache.owner is None or cache.owner.name != wish.run):
        return
    why = _used(cache, wish, now, living=living, trials=trials) or _stays(cache.extent, wish, now)
    if why:
        yield Kept(path=cache.extent.path, why=why, num_bytes=cache.extent.num_bytes)
    else:
        yield Item(category=cache.category, extent=cache.extent, why=cache.what)


def _used(cache: Cache, wish: Wish, now: float, *, living: list[OutputFolder], trials: list[Cache]) -> str:
    """Returns who may be using a cache; empty: nobody."""
    if cache.owner is not None or cache.lock is not None:
        return _life(cache.owner, cache.lock, wish, now)
    if cache.tokenized is not None:
        for folder in living:
            if folder.tokenized in (None, cache.tokenized):
                return f"{folder.path} {'trains from it' if folder.tokenized else 'may be about to use it'}"
    elif living:
        return f"{living[0].path} may be using it"
    if trials:
        return f"{trials[0].extent.path} may be using it"
    if wish.live - {owner.uid for owner in _owners(living)}:
        return "a run that is not over may be about to use it"
    return ""


def _stays(extent: Extent, wish: Wish, now: float) -> str:
    """Returns why something that nobody owns any more stays all the same; empty: it may go."""
    for path in sorted(wish.protected):
        if _overlap(path, extent.path):
            return f"{path} is referred to"
    if now - extent.modified < wish.older_than:
        return "changed too recently"
    return ""


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")
