"""A thousand runs and ten thousand: from the creation of each to its Job, what it costs, and that it ends."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml
from bench import audits, footprints
from bench.audits import AuditLog, Call
from bench.scale_goals import ALL, CPU, MEMORY, P50, P99, WRITES
from bench.scale_operators import Create, audit_log, bare_client, cluster_cpu, create_many, loaded, sft_runs
from bench.stages import quantile, say, stage
from tests.cluster.operator_harness import Harness, eventually

from cluster.handles import CRD_FILE

IDLE_SECONDS = 60.0
Figures = dict[str, float]


async def thousand(*, num_runs: int, creators: int = 16) -> Figures:
    """Returns the figures of so many runs by parallel creators."""
    async with stage("bench-scale", brisk=False) as here:
        log, folder = audit_log(here), Path(tempfile.mkdtemp(prefix="bench-scale-"))
        async with loaded(here, folder=folder) as operator:
            say(f"{num_runs} runs by {creators} creators; ready in {operator.ready_seconds:.1f} s")
            start, others = operator.footprint, cluster_cpu(here)
            calls = await create_all(
                log, sft_runs(here), user=here.user, num_runs=num_runs, creators=creators, seconds=300
            )
            await operator.until_idle(seconds=120)
            calls.extend(log.read())
            end, looks = operator.footprint, (await operator.metrics()).looks
            tell_cluster(here, others)
    taken = audits.counts(calls, user=here.user)
    say(
        f"refused writes: {[(c.verb, c.resource, c.code) for c in audits.refused(calls, user=here.user)][:5]}"
    )
    return {
        **starts(calls, user=here.user),
        ALL: round(span(calls, user=here.user), 2),
        WRITES: max(taken.values()),
        MEMORY: round(end.peak_mib, 1),
        CPU: round(end.cpu_seconds - start.cpu_seconds, 2),
        "looks a run": round(looks / num_runs, 2),
        "CPU s of its start": round(start.cpu_seconds, 2),
        "MiB at its start": round(start.peak_mib, 1),
    }


async def floor(*, num_runs: int, creators: int = 16, thinned: Callable[[Any], Any] | None = None) -> Figures:
    """Returns the same figures of a client that writes the same, and does nothing else; where given, of an
    API server whose CRD is `thinned` out."""
    async with stage("bench-scale", brisk=False) as here:
        log = audit_log(here)
        if thinned is not None:
            crd = thinned(yaml.safe_load(CRD_FILE.read_text(encoding="utf-8")))
            await asyncio.to_thread(here.cluster.apply, crd)
        async with bare_client(here) as pid:
            say(f"{num_runs} runs by {creators} creators, served by a client that thinks nothing")
            start, others = footprints.of(pid), cluster_cpu(here)
            calls = await create_all(
                log, sft_runs(here), user=here.user, num_runs=num_runs, creators=creators, seconds=300
            )
            end = footprints.of(pid)
            tell_cluster(here, others)
    return {
        **starts(calls, user=here.user),
        ALL: round(span(calls, user=here.user), 2),
        MEMORY: round(end.peak_mib, 1),
        CPU: round(end.cpu_seconds - start.cpu_seconds, 2),
    }


def without_rules(schema: Any) -> Any:
    """Returns a CRD, or a part of one, without what CEL evaluates."""
    if isinstance(schema, dict):
        kept = {key: part for key, part in schema.items() if key != "x-kubernetes-validations"}
        return {key: without_rules(part) for key, part in kept.items()}
    return [without_rules(part) for part in schema] if isinstance(schema, list) else schema


def without_schema(crd: Any) -> Any:
    """Returns a CRD that takes anything: no rule, no default, no type."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    versions = [
        {key: part for key, part in version.items() if key != "selectableFields"}
        | {"schema": {"openAPIV3Schema": anything}}
        for version in crd["spec"]["versions"]
    ]
    return {**crd, "spec": {**crd["spec"], "versions": versions}}


async def ten_thousand(*, num_runs: int, creators: int = 32, idle_seconds: float = IDLE_SECONDS) -> Figures:
    """Returns the figures of runs as fast as the API server takes them, and of a restart with them."""
    async with stage("bench-scale", brisk=False) as here:
        log, folder = audit_log(here), Path(tempfile.mkdtemp(prefix="bench-scale-"))
        async with loaded(here, folder=folder) as operator:
            others = cluster_cpu(here)
            say(f"{num_runs} runs by {creators} creators")
            calls = await create_all(
                log, sft_runs(here), user=here.user, num_runs=num_runs, creators=creators, seconds=900
            )
            await operator.until_idle(seconds=120)
            calls.extend(log.read())
            tell_cluster(here, others)
            busy = operator.footprint
            say(f"all have their Jobs: {busy.cpu_seconds:.1f} CPU s, peak {busy.peak_mib:.0f} MiB")
            idle = await _writes_while_idle(here, log, seconds=idle_seconds)
            errors = (await operator.metrics()).errors + len(audits.refused(calls, user=here.user))
            peak = operator.footprint.peak_bytes
        async with loaded(here, folder=folder) as operator:
            say(f"ready again in {operator.ready_seconds:.1f} s")
            await operator.until_idle(seconds=300)
            again = await _writes_while_idle(here, log, seconds=idle_seconds / 2)
            ready, after = operator.ready_seconds, operator.footprint
    taken = audits.counts(calls, user=here.user)
    told = audits.counts(calls, user=here.user, resource="events")
    return {
        "seconds until every run has its Job": round(span(calls, user=here.user), 1),
        "peak MB": round(max(peak, after.peak_bytes) / 1e6, 1),
        WRITES: max(taken.values()),
        "events a run": max(told.values(), default=0),
        "errors": errors,
        "writes in 60 idle seconds": len(idle),
        "seconds until ready again": round(ready, 1),
        "writes after the restart": len(again),
        **starts(calls, user=here.user),
        CPU: round(busy.cpu_seconds, 1),
        "CPU s of the restart": round(after.cpu_seconds, 1),
        "peak MB after the restart": round(after.peak_bytes / 1e6, 1),
    }


async def create_all(
    log: AuditLog, create: Create, *, user: str, num_runs: int, creators: int, seconds: float
) -> list[Call]:
    """Creates the runs and waits until `user` has made the Job of each. Returns all calls until then."""
    calls: list[Call] = []
    log.skip()
    began = time.monotonic()
    width = len(str(num_runs - 1))
    await create_many(create, [f"run-{number:0{width}}" for number in range(num_runs)], creators=creators)
    say(f"created after {time.monotonic() - began:.1f} s")

    async def made() -> int:
        calls.extend(log.read())
        await asyncio.sleep(0.5)
        return _jobs(calls, user=user)

    await eventually(made, lambda count: count >= num_runs, what=f"{num_runs} Jobs", seconds=seconds)
    say(f"the last Job after {time.monotonic() - began:.1f} s")
    return calls


def _jobs(calls: Iterable[Call], *, user: str) -> int:
    return sum(c.user == user and (c.verb, c.resource, c.code) == ("create", "jobs", 201) for c in calls)


def starts(calls: Iterable[Call], *, user: str) -> Figures:
    """Returns how long runs waited for the Jobs that `user` made."""
    times = list(audits.starts(calls, user=user).values())
    return {P50: round(quantile(times, 0.5), 2), P99: round(quantile(times, 0.99), 2)}


def span(calls: list[Call], *, user: str) -> float:
    """Returns the seconds from the receipt of the first creation to the answer to the last Job's."""
    first = min(call.received for call in calls if call.verb == "create" and call.resource in audits.RUNS)
    ours = (call for call in calls if call.user == user and (call.verb, call.resource) == ("create", "jobs"))
    return max(call.answered for call in ours) - first


async def _writes_while_idle(here: Harness, log: AuditLog, *, seconds: float) -> list[Call]:
    list(log.read())
    await asyncio.sleep(seconds)
    found = [call for call in log.read() if call.user == here.user and call.resource != "leases"]
    if found:
        say(f"written meanwhile: {[(call.verb, call.resource, call.name) for call in found[:5]]}")
    return found


def tell_cluster(here: Harness, before: dict[str, float]) -> None:
    """Says what the cluster's programs have used since `before`."""
    spent = {name: round(after - before[name], 1) for name, after in cluster_cpu(here).items()}
    say(f"CPU seconds of the cluster: {spent}")
