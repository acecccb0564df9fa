"""The operator as a process of its own under load: started, ready, busy, idle, and what it cost."""

from __future__ import annotations

import asyncio
import random
import re
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from bench import footprints, image_operators, scale_floor
from bench.audits import AuditLog
from bench.footprints import Footprint
from tests.cluster.operator_harness import Harness, OperatorProcess, eventually

from cluster import ports, processes
from sftrun_operator.operators import Options

READY_SECONDS = 120.0
NOT_WELL = ("conflict", "refused", "error", "unavailable", "timeout")
MEMBERS = ("kube-apiserver", "etcd", "kube-controller-manager")
Create = Callable[[int, str], Awaitable[None]]
"""Creates one run, of a number and a name."""


@dataclass(frozen=True, kw_only=True)
class Scrape:
    """The metrics of one moment."""

    text: str

    def total(self, name: str, **labels: str) -> float:
        """Returns the sum of a metric's series that carry these labels; 0 where there is none."""
        found = re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", self.text, flags=re.MULTILINE)
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(float(value) for given, value in found if all(each in given for each in wanted))

    @property
    def busy(self) -> float:
        """How many runs wait to be looked at or are being so."""
        return self.total("sftrun_operator_queue_depth") + self.total("sftrun_operator_working")

    @property
    def errors(self) -> float:
        """How many looks did not end well."""
        return sum(self.total("sftrun_operator_reconciles_total", result=result) for result in NOT_WELL)

    @property
    def looks(self) -> float:
        """How many looks were taken."""
        return self.total("sftrun_operator_reconciles_total")

    @property
    def writes(self) -> float:
        """How many requests that may write were sent."""
        sent = "sftrun_operator_api_requests_total"
        return sum(self.total(sent, verb=verb) for verb in ("create", "patch", "delete"))


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """An operator that is ready."""

    process: OperatorProcess
    address: str
    ready_seconds: float
    """From the start of the process."""
    session: aiohttp.ClientSession

    @property
    def footprint(self) -> Footprint:
        return footprints.of(self.process.process.pid)

    async def metrics(self) -> Scrape:
        """Returns what it says of itself now. The CPU time of the answer is measured with the rest."""
        async with self.session.get(f"http://{self.address}/metrics") as response:
            return Scrape(text=await response.text())

    async def until_idle(self, *, seconds: float) -> None:
        """Waits until no run waits to be looked at and nothing has been written for a while. Asks rarely: an
        answer of a thousand runs costs some milliseconds, which count as the operator's own."""
        last, since = -1.0, time.monotonic()

        async def still() -> float:
            nonlocal last, since
            now = await self.metrics()
            if now.busy or now.writes != last:
                last, since = now.writes, time.monotonic()
            await asyncio.sleep(1.0)
            return time.monotonic() - since

        await eventually(
            still, lambda age: age >= 1.5, what="an operator with nothing to do", seconds=seconds
        )


@asynccontextmanager
async def loaded(here: Harness, *arguments: str, folder: Path) -> AsyncIterator[Loaded]:
    """Starts an operator as its pod would, with the rights of its chart in the harness' namespace, and ends
    it."""
    (port,) = ports.choose(1, taken=())
    address = f"127.0.0.1:{port}"
    began = time.monotonic()
    process = image_operators.start(here, "--liveness", address, *arguments, folder=folder)
    try:
        async with aiohttp.ClientSession() as session:

            async def ready() -> str:
                try:
                    async with session.get(f"http://{address}/readyz") as response:
                        return "" if response.status == 200 else await response.text()
                except aiohttp.ClientConnectionError as error:
                    return str(error)

            await eventually(ready, lambda why: not why, what="a ready operator", seconds=READY_SECONDS)
            elapsed = time.monotonic() - began
            yield Loaded(process=process, address=address, ready_seconds=elapsed, session=session)
    finally:
        process.terminate()


@asynccontextmanager
async def bare_client(here: Harness) -> AsyncIterator[int]:
    """Starts `scale_floor`, the client that only writes, with the operator's rights; gives its pid."""
    command = [sys.executable, str(Path(__file__).with_name("scale_floor.py"))]
    workers = str(Options().num_workers)
    options = ["--kubeconfig", str(here.kubeconfig), "--namespace", here.namespace, "--workers", workers]
    process = await asyncio.create_subprocess_exec(*command, *options, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(READY_SECONDS):
            for _ in scale_floor.WATCHED:
                assert await process.stdout.readline(), "the bare client has ended"
        yield process.pid
    finally:
        with suppress(ProcessLookupError):  # it has ended by itself, and its error is what matters
            process.kill()
        await process.wait()


def audit_log(here: Harness) -> AuditLog:
    """Returns what the cluster's API server writes down, from its beginning."""
    assert here.cluster.audit_log is not None
    return AuditLog(here.cluster.audit_log)


def cluster_cpu(here: Harness) -> dict[str, float]:
    """Returns the CPU seconds that each program of the cluster has used."""
    folder = here.cluster.folder
    assert folder is not None
    found = {name: processes.find(folder.processes, name) for name in MEMBERS}
    return {name: footprints.of(each.pid).cpu_seconds for name, each in found.items() if each is not None}


async def create_many(create: Create, names: list[str], *, creators: int) -> None:
    """Creates the runs by so many parallel creators, each with the next name as soon as its last is taken."""
    waiting = iter(enumerate(names))

    async def work() -> None:
        for number, name in waiting:
            await create(number, name)

    await asyncio.gather(*(work() for _ in range(creators)))


def sft_runs(here: Harness) -> Create:
    """Returns what creates runs of ours, no two of whose specs are alike: whatever the operator remembers of
    one helps with no other."""

    async def create(number: int, name: str) -> None:
        await here.create(name, **varied(number))

    return create


def varied(number: int) -> dict[str, object]:
    """Returns the parts of a spec that make it the only one of its kind."""
    chance = random.Random(number)
    return {
        "sources": [{"harborJob": {"path": f"jobs/team-{number % 17}/job-{number}"}}],
        "training": {
            "template": "qwen3",
            "cutoffLen": 1024 * chance.randint(2, 32),
            "learningRate": round(chance.uniform(1e-6, 1e-4), 9),
            "seed": number,
        },
    }
