"""What the benchmarks of the operator stand on: a light cluster of their own, and how figures are told."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tests.cluster.operator_harness import Harness, harness_of

from cluster import handles, light, processes


def say(text: str) -> None:
    """Writes for people; the last line alone is for machines."""
    print(text, file=sys.stderr, flush=True)


def quantile(values: Sequence[float], share: float) -> float:
    """Returns the nearest-rank quantile; 0 where there are no values."""
    ordered = sorted(values)
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]


@asynccontextmanager
async def stage(name: str, *, brisk: bool = True) -> AsyncIterator[Harness]:
    """A light cluster with our CRD and one namespace, taken down at the end. One that is not `brisk` has the
    limits of Kubernetes' defaults."""
    owner = os.getpid()
    started = processes.start_ticks(owner)
    assert started is not None
    folder = await asyncio.to_thread(light.up, f"{name}-{owner}", owner=(owner, started), brisk=brisk)
    try:
        cluster = handles.of_folder(folder)
        await asyncio.to_thread(cluster.install_crds)
        async with harness_of(cluster) as here:
            yield here
    finally:
        await asyncio.to_thread(light.down, folder)
