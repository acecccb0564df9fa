"""Removing what a plan names, after one more look at who is at work there.

A folder is renamed first and deleted then: what an interruption leaves is never taken for a checkpoint or a
data set that is whole, and goes with the next clean-up.
"""

from __future__ import annotations

import dataclasses
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sftrun_workspace import folders, listings, places, plans
from sftrun_workspace.values import Item, Plan, Wish

LOOK_EVERY = 5.0
"""Seconds for which a look at the workspace is believed while things are removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What became of one item."""

    item: Item
    error: str = ""
    """Why it is still there; empty: it is gone."""


def remove(
    path: Path,
    plan: Plan,
    wish: Wish,
    *,
    now: Callable[[], float] = time.time,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Removed]:
    """Removes the plan's items one by one and tells what became of each.

    Args:
        path: The workspace.
        plan: What `plans.plan` has said of it.
        wish: What it was asked.
        now: The clock that the files' times are of.
        clock: For intervals.

    Raises:
        OSError: the workspace cannot be opened.
    """
    with folders.workspace(path) as root:
        looks = _Looks(root, wish, now=now, clock=clock)
        for item in plan.items:
            why = looks.why_not(item)
            if not why:
                try:
                    _remove(root, item.extent.path)
                except OSError as error:
                    why = error.strerror or str(error)
            yield Removed(item=item, error=why)


class _Looks:
    """Asks again whether something may go: a run may have come to life since the plan was made."""

    def __init__(
        self, root: int, wish: Wish, *, now: Callable[[], float], clock: Callable[[], float]
    ) -> None:
        self._root, self._now, self._clock = root, now, clock
        # Sizes and ages take minutes to read, and were judged.
        self._wish = dataclasses.replace(wish, older_than=0.0)
        self._seen: tuple[float, dict[str, str]] | None = None

    def why_not(self, item: Item) -> str:
        """Returns why an item stays after all; empty: it may go."""
        path = item.extent.path
        verdicts = self._verdicts()
        return verdicts.get(path, verdicts.get(path.rpartition("/")[0], "it is not there any more"))

    def _verdicts(self) -> dict[str, str]:
        if self._seen is None or self._clock() - self._seen[0] > LOOK_EVERY:
            listing = listings.of_descriptor(self._root, with_sizes=False)
            again = plans.plan(listing, self._wish, now=self._now())
            verdicts = {kept.path: kept.why for kept in again.kept}
            verdicts |= {item.extent.path: "" for item in again.items}
            self._seen = (self._clock(), verdicts)
        return self._seen[1]


def _remove(root: int, path: str) -> None:
    parent, _, name = path.rpartition("/")
    with folders.folder(root, parent) as descriptor:
        aside = name if name.startswith(places.REMAINS) else f"{places.REMAINS}{secrets.token_hex(6)}"
        if aside != name:
            os.rename(name, aside, src_dir_fd=descriptor, dst_dir_fd=descriptor)
        shutil.rmtree(aside, dir_fd=descriptor)
