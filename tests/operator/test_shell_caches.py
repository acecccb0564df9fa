"""Caches: newer wins, unchanged is no news, a successor of the same name survives its predecessor's
deletion."""

from __future__ import annotations

import random
import tracemalloc
from typing import Any

import pytest
from tests.operator.shell_fakes import KEY, UID, owned, run_of, sftrun

from sftrun_operator.caches import Caches, Entry, Key, Store, is_older, news_of


@pytest.mark.parametrize(
    ("version", "other", "older"),
    [("9", "10", True), ("10", "9", False), ("7", "7", False), ("x", "7", False), ("7", "", False)],
)
def test_versions_are_compared_as_numbers_and_only_as_numbers(version: str, other: str, older: bool) -> None:
    assert is_older(version, other) is older


@pytest.mark.parametrize(
    ("versions", "news", "kept"),
    [
        (("1", "2"), [True, True], "2"),
        (("2", "2"), [True, False], "2"),
        (("10", "9"), [True, False], "10"),
        (("1", "3", "2"), [True, True, False], "3"),
    ],
)
def test_older_and_repeated_news_are_dropped(versions: tuple[str, ...], news: list[bool], kept: str) -> None:
    caches = Caches()
    assert [caches.take(news_of("SFTRun", sftrun(version=each))) for each in versions] == news
    run = caches.run(KEY)
    assert run is not None
    assert run.resource_version == kept


def test_a_run_comes_out_as_it_went_in() -> None:
    caches = Caches()
    obj = sftrun(attempt=3, phase="Training")
    caches.learn("SFTRun", obj)
    assert caches.run(KEY) == run_of(obj)


def test_the_successor_survives_the_late_news_of_its_predecessors_deletion() -> None:
    caches = Caches()
    caches.learn("SFTRun", sftrun(uid="old", version="5"))
    caches.learn("SFTRun", sftrun(uid="new", version="8"))
    assert not caches.take(news_of("SFTRun", sftrun(uid="old", version="7"), gone=True))
    run = caches.run(KEY)
    assert run is not None
    assert run.uid == "new"


FIRSTS: dict[str, tuple[list[tuple[str, dict[str, Any], bool]], bool]] = {
    "nothing but itself": ([("SFTRun", sftrun(version="8"), False)], True),
    "seen twice": ([("SFTRun", sftrun(version="8"), False), ("SFTRun", sftrun(version="9"), False)], True),
    "after another": (
        [("SFTRun", sftrun(uid="old", version="5"), False), ("SFTRun", sftrun(version="8"), False)],
        False,
    ),
    "after one that was deleted": (
        [
            ("SFTRun", sftrun(uid="old", version="5"), False),
            ("SFTRun", sftrun(uid="old", version="7"), True),
            ("SFTRun", sftrun(version="8"), False),
        ],
        False,
    ),
    "beside a pod": ([("Pod", owned("Pod", "x-1", uid="p"), False)], False),
    "beside a Job": ([("Job", owned("Job", "x-1", uid="j"), False)], False),
}


@pytest.mark.parametrize("case", FIRSTS)
def test_knows_who_is_the_first_of_its_name(case: str) -> None:
    heard, first = FIRSTS[case]
    caches = Caches()
    for kind, obj, gone in heard:
        caches.take(news_of(kind, obj, gone=gone))  # type: ignore[arg-type]
    assert not caches.is_first(KEY), "nothing has been listed yet"
    caches.listed.set()
    assert caches.is_first(KEY) is first


def test_a_relist_that_misses_a_run_parts_with_its_name() -> None:
    caches = Caches()
    caches.learn("SFTRun", sftrun(uid="old", version="5"))
    caches.listed.set()
    assert caches.is_first(KEY)
    caches.runs.sweep([KEY], set(), "7")
    assert not caches.is_first(KEY)


def test_only_so_many_former_names_are_known() -> None:
    store: Store[int] = Store(former_names=2)
    for name in "abc":
        key = Key("default", name)
        store.put(Entry(key=key, uid=name, version="1", run=key, value=0))
        store.remove(key, name)
    assert [store.had_another(Key("default", name)) for name in "abc"] == [False, True, True]


def test_objects_are_found_by_their_run_and_only_while_they_are_there() -> None:
    caches = Caches()
    caches.learn("Pod", owned("Pod", "x-1", uid="p1"))
    caches.learn("Pod", owned("Pod", "x-2", uid="p2"))
    caches.learn("Pod", owned("Pod", "y-1", run="y", uid="p3"))
    assert [entry.value.name for entry in caches.pods.of_run(KEY)] == ["x-1", "x-2"]
    caches.take(news_of("Pod", owned("Pod", "x-1", uid="p1"), gone=True))
    assert [entry.value.name for entry in caches.pods.of_run(KEY)] == ["x-2"]
    assert caches.pods.of_run(Key("other", "x")) == []


def test_a_pod_whose_label_moved_belongs_to_its_new_run_only() -> None:
    caches = Caches()
    caches.learn("Pod", owned("Pod", "p", uid="p1", version="1"))
    caches.learn("Pod", owned("Pod", "p", run="y", uid="p1", version="2"))
    assert caches.pods.of_run(KEY) == []
    assert len(caches.pods.of_run(Key("default", "y"))) == 1


@pytest.mark.parametrize(
    ("entry_version", "list_version", "stays"), [("5", "9", False), ("9", "9", False), ("12", "9", True)]
)
def test_a_sweep_drops_what_the_list_lacks_unless_it_is_newer(
    entry_version: str, list_version: str, stays: bool
) -> None:
    caches = Caches()
    caches.learn("Job", owned("Job", "x-1", version=entry_version))
    vanished = caches.jobs.sweep([Key("default", "x-1")], set(), list_version)
    assert (caches.jobs.get(Key("default", "x-1")) is not None) is stays
    assert bool(vanished) is not stays


def test_shuffled_news_end_in_the_newest_state() -> None:
    chance = random.Random(7)
    for _ in range(50):
        caches = Caches()
        news = [news_of("SFTRun", sftrun(version=str(number), step=number)) for number in range(1, 30)]
        chance.shuffle(news)
        for each in news:
            caches.take(each)
        run = caches.run(KEY)
        assert run is not None
        assert run.status["step"] == 29


def test_a_cached_run_takes_a_few_kilobytes() -> None:
    """Ten thousand runs of a full spec stay far below what the parsed dicts would take."""
    spec = {"training": {f"field{number}": number for number in range(60)}, "text": "x" * 1000}
    caches = Caches()
    tracemalloc.start()
    for number in range(1000):
        obj: dict[str, Any] = sftrun(f"r{number}", uid=f"{UID}{number}")
        caches.learn("SFTRun", obj | {"spec": spec})
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken / 1000 < 6_000


def test_is_new_tells_a_run_without_status() -> None:
    assert news_of("SFTRun", sftrun()).entry.value.is_new
    assert not news_of("SFTRun", sftrun(phase="Pending")).entry.value.is_new


@pytest.mark.parametrize("value", [2**70, "\ud800", 1e300, {"deep": [None, True]}])
def test_values_at_the_edge_of_json_survive_packing(value: Any) -> None:
    news = news_of("SFTRun", sftrun() | {"spec": {"value": value}})
    assert news.entry.value.unpack().spec["value"] == value
