"""Kinds as the API's paths name them."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from sftrun_api import API_GROUP, API_VERSION, KIND, PLURAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One kind."""

    kind: str
    plural: str
    group: str = ""
    """The API group; empty: the core one."""
    version: str = "v1"
    namespaced: bool = True

    @property
    def prefix(self) -> str:
        """Where the group's paths begin."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def path(self, namespace: str | None = None, name: str | None = None, *, subresource: str = "") -> str:
        """Returns the URL path. No namespace: of all of them, or of a kind that has none."""
        parts = [self.prefix]
        if namespace is not None and self.namespaced:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name is not None:
            parts.append(quote(name, safe=""))
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


SFTRUNS = Resource(kind=KIND, plural=PLURAL, group=API_GROUP, version=API_VERSION)
JOBS = Resource(kind="Job", plural="jobs", group="batch")
PODS = Resource(kind="Pod", plural="pods")
CONFIG_MAPS = Resource(kind="ConfigMap", plural="configmaps")
EVENTS = Resource(kind="Event", plural="events")
CLAIMS = Resource(kind="PersistentVolumeClaim", plural="persistentvolumeclaims")
NAMESPACES = Resource(kind="Namespace", plural="namespaces", namespaced=False)
NODES = Resource(kind="Node", plural="nodes", namespaced=False)
