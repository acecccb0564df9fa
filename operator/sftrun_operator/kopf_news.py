"""What kopf lists and watches, taken from it before its workers.

It gives every object that it hears of a queue and a worker of its own, remembers it, and copies it to tell
later what has changed: for ten thousand listed runs that is 80 MB and half a minute, and for each change some
milliseconds. All that is wanted is the object. And kopf says nothing of those that vanished while its watch
was down. So what it lists and watches goes to whoever asked for it, each list with its end, and kopf is left
with what it is good at: finding the resources, and keeping their watches alive from one resourceVersion to
the next.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any, Protocol

import kopf
from kopf._cogs.clients import api, fetching, watching

from sftrun_operator.caches import unpack


class ListTaker(Protocol):
    """Takes one list, in kopf's thread. A list that fails has no end."""

    def page(self, objects: Collection[Any], version: str) -> None:
        """Takes some of the objects, and the list's resourceVersion."""

    def end(self) -> None:
        """Takes that there are no more."""


class Taker(Protocol):
    """Takes everything, in kopf's thread."""

    def begin(self, plural: str, namespace: str | None) -> ListTaker:
        """Returns who takes the list of one namespace, or of all, that is about to be read."""

    def changed(self, plural: str, obj: Mapping[str, Any], *, gone: bool) -> None:
        """Takes one object as a watch told it."""


_TAKER = "sftrun_takes_news"
_CHANGES = ("ADDED", "MODIFIED", "DELETED")
_OF_AN_OBJECT = ("namespace", "name", "uid", "resourceVersion")
_list = fetching.fetch_objs
_watch = watching.watch_objs


def divert(settings: kopf.OperatorSettings, taker: Taker) -> None:
    """Has what is listed and watched under these settings go to `taker`."""
    setattr(settings, _TAKER, taker)
    fetching.fetch_objs = _fetch_objs
    watching.watch_objs = _watch_objs
    api.json = _Reader  # type: ignore[attr-defined, assignment]


class _Reader:
    """What kopf asks of `json`: to read what a watch tells, which takes half as long with orjson."""

    loads = staticmethod(unpack)


async def _fetch_objs(
    *, settings: Any, resource: Any, namespace: Any, **rest: Any
) -> AsyncIterator[tuple[Any, str]]:
    taker: Taker | None = getattr(settings, _TAKER, None)
    reader = taker.begin(resource.plural, namespace) if taker is not None else None
    pages = _list(settings=settings, resource=resource, namespace=namespace, **rest)
    async for objects, version in pages:
        if reader is not None:
            reader.page(objects, version)
        yield ([] if reader is not None else objects), version
    if reader is not None:
        reader.end()


async def _watch_objs(*, settings: Any, resource: Any, **rest: Any) -> AsyncIterator[Any]:
    taker: Taker | None = getattr(settings, _TAKER, None)
    watched: Any = _watch(settings=settings, resource=resource, **rest)
    async with contextlib.aclosing(watched) as events:
        async for event in events:
            if taker is None or not _is_change(event):
                yield event
                continue
            taker.changed(resource.plural, event["object"], gone=event["type"] == "DELETED")
            version = event["object"]["metadata"]["resourceVersion"]
            yield {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": version}}}


def _is_change(event: Any) -> bool:
    """Whether an object is told whole. Everything else is kopf's: bookmarks, errors, what it does not
    understand."""
    if not isinstance(event, Mapping) or event.get("type") not in _CHANGES:
        return False
    metadata = obj.get("metadata") if isinstance(obj := event.get("object"), Mapping) else None
    return isinstance(metadata, Mapping) and all(isinstance(metadata.get(k), str) for k in _OF_AN_OBJECT)
