"""Looks at runs against an API server in memory: proof, freshness, retries, and workers that nothing ends."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from tests.operator.shell_fakes import CONFIG, KEY, UID, FakeKube, error, owned, sftrun, tiny_plan

from sftrun_api.names import attempt_name
from sftrun_operator import kube
from sftrun_operator.allowances import Allowance
from sftrun_operator.apply import Applier
from sftrun_operator.caches import Caches, Key, news_of
from sftrun_operator.decisions import Plan
from sftrun_operator.kube_errors import KubeError, SlowError, UnreachableError
from sftrun_operator.metrics import Metrics
from sftrun_operator.observations import Observed, OperatorConfig, Run
from sftrun_operator.observe import Memories, Observer
from sftrun_operator.passes import Passes, PlanFunction, Refusals
from sftrun_operator.polls import Polls, Target
from sftrun_operator.queues import KeyedQueue

JOB = attempt_name("x", UID, 1)


class NoPolls:
    """Remembers whom it was told to follow."""

    def __init__(self) -> None:
        self.followed: dict[Key, Target | None] = {}

    def follow(self, key: Key, target: Target | None) -> None:
        self.followed[key] = target

    def forget(self, key: Key) -> None:
        self.followed[key] = None

    def answer(self, key: Key) -> None:
        return None


@dataclass
class Shell:
    """Everything around `plan` but the watch."""

    kube: FakeKube
    plan: PlanFunction = tiny_plan
    caches: Caches = field(default_factory=Caches)
    queue: KeyedQueue[Key] = field(default_factory=lambda: KeyedQueue(jitter=lambda: 0.0))
    polls: NoPolls = field(default_factory=NoPolls)
    refusals: Refusals = field(default_factory=Refusals)
    metrics: Metrics = field(default_factory=Metrics)
    lulls: int = 0

    def __post_init__(self) -> None:
        client = cast(kube.Kube, self.kube)
        self.observer = Observer(
            client=client,
            caches=self.caches,
            memories=Memories(answer=self.polls.answer, apply_error=self.refusals.get),
        )
        self.passes = Passes(
            queue=self.queue,
            caches=self.caches,
            observer=self.observer,
            applier=Applier(client=client, caches=self.caches),
            polls=cast(Polls, self.polls),
            refusals=self.refusals,
            plan=self.plan,
            config=CONFIG,
            metrics=self.metrics,
            lull=self.lull,
        )

    async def lull(self, *, scout: bool) -> None:
        self.lulls += 1

    def hear(self, kind: Any, obj: dict[str, Any], *, gone: bool = False) -> None:
        if self.caches.take(news_of(kind, obj, gone=gone)):
            self.queue.add(KEY)

    async def settle(self, *, num_workers: int = 3) -> None:
        """Lets workers look until nobody has anything to look at for longer than a first retry takes."""
        workers = [asyncio.create_task(self.passes.work()) for _ in range(num_workers)]
        quiet = 0
        async with asyncio.timeout(60):
            while quiet < 40:
                await asyncio.sleep(0.01)
                quiet = 0 if len(self.queue) or self.queue.num_working else quiet + 1
        self.queue.close()
        await asyncio.gather(*workers)

    def passed(self, result: str) -> float:
        found = self.metrics.registry.get_sample_value("sftrun_operator_reconciles_total", {"result": result})
        return found or 0.0


def writes(fake: FakeKube) -> list[str]:
    return [call for call in fake.calls if call.split()[0] in ("create", "patch", "delete")]


async def test_three_writes_start_a_run_and_none_follow() -> None:
    shell = Shell(FakeKube(sftrun()))
    shell.hear("SFTRun", sftrun())
    await shell.settle()
    assert writes(shell.kube)[:3] == ["patch SFTRun x", f"create ConfigMap {JOB}", f"create Job {JOB}"]
    assert writes(shell.kube)[3:] == ["patch SFTRun x"], "Training, since the Job is there"
    shell.queue = KeyedQueue()


async def test_absence_is_proven_before_it_is_acted_on() -> None:
    """The cache does not know the Job; the API server does."""
    shell = Shell(FakeKube(sftrun(attempt=1), owned("Job", JOB, uid="j")))
    shell.hear("SFTRun", sftrun(attempt=1))
    await shell.settle()
    assert not any(call.startswith("create") for call in shell.kube.calls)
    assert shell.caches.jobs.get(Key("default", JOB)) is not None, "the proof is remembered"


async def test_a_new_run_is_planned_once_from_what_is_proven() -> None:
    planned: list[bool] = []

    def counting(run: Run, observed: Observed, **rest: Any) -> Plan:
        planned.append(observed.proven)
        return tiny_plan(run, observed, **rest)

    shell = Shell(FakeKube(sftrun()), plan=counting)
    shell.hear("SFTRun", sftrun())
    await shell.settle()
    assert planned[0] is True
    assert planned[1:] == [False] * (len(planned) - 1), "and what follows from the cache"


@pytest.mark.parametrize("first", [True, False])
async def test_pods_are_asked_for_where_the_name_of_a_new_run_was_anothers(first: bool) -> None:
    shell = Shell(FakeKube(sftrun()))
    shell.caches.listed.set()
    if not first:
        shell.caches.learn("SFTRun", sftrun(uid="old", version="0"))
    shell.hear("SFTRun", sftrun())
    await shell.settle()
    lists = [call for call in shell.kube.calls if call.startswith("list Pod")]
    assert len(lists) == (0 if first else 1)


def curious_plan(run: Run, observed: Observed, *, now: float, config: OperatorConfig) -> Plan:
    """Wants to say why the run waits, and nothing else."""
    if observed.proven:
        return Plan()
    return Plan(prove=True, may_wait=True, look_again_in=30.0)


async def test_what_may_wait_is_asked_only_while_there_is_time_for_it() -> None:
    shell = Shell(FakeKube(sftrun(attempt=1)), plan=curious_plan)
    shell.caches.learn("SFTRun", sftrun(attempt=1))
    await shell.passes.look(KEY)
    assert "get SFTRun x" in shell.kube.calls
    shell.kube.calls.clear()
    shell.passes.curiosity = Allowance(share=0.0, at_once=0.0)
    assert await shell.passes.look(KEY) == 30.0
    assert shell.kube.calls == []


async def test_what_may_wait_fails_no_look_when_its_answer_does_not_come_in_time() -> None:
    shell = Shell(FakeKube(sftrun(attempt=1)), plan=curious_plan)
    shell.caches.learn("SFTRun", sftrun(attempt=1))
    shell.kube.failures["list Pod"] = [SlowError("list Pod: TimeoutError"), UnreachableError("refused")]
    assert await shell.passes.look(KEY) == 30.0
    with pytest.raises(UnreachableError):
        await shell.passes.look(KEY)


async def test_what_the_proof_does_not_find_leaves_the_cache() -> None:
    shell = Shell(FakeKube(sftrun(attempt=1)))
    shell.caches.learn("SFTRun", sftrun(attempt=1))
    shell.caches.learn("Pod", owned("Pod", "ghost", uid="g", version="50"))
    shell.queue.add(KEY)
    await shell.settle()
    assert shell.caches.pods.of_run(KEY) == []


class Slow(FakeKube):
    """Answers one kind of read late, after another operator has made the attempt's Job and its pod runs."""

    def __init__(self, *objects: dict[str, Any], kind: str) -> None:
        super().__init__(*objects)
        self._kind = kind

    async def _wait(self, kind: str) -> None:
        if kind != self._kind:
            return
        for _ in range(50):  # every read that was sent at the same time is answered
            await asyncio.sleep(0)
        self.objects["Job", JOB] = owned("Job", JOB, uid="j")
        self.objects["Pod", "p"] = owned("Pod", "p", uid="p")
        self.objects["SFTRun", "x"]["status"]["jobUID"] = "j"

    async def get(self, resource: kube.Resource, namespace: str, name: str) -> dict[str, Any] | None:
        await self._wait(resource.kind)
        return await super().get(resource, namespace, name)

    async def list(self, resource: kube.Resource, namespace: str | None, **selectors: str) -> dict[str, Any]:
        await self._wait(resource.kind)
        return await super().list(resource, namespace, **selectors)


@pytest.mark.parametrize("kind", ["SFTRun", "Pod", "Job"])
async def test_a_job_that_another_operator_makes_meanwhile_never_looks_deleted(kind: str) -> None:
    shell = Shell(Slow(sftrun(attempt=1), kind=kind))
    found = await shell.observer.live(KEY)
    assert found is not None
    run, seen = found
    existed = bool(seen.pods) or "jobUID" in run.status
    assert seen.job is not None or not existed


@pytest.mark.parametrize(
    "now", [None, sftrun(uid="another", version="7") | {"metadata": sftrun(uid="another")["metadata"]}]
)
async def test_nothing_is_created_for_a_run_that_is_gone_or_another_now(now: dict[str, Any] | None) -> None:
    shell = Shell(FakeKube(*([now] if now else [])))
    shell.hear("SFTRun", sftrun())
    await shell.settle()
    made = [name for kind, name in shell.kube.objects if kind == "Job"]
    assert made == ([attempt_name("x", "another", 1)] if now else [])


async def test_nothing_is_created_for_a_run_whose_deletion_the_cache_missed() -> None:
    deleting = sftrun(version="7")
    deleting["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    shell = Shell(FakeKube(deleting))
    shell.hear("SFTRun", sftrun())
    await shell.settle()
    assert writes(shell.kube) == ["patch SFTRun x"], "which is refused: it was planned for another version"
    assert shell.kube.objects == {("SFTRun", "x"): deleting}


async def test_a_conflict_reads_again_and_ends_well() -> None:
    def plan_without_proof(run: Run, observed: Observed, **_: Any) -> Plan:
        return Plan(status_patch={"phase": "Pending"}) if run.status["phase"] == "Queued" else Plan()

    shell = Shell(FakeKube(sftrun(version="5", phase="Queued")), plan=plan_without_proof)
    shell.hear("SFTRun", sftrun(version="4", phase="Queued"))
    await shell.settle()
    assert writes(shell.kube) == ["patch SFTRun x"] * 2
    assert shell.kube.objects["SFTRun", "x"]["status"] == {"phase": "Pending"}
    assert shell.passed("conflict") == 1


@pytest.mark.parametrize(
    ("call", "trouble", "result"),
    [
        ("list Pod", UnreachableError("cut"), "unavailable"),
        ("get SFTRun", error(500, "InternalError"), "unavailable"),
        ("patch SFTRun", error(429, "TooManyRequests"), "unavailable"),
        ("patch SFTRun", error(504, "Timeout"), "unavailable"),
        ("patch SFTRun", error(422, "Invalid"), "error"),
        ("create ConfigMap", UnreachableError("cut"), "unavailable"),
        ("create Job", error(500, "InternalError"), "unavailable"),
        ("create Job", error(403, "Forbidden", "exceeded quota"), "refused"),
    ],
)
async def test_any_call_may_fail_once(call: str, trouble: KubeError, result: str) -> None:
    begun: dict[str, Any] = (
        {"attempt": 1} if call == "get SFTRun" else {}
    )  # a new run is not read, but written
    shell = Shell(FakeKube(sftrun(**begun)))
    shell.kube.failures[call] = [trouble]
    shell.hear("SFTRun", sftrun(**begun))
    await shell.settle()
    assert ("Job", JOB) in shell.kube.objects
    assert sum(kind == "Job" for kind, _ in shell.kube.objects) == 1
    assert shell.kube.objects["SFTRun", "x"]["status"]["phase"] == "Training"
    assert shell.passed(result) == 1
    assert shell.lulls == (result == "unavailable"), "who meets an API server that is away does not press it"


async def test_a_refusal_is_told_to_plan_until_it_is_over() -> None:
    shell = Shell(FakeKube(sftrun()))
    shell.kube.failures["create Job"] = [error(403, "Forbidden", "exceeded quota: gpus")] * 2
    messages: list[str] = []
    created = asyncio.Event()

    def plan(run: Run, observed: Observed, **rest: Any) -> Plan:
        made = tiny_plan(run, observed, **rest)
        if observed.job is not None and not made.status_patch:
            created.set()
        messages.extend(
            [made.status_patch["message"]] if made.status_patch and "message" in made.status_patch else []
        )
        return made

    shell = Shell(shell.kube, plan=plan)
    shell.hear("SFTRun", sftrun())
    worker = asyncio.create_task(shell.passes.work())
    await asyncio.wait_for(created.wait(), 60)
    shell.queue.close()
    await worker
    assert messages == ["", "exceeded quota: gpus"]
    assert shell.refusals.get(KEY) is None
    assert ("Job", JOB) in shell.kube.objects


@pytest.mark.parametrize(("code", "longest"), [(422, 3600.0), (403, 120.0)])
async def test_a_status_that_stays_refused_is_tried_ever_more_rarely(code: int, longest: float) -> None:
    asked: list[float] = []

    class Recorder(KeyedQueue[Key]):
        def retry(self, key: Key, *, at_least: float = 0.0, at_most: float = 120.0) -> float:
            asked.append(at_most)
            return super().retry(key, at_least=at_least, at_most=at_most)

    shell = Shell(FakeKube(sftrun()), queue=Recorder(jitter=lambda: 0.0))
    shell.kube.failures["patch SFTRun"] = [error(code, "Invalid")]
    shell.hear("SFTRun", sftrun())
    await shell.settle()
    assert asked == [longest]


async def test_a_plan_that_raises_costs_only_its_own_run(caplog: pytest.LogCaptureFixture) -> None:
    def plan(run: Run, observed: Observed, **rest: Any) -> Plan:
        if run.name == "bad":
            raise ZeroDivisionError("bug")
        return tiny_plan(run, observed, **rest)

    shell = Shell(FakeKube(sftrun(), sftrun("bad", uid="b")), plan=plan)
    shell.caches.learn("SFTRun", sftrun("bad", uid="b"))
    for _ in range(5):
        shell.queue.add(Key("default", "bad"))
    shell.hear("SFTRun", sftrun())
    with caplog.at_level(logging.WARNING, "sftrun_operator"):
        await shell.settle(num_workers=1)
    assert ("Job", JOB) in shell.kube.objects
    assert len([each for each in caplog.records if each.levelno == logging.WARNING]) == 1


async def test_a_hanging_look_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sftrun_operator.passes.PASS_SECONDS", 0.05)
    shell = Shell(FakeKube(sftrun()))
    original = shell.kube.list

    async def list_once(*args: Any, **kwargs: Any) -> dict[str, Any]:
        shell.kube.list = original  # type: ignore[method-assign]
        monkeypatch.undo()  # the next look is given time
        await asyncio.sleep(3600)
        return {}

    shell.kube.list = list_once  # type: ignore[method-assign]
    shell.hear("SFTRun", sftrun())
    await shell.settle(num_workers=1)
    assert ("Job", JOB) in shell.kube.objects


async def test_writes_that_never_end_slow_down(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = iter(range(10_000))

    def plan(run: Run, observed: Observed, **_: Any) -> Plan:
        return Plan(status_patch={"message": str(next(counter))})

    shell = Shell(FakeKube(sftrun()), plan=plan)
    shell.hear("SFTRun", sftrun())
    delays: list[float] = []

    def add_at_once(key: Key, delay: float) -> None:
        delays.append(delay)
        if len(delays) < 14:
            shell.queue.add(key)

    monkeypatch.setattr(shell.queue, "add_in", add_at_once)
    await shell.settle(num_workers=1)
    assert delays[:4] == [0.05, 0.1, 0.2, 0.4]
    assert delays[-2:] == [60.0, 60.0]
    assert len(writes(shell.kube)) == len(delays)


async def test_a_job_that_was_made_is_heard_of_and_not_looked_for() -> None:
    """The watch tells of it; else its plan's own time comes."""

    def plan(run: Run, observed: Observed, *, now: float, config: OperatorConfig) -> Plan:
        return replace(tiny_plan(run, observed, now=now, config=config), look_again_in=30.0)

    shell = Shell(FakeKube(sftrun()), plan=plan)
    shell.hear("SFTRun", sftrun())
    await shell.settle()
    assert writes(shell.kube) == ["patch SFTRun x", f"create ConfigMap {JOB}", f"create Job {JOB}"]
    assert shell.passed("ok") == 1


async def test_a_running_pod_is_polled_and_a_gone_run_is_not() -> None:
    shell = Shell(FakeKube(sftrun(attempt=1, phase="Training"), owned("Job", JOB, uid="j")))
    shell.hear("SFTRun", sftrun(attempt=1, phase="Training"))
    shell.hear("Job", owned("Job", JOB, uid="j"))
    shell.hear("Pod", owned("Pod", "p", uid="p", status={"phase": "Running", "podIP": "10.0.0.7"}))
    await shell.passes.look(KEY)
    assert shell.polls.followed[KEY] == Target(pod_uid="p", run_uid=UID, ip="10.0.0.7")
    shell.hear("SFTRun", sftrun(), gone=True)
    await shell.passes.look(KEY)
    assert shell.polls.followed[KEY] is None
    shell.queue.close()


async def test_warnings_are_read_only_while_nothing_runs() -> None:
    for state, asked in (({"waiting": {"reason": "ImagePullBackOff"}}, True), ({"running": {}}, False)):
        pod = owned("Pod", "p", uid="p", status={"containerStatuses": [{"name": "trainer", "state": state}]})
        shell = Shell(FakeKube(sftrun(attempt=1), owned("Job", JOB, uid="j"), pod))
        shell.caches.learn("SFTRun", sftrun(attempt=1))
        await shell.passes.look(KEY)
        assert ("list Event" in shell.kube.calls) is asked
        shell.queue.close()
