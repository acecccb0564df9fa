"""Plan and removals as lines of JSON: what the program in the pod prints and the command line reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sftrun_workspace.removals import Removed
from sftrun_workspace.values import Category, Extent, Item, Kept, Plan

LONGEST = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a pod has said."""

    plan: Plan
    removed: tuple[Removed, ...]
    whole: bool
    """Whether it said so to its end."""


def of_plan(plan: Plan) -> Iterator[str]:
    """Yields the lines of a plan."""
    for item in plan.items:
        yield _line("item", _of_item(item))
    for kept in plan.kept:
        yield _line("kept", {"path": kept.path, "why": kept.why, "bytes": kept.num_bytes})
    for path in plan.unreadable:
        yield _line("unreadable", {"path": path})


def of_removed(removed: Removed) -> str:
    """Returns the line of a removal."""
    return _line("removed", {**_of_item(removed.item), "error": removed.error})


def end() -> str:
    """Returns the last line."""
    return _line("end", {})


def read(lines: Iterable[str]) -> Answer:
    """Returns what the lines say; what is none of ours is passed over."""
    items: list[Item] = []
    kept: list[Kept] = []
    unreadable: list[str] = []
    removed: list[Removed] = []
    whole = False
    for line in lines:
        kind, value = _parsed(line)
        if kind == "item":
            items.append(_item(value))
        elif kind == "removed":
            removed.append(Removed(item=_item(value), error=_text(value, "error")))
        elif kind == "kept":
            kept.append(Kept(path=_text(value, "path"), why=_text(value, "why"), num_bytes=_whole(value)))
        elif kind == "unreadable":
            unreadable.append(_text(value, "path"))
        elif kind == "end":
            whole = True
    found = Plan(items=tuple(items), kept=tuple(kept), unreadable=tuple(unreadable))
    return Answer(plan=found, removed=tuple(removed), whole=whole)


def _line(kind: str, value: dict[str, Any]) -> str:
    return json.dumps({"sftrun": kind, **value})


def _of_item(item: Item) -> dict[str, Any]:
    return {
        "category": item.category.value,
        "path": item.extent.path,
        "bytes": item.extent.num_bytes,
        "modified": item.extent.modified,
        "why": item.why,
    }


def _parsed(line: str) -> tuple[str, dict[str, Any]]:
    try:
        value = json.loads(line) if len(line) <= LONGEST else None
    except (ValueError, RecursionError):
        return "", {}
    return (_text(value, "sftrun"), value) if isinstance(value, dict) else ("", {})


def _item(value: dict[str, Any]) -> Item:
    category = value.get("category")
    modified = value.get("modified")
    return Item(
        category=Category(category) if category in list(Category) else Category.CACHES,
        extent=Extent(
            path=_text(value, "path"),
            num_bytes=_whole(value),
            modified=float(modified) if isinstance(modified, int | float) else 0.0,
        ),
        why=_text(value, "why"),
    )


def _text(value: dict[str, Any], key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""


def _whole(value: dict[str, Any]) -> int:
    found = value.get("bytes")
    return found if isinstance(found, int) else 0
