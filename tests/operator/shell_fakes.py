"""An API server in memory, at the edge where the shell meets the real one, and a plan of twenty lines."""

from __future__ import annotations

import copy
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from sftrun_api.names import LABEL_ATTEMPT, LABEL_RUN, LABEL_RUN_UID, attempt_name
from sftrun_operator import kube_errors, views
from sftrun_operator.caches import Key
from sftrun_operator.connections import Connection
from sftrun_operator.decisions import Plan
from sftrun_operator.kube import Resource
from sftrun_operator.observations import Observed, OperatorConfig, Run

UID = "11111111-2222-3333-4444-555555555555"
CONFIG = OperatorConfig(trainer_image="trainer:test", version="0.0.0")
KEY = Key("default", "x")


def sftrun(name: str = "x", *, uid: str = UID, version: str = "1", **status: Any) -> dict[str, Any]:
    """Returns an SFTRun as the API server would send it."""
    metadata = {"namespace": "default", "name": name, "uid": uid, "resourceVersion": version, "generation": 1}
    return {"kind": "SFTRun", "metadata": metadata, "spec": {"mode": "Train"}, "status": status}


def owned(
    kind: str, name: str, *, run: str = "x", owner: str = UID, uid: str = "", version: str = "1", **rest: Any
) -> dict[str, Any]:
    """Returns an object of the run's."""
    owners = [{"kind": "SFTRun", "name": run, "uid": owner, "controller": True}]
    labels = {LABEL_RUN: run, LABEL_RUN_UID: owner, LABEL_ATTEMPT: "1"}
    metadata = {"namespace": "default", "name": name, "labels": labels, "ownerReferences": owners}
    return {"kind": kind, "metadata": {**metadata, "uid": uid, "resourceVersion": version}, **rest}


def run_of(obj: Mapping[str, Any]) -> Run:
    """Returns the object as `plan` takes it."""
    return views.run_view(obj)


class FakeKube:
    """Keeps objects, checks preconditions as the real one does, and counts calls in `calls`."""

    def __init__(self, *objects: Mapping[str, Any]) -> None:
        self._versions = itertools.count(100)
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.calls: list[str] = []
        self.failures: dict[str, list[Exception]] = {}
        """Errors for calls to come, by `verb Kind`; each is raised once."""
        self.before: dict[str, Callable[[], None]] = {}
        for obj in objects:
            self.objects[obj["kind"], obj["metadata"]["name"]] = copy.deepcopy(dict(obj))

    def _enter(self, call: str) -> None:
        self.calls.append(call)
        verb_kind = " ".join(call.split()[:2])
        if hook := self.before.pop(verb_kind, None):
            hook()
        if errors := self.failures.get(verb_kind):
            raise errors.pop(0)

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any] | None:
        self._enter(f"get {resource.kind} {name}")
        return copy.deepcopy(self.objects.get((resource.kind, name)))

    async def list(self, resource: Resource, namespace: str | None, **selectors: str) -> dict[str, Any]:
        self._enter(f"list {resource.kind}")
        wanted = selectors.get("labelSelector", "").partition("=")[2]
        items = [
            copy.deepcopy(obj)
            for (kind, _), obj in self.objects.items()
            if kind == resource.kind and (not wanted or views.run_label(obj) == wanted)
        ]
        return {"metadata": {"resourceVersion": str(next(self._versions))}, "items": items}

    async def pages(self, resource: Resource, namespace: str | None, **selectors: str) -> Any:
        yield await self.list(resource, namespace)

    async def create(self, resource: Resource, namespace: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
        name = manifest["metadata"]["name"]
        self._enter(f"create {resource.kind} {name}")
        if (resource.kind, name) in self.objects:
            raise error(409, "AlreadyExists")
        made = copy.deepcopy(dict(manifest))
        made["kind"] = resource.kind
        made["metadata"] |= {"uid": f"uid-{name}", "resourceVersion": str(next(self._versions))}
        self.objects[resource.kind, name] = made
        return copy.deepcopy(made)

    async def patch_status(
        self, resource: Resource, namespace: str, name: str, body: Mapping[str, Any]
    ) -> dict[str, Any]:
        self._enter(f"patch {resource.kind} {name}")
        found = self.objects.get((resource.kind, name))
        if found is None:
            raise error(404, "NotFound")
        for field in ("uid", "resourceVersion"):
            if body["metadata"][field] != found["metadata"][field]:
                raise error(409, "Conflict")
        found["status"] = {**found["status"], **body["status"]}
        found["metadata"]["resourceVersion"] = str(next(self._versions))
        return copy.deepcopy(found)

    async def delete(
        self, resource: Resource, namespace: str, name: str, *, uid: str, propagation: str
    ) -> dict[str, Any] | None:
        self._enter(f"delete {resource.kind} {name} {propagation}")
        found = self.objects.get((resource.kind, name))
        if found is None:
            return None
        if found["metadata"]["uid"] != uid:
            raise error(409, "Conflict")
        return self.objects.pop((resource.kind, name))


def error(code: int, reason: str, message: str = "no") -> kube_errors.ApiError:
    """Returns what the API server would say."""
    body = f'{{"reason": "{reason}", "message": "{message}"}}'.encode()
    return kube_errors.from_response(call="call", code=code, body=body)


def tiny_plan(run: Run, observed: Observed, *, now: float, config: OperatorConfig) -> Plan:
    """Accepts, creates one ConfigMap and one Job, follows the Job. Level-triggered like the real one."""
    if run.deleting or run.status.get("phase") in ("Succeeded", "Failed"):
        return Plan()
    name = attempt_name(run.name, run.uid, 1)
    wanted = tuple(
        {"kind": kind, "metadata": owned(kind, name, run=run.name, owner=run.uid)["metadata"]}
        for kind in ("ConfigMap", "Job")
    )
    if observed.job is None and not observed.proven:
        return Plan(prove=True)
    trouble = observed.apply_error.message if observed.apply_error is not None else ""
    if observed.job is None:
        patch = {"attempt": 1, "phase": "Pending", "message": trouble}
        changed = {key: value for key, value in patch.items() if run.status.get(key) != value}
        return Plan(status_patch=changed or None, create=wanted)
    phase = "Succeeded" if "Complete" in observed.job.conditions else "Training"
    pod = next((pod.uid for pod in observed.pods if pod.phase == "Running"), None)
    patch = {} if run.status.get("phase") == phase else {"phase": phase}
    return Plan(status_patch=patch or None, poll_pod=pod)


def proven(**fields: Any) -> Observed:
    """Returns a live observation."""
    return replace(Observed(proven=True), **fields)


@asynccontextmanager
async def serving(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[Connection]:
    """Gives the connection to a server that has every request answered by `answer`."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        yield Connection(server=str(server.make_url("")).rstrip("/"))
