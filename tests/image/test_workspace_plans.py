"""What of a workspace may go: rules as a table, and what holds for every workspace."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftrun_workspace import plans
from sftrun_workspace.values import (
    Archive,
    Cache,
    Category,
    Checkpoint,
    Extent,
    Item,
    Listing,
    Lock,
    OutputFolder,
    Owner,
    Plan,
    Wish,
)

ANY = Wish(categories=frozenset(Category))
NOW = 1_800_000_000.0
DAY = 86_400.0
ALL = frozenset(Category)
A = Owner(namespace="ns", name="a", uid="11111-a")
B = Owner(namespace="ns", name="b", uid="22222-b")


def extent(path: str, *, days: float = 10.0) -> Extent:
    return Extent(path=path, num_bytes=100, modified=NOW - days * DAY)


def lock(owner: Owner | None = A, *, released: bool = False, seconds: float = 20.0) -> Lock:
    return Lock(owner=owner, released=released, modified=NOW - seconds)


def folder(*steps: int, half: tuple[int, ...] = (), days: float = 10.0, **rest: Any) -> OutputFolder:
    values: dict[str, Any] = {
        "path": "artifacts/model/a",
        "owner": A,
        "lock": lock(released=True),
        "finished": True,
        "checkpoints": tuple(
            Checkpoint(
                extent=extent(f"artifacts/model/a/checkpoint-{step}", days=days),
                step=step,
                whole=step not in half,
            )
            for step in steps
        ),
    }
    return OutputFolder(**values | rest)


def keeping(path: str) -> Wish:
    return Wish(categories=ALL, protected=frozenset({path}))


def living(*owners: Owner) -> Wish:
    return Wish(categories=ALL, live=frozenset(owner.uid for owner in owners))


CHECKPOINTS: dict[str, tuple[OutputFolder, Wish, set[int]]] = {
    "the last one stays": (folder(1, 2, 3), ANY, {1, 2}),
    "and the best": (folder(1, 2, 3, best=frozenset({"checkpoint-1"})), ANY, {2}),
    "one that is all there is": (folder(7), ANY, set()),
    "two of a training that is not at its end": (folder(1, 2, 3, finished=False), ANY, {1}),
    "the last whole one, and what is newer": (folder(1, 2, 3, half=(3,)), ANY, {1}),
    "none that is whole": (folder(1, 2, 3, half=(1, 2, 3)), ANY, {1}),
    "best unknown": (folder(1, 2, best=None), ANY, set()),
    "nobody's": (folder(1, 2, owner=None), ANY, set()),
    "a lock that beats": (folder(1, 2, lock=lock()), ANY, set()),
    "another's lock that beats": (folder(1, 2, lock=lock(B)), ANY, set()),
    "a lock of a clock ahead": (folder(1, 2, lock=lock(seconds=-999)), ANY, set()),
    "a lock that cannot be read": (folder(1, 2, lock=lock(None, seconds=9e9)), ANY, set()),
    "a lock that stopped long ago": (folder(1, 2, lock=lock(seconds=7200)), ANY, {1}),
    "no lock": (folder(1, 2, lock=None), ANY, {1}),
    "alive by the cluster": (folder(1, 2), living(A), set()),
    "its holder alive": (folder(1, 2, lock=lock(B, released=True)), living(B), set()),
    "referred to": (folder(1, 2, 3), keeping("artifacts/model/a/checkpoint-1"), {2}),
    "something in it referred to": (
        folder(1, 2, 3), keeping("artifacts/model/a/checkpoint-1/x"), {2},
    ),
    "all of it referred to": (folder(1, 2), keeping("artifacts/model/a"), set()),
    "a name that only begins alike": (folder(1, 12), keeping("artifacts/model/a/checkpoint-12"), {1}),
    "too young": (folder(1, 2, days=1), Wish(categories=ALL, older_than=2 * DAY), set()),
    "old enough": (folder(1, 2, days=3), Wish(categories=ALL, older_than=2 * DAY), {1}),
    "of the run": (folder(1, 2), Wish(categories=ALL, run="a"), {1}),
    "of another run": (folder(1, 2), Wish(categories=ALL, run="b"), set()),
    "not asked for": (folder(1, 2), Wish(categories=frozenset({Category.HUB})), set()),
}  # fmt: skip


@pytest.mark.parametrize(("found", "wish", "gone"), CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_checkpoints(found: OutputFolder, wish: Wish, gone: set[int]) -> None:
    plan = plans.plan(Listing(folders=(found,)), wish, now=NOW)
    assert {each.extent.path for each in plan.items} == {
        f"artifacts/model/a/checkpoint-{step}" for step in gone
    }
    assert plan.num_bytes == 100 * len(gone)


def tokenized(name: str = "t") -> Cache:
    path = f".cache/sftrun/tokenized/{name}"
    return Cache(extent=extent(path), category=Category.CACHES, what="a set", tokenized=name)


def trial(owner: Owner = B, **rest: Any) -> Cache:
    return Cache(
        extent=extent(".cache/sftrun/trials/x"), category=Category.CACHES, what="x", owner=owner, **rest
    )


HUB = Cache(extent=extent(".cache/huggingface/hub"), category=Category.HUB, what="models")
LIVE = folder(1, lock=lock())
CACHES: dict[str, tuple[Listing, Wish, int]] = {
    "nobody lives": (Listing(folders=(folder(1),), caches=(tokenized(), HUB)), ANY, 2),
    "only what was asked for": (
        Listing(caches=(tokenized(), HUB)), Wish(categories=frozenset({Category.CACHES})), 1,
    ),
    "somebody, unknown from what": (Listing(folders=(LIVE,), caches=(tokenized(), HUB)), ANY, 0),
    "somebody who trains from it": (
        Listing(folders=(dataclasses.replace(LIVE, tokenized="t"),), caches=(tokenized(),)), ANY, 0,
    ),
    "somebody who trains from another": (
        Listing(folders=(dataclasses.replace(LIVE, tokenized="t"),), caches=(tokenized("u"), HUB)),
        ANY, 1,
    ),
    "a run that has no folder yet": (Listing(caches=(tokenized(),)), living(A), 0),
    "a trial": (Listing(caches=(trial(), tokenized())), ANY, 2),
    "a trial that goes on": (Listing(caches=(trial(lock=lock(B)), tokenized())), ANY, 0),
    "caches belong to no run": (Listing(caches=(tokenized(), trial())), Wish(categories=ALL, run="b"), 1),
    "what a removal left": (Listing(remains=(extent(".cache/.sftrun-removed-1"),)), ANY, 1),
}  # fmt: skip


@pytest.mark.parametrize(("listing", "wish", "gone"), CACHES.values(), ids=CACHES)
def test_caches(listing: Listing, wish: Wish, gone: int) -> None:
    assert len(plans.plan(listing, wish, now=NOW).items) == gone


def archive(owner: Owner, *, days: float = 10.0) -> Archive:
    path = f"artifacts/archives/{owner.name}-{owner.uid[:5]}-1"
    return Archive(extent=extent(path, days=days), run=owner.name, uid_start=owner.uid[:5])


def test_checkpoints_are_told_in_the_order_of_their_steps() -> None:
    found = plans.plan(Listing(folders=(folder(10, 9, 100, 200),)), ANY, now=NOW)
    assert [each.extent.path.rpartition("-")[2] for each in found.items] == ["9", "10", "100"]


def test_archives_go_but_those_of_runs_that_are_not_over() -> None:
    listing = Listing(folders=(LIVE,), archives=(archive(A), archive(B)))
    gone = [each.extent.path for each in plans.plan(listing, ANY, now=NOW).items]
    assert gone == ["artifacts/archives/b-22222-1"]
    wish = living(A, B)
    assert not plans.plan(listing, wish, now=NOW).items
    assert not plans.plan(listing, Wish(categories=ALL, run="c"), now=NOW).items


owners = st.sampled_from([A, B])
locks = st.none() | st.builds(
    Lock,
    owner=st.none() | owners,
    released=st.booleans(),
    modified=st.sampled_from([NOW + 60, NOW - 20, NOW - 7200]),
)


@st.composite
def output_folders(draw: st.DrawFn, name: str) -> OutputFolder:
    path = f"artifacts/model/{name}"
    steps = draw(st.lists(st.integers(1, 6), unique=True))
    days = st.sampled_from([0.1, 5.0, 50.0])
    return OutputFolder(
        path=path,
        owner=draw(st.none() | owners),
        lock=draw(locks),
        finished=draw(st.booleans()),
        best=draw(
            st.none() | st.sets(st.integers(1, 6)).map(lambda s: frozenset(f"checkpoint-{n}" for n in s))
        ),
        checkpoints=tuple(
            Checkpoint(
                extent=extent(f"{path}/checkpoint-{step}", days=draw(days)),
                step=step,
                whole=draw(st.booleans()),
            )
            for step in steps
        ),
        tokenized=draw(st.sampled_from([None, "t", "u"])),
    )


@st.composite
def listings(draw: st.DrawFn) -> Listing:
    return Listing(
        folders=tuple(draw(output_folders(name)) for name in "xyz"[: draw(st.integers(0, 3))]),
        archives=tuple(archive(owner, days=draw(st.sampled_from([0.1, 50.0]))) for owner in (A, B)),
        caches=(tokenized("t"), tokenized("v"), trial(draw(owners), lock=draw(locks)), HUB),
    )


wishes = st.builds(
    Wish,
    categories=st.frozensets(st.sampled_from(list(Category))),
    older_than=st.sampled_from([0.0, DAY, 20 * DAY]),
    run=st.sampled_from([None, "a", "b"]),
    live=st.frozensets(st.sampled_from([A.uid, B.uid])),
    protected=st.frozensets(
        st.sampled_from(["artifacts/model/x", "artifacts/model/y/checkpoint-2", ".cache/huggingface"])
    ),
)


def without(listing: Listing, plan: Plan) -> Listing:
    gone = {item.extent.path for item in plan.items}
    return Listing(
        folders=tuple(
            dataclasses.replace(
                each, checkpoints=tuple(c for c in each.checkpoints if c.extent.path not in gone)
            )
            for each in listing.folders
        ),
        archives=tuple(each for each in listing.archives if each.extent.path not in gone),
        caches=tuple(each for each in listing.caches if each.extent.path not in gone),
    )


@given(listing=listings(), wish=wishes)
def test_what_never_goes(listing: Listing, wish: Wish) -> None:
    items = {each.extent.path: each for each in plans.plan(listing, wish, now=NOW).items}
    assert {each.category for each in items.values()} <= wish.categories
    for found in listing.folders:
        gone = [each for each in found.checkpoints if each.extent.path in items]
        if not gone:
            continue
        assert found.owner is not None and found.best is not None
        assert not plans.alive(found.lock, now=NOW)
        assert found.owner.uid not in wish.live
        assert wish.run in (None, found.owner.name)
        assert not {each.name for each in gone} & found.best
        last = max((each.step for each in found.checkpoints if each.whole), default=0)
        assert all(each.step < (last or max(c.step for c in found.checkpoints)) for each in gone)
    for path, item in items.items():
        assert not any(path.startswith(f"{kept}/") or path == kept for kept in wish.protected)
        assert NOW - item.extent.modified >= wish.older_than


@given(listing=listings(), wish=wishes)
def test_once_is_enough(listing: Listing, wish: Wish) -> None:
    left = without(listing, plans.plan(listing, wish, now=NOW))
    assert not plans.plan(left, wish, now=NOW).items


def paths(items: tuple[Item, ...]) -> set[str]:
    return {item.extent.path for item in items}


@given(listing=listings(), wish=wishes)
def test_who_asks_for_less_removes_no_more(listing: Listing, wish: Wish) -> None:
    whole = paths(plans.plan(listing, dataclasses.replace(wish, categories=ALL), now=NOW).items)
    for narrower in (
        wish,
        dataclasses.replace(wish, older_than=30 * DAY),
        dataclasses.replace(wish, live=wish.live | {A.uid}),
        dataclasses.replace(wish, protected=wish.protected | {"artifacts/model"}),
    ):
        assert paths(plans.plan(listing, narrower, now=NOW).items) <= whole


@given(listing=listings(), wish=wishes)
def test_all_that_was_asked_about_is_accounted_for(listing: Listing, wish: Wish) -> None:
    wish = dataclasses.replace(wish, categories=ALL, run=None)
    plan = plans.plan(listing, wish, now=NOW)
    told = paths(plan.items) | {kept.path for kept in plan.kept}
    for found in listing.folders:
        assert all(each.extent.path in told or found.path in told for each in found.checkpoints)
    assert {each.extent.path for each in listing.archives} <= told
    assert {each.extent.path for each in listing.caches} <= told
