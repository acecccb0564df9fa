"""Nodes with GPUs: how many, how many free; and the runtime class that their containers need."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sftrun_api.estimates import nodes as node_labels
from sftrun_cli.doctoring.findings import Finding, Result
from sftrun_cli.doctoring.looks import Answer, JsonObject, condition, map_of

RESOURCE = "nvidia.com/gpu"
"""What a run asks for whose infrastructure.gpuResourceName is left out."""
WANTED = 8
SHOWN = 20
GIBI = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A node with GPUs."""

    name: str
    gpus: int
    used: int | None
    """`None`: whose pods may not be seen."""
    product: str
    obstacle: str
    """Why nothing is placed on it now; empty: something may be."""

    @property
    def free(self) -> int | None:
        """GPUs that a pod could take now."""
        if self.obstacle:
            return 0
        return max(self.gpus - self.used, 0) if self.used is not None else None


def of_pod(pod: JsonObject) -> JsonObject:
    """Returns of a pod what is counted: where it is, and what it asks for."""
    spec = map_of(pod.get("spec"))
    sizes = {
        kind: [{"resources": map_of(each).get("resources")} for each in spec.get(kind) or []]
        for kind in ("containers", "initContainers")
    }
    phase = map_of(pod.get("status")).get("phase")
    return {"spec": {"nodeName": spec.get("nodeName"), **sizes}, "status": {"phase": phase}}


def resource_of(nodes: Iterable[JsonObject]) -> str:
    """Returns which GPUs the cluster has: the usual ones, or where no node offers them another vendor's, or
    slices (MIG)."""
    allocatable = [map_of(map_of(node.get("status")).get("allocatable")) for node in nodes]
    offered = {str(name) for each in allocatable for name, value in each.items() if _whole(value)}
    others = [name for name in sorted(offered) if re.fullmatch(r"[^/]+/(gpu|gaudi|mig-[^/]+)", name)]
    return RESOURCE if RESOURCE in offered or not others else others[0]


def machines(nodes: Iterable[JsonObject], pods: Answer, *, resource: str) -> list[Machine]:
    """Returns the nodes that have GPUs, by name."""
    used: dict[str, int] = {}
    for pod in pods.items:
        spec = map_of(pod.get("spec"))
        if map_of(pod.get("status")).get("phase") in ("Succeeded", "Failed") or not spec.get("nodeName"):
            continue
        name = str(spec["nodeName"])
        used[name] = used.get(name, 0) + _asked(spec, resource)
    found = []
    for node in nodes:
        number = _whole(map_of(map_of(node.get("status")).get("allocatable")).get(resource))
        if not number:
            continue
        metadata = map_of(node.get("metadata"))
        name = str(metadata.get("name", ""))
        found.append(
            Machine(
                name=name,
                gpus=number,
                used=None if pods.unseen else used.get(name, 0),
                product=_product(map_of(metadata.get("labels"))),
                obstacle=_obstacle(node),
            )
        )
    return sorted(found, key=lambda each: each.name)


def gpus(nodes: Answer, pods: Answer) -> Iterator[Finding]:
    """Judges the GPUs, node by node."""
    if nodes.unseen:
        yield Finding(name="GPUs", result=Result.UNSEEN, message=nodes.unseen)
        return
    resource = resource_of(nodes.items)
    found = machines(nodes.items, pods, resource=resource)
    if not found:
        yield Finding(
            name="GPUs",
            result=Result.FAIL,
            message=f"none of {len(nodes.items)} nodes offers {resource}",
            remedy="install the vendor's GPU operator or device plug-in; infrastructure.gpuResourceName "
            "names another resource, and with infrastructure.accelerator: CPU a run needs none",
        )
        return
    yield _altogether(found, resource)
    for each in found[:SHOWN]:
        yield _of(each)
    if len(found) > SHOWN:
        rest = found[SHOWN:]
        count = sum(each.gpus for each in rest)
        yield Finding(
            name="node",
            result=Result.PASS,
            message=f"{len(rest)} more nodes with {count} GPUs; -o json tells all",
        )


def _altogether(found: list[Machine], resource: str) -> Finding:
    most = max(each.gpus for each in found)
    total = sum(each.gpus for each in found)
    known = [each.free for each in found if each.free is not None]
    free = f", {sum(known)} free" if len(known) == len(found) else ", free ones cannot be seen"
    message = f"{total} {resource} on {len(found)} node{'s' * (len(found) > 1)}{free}"
    if resource != RESOURCE:
        message += f"; runs ask for them with infrastructure.gpuResourceName: {resource}"
    if most < WANTED:
        return Finding(
            name="GPUs",
            result=Result.WARN,
            message=f"{message}; no node has {WANTED}, which runs ask for by default",
            remedy=f"set infrastructure.gpusPerNode to {most} or less",
        )
    if len(known) == len(found) and max(known) < WANTED:
        return Finding(
            name="GPUs",
            result=Result.WARN,
            message=f"{message}; no node has {WANTED} free now",
            remedy="a run waits (Pending) until they are; with Kueue it waits in its queue",
        )
    return Finding(name="GPUs", result=Result.PASS, message=message)


def _of(machine: Machine) -> Finding:
    free = "free ones unseen" if machine.used is None else f"{max(machine.gpus - machine.used, 0)} free"
    words = [f"{machine.name}: {machine.gpus} GPUs, {free}"]
    words += [machine.product] if machine.product else []
    if machine.obstacle:
        return Finding(
            name="node",
            result=Result.WARN,
            message=f"{', '.join(words)}: {machine.obstacle}",
            remedy=f"kubectl describe node {machine.name}",
        )
    return Finding(name="node", result=Result.PASS, message=", ".join(words))


def runtime_class(classes: Answer, nodes: Answer) -> Finding:
    """Judges whether containers can reach NVIDIA's GPUs."""
    if classes.unseen:
        return Finding(name="runtime class", result=Result.UNSEEN, message=classes.unseen)
    names = sorted(str(map_of(each.get("metadata")).get("name")) for each in classes.items)
    if "nvidia" in names:
        return Finding(
            name="runtime class",
            result=Result.PASS,
            message="nvidia; set infrastructure.runtimeClassName where it is not the nodes' default",
        )
    have = any(
        _whole(map_of(map_of(each.get("status")).get("allocatable")).get(RESOURCE)) for each in nodes.items
    )
    told = f"there is no RuntimeClass nvidia (there are: {', '.join(names) or 'none'})"
    if have:
        return Finding(
            name="runtime class",
            result=Result.PASS,
            message=f"{told}: the nodes' default runtime must be NVIDIA's, as its GPU operator sets it up",
        )
    return Finding(name="runtime class", result=Result.PASS, message=f"{told}, and no NVIDIA GPU")


def _asked(spec: JsonObject, resource: str) -> int:
    def limit(container: object) -> int:
        return _whole(map_of(map_of(map_of(container).get("resources")).get("limits")).get(resource))

    main = sum(limit(each) for each in spec.get("containers") or [])
    return max([main, *(limit(each) for each in spec.get("initContainers") or [])])


def _product(labels: JsonObject) -> str:
    texts = {str(key): str(value) for key, value in labels.items()}
    memory = node_labels.gpu_memory(texts)
    product = texts.get(node_labels.NVIDIA_PRODUCT, "")
    size = f"{memory / GIBI:.0f} GiB each" if memory else ""
    return ", ".join(filter(None, (product, size)))


def _obstacle(node: JsonObject) -> str:
    if map_of(node.get("spec")).get("unschedulable"):
        return "cordoned"
    ready = condition(node, "Ready")
    if ready.get("status") != "True":
        return f"not ready: {ready.get('message') or ready.get('reason') or 'no reason given'}"
    return ""


def _whole(value: object) -> int:
    try:
        return max(int(str(value)), 0)
    except ValueError:
        return 0
