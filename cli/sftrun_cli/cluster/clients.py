"""The verbs that commands need of the API server.

Answers are plain objects: the ready-made classes know no SFTRun. See `transports` for deadlines and retries.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Literal, Self

from sftrun_api import API_GROUP
from sftrun_cli.cluster import refusals
from sftrun_cli.cluster.refusals import Call
from sftrun_cli.cluster.resources import Resource
from sftrun_cli.cluster.transports import Method, Transport

JsonObject = dict[str, Any]
PAGE_SIZE = 250
"""Objects of one answer: a list of thousands is never whole in memory, here or there."""
WATCH_SECONDS = 30.0
"""How long the server keeps a watch open: one that was cut off in silence is noticed soon after."""
CHUNK_BYTES = 64 * 1024
LINE_BYTES = 4 * 1024 * 1024


class Client:
    """One API server, one user, one namespace. Threads may share it."""

    def __init__(self, transport: Transport, *, namespace: str) -> None:
        """Takes over the transport; see `connections.connect`."""
        self.namespace = namespace
        self._transport = transport

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes every connection."""
        self._transport.close()

    @property
    def server(self) -> str:
        """The API server's URL."""
        return self._transport.server

    @property
    def seconds(self) -> float:
        """Patience with one answer."""
        return self._transport.seconds

    def version(self) -> str:
        """Returns the API server's version, such as `v1.34.1`."""
        call = self._call("get", Resource(kind="Version", plural="version", namespaced=False), None, None)
        return str(self._json(call, "/version").get("gitVersion", ""))

    def get(self, resource: Resource, name: str, *, namespace: str | None = None) -> JsonObject:
        """Returns one object.

        Raises:
            MissingError: there is none of that name.
            ClusterError: the cluster cannot be asked; see `refusals`.
        """
        place = namespace or self.namespace
        return self._json(self._call("get", resource, place, name), resource.path(place, name))

    def find(self, resource: Resource, name: str, *, namespace: str | None = None) -> JsonObject | None:
        """Returns one object, `None` where there is none of that name."""
        try:
            return self.get(resource, name, namespace=namespace)
        except refusals.MissingError:
            return None

    def items(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        everywhere: bool = False,
        labels: str = "",
        fields: str = "",
        page_size: int = PAGE_SIZE,
    ) -> Iterator[JsonObject]:
        """Yields the objects of a list, page by page, each with its `apiVersion` and `kind`."""
        for page in self.pages(
            resource,
            namespace=namespace,
            everywhere=everywhere,
            labels=labels,
            fields=fields,
            page_size=page_size,
        ):
            for item in page.get("items") or []:
                yield {"apiVersion": resource.prefix.split("/", 2)[2], "kind": resource.kind} | item

    def pages(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        everywhere: bool = False,
        labels: str = "",
        fields: str = "",
        page_size: int = PAGE_SIZE,
    ) -> Iterator[JsonObject]:
        """Yields the answers of a list; the `metadata.resourceVersion` of each is where a watch may begin."""
        place = None if everywhere else namespace or self.namespace
        call = self._call("list", resource, place, None)
        params = _given({"labelSelector": labels, "fieldSelector": fields}) | {"limit": str(page_size)}
        while True:
            try:
                page = self._json(call, resource.path(place), params=params)
            except refusals.ExpiredError as error:
                if not error.token:
                    raise
                params["continue"] = error.token  # the list was long; what follows is of a later moment
                continue
            yield page
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return
            params["continue"] = token

    def watch(
        self,
        resource: Resource,
        *,
        since: str,
        namespace: str | None = None,
        everywhere: bool = False,
        labels: str = "",
        fields: str = "",
        seconds: float = WATCH_SECONDS,
    ) -> Iterator[JsonObject]:
        """Yields events `{type, object}` after the version `since`, bookmarks too, until the server ends it.

        Raises:
            ExpiredError: the server has forgotten that version: list again.
            UnreachableError: the connection was lost.
        """
        place = None if everywhere else namespace or self.namespace
        call = self._call("watch", resource, place, None)
        params = _given({"labelSelector": labels, "fieldSelector": fields, "resourceVersion": since})
        params |= {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(int(seconds))}
        for line in self.lines(call, resource.path(place), params=params, patience=seconds + self.seconds):
            event = _parsed(call, line)
            if event.get("type") == "ERROR":
                status = event.get("object") or {}
                raise refusals.of_answer(
                    call, status=int(status.get("code") or 500), body=json.dumps(status).encode()
                )
            yield event

    def create(
        self,
        resource: Resource,
        manifest: Mapping[str, Any],
        *,
        namespace: str | None = None,
        dry_run: bool = False,
    ) -> JsonObject:
        """Returns the object as it was created; with `dry_run`, as it would be."""
        place = namespace or self.namespace
        params = {"fieldValidation": "Strict"} | ({"dryRun": "All"} if dry_run else {})
        call = self._call("create", resource, place, None)
        return self._json(call, resource.path(place), method="POST", params=params, body=manifest)

    def patch(
        self,
        resource: Resource,
        name: str,
        body: Mapping[str, Any],
        *,
        namespace: str | None = None,
        dry_run: bool = False,
    ) -> JsonObject:
        """Returns the object after a JSON merge patch. With `metadata.resourceVersion` or `uid` in the body a
        change in between is a `ConflictError`."""
        place = namespace or self.namespace
        params = {"fieldValidation": "Strict"} | ({"dryRun": "All"} if dry_run else {})
        call = self._call("patch", resource, place, name)
        return self._json(call, resource.path(place, name), method="PATCH", params=params, body=body)

    def delete(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str | None = None,
        uid: str | None = None,
        grace_seconds: int | None = None,
        propagation: Literal["Background", "Foreground", "Orphan"] = "Background",
    ) -> bool:
        """Asks for an object's deletion; false where there is none. With `uid` only of that very object."""
        place = namespace or self.namespace
        body: JsonObject = {"propagationPolicy": propagation}
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        if grace_seconds is not None:
            body["gracePeriodSeconds"] = grace_seconds
        try:
            self._json(
                self._call("delete", resource, place, name),
                resource.path(place, name),
                method="DELETE",
                body=body,
            )
        except refusals.MissingError:
            return False
        return True

    def can(
        self, verb: str, resource: Resource, *, subresource: str = "", namespace: str | None = None
    ) -> bool:
        """Whether the user may do something, as the API server's authorizers say."""
        place = namespace or self.namespace
        asked = {
            "verb": verb,
            "group": resource.group,
            "resource": resource.plural,
            "subresource": subresource,
        }
        if resource.namespaced:
            asked["namespace"] = place
        reviews = Resource(
            kind="SelfSubjectAccessReview",
            plural="selfsubjectaccessreviews",
            group="authorization.k8s.io",
            namespaced=False,
        )
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": reviews.kind,
            "spec": {"resourceAttributes": _given(asked)},
        }
        answer = self._json(
            self._call("create", reviews, None, None), reviews.path(), method="POST", body=body
        )
        return bool((answer.get("status") or {}).get("allowed"))

    def ask(
        self, call: Call, path: str, *, params: Mapping[str, str] | None = None, seconds: float = 0
    ) -> bytes:
        """Returns the body of one GET of any path below the server: proxies, logs, metrics."""
        with self._transport.answer(call, path, params=params, seconds=seconds or self.seconds) as response:
            return bytes(response.read())

    def parsed(self, call: Call, path: str, *, params: Mapping[str, str] | None = None) -> JsonObject:
        """Returns the object that one GET of any path gives."""
        return _parsed(call, self.ask(call, path, params=params))

    def lines(
        self, call: Call, path: str, *, params: Mapping[str, str] | None = None, patience: float | None = None
    ) -> Iterator[bytes]:
        """Yields the lines of a stream as they come, without their line ends.

        Args:
            call: What it is, for the sentence.
            path: The URL's path.
            params: The URL's query.
            patience: Seconds without a byte after which the connection counts as lost; `None`: for ever.
        """
        with self._transport.answer(call, path, params=params, seconds=patience) as response:
            rest = b""
            for chunk in response.stream(CHUNK_BYTES, decode_content=True):
                *whole, rest = (rest + chunk).split(b"\n")
                yield from whole
                if len(rest) > LINE_BYTES:
                    yield rest
                    rest = b""
            if rest:
                yield rest

    def call(
        self,
        verb: str,
        resource: Resource,
        *,
        namespace: str | None = None,
        name: str | None = None,
        subresource: str = "",
    ) -> Call:
        """Returns what `ask` and `lines` take, in the client's namespace where none is given."""
        return self._call(verb, resource, namespace or self.namespace, name, subresource)

    def _call(
        self, verb: str, resource: Resource, namespace: str | None, name: str | None, subresource: str = ""
    ) -> Call:
        return Call(
            verb=verb,
            resource=resource,
            namespace=namespace,
            name=name,
            subresource=subresource,
            server=self.server,
        )

    def _json(
        self,
        call: Call,
        path: str,
        *,
        method: Method = "GET",
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> JsonObject:
        from sftrun_cli.cluster import discoveries

        try:
            with self._transport.answer(
                call, path, method=method, params=params, body=body, seconds=self.seconds
            ) as response:
                return _parsed(call, response.read())
        except refusals.MissingKindError as error:
            if call.resource.group != API_GROUP:
                raise
            raise refusals.MissingKindError(discoveries.why_missing(self, call.resource)) from error


def _given(params: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in params.items() if value}


def _parsed(call: Call, content: bytes) -> JsonObject:
    try:
        found = json.loads(content)
    except ValueError as error:
        raise refusals.BusyError(
            f"{call.server} answered {call.words} with something that is no JSON; is it an API server?"
        ) from error
    if not isinstance(found, dict):
        raise refusals.BusyError(f"{call.server} answered {call.words} with something that is no object")
    return found
