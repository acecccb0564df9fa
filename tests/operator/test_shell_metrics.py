"""The operator's figures: one table of them, kept without unpacking a run, each transition counted once."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import Any, get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.operator.shell_fakes import KEY, UID, owned, sftrun

from sftrun_api.counts import gpu_count
from sftrun_api.specs import SFTRunSpec
from sftrun_api.specs.sections import WITHOUT_RULES
from sftrun_operator import gpu_meters, metric_tables, readings, summaries, transitions, views
from sftrun_operator.caches import Caches, Key, news_of
from sftrun_operator.decisions import Plan
from sftrun_operator.gpu_times import Use
from sftrun_operator.metrics import Metrics
from sftrun_operator.queues import KeyedQueue
from sftrun_operator.transitions import Transition


def connected(
    caches: Caches | None = None, *, leads: bool = True, queue: KeyedQueue[Key] | None = None
) -> Metrics:
    """Returns the figures of an operator whose parts all stand still."""
    metrics = Metrics()
    parts = readings.Parts(
        caches=caches or Caches(),
        queue=queue if queue is not None else KeyedQueue(),
        num_polled=lambda: 3,
        api_silent=lambda: 0.5,
        watch_ages=lambda: {"SFTRun": 1.0},
        list_age=lambda: 2.0,
        leads=lambda: leads,
        policy_current=lambda: True,
        crd_current=lambda: True,
        version="1.2.3",
    )
    readings.connect(metrics, parts)
    return metrics


def sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_what_is_shown_is_what_the_table_says() -> None:
    metrics = connected()
    metrics.told("get", "jobs", "200", 0.1)
    shown = {family.name: family for family in text_string_to_metric_families(metrics.text().decode())}
    rows = {row.name: row for row in metric_tables.ROWS}
    assert {name for name in shown if not name.startswith("process_")} == set(rows)
    for name, row in rows.items():
        assert (shown[name].type, shown[name].documentation) == (row.type, row.meaning)
        labels = {label for found in shown[name].samples for label in found.labels} - {"le"}
        assert labels <= set(row.labels), name
    assert "process_resident_memory_bytes" in shown


@pytest.mark.parametrize("row", metric_tables.ROWS, ids=lambda row: row.name)
def test_names_follow_the_conventions(row: metric_tables.Row) -> None:
    assert re.fullmatch(r"sftrun(_[a-z]+)+", row.name)
    assert not row.name.endswith(("_total", "_count", "_sum", "_bucket"))
    assert not re.search(r"_(milliseconds|ms|minutes|hours|percent|mib|gib|megabytes)(_|$)", row.name)
    assert row.meaning.endswith(".")
    assert not {"run", "name", "namespace", "pod", "uid", "node", "le", "quantile"} & set(row.labels)
    assert bool(row.buckets) == (row.type == "histogram")
    if row.type == "histogram":
        assert row.name.endswith("_seconds")


def test_uses_are_those_that_are_measured() -> None:
    assert get_args(Use) == metric_tables.USES


SPECS: tuple[dict[str, Any], ...] = (
    {},
    {"mode": "DryRun"},
    {"mode": "PrepareData", "infrastructure": {"gpusPerNode": 2}},
    {"infrastructure": {"gpusPerNode": 0}},
    {"infrastructure": {"accelerator": "CPU"}},
    {"infrastructure": {"accelerator": "CPU", "gpusPerNode": 8}},
)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_gpus_before_acceptance_are_those_that_the_contract_counts(spec: dict[str, Any]) -> None:
    whole = {
        "workspace": {"persistentVolumeClaim": {"claimName": "c"}},
        "model": {"path": "m"},
        "training": {"template": "qwen3", "cutoffLen": 64},
        "sources": [{"harborJob": {"path": "j"}}],
    }
    parsed = SFTRunSpec.model_validate(whole | spec, context=WITHOUT_RULES)
    assert summaries.of(whole | spec, {}).gpus == gpu_count(parsed)


@pytest.mark.parametrize(
    ("status", "phase", "gpus", "step"),
    [
        ({}, "New", 8, 0),
        ({"phase": "Training", "display": {"gpus": 4}, "progress": {"step": 7}}, "Training", 4, 7),
        ({"phase": "Levitating", "display": {"gpus": True}, "progress": {"step": -1}}, "Other", 8, 0),
        ({"phase": 3, "display": [], "progress": {"step": "7"}}, "Other", 8, 0),
        ({"phase": None, "display": {"gpus": 10**30}}, "New", summaries.MOST_GPUS, 0),
        ({"display": {"gpus": -5}}, "New", 0, 0),
    ],
)
def test_a_summary_of_anything(status: dict[str, Any], phase: str, gpus: int, step: int) -> None:
    found = summaries.of({"mode": "Train"}, status)
    assert (found.phase, found.gpus, found.step) == (phase, gpus, step)


def test_runs_by_phase_follow_every_change() -> None:
    caches = Caches()
    metrics = connected(caches)
    caches.learn("SFTRun", sftrun("a", uid="a"))
    caches.learn("SFTRun", sftrun("b", uid="b", version="1", phase="Training", display={"gpus": 4}))
    assert sample(metrics, "sftrun_runs", phase="New") == 1
    assert sample(metrics, "sftrun_runs", phase="Training") == 1
    assert sample(metrics, "sftrun_run_gpus", phase="Training") == 4
    caches.learn("SFTRun", sftrun("b", uid="b", version="2", phase="Succeeded", display={"gpus": 4}))
    caches.take(news_of("SFTRun", sftrun("a", uid="a"), gone=True))
    assert sample(metrics, "sftrun_runs", phase="New") == 0
    assert sample(metrics, "sftrun_runs", phase="Training") == 0
    assert sample(metrics, "sftrun_run_gpus", phase="Succeeded") == 4
    assert sample(metrics, "sftrun_operator_cached_objects", kind="SFTRun") == 1


def test_only_the_leader_tells_of_runs() -> None:
    caches = Caches()
    caches.learn("SFTRun", sftrun())
    metrics = connected(caches, leads=False)
    assert sample(metrics, "sftrun_runs", phase="New") is None
    assert sample(metrics, "sftrun_operator_leading") == 0
    assert sample(metrics, "sftrun_operator_cached_objects", kind="SFTRun") == 1


@pytest.mark.parametrize(("leads", "waiting"), [(True, (1, 500)), (False, (0, 0))])
def test_what_nobody_takes_is_no_queue_that_stands(leads: bool, waiting: tuple[int, int]) -> None:
    """Who stands by hears of runs too, and would tell of the oldest one's hours for good."""
    moments = iter([0.0, 500.0])
    queue: KeyedQueue[Key] = KeyedQueue(clock=lambda: next(moments))
    queue.add(KEY)
    metrics = connected(queue=queue, leads=leads)
    names = ("sftrun_operator_queue_depth", "sftrun_operator_queue_oldest_seconds")
    assert tuple(sample(metrics, name) for name in names) == waiting


def test_ten_thousand_runs_add_no_series_and_none_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    caches = Caches()
    metrics = connected(caches)
    few = len(metrics.text().splitlines())
    for number in range(10_000):
        name = f"run-{number}"
        caches.learn("SFTRun", sftrun(name, uid=name, phase="Training", display={"gpus": 8}))
        key = Key("default", name)
        metrics.heard_of(key)
        metrics.created(key, "Job")
        metrics.turned(key, Transition(attempt=True, ended="Failed", reason=f"Made{number}Up"))
    monkeypatch.setattr("sftrun_operator.caches.unpack", lambda _: pytest.fail("a run was unpacked"))
    text = metrics.text().decode()
    assert len(text.splitlines()) <= few + 4
    assert 'sftrun_runs{phase="Training"} 10000.0' in text
    assert 'sftrun_runs_ended_total{phase="Failed",reason="Other"} 10000.0' in text
    assert "run-1" not in text
    assert metrics._first_heard == {}


RUN = replace(views.run_view(sftrun(phase="Preparing", attempt=1)), created_at=1000.0)


@pytest.mark.parametrize(
    ("status", "patch", "expected"),
    [
        ({}, None, Transition()),
        ({}, {"attempt": 1, "phase": "Pending"}, Transition(attempt=True)),
        ({"attempt": 1}, {"retries": 3}, Transition()),
        ({"attempt": 1}, {"progress": {"step": 2}}, Transition(first_step_seconds=50.0)),
        ({"attempt": 1, "progress": {"step": 1}}, {"progress": {"step": 2}}, Transition()),
        ({"attempt": 2}, {"progress": {"step": 2}}, Transition()),
        ({"attempt": 1}, {"progress": {"step": 0}}, Transition()),
        ({"attempt": 1}, {"progress": None, "phase": "Suspending"}, Transition(idle=True)),
        (
            {"attempt": 1},
            {
                "phase": "Failed",
                "conditions": [
                    {"type": "Succeeded", "status": "False", "reason": "NotThis"},
                    {"type": "Failed", "status": "True", "reason": "OutOfMemory"},
                ],
            },
            Transition(ended="Failed", reason="OutOfMemory", idle=True),
        ),
        ({}, {"phase": "Rejected", "conditions": ["?"]}, Transition(ended="Rejected", idle=True)),
        ({}, {"phase": ["Failed"]}, Transition()),
    ],
)
def test_what_a_write_turns(
    status: dict[str, Any], patch: dict[str, Any] | None, expected: Transition
) -> None:
    run = replace(RUN, status=status)
    assert transitions.of(run, Plan(status_patch=patch), now=1050.0) == expected


def test_a_clock_that_was_set_back_gives_no_negative_time() -> None:
    found = transitions.of(RUN, Plan(status_patch={"progress": {"step": 1}}), now=5.0)
    assert found.first_step_seconds == 0.0


def test_transitions_are_counted() -> None:
    metrics = connected()
    metrics.heard_of(KEY)
    metrics.turned(KEY, Transition(ended="Rejected", reason="InvalidSpec", idle=True))
    metrics.created(KEY, "Job")
    metrics.turned(KEY, Transition(attempt=True))
    metrics.turned(KEY, Transition(first_step_seconds=100.0))
    metrics.turned(KEY, Transition(ended="Failed", reason="a\nhostile}word"))
    metrics.held({"useful": 3.5, "lost": 0.5})
    metrics.held({"useful": 1.0})
    assert sample(metrics, "sftrun_run_apply_to_job_seconds_count") == 0, (
        "a refused spec has no Job to wait for"
    )
    assert sample(metrics, "sftrun_run_attempts_total") == 1
    assert sample(metrics, "sftrun_run_apply_to_first_step_seconds_sum") == 100
    assert sample(metrics, "sftrun_runs_ended_total", phase="Rejected", reason="InvalidSpec") == 1
    assert sample(metrics, "sftrun_runs_ended_total", phase="Failed", reason="Other") == 1
    assert sample(metrics, "sftrun_gpu_seconds_total", use="useful") == 4.5
    assert sample(metrics, "sftrun_gpu_seconds_total", use="waiting") == 0


def test_pods_are_counted_by_the_job_that_made_them_and_not_by_their_labels() -> None:
    caches = Caches()
    caches.learn("SFTRun", sftrun(phase="Training", display={"gpus": 4}, progress={"step": 5}, podName="x-1"))
    caches.learn("Job", owned("Job", "x-job", uid="job"))
    for name, job, role in (("x-1", "job", "train"), ("x-2", "forged", "train"), ("x-3", "job", "collect")):
        pod = owned("Pod", name, uid=name, owner=UID, spec={"nodeName": "n"})
        pod["metadata"]["ownerReferences"][0]["uid"] = job
        pod["metadata"]["labels"]["sftrun.dev/role"] = role
        caches.learn("Pod", pod)
    found = list(gpu_meters.holders(caches, lambda _: None, since=0.0))
    assert [(each.pod.name, each.gpus, each.phase, each.known_step) for each in found] == [
        ("x-1", 4, "Training", 5)
    ]


async def test_what_cannot_be_measured_costs_nobody_the_operator(caplog: pytest.LogCaptureFixture) -> None:
    tries: list[int] = []
    again = asyncio.Event()

    def held(_: object) -> None:
        tries.append(1)
        if len(tries) > 1:
            again.set()
        raise RuntimeError("a figure that is wrong")

    measuring = asyncio.create_task(
        gpu_meters.run(caches=Caches(), answer=lambda _: None, held=held, every=0.0)
    )
    await asyncio.wait_for(again.wait(), 60)
    assert not measuring.done()
    measuring.cancel()
    assert "a figure that is wrong" in caplog.text
