"""The run, the attempt and the operator's settings as the cluster has them, for `render --diff`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sftrun_cli.cluster import refusals, resources
from sftrun_cli.cluster.clients import Client
from sftrun_cli.cluster.resources import Resource

JsonObject = dict[str, Any]
DEPLOYMENTS = Resource(kind="Deployment", plural="deployments", group="apps")
OPERATOR_LABELS = "app.kubernetes.io/name=sftrun-operator"
PINNED = ("attempt", "specHash", "image", "effective")
"""What the operator renders a later attempt from, of all that a status holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What is on the cluster."""

    uid: str = ""
    """Empty: the run is not there."""
    pinned: Mapping[str, Any] = field(default_factory=dict)
    """The part of its status that later attempts are rendered from."""
    flags: Mapping[str, str] = field(default_factory=dict)
    """Of the operator, where the user may see its deployment: `trainer-image`, `run-as-user`, …"""

    @property
    def attempt(self) -> int:
        """The number of the current attempt."""
        found = self.pinned.get("attempt")
        return found if isinstance(found, int) and found > 0 else 1


def read(cluster: Client, name: str) -> Live:
    """Returns what the cluster says of a run. Raises `ClusterError`."""
    run = cluster.find(resources.SFTRUNS, name)
    flags = _flags(cluster)
    if run is None:
        return Live(flags=flags)
    status = run.get("status") or {}
    pinned = {key: status[key] for key in PINNED if key in status}
    return Live(uid=str(run["metadata"]["uid"]), pinned=pinned, flags=flags)


def _flags(cluster: Client) -> dict[str, str]:
    """Returns the settings of the one operator that serves the namespace; none where it is not to be seen."""
    try:
        found = list(cluster.items(DEPLOYMENTS, everywhere=True, labels=OPERATOR_LABELS))
    except refusals.ForbiddenError:
        return {}
    given = [each for each in map(_arguments, found) if _serves(each, cluster.namespace)]
    return {key: value for key, _, value in (word[2:].partition("=") for word in given[0])} if given else {}


def _arguments(deployment: JsonObject) -> list[str]:
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    return [str(each) for each in container.get("args") or []]


def _serves(words: list[str], namespace: str) -> bool:
    named = [word.partition("=")[2] for word in words if word.startswith("--namespace=")]
    return not named or namespace in named
