"""What kopf lists and watches goes to whoever asked for it, and kopf goes on from version to version."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any, cast

import pytest
from kopf._cogs.clients import api, fetching, watching

from sftrun_operator import kopf_news, kube
from sftrun_operator.kopf_sessions import kopf_settings

PAGES = [
    ([{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}], "7"),
    ([{"metadata": {"name": "c"}}], "7"),
]
OBJECT = {"metadata": {"namespace": "default", "name": "a", "uid": "u", "resourceVersion": "8"}}
NOT_WHOLE: list[Any] = [
    {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}},
    {"type": "ERROR", "object": {"code": 410}},
    {"type": "RENAMED", "object": OBJECT},
    {"type": "ADDED", "object": {}},
    {"type": "ADDED", "object": {"metadata": {"name": "a"}}},
    {"type": "ADDED"},
    {"type": "MODIFIED", "object": "x"},
    [],
]


class Reader:
    def __init__(self) -> None:
        self.told: list[str] = []

    def page(self, objects: Collection[Any], version: str) -> None:
        self.told += [f"{each['metadata']['name']} of {version}" for each in objects]

    def end(self) -> None:
        self.told.append("end")


class Taker:
    def __init__(self) -> None:
        self.readers: dict[tuple[str, str | None], Reader] = {}
        self.told: list[tuple[str, Any, bool]] = []

    def begin(self, plural: str, namespace: str | None) -> Reader:
        return self.readers.setdefault((plural, namespace), Reader())

    def changed(self, plural: str, obj: Mapping[str, Any], *, gone: bool) -> None:
        self.told.append((plural, obj, gone))


async def _pages(**_: Any) -> AsyncIterator[tuple[Collection[Any], str]]:
    for page in PAGES:
        yield page


async def _listed(settings: Any, namespace: str | None = None) -> list[tuple[Collection[Any], str]]:
    found = fetching.fetch_objs(
        settings=settings,
        resource=cast(Any, kube.JOBS),
        namespace=cast(Any, namespace),
        logger=logging.getLogger(),
    )
    return [page async for page in found]


async def _watched(
    monkeypatch: pytest.MonkeyPatch, settings: Any, taker: Taker | None, events: list[Any]
) -> list[Any]:
    async def stream(**_: Any) -> AsyncIterator[Any]:
        for event in events:
            yield event

    monkeypatch.setattr(kopf_news, "_watch", stream)
    if taker is not None:
        kopf_news.divert(settings, taker)
    rest: dict[str, Any] = {"namespace": None, "operator_pause_waiter": None}
    return [event async for event in watching.watch_objs(settings=settings, resource=kube.PODS, **rest)]  # type: ignore[arg-type]


async def test_what_is_listed_passes_kopf_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kopf_news, "_list", _pages)
    taker, settings = Taker(), kopf_settings()
    kopf_news.divert(settings, taker)
    for namespace in (None, "team-a"):
        assert await _listed(settings, namespace) == [([], "7"), ([], "7")]
    assert list(taker.readers) == [("jobs", None), ("jobs", "team-a")]
    for reader in taker.readers.values():
        assert reader.told == ["a of 7", "b of 7", "c of 7", "end"]
    assert await _listed(kopf_settings()) == PAGES, "another session's lists are its own"


async def test_a_list_that_fails_has_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def pages(**_: Any) -> AsyncIterator[tuple[Collection[Any], str]]:
        yield PAGES[0]
        raise TimeoutError

    monkeypatch.setattr(kopf_news, "_list", pages)
    taker, settings = Taker(), kopf_settings()
    kopf_news.divert(settings, taker)
    with pytest.raises(TimeoutError):
        await _listed(settings)
    assert taker.readers["jobs", None].told == ["a of 7", "b of 7"]


@pytest.mark.parametrize(("kind", "gone"), [("ADDED", False), ("MODIFIED", False), ("DELETED", True)])
async def test_of_a_change_kopf_hears_the_version(
    kind: str, gone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    taker = Taker()
    heard = await _watched(monkeypatch, kopf_settings(), taker, [{"type": kind, "object": OBJECT}])
    assert taker.told == [("pods", OBJECT, gone)]
    assert heard == [{"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "8"}}}]


async def test_what_is_no_change_is_kopf_s(monkeypatch: pytest.MonkeyPatch) -> None:
    taker = Taker()
    assert await _watched(monkeypatch, kopf_settings(), taker, NOT_WHOLE) == NOT_WHOLE
    assert taker.told == []


@pytest.mark.parametrize("text", ['{"type": "ADDED"}', '"\\ud800"', "18446744073709551616", "[1.5, null]"])
def test_what_a_watch_tells_is_read_as_kopf_would(text: str) -> None:
    kopf_news.divert(kopf_settings(), Taker())
    assert vars(api)["json"].loads(text) == json.loads(text)


def test_what_is_no_json_is_told_as_ever() -> None:
    kopf_news.divert(kopf_settings(), Taker())
    with pytest.raises(json.JSONDecodeError):
        vars(api)["json"].loads('{"type": ')


async def test_another_session_s_watch_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [{"type": "ADDED", "object": OBJECT}]
    await _watched(monkeypatch, kopf_settings(), Taker(), events)
    assert await _watched(monkeypatch, kopf_settings(), None, events) == events
