"""Asking the cluster with the user's own rights: an answer is objects, or why there are none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sftrun_cli.cluster import refusals
from sftrun_cli.cluster.clients import Client
from sftrun_cli.cluster.resources import Resource

JsonObject = dict[str, Any]
CRDS = Resource(
    kind="CustomResourceDefinition", plural="customresourcedefinitions", group="apiextensions.k8s.io",
    namespaced=False,
)  # fmt: skip
DEPLOYMENTS = Resource(kind="Deployment", plural="deployments", group="apps")
LEASES = Resource(kind="Lease", plural="leases", group="coordination.k8s.io")
RUNTIME_CLASSES = Resource(
    kind="RuntimeClass", plural="runtimeclasses", group="node.k8s.io", namespaced=False
)
STORAGE_CLASSES = Resource(
    kind="StorageClass", plural="storageclasses", group="storage.k8s.io", namespaced=False
)
QUOTAS = Resource(kind="ResourceQuota", plural="resourcequotas")
KUEUE = "kueue.x-k8s.io"
MOST = 200_000
"""Objects of one list that are looked at: more than any cluster has, so that an answer has an end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a question has brought."""

    items: tuple[JsonObject, ...] = ()
    unseen: str = ""
    """Why the user may not see it; empty: what there is, is in `items`."""
    unknown_kind: bool = False
    """Whether the cluster does not know the kind."""

    @property
    def one(self) -> JsonObject | None:
        """The object, where one was asked for and is there."""
        return self.items[0] if self.items else None


class Looks:
    """The cluster, seen by its user."""

    def __init__(self, cluster: Client) -> None:
        self.cluster = cluster

    @property
    def namespace(self) -> str:
        """Where the user's runs are."""
        return self.cluster.namespace

    def one(self, resource: Resource, name: str, *, namespace: str | None = None) -> Answer:
        """Returns one object, or none where there is none of that name.

        Raises `ClusterError` where the cluster does not answer at all.
        """
        try:
            found = self.cluster.find(resource, name, namespace=namespace)
        except refusals.ForbiddenError as error:
            return Answer(unseen=str(error))
        except refusals.MissingKindError:
            return Answer(unknown_kind=True)
        return Answer(items=(found,) if found is not None else ())

    def all(
        self,
        resource: Resource,
        *,
        everywhere: bool = False,
        labels: str = "",
        fields: str = "",
        part: Callable[[JsonObject], JsonObject] = lambda item: item,
    ) -> Answer:
        """Returns the objects of a list.

        `part` takes of each what is looked at: a large cluster has tens of thousands of pods. Raises
        `ClusterError` where the cluster does not answer at all.
        """
        items: list[JsonObject] = []
        try:
            for item in self.cluster.items(resource, everywhere=everywhere, labels=labels, fields=fields):
                items.append(part(item))
                if len(items) >= MOST:
                    break
        except refusals.ForbiddenError as error:
            return Answer(unseen=str(error))
        except refusals.MissingKindError:
            return Answer(unknown_kind=True)
        return Answer(items=tuple(items))


def map_of(value: Any) -> JsonObject:
    """Returns a map, an empty one where it is none: what a cluster says is not what a type says."""
    return value if isinstance(value, dict) else {}


def condition(item: JsonObject, kind: str) -> JsonObject:
    """Returns one of an object's conditions; empty where there is none."""
    listed = map_of(item.get("status")).get("conditions")
    found = [each for each in listed if map_of(each).get("type") == kind] if isinstance(listed, list) else []
    return map_of(found[0]) if found else {}
