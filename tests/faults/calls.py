"""Names of API calls that are the same in every life: verb, resource, object and n-th time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

VERBS = {"GET": "get", "POST": "create", "PATCH": "patch", "PUT": "update", "DELETE": "delete"}
PATH = re.compile(
    r"^/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)"
    r"(?:/namespaces/(?P<namespace>[^/]+))?(?:/(?P<plural>[^/]+))?(?:/(?P<name>[^/]+))?(?:/(?P<sub>[^/]+))?$"
)
ATTEMPT = re.compile(r"-[0-9a-z]{5}-(\d+)(-collect|-curve)?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One kind of call."""

    verb: str
    resource: str
    object: str
    """`all` of a list of everything, `of-run` of a list by the run's label, `run`, `attempt-N`,
    `attempt-N-collect`, `attempt-N-curve`, `event`."""

    def __str__(self) -> str:
        return f"{self.verb} {self.resource} {self.object}"

    @property
    def is_watch(self) -> bool:
        return self.verb == "watch"

    @property
    def writes(self) -> bool:
        """Whether it changes something that counts: events come and go at their own pace."""
        return self.verb in ("create", "patch", "update", "delete") and self.resource != "events"


def call_of(method: str, path: str, query: Mapping[str, str], *, body_name: str = "") -> Call:
    """Returns the call that a request is; `body_name` is the name in the object that it creates."""
    parts = PATH.match(path)
    if parts is None or not parts["plural"]:
        return Call(verb=VERBS[method], resource="discovery", object=path)
    resource = parts["plural"] + (f"/{parts['sub']}" if parts["sub"] else "")
    verb = VERBS[method]
    if method == "GET" and not parts["name"]:
        verb = "watch" if query.get("watch") in ("true", "1") else "list"
    return Call(
        verb=verb,
        resource=resource,
        object=_object(resource, parts["name"] or body_name, query.get("labelSelector", "")),
    )


def _object(resource: str, name: str, selector: str) -> str:
    if resource == "events":
        return "event"
    if not name:
        return "of-run" if "=" in selector else "all"
    attempt = ATTEMPT.search(name)
    return f"attempt-{attempt[1]}{attempt[2] or ''}" if attempt else "run"


class Counting:
    """Numbers the calls of a life."""

    def __init__(self) -> None:
        self._seen: Counter[Call] = Counter()

    def number(self, call: Call) -> int:
        """Returns the how-manieth call of its kind this is, from 1 on."""
        self._seen[call] += 1
        return self._seen[call]
