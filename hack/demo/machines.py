"""Whether this machine can hold a cluster of our own; if not, what to do instead."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cluster import handles
from rig.errors import RigError

GPUS = 8
"""What examples/quickstart.yaml asks for."""
INSTEAD = """
Use a cluster of yours instead:
  export KUBECONFIG=~/.kube/config       # its administrator; nodes that run linux/amd64 images
  export REGISTRY=registry.example/team  # images are pushed to it; the nodes pull from it
  make demo
(Building the images still needs buildah.)"""


class UnsuitableMachine(RigError):
    """What is missing, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What matters of a machine."""

    system: str
    machine: str
    uid: int
    go: str | None


def this_machine() -> Machine:
    """Looks at the machine that we run on."""
    return Machine(
        system=platform.system(), machine=platform.machine(), uid=os.geteuid(), go=shutil.which("go")
    )


def check(environment: Mapping[str, str] = os.environ, *, machine: Machine | None = None) -> None:
    """Does nothing where the demo can run.

    Raises:
        UnsuitableMachine: it cannot; says what is missing and what to do.
    """
    if not handles.foreign_kubeconfig(environment):
        missing = _missing(machine or this_machine())
        if missing is not None:
            raise UnsuitableMachine(f"The demo starts a Kubernetes on this machine, {missing}\n{INSTEAD}")
    elif not environment.get("REGISTRY"):
        raise UnsuitableMachine(
            "KUBECONFIG is set, REGISTRY is not: name a registry that you may push to and the cluster's "
            "nodes can pull from, for example REGISTRY=registry.example/team"
        )


def check_nodes(nodes: Iterable[Mapping[str, Any]]) -> None:
    """Does nothing where a node of somebody else's cluster has the GPUs, free or not: a run waits for them.
    Asked before images are built.

    Raises:
        UnsuitableMachine: none has the GPUs.
    """
    most = max((_gpus(node) for node in nodes), default=0)
    if most < GPUS:
        raise UnsuitableMachine(
            f"The example asks for {GPUS} nvidia.com/gpu on a linux/amd64 node, as a real run would, "
            f"though it trains on CPU. The most that a node of this cluster has is {most}"
        )


def _gpus(node: Mapping[str, Any]) -> int:
    status = node["status"]
    if node["spec"].get("unschedulable") or status.get("nodeInfo", {}).get("architecture") != "amd64":
        return 0
    return int(status.get("allocatable", {}).get("nvidia.com/gpu", "0"))


def _missing(machine: Machine) -> str | None:
    if machine.system != "Linux":
        return f"which is {machine.system}, not Linux. A Debian 12 in a virtual machine will do."
    if machine.machine != "x86_64":
        return f"which is {machine.machine}, not x86_64, for which the CUDA wheels are locked."
    if machine.uid != 0:
        return "and only root can do that: run it as root, in a virtual machine if you prefer."
    if machine.go is None:
        return "built from Go modules, and Go is not installed: install Go 1.26 or newer."
    return None
