"""Whether the CRD that is served knows every field of this operator's.

Helm never changes a CRD that exists, so an operator that was upgraded without it is the most ordinary mistake
of an upgrade, and a silent one: the API server drops the fields of a spec that it does not know. (A status
keeps them.) The schema is read from the server's OpenAPI document, which everybody may read; the CRD is not.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from sftrun_api import API_GROUP, API_VERSION, KIND
from sftrun_api.crd_generation import object_schema
from sftrun_operator import kube_errors
from sftrun_operator.kube import Kube
from sftrun_operator.logs import LOGGER

LOOK_EVERY_SECONDS = 600.0
LOOK_AGAIN_SECONDS = 30.0
"""While something is missing, or nothing could be read."""
MOST_SHOWN = 6
_DOCUMENT_KEY = ".".join((*reversed(API_GROUP.split(".")), API_VERSION, KIND))


def missing(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the fields of spec and status that a served OpenAPI document lacks, each with its path; of what
    is missing as a whole, the whole only. `("spec", "status")` where the kind is not in it at all."""
    served = _schema_in(document).get("properties", {})
    known = object_schema()["properties"]
    return tuple(
        path
        for section in ("spec", "status")
        for path in _lacking(known[section], served.get(section), section)
    )


def _schema_in(document: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = document.get("components", {}).get("schemas", {}).get(_DOCUMENT_KEY, {})
    return found


def _digest(schema: Mapping[str, Any]) -> bytes:
    return hashlib.sha256(orjson.dumps(schema, option=orjson.OPT_SORT_KEYS)).digest()


def _lacking(known: Mapping[str, Any], served: Any, path: str) -> Iterator[str]:
    if not isinstance(served, Mapping):
        yield path
        return
    if served.get("x-kubernetes-preserve-unknown-fields"):
        return
    there = served.get("properties", {})
    for name, below in known.get("properties", {}).items():
        yield from _lacking(below, there.get(name), f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(known.get(key), Mapping):
            yield from _lacking(known[key], served.get(key), f"{path}[]")


def told(fields: tuple[str, ...]) -> str:
    """Returns what is missing as one sentence with its remedy."""
    rest = len(fields) - MOST_SHOWN
    shown = ", ".join(fields[:MOST_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
    return (
        f"the CRD that is served is older than this operator and drops {shown}; "
        "apply the CRD of this release: kubectl apply --server-side --force-conflicts -f crds/sftruns.yaml"
    )


class ServedSchema:
    """Looks at the served schema now and then."""

    def __init__(self, *, changed: Callable[[], None] = lambda: None) -> None:
        """`changed` is called when another schema is served than before: it may take what it refused."""
        self.missing: tuple[str, ...] = ()
        """What the last look found to be dropped."""
        self._changed = changed
        self._served = b""
        """A digest of what the last look found: the schema itself would be a megabyte for good."""

    async def follow(self, client: Kube) -> None:
        """Looks until cancelled, and says so when something is missing or is there again."""
        while True:
            known = await self.look(client)
            await asyncio.sleep(LOOK_EVERY_SECONDS if known and not self.missing else LOOK_AGAIN_SECONDS)

    async def look(self, client: Kube) -> bool:
        """Looks once; returns whether the schema could be read."""
        try:
            document = await client.schema()
        except kube_errors.KubeError:
            return False  # the lists say what is wrong, and the pulse whether anybody answers
        before, self.missing = self.missing, await asyncio.to_thread(missing, document)
        if self.missing and self.missing != before:
            LOGGER.error("%s", told(self.missing))
        elif before and not self.missing:
            LOGGER.info("the CRD that is served has every field again")
        served, self._served = self._served, _digest(_schema_in(document))
        if served and served != self._served:
            self._changed()
        return True
