"""Light clusters: API server, etcd and controller manager on loopback. No root, no nodes, several at once."""

from __future__ import annotations

import shutil
import sys

from cluster import api_health, control_planes, locks, ports, processes, programs, states
from cluster.control_planes import Addresses
from cluster.errors import ClusterError, UnsuitableMachine
from cluster.paths import RunFolder, cache_folder
from cluster.states import State

READY_SECONDS = 180.0
_STOP_SECONDS = 0.5
"""Patience with a program whose data go with it, or survive in the page cache."""


def up(
    name: str,
    *,
    owner: tuple[int, int] | None = None,
    admission: tuple[str, ...] = (),
    brisk: bool = True,
) -> RunFolder:
    """Starts a light cluster, or what is missing of it. Returns its folder once the API server is ready.

    Args:
        name: Its name; also the name of its folder.
        owner: Pid and start time of a process: when that has ended, `sweep` takes the cluster down.
        admission: Admission plugins to turn on besides the usual ones, when it is started anew.
        brisk: Whether its controller manager may call more often than by default, when it is started anew.

    Raises:
        UnsuitableMachine: not Linux, or no Go.
        BuildFailed: a program could not be built.
        ComponentFailed: a program did not start; the end of its log stands in the message.
    """
    if sys.platform != "linux":
        raise UnsuitableMachine(
            "a cluster of our own needs Linux: set KUBECONFIG to a cluster and use that instead"
        )
    folder = RunFolder(name=name)
    programs.ensure(programs.LIGHT)
    with locks.held(locks.of_cluster(folder)):
        state = states.read(folder)
        if state is not None and state.mode != "light":
            raise ClusterError(
                f"cluster {name!r} is up with nodes: choose another --name, or take it down first"
            )
        if state is None:
            state = _begin(folder, owner=owner, admission=admission, brisk=brisk)
        _start(folder, state)
    return folder


def down(folder: RunFolder) -> None:
    """Stops every process of the cluster and removes its folder. Again, or after a crash, is no error."""
    with locks.held(locks.of_cluster(folder)):
        _clear(folder)


def _begin(
    folder: RunFolder, *, owner: tuple[int, int] | None, admission: tuple[str, ...], brisk: bool
) -> State:
    _clear(folder)  # what a crash left, or a version of this program that wrote another state
    with locks.held(cache_folder() / "locks" / "ports"):
        api, etcd, peer = ports.choose(3, taken=states.ports_in_use())
        addresses = Addresses(server="127.0.0.1", api_port=api, etcd_port=etcd, etcd_peer_port=peer)
        state = State(mode="light", addresses=addresses, owner=owner, admission=admission, brisk=brisk)
        states.write(folder, state)
    return state


def _start(folder: RunFolder, state: State) -> None:
    addresses = state.addresses
    credentials = control_planes.prepare(folder, addresses)
    _ensure_runs(folder, "etcd", control_planes.etcd_command(folder, addresses))
    command = control_planes.api_server_command(
        folder, addresses, credentials, with_nodes=False, admission=state.admission
    )
    api_server = _ensure_runs(folder, "kube-apiserver", command)
    command = control_planes.controller_manager_command(
        folder, addresses, credentials, with_nodes=False, brisk=state.brisk
    )
    processes.wait_until(
        "the API server",
        lambda: api_health.ready(folder.kubeconfig),
        seconds=READY_SECONDS,
        process=api_server,
        logs=folder.logs,
    )
    manager = _ensure_runs(folder, "kube-controller-manager", command)
    processes.wait_until(
        "the controller manager to make the default ServiceAccount",
        lambda: api_health.ready(
            folder.kubeconfig, path="/api/v1/namespaces/default/serviceaccounts/default"
        ),
        seconds=READY_SECONDS,
        process=manager,
        logs=folder.logs,
    )


def _ensure_runs(folder: RunFolder, name: str, command: list[str]) -> processes.Process:
    running = processes.find(folder.processes, name)
    return running or processes.start(name, command, records=folder.processes, logs=folder.logs)


def _clear(folder: RunFolder) -> None:
    for process in _stop_order(folder):
        processes.stop(process, records=folder.processes, seconds=_STOP_SECONDS)
    shutil.rmtree(folder.root, ignore_errors=True)


def _stop_order(folder: RunFolder) -> list[processes.Process]:
    """Clients before servers: etcd last, or the API server waits for it."""
    order = ("kube-controller-manager", "kube-apiserver", "etcd")
    recorded = processes.recorded(folder.processes)
    return sorted(recorded, key=lambda process: order.index(process.name) if process.name in order else -1)
