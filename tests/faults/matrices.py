"""Lives a list of cases, several at a time, each in its worker's namespace, and tells how each ended."""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.operator_harness import harness_of
from tests.faults import keepers, lives
from tests.faults.calls import Call
from tests.faults.cases import Case
from tests.faults.oracles import Broken, Onlooker

from cluster.driver import Driver
from cluster.handles import ClusterHandle
from cluster.kube_api import KubeApi
from cluster.scripts import MANUAL
from sftrun_operator import connections

WRITES_MORE = 6
"""So many writes more than the golden life's may a fault cost: repeated ones, never a stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a case came out."""

    case: Case
    trouble: str
    """Empty when every oracle is content."""
    struck: bool
    """Whether the call came at all: the order of a life's calls is not always the same."""


@contextlib.asynccontextmanager
async def world_of(cluster: ClusterHandle, folder: Path) -> AsyncIterator[lives.World]:
    """A namespace with an operator's identity and a driver."""
    async with (
        harness_of(cluster) as here,
        KubeApi(cluster.kubeconfig) as user,
        Driver(cluster.kubeconfig, namespace=here.namespace, script=MANUAL) as driver,
        Onlooker(user, here.namespace) as onlooker,
    ):
        yield lives.World(
            namespace=here.namespace,
            api=here.api,
            user=user,
            driver=driver,
            onlooker=onlooker,
            upstream=await connections.load(str(here.kubeconfig)),
            log=str(folder / f"{here.namespace}.log"),
        )


async def golden(cluster: ClusterHandle, folder: Path) -> lives.Life:
    """Lives undisturbed. The first life warms the cluster up (its garbage collector learns of our kind)."""
    keepers.prepare_forks()
    async with world_of(cluster, folder) as world:
        await lives.live(world, "warm-up")
        return await lives.live(world, "golden")


def calls_of(life: lives.Life) -> list[tuple[Call, int]]:
    """Returns the life's calls with their numbers, in order."""
    return [(seen.call, seen.nth) for seen in life.seen]


async def judge(
    cases: Sequence[Case],
    *,
    cluster: ClusterHandle,
    folder: Path,
    reference: lives.Life,
    num_workers: int = 2,
    tell: Callable[[Ending], None] = lambda _: None,
) -> list[Ending]:
    """Lives every case once and returns their endings, in the order in which they came."""
    waiting: Iterable[tuple[int, Case]] = iter(enumerate(cases))
    endings: list[Ending] = []

    async def work() -> None:
        left = True
        while left:
            async with world_of(cluster, folder) as world:
                left = False
                for number, case in waiting:
                    ending = await _judge(case, f"case-{number}", world=world, reference=reference)
                    endings.append(ending)
                    tell(ending)
                    if ending.trouble:  # what it left behind must not meet the next one
                        left = True
                        break

    await asyncio.gather(*(work() for _ in range(num_workers)))
    return endings


async def _judge(case: Case, name: str, *, world: lives.World, reference: lives.Life) -> Ending:
    try:
        life = await lives.live(world, name, case=case)
    except Exception as error:  # whatever it is, it is this case's ending
        told = str(error) if isinstance(error, Broken) else traceback.format_exc(limit=-3)
        return Ending(case=case, trouble=told, struck=True)
    return Ending(case=case, trouble=_difference(life, reference), struck=life.struck)


def _difference(life: lives.Life, reference: lives.Life) -> str:
    if len(life.writes) > len(reference.writes) + WRITES_MORE:
        return f"{len(life.writes)} writes instead of {len(reference.writes)}: {life.writes}"
    if life.final == reference.final:
        return ""
    keys = sorted(set(life.final) | set(reference.final))
    different = [
        f"{key}: {life.final.get(key)!r} instead of {reference.final.get(key)!r}"
        for key in keys
        if life.final.get(key) != reference.final.get(key)
    ]
    return "another final state: " + "; ".join(different)
