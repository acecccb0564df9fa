"""Applying: in order, with preconditions, repeatable; after a step that failed only events are written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
from tests.operator.shell_fakes import KEY, FakeKube, error, owned, run_of, sftrun

from sftrun_operator import kube, kube_errors
from sftrun_operator.apply import Applier, NameTakenError, NotAppliedError, event_manifest
from sftrun_operator.caches import Caches, Key
from sftrun_operator.decisions import Deletion, EventNote, Plan

RUN = run_of(sftrun())
MANIFESTS = tuple({"kind": kind, "metadata": owned(kind, "x-1")["metadata"]} for kind in ("ConfigMap", "Job"))
FULL = Plan(
    keep=({"kind": "ConfigMap", "metadata": owned("ConfigMap", "x-0-curve")["metadata"]},),
    status_patch={"phase": "Pending"},
    delete=(Deletion(kind="Job", name="old", uid="o"),),
    create=MANIFESTS,
    events=(EventNote(type="Normal", reason="Accepted", message="fine"),),
)


def setup(*objects: dict[str, Any]) -> tuple[FakeKube, Caches, Applier]:
    fake, caches = FakeKube(sftrun(), *objects), Caches()
    caches.learn("SFTRun", sftrun())
    return fake, caches, Applier(client=cast(kube.Kube, fake), caches=caches)


async def test_curve_then_status_then_deletions_then_creations_then_events() -> None:
    fake, caches, applier = setup(owned("Job", "old", uid="o"))
    await applier.apply(FULL, run=RUN, now=0.0)
    assert [call.rsplit(".", 1)[0] for call in fake.calls] == [
        "create ConfigMap x-0-curve",
        "patch SFTRun x",
        "delete Job old Foreground",
        "create ConfigMap x-1",
        "create Job x-1",
        "create Event x",
    ]
    run = caches.run(KEY)
    assert run is not None
    assert run.status == {"phase": "Pending"}, "the answer to our own write is known at once"
    assert run.resource_version != RUN.resource_version
    assert caches.jobs.get(Key("default", "x-1")) is not None


async def test_nothing_is_written_after_a_conflict() -> None:
    fake, _, applier = setup()
    with pytest.raises(kube_errors.ConflictError):
        await applier.apply(FULL, run=replace(RUN, resource_version="0"), now=0.0)
    assert fake.calls == ["create ConfigMap x-0-curve", "patch SFTRun x"]


async def test_a_curve_that_cannot_be_kept_now_holds_nothing_up_and_is_tried_again() -> None:
    fake, _, applier = setup(owned("Job", "old", uid="o"))
    fake.failures["create ConfigMap"] = [kube_errors.UnreachableError("away")]
    with pytest.raises(kube_errors.UnreachableError, match="away"):
        await applier.apply(FULL, run=RUN, now=0.0)
    assert fake.calls[1:5] == [
        "patch SFTRun x",
        "delete Job old Foreground",
        "create ConfigMap x-1",
        "create Job x-1",
    ]


async def test_a_status_write_after_the_deletion_was_seen_does_not_bring_the_run_back() -> None:
    fake, caches, applier = setup()
    fake.before["patch SFTRun"] = lambda: cast(None, caches.runs.remove(KEY, RUN.uid))
    await applier.apply(Plan(status_patch={"phase": "Pending"}), run=RUN, now=0.0)
    assert caches.run(KEY) is None


async def test_a_name_that_is_taken_by_us_is_fine() -> None:
    fake, caches, applier = setup(owned("ConfigMap", "x-1"), owned("Job", "x-1", uid="theirs-was-first"))
    await applier.apply(Plan(create=MANIFESTS), run=RUN, now=0.0)
    entry = caches.jobs.get(Key("default", "x-1"))
    assert entry is not None
    assert entry.uid == "theirs-was-first"
    assert "get Job x-1" in fake.calls


@pytest.mark.parametrize(
    "taker", [owned("Job", "x-1", owner="another"), {"kind": "Job", "metadata": {"name": "x-1"}}]
)
async def test_a_name_that_is_taken_by_another_stops_the_pass(taker: dict[str, Any]) -> None:
    _, _, applier = setup(taker)
    with pytest.raises(NameTakenError, match="Job x-1 belongs to"):
        await applier.apply(FULL, run=RUN, now=0.0)


@pytest.mark.parametrize(
    "trouble", [error(403, "Forbidden"), error(500, "InternalError"), error(409, "Conflict")]
)
async def test_what_the_status_says_is_told_even_if_a_creation_fails(trouble: Exception) -> None:
    """The next pass finds the status as it should be, and has nothing to tell."""
    fake, _, applier = setup()
    fake.failures["create Job"] = [trouble]
    with pytest.raises((NotAppliedError, kube_errors.KubeError)):
        await applier.apply(FULL, run=RUN, now=0.0)
    assert [kind for kind, _ in fake.objects].count("Event") == 1


async def test_a_status_that_is_not_written_is_not_told_and_not_counted() -> None:
    fake, caches, _ = setup()
    counted: list[Any] = []
    applier = Applier(
        client=cast(kube.Kube, fake), caches=caches, turned=lambda key, transition: counted.append(transition)
    )
    fake.failures["patch SFTRun"] = [error(409, "Conflict")]
    with pytest.raises(kube_errors.ConflictError):
        await applier.apply(FULL, run=RUN, now=0.0)
    assert counted == []
    assert "Event" not in [kind for kind, _ in fake.objects]
    await applier.apply(FULL, run=RUN, now=0.0)
    assert len(counted) == 1


@pytest.mark.parametrize(("code", "reason"), [(403, "Forbidden"), (422, "Invalid"), (400, "BadRequest")])
async def test_a_refused_creation_says_what_was_refused_and_why(code: int, reason: str) -> None:
    fake, _, applier = setup()
    fake.failures["create Job"] = [error(code, reason, "exceeded quota: gpus")]
    with pytest.raises(NotAppliedError) as caught:
        await applier.apply(FULL, run=RUN, now=0.0)
    refused = caught.value.error
    assert (refused.verb, refused.kind, refused.name) == ("create", "Job", "x-1")
    assert (refused.code, refused.reason, refused.message) == (code, reason, "exceeded quota: gpus")
    assert fake.objects["SFTRun", "x"]["status"] == {"phase": "Pending"}, "the status was written before"


async def test_a_refused_deletion_says_so_too() -> None:
    fake, _, applier = setup(owned("Job", "old", uid="o"))
    fake.failures["delete Job"] = [error(403, "Forbidden")]
    with pytest.raises(NotAppliedError) as caught:
        await applier.apply(FULL, run=RUN, now=0.0)
    assert caught.value.error.verb == "delete"
    assert [call.split()[1] for call in fake.calls if call.startswith("create")] == ["ConfigMap", "Event"], (
        "the curve is kept and people hear of it"
    )


@pytest.mark.parametrize("there", [(), (owned("Job", "old", uid="successor"),)])
async def test_deleting_what_is_gone_or_anothers_goes_on(there: tuple[dict[str, Any], ...]) -> None:
    fake, _, applier = setup(*there)
    await applier.apply(FULL, run=RUN, now=0.0)
    assert ("Job", "x-1") in fake.objects
    assert (("Job", "old") in fake.objects) is bool(there)


@pytest.mark.parametrize("failure", [error(403, "Forbidden"), error(409, "AlreadyExists"), error(500, "x")])
async def test_an_event_that_cannot_be_written_fails_nothing(failure: Exception) -> None:
    fake, _, applier = setup()
    fake.failures["create Event"] = [failure]
    await applier.apply(FULL, run=RUN, now=0.0)


async def test_applying_twice_creates_nothing_twice() -> None:
    fake, _, applier = setup()
    plan = Plan(create=MANIFESTS, events=FULL.events)
    await applier.apply(plan, run=RUN, now=0.0)
    before = dict(fake.objects)
    await applier.apply(plan, run=RUN, now=99.0)
    assert fake.objects == before


def test_the_same_transition_of_another_state_is_an_event_of_its_own() -> None:
    note = FULL.events[0]
    names = {
        event_manifest(note, run=replace(RUN, resource_version=version), now=now)["metadata"]["name"]
        for version, now in (("1", 0.0), ("1", 5.0), ("2", 5.0))
    }
    assert len(names) == 2
    assert len(event_manifest(replace(note, message="x" * 9999), run=RUN, now=0.0)["message"]) == 1024
