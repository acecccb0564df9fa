"""What would go, or went, and what stays: as tables for people, as one object for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from sftrun_cli import consoles
from sftrun_cli.cleaning.ages import of_bytes
from sftrun_workspace.removals import Removed
from sftrun_workspace.values import Item, Kept, Plan

_STYLES = {"checkpoints": "cyan", "archives": "magenta", "caches": "blue", "hub": "yellow"}
SHOWN_KEPT = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a clean-up."""

    where: str
    plan: Plan
    removed: tuple[Removed, ...] | None = None
    """`None`: nothing was to be removed, only shown."""

    @property
    def gone(self) -> tuple[Item, ...]:
        """What was removed."""
        return tuple(each.item for each in self.removed or () if not each.error)

    @property
    def failed(self) -> tuple[Removed, ...]:
        """What was to be removed and is still there."""
        return tuple(each for each in self.removed or () if each.error)

    def as_object(self) -> dict[str, Any]:
        """Returns it for programs."""
        whole: dict[str, Any] = {
            "workspace": self.where,
            "bytes": self.plan.num_bytes,
            "items": [_item(each) for each in self.plan.items],
            "kept": [
                {"path": each.path, "bytes": each.num_bytes, "why": each.why} for each in self.plan.kept
            ],
            "unreadable": list(self.plan.unreadable),
        }
        if self.removed is not None:
            whole["removed"] = [_item(each) for each in self.gone]
            whole["failed"] = [_item(each.item) | {"error": each.error} for each in self.failed]
        return whole


def _item(item: Item) -> dict[str, Any]:
    extent = item.extent
    return {"category": item.category.value, "path": extent.path, "bytes": extent.num_bytes, "why": item.why}


def lines(items: Iterable[Item]) -> Iterator[Text]:
    """Yields one line an item: size, category, path, why. Nothing is cut off: paths are to be copied."""
    listed = list(items)
    width = max((len(each.category) for each in listed), default=0)
    for each in listed:
        yield Text.assemble(
            f"{of_bytes(each.extent.num_bytes):>10}  ",
            (f"{each.category.value:<{width}}  ", _STYLES[each.category.value]),
            consoles.printable(each.extent.path),
            (f"  ({consoles.printable(each.why)})", "dim"),
        )


def summary(result: Result) -> Iterator[str]:
    """Yields what else is to be said."""
    yield from _kept(result.plan.kept)
    for path in result.plan.unreadable:
        yield f"cannot be looked into: {path}"
    if result.removed is None:
        size = of_bytes(result.plan.num_bytes)
        count = len(result.plan.items)
        yield f"{count} to go, {size}" if count else "nothing to go"
        return
    yield f"{len(result.gone)} gone, {of_bytes(sum(each.extent.num_bytes for each in result.gone))} free"


def _kept(kept: tuple[Kept, ...]) -> Iterator[str]:
    for each in kept[:SHOWN_KEPT]:
        size = f" ({of_bytes(each.num_bytes)})" if each.num_bytes else ""
        yield f"stays: {each.path}{size}: {each.why}"
    if len(kept) > SHOWN_KEPT:
        reasons = Counter(each.why for each in kept[SHOWN_KEPT:]).most_common(3)
        told = ", ".join(f"{count} x {why}" for why, count in reasons)
        yield f"stays: {len(kept) - SHOWN_KEPT} more ({told}); -o json tells all"
