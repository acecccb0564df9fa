"""The whole examination, in the order in which things are needed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from sftrun_api import API_GROUP, crd_generation
from sftrun_cli import versions
from sftrun_cli.cluster import discoveries, refusals, resources
from sftrun_cli.cluster.clients import Client
from sftrun_cli.cluster.resources import Resource
from sftrun_cli.doctoring import contracts, looks, machines, namespaces, operators, queues
from sftrun_cli.doctoring.findings import Finding, Result
from sftrun_cli.doctoring.looks import Answer, JsonObject, Looks

_RESOURCES = {
    each.plural: each
    for each in (
        resources.SFTRUNS, resources.PODS, resources.CONFIG_MAPS, resources.JOBS, resources.EVENTS,
    )
}  # fmt: skip


def examine(cluster: Client, *, now: Callable[[], float] = time.time) -> Iterator[Finding]:
    """Yields finding after finding.

    Raises:
        ClusterError: the API server does not answer, or does not know the user.
    """
    seen = Looks(cluster)
    yield contracts.api_server(cluster.version())
    served = discoveries.served(cluster, API_GROUP)
    yield from contracts.crd(
        seen.one(looks.CRDS, contracts.NAME), served=served, schema=crd_generation.object_schema()
    )
    runs = seen.all(resources.SFTRUNS, part=_of_run) if served else Answer(unknown_kind=True)
    yield from _operator(seen, runs, now())
    yield namespaces.rights(_rights(cluster), namespace=seen.namespace)
    yield namespaces.pod_security(seen.one(resources.NAMESPACES, seen.namespace), namespace=seen.namespace)
    yield from namespaces.quota(seen.all(looks.QUOTAS))
    nodes = seen.all(resources.NODES)
    fields = "status.phase!=Succeeded,status.phase!=Failed"
    pods = seen.all(resources.PODS, everywhere=True, fields=fields, part=machines.of_pod)
    yield from machines.gpus(nodes, pods)
    yield machines.runtime_class(seen.all(looks.RUNTIME_CLASSES), nodes)
    yield namespaces.storage_class(seen.all(looks.STORAGE_CLASSES))
    yield from namespaces.claims(seen.all(resources.CLAIMS), runs)
    yield from queues.kueue(_queues(seen), namespace=seen.namespace)
    yield from queues.progress(runs)


def _of_run(run: JsonObject) -> JsonObject:
    spec, status = looks.map_of(run.get("spec")), looks.map_of(run.get("status"))
    kept = {key: status[key] for key in ("phase", "conditions") if key in status}
    return {"spec": {"workspace": spec.get("workspace")}, "status": kept}


def _operator(seen: Looks, runs: Answer, now: float) -> Iterator[Finding]:
    found = seen.all(looks.DEPLOYMENTS, everywhere=True, labels=operators.LABELS)
    yield from operators.operators(found, namespace=seen.namespace, version=versions.own_version(), runs=runs)
    for namespace in operators.namespaces_of(found.items):
        here = [each for each in found.items if each["metadata"]["namespace"] == namespace]
        yield from operators.leader(here, _leases(seen, namespace), now=now)


def _leases(seen: Looks, namespace: str) -> Answer:
    try:
        return Answer(items=tuple(seen.cluster.items(looks.LEASES, namespace=namespace)))
    except refusals.ForbiddenError as error:
        return Answer(unseen=str(error))


def _queues(seen: Looks) -> Answer:
    served = discoveries.served(seen.cluster, looks.KUEUE)
    if not served:
        return Answer(unknown_kind=True)
    kind = Resource(kind="LocalQueue", plural="localqueues", group=looks.KUEUE, version=served[0])
    return seen.all(kind)


def _rights(cluster: Client) -> dict[tuple[str, str], bool]:
    found: dict[tuple[str, str], bool] = {}
    for verb, what in (*namespaces.NEEDED, *namespaces.USEFUL):
        plural, _, subresource = what.partition("/")
        resource: Resource = _RESOURCES[plural]
        found[verb, what] = cluster.can(verb, resource, subresource=subresource)
    return found


def fit(findings: list[Finding]) -> bool:
    """Whether nothing was found that keeps runs from running."""
    return all(each.result is not Result.FAIL for each in findings)
