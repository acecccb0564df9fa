"""Relists: what vanished goes, what is new comes, a deaf watch is noticed, and a missing CRD is waited
for."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from tests.operator.shell_fakes import KEY, FakeKube, error, owned, sftrun

from sftrun_operator import kube, relists
from sftrun_operator.caches import Caches, Key, News
from sftrun_operator.kube_errors import UnreachableError
from sftrun_operator.relists import Relists, explain


def setup(*objects: dict[str, Any]) -> tuple[FakeKube, Caches, Relists, list[News], list[int]]:
    fake, caches, changed, missed = FakeKube(*objects), Caches(), list[News](), list[int]()
    made = Relists(
        client=cast(kube.Kube, fake),
        caches=caches,
        namespaces=(),
        changed=changed.append,
        missed=missed.append,
    )
    return fake, caches, made, changed, missed


async def test_a_job_that_vanished_unseen_is_dropped_and_its_run_looked_at() -> None:
    _, caches, made, changed, _ = setup(sftrun())
    caches.learn("SFTRun", sftrun())
    caches.learn("Job", owned("Job", "x-1", uid="j", version="7"))
    assert await made.relist() == {"SFTRun": 0, "Job": 1, "Pod": 0}
    assert caches.jobs.get(Key("default", "x-1")) is None
    assert [(news.kind, news.gone, news.entry.run) for news in changed] == [("Job", True, KEY)]


async def test_what_the_watch_missed_is_taken_in() -> None:
    _, caches, made, changed, _ = setup(sftrun(version="9"), owned("Pod", "p", uid="p"))
    caches.learn("SFTRun", sftrun(version="8"))
    assert await made.relist() == {"SFTRun": 1, "Job": 0, "Pod": 1}
    assert [news.kind for news in changed] == ["SFTRun", "Pod"]
    assert await made.relist() == {"SFTRun": 0, "Job": 0, "Pod": 0}


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        (error(404, "NotFound"), "install the CRD"),
        (error(403, "Forbidden"), "lacks a right"),
        (UnreachableError("list sftruns: refused"), "refused"),
    ],
)
def test_what_hinders_the_first_list_is_said_with_its_remedy(trouble: Any, why: str) -> None:
    assert why in explain(trouble)


async def test_the_first_list_is_tried_until_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relists, "FIRST_RETRY_SECONDS", 0.001)
    fake, caches, made, _, _ = setup(sftrun())
    fake.failures["list SFTRun"] = [error(404, "NotFound"), UnreachableError("x"), error(500, "x")]
    fake.failures["list Pod"] = [error(410, "Expired")]
    await asyncio.wait_for(made.until_listed(), 60)
    assert caches.run(KEY) is not None


@pytest.mark.parametrize(("hears", "deaf"), [(False, True), (True, False)])
async def test_a_watch_that_does_not_bring_what_the_list_brought_is_deaf(
    hears: bool, deaf: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relists, "DEAF_AFTER_SECONDS", 0.02)
    _, _, made, _, missed = setup(sftrun())
    called = asyncio.Event()
    task = asyncio.create_task(
        made.run(every=0.01, last_heard=lambda _: float("inf") if hears else 0.0, deaf=called.set)
    )
    await (asyncio.wait_for(called.wait(), 60) if deaf else asyncio.sleep(0.2))
    task.cancel()
    assert called.is_set() is deaf
    assert missed == ([1] if deaf else [])


async def test_served_namespaces_are_listed_one_by_one_and_swept_alone() -> None:
    fake, caches = FakeKube(), Caches()
    elsewhere = owned("Job", "y", uid="j")
    elsewhere["metadata"]["namespace"] = "elsewhere"
    caches.learn("Job", elsewhere)
    caches.learn("Job", owned("Job", "x-1", uid="k"))
    made = Relists(
        client=cast(kube.Kube, fake),
        caches=caches,
        namespaces=("default",),
        changed=lambda _: None,
        missed=print,
    )
    await made.relist()
    assert list(caches.jobs) == [Key("elsewhere", "y")]


@pytest.mark.parametrize(
    ("trouble", "alive"),
    [(error(403, "Forbidden"), True), (error(404, "NotFound"), True), (UnreachableError("away"), False)],
)
async def test_a_refused_list_is_an_answer_all_the_same(trouble: Any, alive: bool) -> None:
    fake, _, made, _, _ = setup(sftrun())
    fake.failures["list SFTRun"] = [trouble] * 1000

    running = asyncio.create_task(made.run(every=0.001, last_heard=lambda _: 0.0, deaf=lambda: None))
    async with asyncio.timeout(60):
        while len(fake.calls) < 2:  # noqa: ASYNC110 - the fake has no event for it
            await asyncio.sleep(0.001)
    running.cancel()
    assert (made.last_answer is not None, made.last_success) == (alive, None)
