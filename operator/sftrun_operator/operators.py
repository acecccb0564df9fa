"""The operator put together: watch and lists fill the queue, workers empty it, and all of it ends on
request."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from sftrun_api.policies import OperatorPolicy
from sftrun_operator import gpu_meters, readings
from sftrun_operator.apply import Applier
from sftrun_operator.caches import Caches, Key, Kind, Listing, News
from sftrun_operator.connections import Connection
from sftrun_operator.elections import REQUEST_SECONDS as LEASE_REQUEST_SECONDS
from sftrun_operator.elections import Election, Seat
from sftrun_operator.health import HealthServer
from sftrun_operator.kube import Kube
from sftrun_operator.logs import LOGGER
from sftrun_operator.metrics import Metrics
from sftrun_operator.observations import OperatorConfig
from sftrun_operator.observe import Memories, Observer
from sftrun_operator.passes import Passes, PlanFunction, Refusals
from sftrun_operator.policy_files import READ_EVERY_SECONDS, Loaded, PolicyFile
from sftrun_operator.polls import POLL_EVERY_SECONDS, POLL_SECONDS, Polls
from sftrun_operator.pulses import SILENT_SECONDS, Pulse
from sftrun_operator.queues import KeyedQueue
from sftrun_operator.relists import RELIST_EVERY_SECONDS, Relists
from sftrun_operator.served_schemas import ServedSchema
from sftrun_operator.vitals import Vitals, trouble, unready
from sftrun_operator.watches import Watch

NUM_SCOUTS = 16
"""Workers that find out whether an API server that was away is there again."""
SETTLE_SECONDS = 0.1
"""How long what is told of Jobs and pods is left to settle: a Job's first pod is told of in several breaths,
and one look at the end of them sees all."""
FINISH_SECONDS = 3.0
"""How long passes that are under way may take after the request to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the process runs; what it decides is in `OperatorConfig`."""

    namespaces: Sequence[str] = ()
    """The namespaces to serve; none means all."""
    liveness: str = "0.0.0.0:8080"
    num_workers: int = 96
    seat: Seat | None = None
    """The Lease to compete for; without one this process works at once."""
    relist_every: float = RELIST_EVERY_SECONDS
    poll_every: float = POLL_EVERY_SECONDS
    poll_timeout: float = POLL_SECONDS
    """How long a pod may take to answer."""
    measure_every: float = gpu_meters.MEASURE_EVERY_SECONDS
    """How often it is measured what GPUs are held for."""
    silent_after: float = SILENT_SECONDS
    """How long the API server may say nothing before it counts as away."""
    policy_file: tuple[Path, Loaded] | None = None
    """The policy's file, and what it held when the process started; `OperatorConfig` has the policy."""
    read_policy_every: float = READ_EVERY_SECONDS


class Operator:
    """One process' worth. `run` returns when `stop` is set."""

    def __init__(
        self,
        *,
        connection: Connection,
        plan: PlanFunction,
        config: OperatorConfig,
        options: Options | None = None,
    ) -> None:
        self._connection = connection
        self._plan = plan
        self._config = config
        self._options = options if options is not None else Options()
        self.stop = asyncio.Event()
        self.metrics = Metrics()
        self.caches = Caches()
        self.queue: KeyedQueue[Key] = KeyedQueue()
        self.address = ""
        """Where health and metrics are served."""
        self._tasks: list[asyncio.Task[None]] = []
        self._workers: list[asyncio.Task[None]] = []
        self._election: Election | None = None
        self._relists: Relists | None = None
        self._watch: Watch | None = None
        self._policy_file: PolicyFile | None = None
        self._schema = ServedSchema(changed=self._look_at_all)
        self._pulse = Pulse(
            told=self.metrics.told, clock=time.monotonic, silent_after=self._options.silent_after
        )

    async def run(self) -> None:
        """Works until `stop` is set; passes under way are finished first."""
        options = self._options
        async with contextlib.AsyncExitStack() as stack:
            client = await stack.enter_async_context(
                Kube(self._connection, told=self._pulse.told, may_write=self.leads)
            )
            polls = Polls(
                moved=self.queue.add,
                counted=self._count_poll,
                every=options.poll_every,
                timeout=options.poll_timeout,
            )
            stack.push_async_callback(polls.close)
            readings.connect(self.metrics, self._parts(polls))
            health = HealthServer(
                address=options.liveness,
                healthy=lambda: trouble(self.vitals()),
                ready=lambda: unready(self.vitals()),
                metrics=self.metrics,
            )
            self.address = (await stack.enter_async_context(health)).address
            self._election = await self._candidate(stack)
            watchers = self._watchers(client)
            passes = self._passes(client, polls)
            duty = asyncio.create_task(self._duty(passes, polls), name="duty")
            pulse = asyncio.create_task(self._pulse.run(client), name="pulse")
            schema = asyncio.create_task(self._schema.follow(client), name="schema")
            constant = [duty, pulse, schema, *self._policy_readers(passes)]
            self._tasks = [*constant, *watchers]
            LOGGER.info(
                "serving %s with trainer image %s",
                ", ".join(options.namespaces) or "all namespaces",
                self._config.trainer_image,
            )
            await self.stop.wait()
            LOGGER.info("ending: %d looks under way are finished first", self.queue.num_working)
            self.queue.close()
            await _end(watchers, after=0.0)
            await _end(constant, after=0.0)
            if self._election is not None:
                await self._election.resign()

    def leads(self) -> bool:
        """Whether this process may write."""
        return self._election.leads if self._election is not None else True

    def heard(self, news: News) -> None:
        """Takes in what the watch tells, and has the run looked at."""
        if not self.caches.take(news):
            return
        if news.kind == "SFTRun":
            self._changed(news)
        else:
            self.queue.add_in(news.entry.run, SETTLE_SECONDS)

    def vitals(self) -> Vitals:
        """Returns what probes judge."""
        tasks = [] if self.stop.is_set() else [*self._tasks, *self._workers]
        relists, election = self._relists, self._election
        answer = relists.last_answer if relists is not None else None
        return Vitals(
            ended=tuple(task.get_name() for task in tasks if task.done()),
            answers=self._pulse.answers,
            silent_seconds=self._pulse.silent_seconds,
            list_seconds=None if answer is None else asyncio.get_running_loop().time() - answer,
            relist_every=self._options.relist_every,
            listed=self.caches.listed.is_set(),
            oldest_seconds=self.queue.oldest_seconds,
            leads=self.leads(),
            leader_known=election is None or bool(election.leader),
        )

    async def _candidate(self, stack: contextlib.AsyncExitStack) -> Election | None:
        """Returns this process' part in the election, with connections of its own: renewing must not wait
        for other requests."""
        if self._options.seat is None:
            return None
        own = Kube(self._connection, told=self._pulse.told, seconds=LEASE_REQUEST_SECONDS)
        return Election(client=await stack.enter_async_context(own), seat=self._options.seat)

    async def _duty(self, passes: Passes, polls: Polls) -> None:
        """Works while this process leads, or always where there is no election."""

        @contextlib.asynccontextmanager
        async def working() -> AsyncIterator[None]:
            self.queue.begin()
            self._look_at_all()
            workers = asyncio.create_task(self._work(passes), name="workers")
            held = gpu_meters.run(
                caches=self.caches,
                answer=polls.answer,
                held=self.metrics.held,
                every=self._options.measure_every,
            )
            measuring = asyncio.create_task(held, name="gpu times")
            self._workers = [workers, measuring]
            try:
                yield
            finally:
                self._workers = []
                await _end([measuring], after=0.0)  # it never ends by itself: nothing is to be waited for
                finishing = self.stop.is_set() and self.caches.listed.is_set()
                await _end([workers], after=FINISH_SECONDS if finishing else 0.0)
                polls.rest()

        if self._election is not None:
            await self._election.run(working)
        else:
            async with working():
                await asyncio.Event().wait()

    def _look_at_all(self) -> None:
        for key in self.caches.runs:
            self.queue.add(key, patient=not self.caches.is_new(key))

    async def _work(self, passes: Passes) -> None:
        """Looks at runs until the queue is closed, once everything has been listed: a run whose Job is not
        known yet would look like one that has lost it, and proof costs requests."""
        await self.caches.listed.wait()
        async with asyncio.TaskGroup() as group:
            for number in range(self._options.num_workers):
                group.create_task(passes.work(scout=number < NUM_SCOUTS), name=f"worker {number}")

    def _policy_readers(self, passes: Passes) -> list[asyncio.Task[None]]:
        if self._options.policy_file is None:
            return []

        def changed(policy: OperatorPolicy) -> None:
            passes.config = replace(passes.config, policy=policy)
            for entry in list(self.caches.runs.entries()):
                if entry.value.summary.phase == "Rejected":
                    self.queue.add(entry.key, patient=True)

        path, known = self._options.policy_file
        self._policy_file = PolicyFile(path, known=known, changed=changed)
        following = self._policy_file.follow(every=self._options.read_policy_every)
        return [asyncio.create_task(following, name="policy")]

    def _passes(self, client: Kube, polls: Polls) -> Passes:
        refusals = Refusals()
        return Passes(
            queue=self.queue,
            caches=self.caches,
            observer=Observer(
                client=client,
                caches=self.caches,
                memories=Memories(answer=polls.answer, apply_error=refusals.get),
            ),
            applier=Applier(client=client, caches=self.caches, turned=self.metrics.turned),
            polls=polls,
            refusals=refusals,
            plan=self._plan,
            config=self._config,
            metrics=self.metrics,
            lull=self._pulse.lull,
        )

    def _watchers(self, client: Kube) -> list[asyncio.Task[None]]:
        options, metrics = self._options, self.metrics
        relists = Relists(
            client=client,
            caches=self.caches,
            namespaces=options.namespaces,
            changed=self._found,
            missed=metrics.missed.inc,
        )
        self._relists = relists
        watch = Watch(
            connection=self._connection,
            namespaces=options.namespaces,
            heard=self.heard,
            listed=self._listed,
            knows=self.caches.knows,
            restarted=metrics.watch_restarts.inc,
        )

        self._watch = watch

        def last_heard(kind: Kind) -> float:
            return watch.last_heard.get(kind, 0.0)

        relisting = relists.run(every=options.relist_every, last_heard=last_heard, deaf=watch.restart)
        return [
            asyncio.create_task(watch.run(prepare=relists.until_listed), name="watch"),
            asyncio.create_task(relisting, name="relists"),
        ]

    def _listed(self, listing: Listing) -> None:
        for gone in self.caches.sweep(listing):
            self._changed(gone)

    def _found(self, news: News) -> None:
        """Of what a list finds, only a run that nobody has looked at yet is waited for."""
        self._changed(news, patient=not self.caches.is_new(news.entry.run))

    def _changed(self, news: News, *, patient: bool = False) -> None:
        if news.kind == "SFTRun" and not news.gone and news.entry.value.is_new:
            self.metrics.heard_of(news.entry.key)
        self.queue.add(news.entry.run, patient=patient)

    def _count_poll(self, result: str) -> None:
        self.metrics.polls.labels(result=result).inc()

    def _parts(self, polls: Polls) -> readings.Parts:
        loop = asyncio.get_running_loop()
        began = loop.time()

        def watch_ages() -> dict[str, float]:
            heard = self._watch.last_heard if self._watch is not None else {}
            return {kind: loop.time() - heard.get(kind, began) for kind in get_args(Kind)}

        def list_age() -> float:
            listed = self._relists.last_success if self._relists is not None else None
            return loop.time() - (listed if listed is not None else began)

        return readings.Parts(
            caches=self.caches,
            queue=self.queue,
            num_polled=lambda: len(polls),
            api_silent=lambda: self._pulse.silent_seconds,
            watch_ages=watch_ages,
            list_age=list_age,
            leads=self.leads,
            policy_current=lambda: self._policy_file is None or not self._policy_file.mistake,
            crd_current=lambda: not self._schema.missing,
            version=self._config.version,
        )


async def _end(tasks: list[asyncio.Task[None]], *, after: float) -> None:
    if after:
        await asyncio.wait(tasks, timeout=after)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
