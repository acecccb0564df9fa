"""What the cluster serves: asked when something is missing, to say which of three things it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sftrun_cli.cluster import refusals
from sftrun_cli.cluster.resources import Resource

if TYPE_CHECKING:
    from sftrun_cli.cluster.clients import Client

OLDEST = (1, 31)
"""The first Kubernetes whose API server keeps every rule of the CRD."""


def why_missing(cluster: Client, resource: Resource) -> str:
    """Returns why a resource is not there: an old cluster, other versions, or no CRD."""
    told = f"the cluster {cluster.server} has no {resource.plural}.{resource.group}"
    try:
        number = minor(cluster.version())
        versions = served(cluster, resource.group)
    except refusals.ClusterError:
        return told
    if versions:
        return f"{told}/{resource.version}: it serves {', '.join(versions)}; use the sftrun of that version"
    if number is not None and number < OLDEST:
        return f"{told}, and at {number[0]}.{number[1]} it is too old for it: 1.31 is the oldest that does"
    return f"{told}: install the chart, which brings the CRD (docs/install.md), or choose another context"


def served(cluster: Client, group: str) -> tuple[str, ...]:
    """Returns the versions of an API group that the cluster serves; empty: it does not know the group."""
    groups = Resource(kind="APIGroup", plural=group, namespaced=False)
    try:
        call = cluster.call("get", groups)
        found = cluster.parsed(call, f"/apis/{group}")
    except refusals.MissingKindError:
        return ()
    return tuple(str(each.get("version")) for each in found.get("versions") or [])


def minor(version: str) -> tuple[int, int] | None:
    """Returns `(1, 34)` for `v1.34.1+k3s1`."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else None
