"""Keeps an operator running in a process of its own, that can be killed as the kernel kills."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import multiprocessing.process
from collections.abc import Callable
from dataclasses import dataclass

from tests.cluster.operator_harness import IMAGE
from tests.faults.oracles import Broken

from sftrun_operator import logs
from sftrun_operator.connections import Connection
from sftrun_operator.elections import Seat
from sftrun_operator.observations import OperatorConfig
from sftrun_operator.operators import Operator, Options
from sftrun_operator.plans import plan
from sftrun_operator.pulses import SILENT_SECONDS

LEASE = "sftrun-operator"
RESTART_SECONDS = 0.2
FORKS = multiprocessing.get_context("forkserver")
"""Operators are forked from a process that has imported everything: one starts in a tenth of a second."""


def prepare_forks() -> None:
    """Call once before the first operator."""
    FORKS.set_forkserver_preload(["tests.faults.keepers"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the operator runs; faster than the product where nothing else is said, so that lives are short."""

    liveness: str = "127.0.0.1:0"
    poll_every: float = 0.5
    relist_every: float = 5.0
    silent_after: float = SILENT_SECONDS
    candidate: str = ""
    """Who competes for the Lease of its namespace; nobody does where there is no name."""


def serve(url: str, namespace: str, log: str, settings: Settings) -> None:
    """The operator, in a process of its own."""
    with open(log, "a") as stream, contextlib.redirect_stderr(stream):  # noqa: PTH123
        logs.configure(kind="text", level="INFO")
        asyncio.run(_serve(url, namespace, settings))


async def _serve(url: str, namespace: str, settings: Settings) -> None:
    seat = Seat(namespace=namespace, name=LEASE, identity=settings.candidate) if settings.candidate else None
    operator = Operator(
        connection=Connection(server=url.rstrip("/")),
        plan=plan,
        config=OperatorConfig(trainer_image=IMAGE, version="test"),
        options=Options(
            namespaces=(namespace,),
            liveness=settings.liveness,
            poll_every=settings.poll_every,
            poll_timeout=30.0,  # a busy machine is no silent pod
            relist_every=settings.relist_every,
            silent_after=settings.silent_after,
            seat=seat,
        ),
    )
    await operator.run()


@dataclass
class Keeper:
    """Keeps one operator running: a killed one is followed by another, as a Deployment does."""

    namespace: str
    log: str
    url: str = ""
    settings: Settings = Settings()
    process: multiprocessing.process.BaseProcess | None = None
    num_started: int = 0
    kills: int = 0
    on_kill: Callable[[], None] = lambda: None

    def start(self) -> None:
        made = FORKS.Process(
            target=serve, args=(self.url, self.namespace, self.log, self.settings), daemon=True
        )
        made.start()
        self.process, self.num_started = made, self.num_started + 1

    def kill(self) -> None:
        """As kill -9 does; the next one is started a moment later."""
        assert self.process is not None
        self.process.kill()
        self.kills += 1
        self.on_kill()
        asyncio.get_running_loop().call_later(RESTART_SECONDS, self.start)

    def check(self) -> None:
        """Raises when the operator has ended by itself."""
        if self.num_started == self.kills + 1 and self.process is not None and not self.process.is_alive():
            raise Broken(f"the operator ended by itself with exit code {self.process.exitcode}")

    async def end(self) -> None:
        """Kills the last one."""
        if self.process is not None:
            self.process.kill()
            await asyncio.to_thread(self.process.join, 10)
