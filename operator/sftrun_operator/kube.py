"""The few verbs that the operator needs of the Kubernetes API, over one pooled session.

Own and thin, because the ready-made client builds a model object of every answer (a hundred classes for a
pod, of which `views` reads ten fields), has no deadline of its own on a request, and opens as many
connections as there are callers. Here every request has a deadline, 112 connections are the most, and answers
are plain dicts.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

import aiohttp
import orjson

from sftrun_api import API_GROUP, API_VERSION, PLURAL
from sftrun_api.models import JsonObject
from sftrun_operator import kube_errors
from sftrun_operator.connections import Connection

MAX_CONNECTIONS = 112
"""For all lookers at a time, and for those who list and ask meanwhile."""
REQUEST_SECONDS = 10.0
PAGE_SIZE = 100
"""Objects a page of a list: each page is parsed whole, at some 25 KB an object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A kind as the API's paths name it."""

    kind: str
    prefix: str
    plural: str

    def path(self, namespace: str | None, name: str | None = None, *, subresource: str | None = None) -> str:
        """Returns the URL path; no namespace means all of them."""
        parts = [self.prefix]
        if namespace is not None:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        parts += [quote(part, safe="") for part in (name, subresource) if part is not None]
        return "/".join(parts)


SFTRUNS = Resource(kind="SFTRun", prefix=f"/apis/{API_GROUP}/{API_VERSION}", plural=PLURAL)
JOBS = Resource(kind="Job", prefix="/apis/batch/v1", plural="jobs")
PODS = Resource(kind="Pod", prefix="/api/v1", plural="pods")
CONFIG_MAPS = Resource(kind="ConfigMap", prefix="/api/v1", plural="configmaps")
EVENTS = Resource(kind="Event", prefix="/api/v1", plural="events")
LEASES = Resource(kind="Lease", prefix="/apis/coordination.k8s.io/v1", plural="leases")
OPENAPI = Resource(kind="OpenAPI", prefix=f"/openapi/v3/apis/{API_GROUP}/{API_VERSION}", plural="openapi")
READYZ = Resource(kind="Readyz", prefix="/readyz", plural="readyz")
RESOURCES = {resource.kind: resource for resource in (SFTRUNS, JOBS, PODS, CONFIG_MAPS, EVENTS)}

Verb = Literal["get", "list", "create", "patch", "update", "delete"]
READING: frozenset[Verb] = frozenset({"get", "list"})
Watcher = Callable[[Verb, str, str, float], None]
"""Told of every call: verb, plural, HTTP code or `unreachable`, seconds."""


class Kube:
    """A client of one API server. Use as `async with`."""

    def __init__(
        self,
        connection: Connection,
        *,
        told: Watcher,
        seconds: float = REQUEST_SECONDS,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        self._connection = connection
        self._told = told
        self._may_write = may_write
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=min(seconds, 5.0))
        self._session = connection.session(limit=MAX_CONNECTIONS, timeout=timeout)

    async def __aenter__(self) -> Kube:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ready(self) -> None:
        """Asks the API server whether it is well: the plainest of questions, that everybody may ask. Unlike
        its version it answers 5xx when it cannot reach its own store."""
        await self._send("get", READYZ, READYZ.prefix)

    async def schema(self) -> JsonObject:
        """Returns the OpenAPI document of our API group: what the served CRD knows. Everybody may ask."""
        return await self._call("get", OPENAPI, OPENAPI.prefix)

    async def get(self, resource: Resource, namespace: str, name: str) -> JsonObject | None:
        """Returns the object, or `None` where there is none: this answer is live, never from a cache of
        ours."""
        try:
            return await self._call("get", resource, resource.path(namespace, name))
        except kube_errors.NotFoundError:
            return None

    async def list(self, resource: Resource, namespace: str | None, **selectors: str) -> JsonObject:
        """Returns one whole list, consistent with the moment of asking. For few objects; see `pages`."""
        return await self._call("list", resource, resource.path(namespace), params=selectors)

    async def pages(
        self, resource: Resource, namespace: str | None, **selectors: str
    ) -> AsyncIterator[JsonObject]:
        """Yields a consistent list in pages, so that ten thousand objects are never in memory at once.

        Raises:
            ApiError: Of code 410 when reading took so long that the server forgot the list's version.
        """
        params = {"limit": str(PAGE_SIZE), **selectors}
        while True:
            page = await self._call("list", resource, resource.path(namespace), params=params)
            yield page
            token = page.get("metadata", {}).get("continue")
            if not token:
                return
            params["continue"] = token

    async def create(self, resource: Resource, namespace: str, manifest: Mapping[str, Any]) -> JsonObject:
        """Returns the object as it was created."""
        return await self._call("create", resource, resource.path(namespace), body=manifest)

    async def replace(
        self, resource: Resource, namespace: str, name: str, body: Mapping[str, Any]
    ) -> JsonObject:
        """Returns the object after it was replaced by `body`, which carries the resourceVersion it was read
        at."""
        return await self._call("update", resource, resource.path(namespace, name), body=body)

    async def patch_status(
        self, resource: Resource, namespace: str, name: str, body: Mapping[str, Any]
    ) -> JsonObject:
        """Returns the object after a merge patch of its status subresource."""
        path = resource.path(namespace, name, subresource="status")
        return await self._call("patch", resource, path, body=body)

    async def delete(
        self, resource: Resource, namespace: str, name: str, *, uid: str, propagation: str
    ) -> JsonObject | None:
        """Deletes the object of that uid. Returns it where it lingers, `None` where it is gone already.

        Raises:
            ConflictError: An object of that name has another uid.
        """
        body = {"preconditions": {"uid": uid}, "propagationPolicy": propagation}
        try:
            return await self._call("delete", resource, resource.path(namespace, name), body=body)
        except kube_errors.NotFoundError:
            return None

    async def _call(
        self,
        verb: Verb,
        resource: Resource,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> JsonObject:
        content = await self._send(verb, resource, path, params=params, body=body)
        try:
            answer: JsonObject = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise kube_errors.UnreachableError(f"{verb} {path}: the answer is no JSON: {error}") from error
        return answer

    async def _send(
        self,
        verb: Verb,
        resource: Resource,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> bytes:
        method = {"create": "POST", "patch": "PATCH", "update": "PUT", "delete": "DELETE"}.get(verb, "GET")
        media = "application/merge-patch+json" if verb == "patch" else "application/json"
        call = f"{verb} {path.removeprefix(resource.prefix).lstrip('/')}"
        if verb not in READING and not self._may_write():
            raise kube_errors.NotLeadingError(f"{call}: not sent, another operator may be leading by now")
        started = time.monotonic()
        outcome = "unreachable"
        try:
            async with self._session.request(
                method,
                self._connection.server + path,
                params=params,
                data=orjson.dumps(body) if body is not None else None,
                headers={"Content-Type": media} if body is not None else None,
                allow_redirects=False,
            ) as response:
                content = await response.read()
                outcome = str(response.status)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # The session's own time is up; what has no connection in time is told by a `ClientError`.
            kind = kube_errors.SlowError if type(error) is TimeoutError else kube_errors.UnreachableError
            raise kind(f"{call}: {type(error).__name__}: {error}") from error
        finally:
            self._told(verb, resource.plural, outcome, time.monotonic() - started)
        if response.status == 401:
            await self._connection.renew()
        if response.status >= 300:
            raise kube_errors.from_response(
                call=call, code=response.status, body=content, retry_after=response.headers.get("Retry-After")
            )
        return content
