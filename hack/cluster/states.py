"""What `up` wrote down about a cluster, for every later command."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

from cluster import processes
from cluster.control_planes import Addresses
from cluster.errors import ClusterError
from cluster.paths import RunFolder, run_folders


@dataclass(frozen=True, kw_only=True)
class State:
    """One cluster. With an owner (pid and start time) the cluster is swept once that process is gone."""

    mode: Literal["light", "full"]
    addresses: Addresses
    nodes: int = 0
    slot: int | None = None
    """Which addresses a cluster with nodes has, see `networks`."""
    label: str = ""
    """How its network namespaces and control groups are called; empty: after its name."""
    owner: tuple[int, int] | None = None
    admission: tuple[str, ...] = ()
    """Admission plugins that are on besides the usual ones."""
    brisk: bool = True
    """Whether the controller manager may call more often than Kubernetes lets it by default."""

    @property
    def ports(self) -> frozenset[int]:
        """What it holds on the host's loopback: nothing when it has a network of its own."""
        if self.mode == "full":
            return frozenset()
        return frozenset((self.addresses.api_port, self.addresses.etcd_port, self.addresses.etcd_peer_port))

    @property
    def orphaned(self) -> bool:
        """Whether the process that this cluster was started for has ended."""
        return self.owner is not None and processes.start_ticks(self.owner[0]) != self.owner[1]


def read(folder: RunFolder) -> State | None:
    """Returns the state, or None when there is none or a crash cut it short (then `up` starts afresh)."""
    try:
        fields = json.loads(folder.state.read_bytes())
        owner = fields["owner"]
        return State(
            **{
                **fields,
                "addresses": Addresses(**fields["addresses"]),
                "owner": tuple(owner) if owner else None,
                "admission": tuple(fields.get("admission", ())),
            }
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write(folder: RunFolder, state: State) -> None:
    """Replaces the state in one step."""
    folder.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = folder.state.with_suffix(".new")
    unfinished.write_text(json.dumps(asdict(state)))
    unfinished.rename(folder.state)


def require(folder: RunFolder) -> State:
    """Returns the state of a cluster that is up.

    Raises:
        ClusterError: there is no such cluster.
    """
    state = read(folder)
    if state is None:
        raise ClusterError(f"no cluster {folder.name!r} is up: start it with `cluster up`")
    return state


def ports_in_use() -> frozenset[int]:
    """Returns the loopback ports that clusters of ours were given."""
    return frozenset[int]().union(*(state.ports for state in _all()))


def slots_in_use() -> frozenset[int]:
    """Returns the network slots that clusters with nodes have."""
    return frozenset(state.slot for state in _all() if state.slot is not None)


def _all() -> list[State]:
    return [state for folder in run_folders() if (state := read(folder))]
