"""A light cluster of the matrix' own, taken down when its process ends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from cluster import handles, light, processes
from cluster.handles import ClusterHandle


@contextlib.contextmanager
def own(name: str) -> Iterator[ClusterHandle]:
    """A cluster with our CRD."""
    owner = os.getpid()
    started = processes.start_ticks(owner)
    assert started is not None
    folder = light.up(f"{name}-{owner}", owner=(owner, started))
    try:
        cluster = handles.of_folder(folder)
        cluster.install_crds()
        yield cluster
    finally:
        light.down(folder)
