"""What the API server wrote down about its calls: who, what, when it came, when it was answered.

The times are the server's own, so nothing that a measuring client does in between is in them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

RUNS = ("sftruns", "trainjobs")
"""What users create: ours, and Kubeflow Trainer's."""
NAMESAKES = (*RUNS, "jobsets", "services")
"""Whose objects have the name of their run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One answered call. Times are epoch seconds."""

    user: str
    verb: str
    resource: str
    """With its subresource: `sftruns/status`."""
    namespace: str
    name: str
    code: int
    received: float
    answered: float

    @property
    def run(self) -> str:
        """The run that a call about a run, or about what was made for it, is about."""
        bare = self.resource.partition("/")[0] in NAMESAKES
        return self.name if bare else self.name.rsplit("-", 2)[0]


class AuditLog:
    """Reads a cluster's audit log as it grows: each call once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""

    def skip(self) -> None:
        """Passes over what is there already."""
        self._offset, self._rest = self._path.stat().st_size, b""

    def read(self) -> Iterator[Call]:
        """Yields the calls that were written since the last reading."""
        with self._path.open("rb") as log:
            log.seek(self._offset)
            content = log.read()
        self._offset += len(content)
        *lines, self._rest = (self._rest + content).split(b"\n")
        yield from (_call(orjson.loads(line)) for line in lines)


def _call(entry: dict[str, Any]) -> Call:
    what = entry.get("objectRef", {})
    sub = what.get("subresource")
    return Call(
        user=entry["user"]["username"],
        verb=entry["verb"],
        resource=what.get("resource", "") + (f"/{sub}" if sub else ""),
        namespace=what.get("namespace", ""),
        name=what.get("name") or "",
        code=entry.get("responseStatus", {}).get("code", 0),
        received=datetime.fromisoformat(entry["requestReceivedTimestamp"]).timestamp(),
        answered=datetime.fromisoformat(entry["stageTimestamp"]).timestamp(),
    )


UNCOUNTED = ("events", "leases")
"""Writes that come at their own pace; events are counted apart."""


def writes(calls: Iterable[Call], *, user: str) -> list[Call]:
    """Returns the user's writes, events and leases apart, refused ones included."""
    return [call for call in calls if call.user == user and call.resource not in UNCOUNTED]


def refused(calls: Iterable[Call], *, user: str) -> list[Call]:
    """Returns the user's writes that the API server did not take."""
    return [call for call in calls if call.user == user and call.code >= 300]


def starts(calls: Iterable[Call], *, user: str) -> dict[str, float]:
    """Returns, for each run, the seconds from the receipt of its creation to the answer to its Job's."""
    created: dict[str, float] = {}
    answered: dict[str, float] = {}
    for call in calls:
        if call.verb != "create" or call.code != 201:
            continue
        if call.resource in RUNS:
            created[call.name] = call.received
        elif call.resource == "jobs" and call.user == user:
            answered.setdefault(call.run, call.answered)
    return {name: answered[name] - moment for name, moment in created.items() if name in answered}


def counts(calls: Iterable[Call], *, user: str, resource: str = "") -> Counter[str]:
    """Returns how many writes of the user's each run took: of one resource, or of all but the uncounted."""
    if resource:
        return Counter(_subject(call) for call in calls if call.user == user and call.resource == resource)
    return Counter(call.run for call in writes(calls, user=user))


def _subject(call: Call) -> str:
    return call.name.rsplit(".", 1)[0] if call.resource == "events" else call.run
