"""One look at one run: parse, observe, plan, apply. And the workers that take looks, one run each at a
time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from sftrun_operator import kube_errors
from sftrun_operator.allowances import Allowance
from sftrun_operator.apply import Applier, NameTakenError, NotAppliedError
from sftrun_operator.caches import Caches, Key
from sftrun_operator.decisions import Plan
from sftrun_operator.logs import Complaints
from sftrun_operator.metrics import Metrics
from sftrun_operator.observations import ApplyError, Observed, OperatorConfig, Run
from sftrun_operator.observe import Observer
from sftrun_operator.polls import Polls, Target
from sftrun_operator.queues import LAST_RETRY_SECONDS, ClosedError, KeyedQueue

PASS_SECONDS = 60.0
SHORTEST_LOOK_SECONDS = 0.1
FIRST_RELOOK_SECONDS = 0.05
LAST_RELOOK_SECONDS = 60.0
LAST_INVALID_SECONDS = 3600.0
"""The longest wait of a run whose status the API server takes for invalid, because its CRD is another than
the one that took the run. A change of the run is heard of at once, one of the CRD within minutes
(`served_schemas`)."""
CURIOSITY_SHARE = 0.05
CURIOSITY_AT_ONCE = 2.0
"""Seconds. An answer takes some 0.03 s, and a second where a namespace holds thousands of pods and events."""


class PlanFunction(Protocol):
    """`plans.plan`: pure and total."""

    def __call__(self, run: Run, observed: Observed, *, now: float, config: OperatorConfig) -> Plan:
        """Returns what this pass should do."""
        ...


class Refusals:
    """What the API server would not let us create or delete, a run: handed to `plan`, which says so."""

    def __init__(self) -> None:
        self._errors: dict[Key, ApplyError] = {}

    def get(self, key: Key) -> ApplyError | None:
        """Returns the last refusal that has not been got over."""
        return self._errors.get(key)

    def set(self, key: Key, error: ApplyError | None) -> None:
        """Remembers a refusal, or that there is none any more."""
        if error is None:
            self._errors.pop(key, None)
        else:
            self._errors[key] = error


class Lull(Protocol):
    """`pulses.Pulse.lull`: has those wait who met an API server that is away."""

    async def __call__(self, *, scout: bool) -> None:
        """Returns when it may be asked again: by a scout to find out, by others once it answers."""


async def _no_lull(*, scout: bool) -> None:
    pass


class _LaterError(Exception):
    """What was to be asked is asked another time."""


class Passes:
    """Takes keys out of the queue and looks at the runs."""

    def __init__(
        self,
        *,
        queue: KeyedQueue[Key],
        caches: Caches,
        observer: Observer,
        applier: Applier,
        polls: Polls,
        refusals: Refusals,
        plan: PlanFunction,
        config: OperatorConfig,
        metrics: Metrics,
        now: Callable[[], float] = time.time,
        lull: Lull = _no_lull,
    ) -> None:
        self._queue = queue
        self._caches = caches
        self._observer = observer
        self._applier = applier
        self._polls = polls
        self._refusals = refusals
        self._plan = plan
        self.config = config
        """What looks from now on are taken with: a policy changes while we run."""
        self._metrics = metrics
        self._now = now
        self._lull = lull
        self._complaints = Complaints()
        self.curiosity = Allowance(share=CURIOSITY_SHARE, at_once=CURIOSITY_AT_ONCE)
        """The time for looks that only say better why a run waits."""
        self._writing: dict[Key, int] = {}

    async def work(self, *, scout: bool = True) -> None:
        """Looks at one run after another until the queue is closed. Nothing that a run does ends it. A
        `scout` tries an API server that is away now and then."""
        while True:
            try:
                key = await self._queue.take()
            except ClosedError:
                return
            try:
                with self._metrics.pass_seconds.time():
                    async with asyncio.timeout(PASS_SECONDS):
                        result = await self._attempt(key)
            except TimeoutError:
                self._failed(key, "timeout", f"a look took more than {PASS_SECONDS:.0f} s")
                result = "timeout"
            except Exception as error:  # a bug must not cost the other runs their operator
                result = self._failed(
                    key, type(error).__name__, f"unexpected {type(error).__name__}: {error}", trace=True
                )
            finally:
                self._queue.done(key)
            self._metrics.passes.labels(result=result).inc()
            if result == "unavailable":
                await self._lull(scout=scout)

    async def _attempt(self, key: Key) -> str:
        try:
            look_again_in = await self.look(key)
        except (NotAppliedError, NameTakenError) as error:
            self._failed(key, "refused", str(error))
            return "refused"
        except kube_errors.ConflictError:
            self._queue.retry(key)
            return "conflict"
        except (kube_errors.UnreachableError, kube_errors.BusyError) as error:
            self._complaints.complain("API server", str(error), about=None)
            self._queue.retry(key, at_least=getattr(error, "retry_after", None) or 0.0)
            return "unavailable"
        except kube_errors.InvalidError as error:
            return self._failed(key, error.reason, str(error), at_most=LAST_INVALID_SECONDS)
        except kube_errors.ApiError as error:
            return self._failed(key, error.reason, str(error))
        self._queue.succeeded(key)
        self._complaints.over(about=key)
        if look_again_in is not None:
            self._queue.add_in(key, max(look_again_in, SHORTEST_LOOK_SECONDS))
        return "ok"

    async def look(self, key: Key) -> float | None:
        """Looks at the run once and does what it needs. Returns the seconds until the next look, if any."""
        run = self._caches.run(key)
        if run is None:
            self._forget(key)
            return None
        new = not run.status and not run.deleting
        observed = await self._observer.around_new(run) if new else self._observer.cached(run)
        plan = self._plan(run, observed, now=self._now(), config=self.config)
        if plan.prove or (new and not plan.status_patch):
            try:
                with self._at_leisure() if plan.may_wait else contextlib.nullcontext():
                    found = await self._observer.live(key)
            except _LaterError:
                self._follow(key, plan, run=run, observed=observed)
                return plan.look_again_in
            if found is None:
                self._caches.runs.remove(key, run.uid)
                self._forget(key)
                return None
            run, observed = found
            plan = self._plan(run, observed, now=self._now(), config=self.config)
            assert not plan.prove, "plan asks for proof of what is proven"
        self._follow(key, plan, run=run, observed=observed)
        await self._do(key, plan, run=run)
        return plan.look_again_in

    @contextlib.contextmanager
    def _at_leisure(self) -> Iterator[None]:
        """Is for asking what nobody waits for. Raises _LaterError where there is no time for it, and for an
        answer that does not come in time: among thousands of events in one namespace it may not, and the API
        server is there all the same."""
        if not self.curiosity.is_left():
            raise _LaterError
        try:
            with self.curiosity.spend():
                yield
        except kube_errors.SlowError as error:
            raise _LaterError from error

    async def _do(self, key: Key, plan: Plan, *, run: Run) -> None:
        try:
            await self._applier.apply(plan, run=run, now=self._now())
        except NotAppliedError as error:
            self._refusals.set(key, error.error)
            raise
        except (kube_errors.ConflictError, kube_errors.NotFoundError) as error:
            await self._observer.refresh(key)
            if self._caches.run(key) is None and isinstance(error, kube_errors.NotFoundError):
                self._forget(key)
                return
            raise
        self._refusals.set(key, None)
        for manifest in plan.create:
            self._metrics.created(key, str(manifest["kind"]))
        if plan.keep:
            self._polls.drop_curve(key)
        self._look_after_write(key, plan)

    def _look_after_write(self, key: Key, plan: Plan) -> None:
        """Looks again soon after a write, until a look writes nothing: only then the run is as planned.
        Writes that never end (two operators of different minds) slow down instead of flooding the API
        server. A Job that was made is told of by the watch: until then there is nothing to see."""
        if not (plan.status_patch or plan.delete or plan.create):
            self._writing.pop(key, None)
            return
        self._complaints.over(about=None)
        writes = self._writing.get(key, 0)
        self._writing[key] = writes + 1
        if plan.look_again_in is None or not any(each["kind"] == "Job" for each in plan.create):
            self._queue.add_in(key, min(FIRST_RELOOK_SECONDS * 2.0 ** min(writes, 16), LAST_RELOOK_SECONDS))

    def _follow(self, key: Key, plan: Plan, *, run: Run, observed: Observed) -> None:
        pod = next((pod for pod in observed.pods if pod.uid == plan.poll_pod), None)
        if plan.poll_pod is None or pod is None or pod.ip is None:
            self._polls.follow(key, None)
        else:
            self._polls.follow(key, Target(pod_uid=pod.uid, run_uid=run.uid, ip=pod.ip))

    def _forget(self, key: Key) -> None:
        self._polls.forget(key)
        self._refusals.set(key, None)
        self._complaints.forget(about=key)
        self._metrics.forget(key)
        self._writing.pop(key, None)
        self._queue.forget(key)

    def _failed(
        self, key: Key, kind: str, message: str, *, trace: bool = False, at_most: float = LAST_RETRY_SECONDS
    ) -> str:
        delay = self._queue.retry(key, at_most=at_most)
        self._complaints.complain(kind, f"{message} (next try in {delay:.1f} s)", about=key, trace=trace)
        return "error"
