"""`make bench-scale` in small: what many runs cost is counted, and nothing is timed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from bench import audits
from bench.audits import AuditLog, Call
from bench.scale_operators import create_many, sft_runs
from tests.cluster.operator_harness import Harness, eventually, harness_of

from cluster.handles import ClusterHandle
from sftrun_operator import kube
from sftrun_operator.operators import Operator

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

NUM_RUNS = 48
NUM_MALFORMED = 32


@pytest.fixture
async def here(light_cluster_with_crds: ClusterHandle) -> AsyncIterator[Harness]:
    async with harness_of(light_cluster_with_crds) as harness:
        yield harness


def _calls(here: Harness) -> list[Call]:
    assert here.cluster.audit_log is not None
    return [call for call in AuditLog(here.cluster.audit_log).read() if call.namespace == here.namespace]


async def _jobs(here: Harness) -> int:
    return len(await here.objects(kube.JOBS))


async def _looked(here: Harness, operator: Operator, count: int) -> list[Call]:
    """Waits until every run was looked at, and nothing is left to do. Returns all calls of the namespace."""

    async def looks() -> float:
        passes = operator.metrics.passes.collect()
        return sum(s.value for each in passes for s in each.samples if s.name.endswith("_total"))

    await eventually(looks, lambda found: found >= count, what=f"{count} looks", seconds=120)

    async def rests() -> bool:
        return not len(operator.queue) and not operator.queue.num_working

    await eventually(rests, bool, what="an operator with nothing to do", seconds=120)
    return _calls(here)


async def test_each_of_many_runs_costs_three_writes_and_one_event_and_a_restart_none(here: Harness) -> None:
    names = [f"run-{number:02}" for number in range(NUM_RUNS)]
    async with here.operator(relist_every=0.5) as operator:
        await create_many(sft_runs(here), names, creators=16)
        await eventually(
            lambda: _jobs(here), lambda count: count == NUM_RUNS, what="a Job for each", seconds=120
        )
        await _looked(here, operator, 2 * NUM_RUNS)
        await here.written(operator, "")
    calls = _calls(here)
    assert audits.counts(calls, user=here.user) == Counter(dict.fromkeys(names, 3))
    assert audits.counts(calls, user=here.user, resource="events") == Counter(dict.fromkeys(names, 1))
    assert audits.refused(calls, user=here.user) == []
    assert set(audits.starts(calls, user=here.user)) == set(names)

    async with here.operator(relist_every=0.5) as operator:
        again = await _looked(here, operator, NUM_RUNS)
    assert len(audits.writes(again, user=here.user)) == len(audits.writes(calls, user=here.user))
    assert audits.counts(again, user=here.user, resource="events").total() == NUM_RUNS


async def test_malformed_runs_hold_no_good_one_up(here: Harness) -> None:
    """What the API server's rules cannot see, and statuses that nobody of ours wrote."""
    async with here.operator() as operator:
        bad = [f"bad-{number:02}" for number in range(NUM_MALFORMED)]
        await asyncio.gather(*(_malformed(here, name, number) for number, name in enumerate(bad)))
        good = [f"good-{number}" for number in range(6)]
        await create_many(sft_runs(here), good, creators=2)
        await eventually(
            lambda: _jobs(here), lambda count: count >= len(good), what="a Job for each good one"
        )
        for name in bad:
            await here.phase(name, "Rejected")
        await _looked(here, operator, len(bad) + len(good))
        await here.written(operator, "")
        calls = _calls(here)
        assert {call.run for call in calls if call.user == here.user and call.resource == "jobs"} == set(good)
        refused = audits.refused(calls, user=here.user)
        assert {call.code for call in refused} <= {409}, "which this test's own write of a status may cause"
        wrote = audits.counts((call for call in calls if call.code < 300), user=here.user)
        assert {wrote[name] for name in good} == {3}
        assert max(wrote[name] for name in bad) <= 2, (
            "a status that is garbage may be met before and after it"
        )


async def _malformed(here: Harness, name: str, number: int) -> None:
    volumes = [{"mountPath": "/opt/sftrun/x", "persistentVolumeClaim": {"claimName": "x"}}]
    made = await here.create(name, volumes=volumes)
    if number % 2:
        body = {
            "metadata": {"uid": made["metadata"]["uid"]},
            "status": {"attempt": 7, "image": "x", "retries": 3},
        }
        await here.api.patch_status(kube.SFTRUNS, here.namespace, name, body)
