"""What must hold whatever happens: one live Job and one live pod a run at any time, and one final state.

The onlooker watches with an administrator's eyes: a watch leaves no state of an object out that was ever
committed, so two that lived side by side for a millisecond are seen. And who waits for something asks the
onlooker, not the API server again and again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp

from cluster.kube_api import ApiError, KubeApi
from sftrun_api.models import JsonObject
from sftrun_api.names import LABEL_RUN
from sftrun_operator import kube

VOLATILE = {
    "lastTransitionTime", "startTime", "completionTime", "updatedAt", "jobName", "jobUID", "podName",
    "nodeName", "uid", "pod", "specHash", "remainingSeconds", "eta", "batch.kubernetes.io/controller-uid",
    "controller-uid",
}  # fmt: skip
LOOKED_AT = (kube.SFTRUNS, kube.JOBS, kube.PODS, kube.CONFIG_MAPS)


class Broken(AssertionError):
    """An oracle says no."""


class Onlooker:
    """Watches runs and their objects in a namespace. Use as an async context manager."""

    def __init__(self, api: KubeApi, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self._living: dict[tuple[str, str], set[str]] = {}
        """Kind and run to the names of what lives."""
        self._there: dict[tuple[str, str], dict[str, JsonObject]] = {}
        self._troubles: dict[str, str] = {}
        self._watching: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        for resource in LOOKED_AT:
            listed = await self._api.get(self._path(resource))
            version = listed["metadata"]["resourceVersion"]
            self._watching.append(asyncio.create_task(self._watch(resource, version)))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)

    def check(self, run: str) -> None:
        """Raises when two Jobs or two pods of the run lived at once, or when nobody looked on."""
        for task in self._watching:
            if task.done():
                raise Broken(f"the onlooker ended: {task.exception()!r}")
        if run in self._troubles:
            raise Broken(self._troubles[run])

    def run(self, name: str) -> JsonObject:
        """Returns the run as it is now, empty when there is none."""
        return self._there.get((kube.SFTRUNS.plural, name), {}).get(name, {})

    def names(self, run: str) -> set[str]:
        """Returns the names of all that is there of the run."""
        return {name for resource in LOOKED_AT for name in self._there.get((resource.plural, run), ())}

    def _path(self, resource: kube.Resource) -> str:
        path = resource.path(self._namespace)
        return path if resource is kube.SFTRUNS else f"{path}?labelSelector={LABEL_RUN}"

    async def _watch(self, resource: kube.Resource, version: str) -> None:
        while True:
            with contextlib.suppress(aiohttp.ClientError, ApiError):
                async for event in self._api.watch(self._path(resource), resource_version=version):
                    if event["type"] == "ERROR":
                        raise Broken(f"the onlooker's watch of {resource.plural} broke: {event['object']}")
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        self._see(resource, event["object"], gone=event["type"] == "DELETED")

    def _see(self, resource: kube.Resource, obj: Mapping[str, Any], *, gone: bool) -> None:
        name = obj["metadata"]["name"]
        run = name if resource is kube.SFTRUNS else obj["metadata"]["labels"][LABEL_RUN]
        there = self._there.setdefault((resource.plural, run), {})
        there[name] = dict(obj)
        if gone:
            del there[name]
        lives = _LIVES.get(resource.plural)
        if lives is None:
            return
        living = self._living.setdefault((resource.plural, run), set())
        (living.add if not gone and lives(obj) else living.discard)(name)
        if len(living) > 1:
            self._troubles.setdefault(run, f"two live {resource.plural} at once: {', '.join(sorted(living))}")


def _job_lives(job: Mapping[str, Any]) -> bool:
    conditions = job.get("status", {}).get("conditions") or ()
    ended = {each["type"] for each in conditions if each["status"] == "True"}
    return not ended & {"Complete", "Failed"} and "deletionTimestamp" not in job["metadata"]


def _pod_lives(pod: Mapping[str, Any]) -> bool:
    return pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")


_LIVES = {kube.JOBS.plural: _job_lives, kube.PODS.plural: _pod_lives}


async def final_state(api: kube.Kube, run: Mapping[str, Any]) -> JsonObject:
    """Returns the run's status, its Jobs and its ConfigMaps, without what is another in every life."""
    namespace, name, uid = (run["metadata"][key] for key in ("namespace", "name", "uid"))
    state = dict(run["status"])
    for resource in (kube.JOBS, kube.CONFIG_MAPS):
        listed = await api.list(resource, namespace, labelSelector=f"{LABEL_RUN}={name}")
        for item in listed["items"]:
            state[f"{resource.kind} {item['metadata']['name']}"] = item.get("spec") or item.get("data")
    text = json.dumps(state).replace(uid, "<uid>").replace(namespace, "<namespace>")
    text = re.sub(rf"\b{re.escape(name)}-{re.escape(uid[:5])}\b", "<run>", text)
    normal: JsonObject = _normal(json.loads(re.sub(rf"\b{re.escape(name)}\b", "<run>", text)))
    return normal


def _normal(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _normal(each) for key, each in sorted(value.items()) if key not in VOLATILE}
    if isinstance(value, list):
        return [_normal(each) for each in value]
    return value
