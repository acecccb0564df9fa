"""An API server that is away for a while, with everything that can happen meanwhile: `make outage`.

python -m tests.faults.outages [--seconds N]

Runs train, one ends, one is created, one is suspended while the operator's way to the API server is cut:
first connections break, then nothing is ever answered, then only 503, then the server's store is away. The
operator is a process of its own with its product's settings. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from tests.cluster.operator_harness import eventually, manifest, report, success
from tests.faults import clusters, keepers
from tests.faults.keepers import Keeper, Settings
from tests.faults.lives import World, curve
from tests.faults.matrices import world_of
from tests.faults.proxies import Away, Proxy

from cluster import ports
from cluster.driven_pods import DrivenPod
from sftrun_api.names import LABEL_RUN
from sftrun_api.reports import Outcome, Stage
from sftrun_operator import kube
from sftrun_operator.pulses import SILENT_SECONDS

RUNS = 20
WAYS = (Away.CUT, Away.HANGS, Away.UNAVAILABLE, Away.STORE)
WAIT_SECONDS = 180.0


@dataclass(kw_only=True)
class Account:
    """What an outage has come to."""

    seconds: float
    requests: Counter[str] = field(default_factory=Counter)
    """What reached the proxy during the outage, by call."""
    most_a_second: int = 0
    unready_after: float | None = None
    recovered_after: float | None = None
    troubles: list[str] = field(default_factory=list)

    @property
    def num_requests(self) -> int:
        return self.requests.total()

    @property
    def bound(self) -> int:
        """Two a second, and what a start of watch and lists costs."""
        return round(2 * self.seconds) + 100


async def survive(
    world: World, *, seconds: float, silent_after: float = SILENT_SECONDS, num_runs: int = RUNS
) -> Account:
    """Has runs live through an outage. Raises when they do not get over it."""
    port = ports.choose(1, taken=frozenset())[0]
    settings = Settings(
        liveness=f"127.0.0.1:{port}", silent_after=silent_after, poll_every=2.0, relist_every=300.0
    )
    keeper = Keeper(world.namespace, world.log, settings=settings)
    account = Account(seconds=seconds)
    async with Proxy(upstream=world.upstream, kill=keeper.kill) as proxy:
        keeper.url = proxy.url
        keeper.start()
        try:
            async with _probed(f"http://127.0.0.1:{port}", account, keeper=keeper, proxy=proxy):
                await _Outage(world, account, proxy=proxy, num_runs=num_runs).run()
                keeper.check()
        finally:
            await keeper.end()
    for name in [f"r{number}" for number in range(num_runs + 1)]:
        world.onlooker.check(name)
    if keeper.num_started != 1:
        account.troubles.append("the operator was started again")
    return account


class _Outage:
    """One outage under way."""

    def __init__(self, world: World, account: Account, *, proxy: Proxy, num_runs: int) -> None:
        self._world = world
        self._account = account
        self._proxy = proxy
        self._names = [f"r{number}" for number in range(num_runs)]
        self._pods: dict[str, DrivenPod] = {}

    async def run(self) -> None:
        await asyncio.gather(*(self._train(name) for name in self._names))
        loop = asyncio.get_running_loop()
        before, began = len(self._proxy.seen), loop.time()
        moving = asyncio.create_task(self._move())
        happening = asyncio.create_task(self._happen())
        for way in WAYS:
            self._proxy.away = way
            await asyncio.sleep(self._account.seconds / len(WAYS))
        await happening
        self._proxy.away = None
        ended = loop.time()
        during = self._proxy.seen[before:]
        self._account.requests = Counter(str(seen.call) for seen in during)
        each_second = Counter(int(seen.at - began) for seen in during)
        self._account.most_a_second = max(each_second.values(), default=0)
        await self._recover()
        self._account.recovered_after = round(loop.time() - ended, 1)
        moving.cancel()
        await asyncio.gather(moving, return_exceptions=True)

    async def _train(self, name: str) -> None:
        world = self._world
        run = await world.api.create(kube.SFTRUNS, world.namespace, manifest(name))
        pod = await world.driver.pod(labels={LABEL_RUN: name}, seconds=WAIT_SECONDS)
        self._pods[name] = pod
        await pod.run(report(run, pod, Stage.TRAIN, step=1))
        pod.say(curve(run, 1), path="/curve")
        await self._phase(name, "Training")

    async def _move(self) -> None:
        """All pods but the first make a step every two seconds: everybody has something to write."""
        step = 1
        while True:
            step += 1
            for name in self._names[1:]:
                pod = self._pods[name]
                if not pod.deleted.is_set():
                    pod.say(report(await self._run(name), pod, Stage.TRAIN, step=step, total=100_000))
            await asyncio.sleep(2)

    async def _happen(self) -> None:
        """What users and nodes do meanwhile: the first run ends, the second is suspended, a new one comes."""
        await asyncio.sleep(self._account.seconds / 2)
        world, first = self._world, self._pods["r0"]
        run = await self._run("r0")
        first.say(report(run, first, Stage.COLLECT, step=24, outcome=Outcome.SUCCEEDED))
        await first.end(0, message=success(run, first))
        path = kube.SFTRUNS.path(world.namespace, "r1")
        await world.user.patch(path, {"spec": {"suspend": True}}, strategic=False)
        await world.api.create(kube.SFTRUNS, world.namespace, manifest(self._new))

    @property
    def _new(self) -> str:
        return f"r{len(self._names)}"

    async def _recover(self) -> None:
        """Waits until the operator has caught up with everything."""
        await self._phase("r0", "Succeeded")
        suspended = self._pods["r1"]
        async with asyncio.timeout(WAIT_SECONDS):
            await suspended.deleted.wait()
        await suspended.end(75)
        suspended.release()
        await self._phase("r1", "Suspended")
        await self._world.driver.pod(labels={LABEL_RUN: self._new}, seconds=WAIT_SECONDS)
        now = {
            name: (await self._run(name))["status"].get("progress", {}).get("step", 0)
            for name in self._names[2:]
        }
        for name, step in now.items():
            await self._status(
                name,
                lambda status, step=step: status["progress"]["step"] > step,
                what="progress after the outage",
            )

    async def _phase(self, name: str, phase: str) -> None:
        await self._status(name, lambda status: status.get("phase") == phase, what=phase)

    async def _status(self, name: str, good: Callable[..., bool], *, what: str) -> None:
        async def status() -> dict[str, Any]:
            found: dict[str, Any] = (await self._run(name)).get("status", {})
            return found

        await eventually(status, good, what=f"{name}: {what}", seconds=WAIT_SECONDS)

    async def _run(self, name: str) -> dict[str, Any]:
        return await self._world.api.get(kube.SFTRUNS, self._world.namespace, name) or {}


@contextlib.asynccontextmanager
async def _probed(url: str, account: Account, *, keeper: Keeper, proxy: Proxy) -> AsyncIterator[None]:
    """Asks as a kubelet does, every half second: alive all the time, ready when the API server is there."""
    loop = asyncio.get_running_loop()
    away_since: float | None = None

    missed = 0

    async def ask(session: aiohttp.ClientSession, path: str) -> int:
        nonlocal missed
        try:
            async with session.get(url + path) as response:
                missed = 0
                return response.status
        except TimeoutError:  # a kubelet forgives two in a row too: the machine may be busy
            missed += 1
            if missed >= 3:
                raise
            return await ask(session, path)

    async def probe() -> None:
        nonlocal away_since
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            while True:
                keeper.check()
                if await ask(session, "/healthz") != 200:
                    account.troubles.append("liveness failed")
                away_since = None if proxy.away is None else away_since or loop.time()
                if await ask(session, "/readyz") != 200 and away_since and account.unready_after is None:
                    account.unready_after = round(loop.time() - away_since, 1)
                await asyncio.sleep(0.5)

    async def ready() -> bool:
        async with aiohttp.ClientSession() as session:
            with contextlib.suppress(aiohttp.ClientError):
                return await ask(session, "/readyz") == 200
        return False

    await eventually(ready, bool, what="an operator that is ready", seconds=WAIT_SECONDS)
    probing = asyncio.create_task(probe())
    try:
        yield
        if probing.done():
            account.troubles.append(f"a probe was not answered: {probing.exception()!r}")
        elif account.unready_after is None:
            account.troubles.append("readiness never failed")
        elif not await ready():
            account.troubles.append("not ready again")
    finally:
        probing.cancel()
        await asyncio.gather(probing, return_exceptions=True)


def judge(account: Account) -> list[str]:
    """Returns what did not hold."""
    more = account.num_requests > account.bound
    said = f"{account.num_requests} requests in {account.seconds:.0f} s, more than {account.bound}"
    return account.troubles + [said] * more


async def _main(seconds: float, folder: Path) -> int:
    keepers.prepare_forks()
    with clusters.own("outage") as cluster:
        async with world_of(cluster, folder) as world:
            account = await survive(world, seconds=seconds)
    troubles = judge(account)
    for call, count in account.requests.most_common():
        print(f"{count:6d} {call}", file=sys.stderr)
    for trouble in troubles:
        print(trouble, file=sys.stderr)
    line = {
        "name": "outage",
        "value": account.num_requests,
        "unit": f"requests in {seconds:.0f} s without an API server",
        "goal": account.bound,
        "most_a_second": account.most_a_second,
        "unready_after_s": account.unready_after,
        "recovered_after_s": account.recovered_after,
        "holds": not troubles,
    }
    print(json.dumps(line))
    return 1 if troubles else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.outages", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--seconds", type=float, default=600.0, metavar="N", help="how long (600)")
    options = parser.parse_args(argv)
    folder = Path(".cache/faults")
    folder.mkdir(parents=True, exist_ok=True)
    return asyncio.run(_main(options.seconds, folder))


if __name__ == "__main__":
    sys.exit(main())
