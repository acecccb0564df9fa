"""Least rights, by the API server's own account: in the life of a run nothing is refused to the operator, and
nothing that it is granted goes unused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from tests.cluster.operator_harness import Harness, eventually, harness_of, report, success

from cluster.control_planes import AUDITED
from cluster.driver import Driver
from cluster.handles import ClusterHandle
from cluster.scripts import play
from sftrun_api.models import JsonObject
from sftrun_api.names import LABEL_RUN
from sftrun_api.reports import Outcome, Stage
from sftrun_operator.elections import Seat
from sftrun_operator.main import ELECTION_RULES, RULES

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

Use = tuple[str, str, str]
"""API group, resource with its subresource, verb."""
GRANTED = {(group, what, verb) for group, what, verbs in (*RULES, *ELECTION_RULES) for verb in verbs}
ASKED_BY_ADMISSION = {("sftrun.dev", "sftruns/finalizers", "update")}
"""No request uses it; `test_operator_faults.py` shows on a cluster that guards owners what it is for."""


@pytest.fixture
async def here(light_cluster_with_crds: ClusterHandle) -> AsyncIterator[Harness]:
    async with harness_of(light_cluster_with_crds) as harness:
        yield await _audited(harness)


async def _audited(here: Harness) -> Harness:
    """Returns the same namespace for a user with the operator's role whose reads are in the audit log."""
    user = f"audited-{here.namespace}"
    group = "rbac.authorization.k8s.io"
    binding: JsonObject = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "audited"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "operator"},
        "subjects": [{"kind": "User", "name": user, "apiGroup": group}],
    }
    await asyncio.to_thread(here.cluster.apply, binding, namespace=here.namespace)
    kubeconfig = await asyncio.to_thread(here.cluster.user_kubeconfig, user, groups=(AUDITED,))
    return replace(here, user=user, kubeconfig=kubeconfig)


def entries(here: Harness) -> list[dict[str, Any]]:
    """Returns what the operator asked for; a line that is being written comes the next time."""
    log = here.cluster.audit_log
    assert log is not None
    lines = log.read_text().splitlines(keepends=True)
    found = (json.loads(line) for line in lines if line.endswith("\n") and here.user in line)
    return [entry for entry in found if entry["user"]["username"] == here.user]


def used(here: Harness) -> set[Use]:
    uses = set()
    for entry in entries(here):
        what = entry.get("objectRef", {})
        if "resource" in what:
            resource = "/".join(filter(None, (what["resource"], what.get("subresource"))))
            uses.add((what.get("apiGroup", ""), resource, entry["verb"]))
    return uses


async def until_used(here: Harness, *wanted: Use) -> None:
    async def missing() -> list[Use]:
        return sorted(set(wanted) - await asyncio.to_thread(used, here))

    await eventually(missing, lambda left: not left, what=f"the use of {wanted}", seconds=120.0)


async def test_nothing_is_refused_and_nothing_that_is_granted_goes_unused(here: Harness) -> None:
    seat = Seat(namespace=here.namespace, name="audited", identity="audited")
    driver = Driver(here.cluster.kubeconfig, namespace=here.namespace, script=play())
    async with here.operator(seat=seat, relist_every=1.0), driver:
        run = await here.apply("x")
        pod = await driver.pod(labels={LABEL_RUN: "x"})
        await pod.wait()
        await until_used(here, ("", "events", "list"))  # why the pod does not start is looked for
        await pod.run(report(run, pod, Stage.TRAIN, step=3))
        await here.phase("x", "Training")
        await here.patch("x", suspend=True)
        await until_used(here, ("batch", "jobs", "delete"))
        await here.phase("x", "Suspended")
        await here.patch("x", suspend=False)
        second = await driver.pod(labels={LABEL_RUN: "x", "sftrun.dev/attempt": "2"})
        latest = await here.run("x")
        assert latest is not None
        await second.run(report(latest, second, Stage.COLLECT, step=24, outcome=Outcome.SUCCEEDED))
        await second.end(0, message=success(latest, second))
        await here.phase("x", "Succeeded")
        await until_used(here, *(GRANTED - ASKED_BY_ADMISSION))
    asked = await asyncio.to_thread(used, here)
    assert asked == GRANTED - ASKED_BY_ADMISSION
    refused = [
        (entry["verb"], entry["requestURI"])
        for entry in entries(here)
        if entry.get("responseStatus", {}).get("code") in (401, 403)
    ]
    assert refused == []


def test_no_secret_and_no_change_of_what_others_own_is_among_the_rights() -> None:
    resources = {what for _, what, _ in GRANTED}
    assert not resources & {"secrets", "nodes", "pods/exec", "pods/log", "serviceaccounts", "namespaces", "*"}
    changed = {what for _, what, verb in GRANTED - ASKED_BY_ADMISSION if verb in ("update", "patch")}
    assert changed == {"sftruns/status", "leases"}
    assert not {verb for _, _, verb in GRANTED} & {"*", "escalate", "bind", "impersonate", "deletecollection"}
