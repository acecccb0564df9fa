"""Which part of the operator each gauge is read from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sftrun_operator import metric_tables, summaries
from sftrun_operator.caches import Caches, Key
from sftrun_operator.metrics import Metrics
from sftrun_operator.queues import KeyedQueue


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What is read. Ages are in seconds, on this process' own clock."""

    caches: Caches
    queue: KeyedQueue[Key]
    num_polled: Callable[[], int]
    api_silent: Callable[[], float]
    watch_ages: Callable[[], Mapping[str, float]]
    list_age: Callable[[], float]
    leads: Callable[[], bool]
    policy_current: Callable[[], bool]
    crd_current: Callable[[], bool]
    version: str


def connect(metrics: Metrics, parts: Parts) -> None:
    """Has every gauge of the tables read from its part."""
    caches, queue = parts.caches, parts.queue

    def tally() -> tuple[Mapping[str, float], Mapping[str, float]]:
        if not parts.leads():
            return {}, {}
        return summaries.tally(entry.value.summary for entry in caches.runs.entries())

    def cached() -> Mapping[str, float]:
        return {"SFTRun": len(caches.runs), "Job": len(caches.jobs), "Pod": len(caches.pods)}

    metrics.gauge(metric_tables.RUNS, lambda: tally()[0])
    metrics.gauge(metric_tables.RUN_GPUS, lambda: tally()[1])
    metrics.gauge(metric_tables.QUEUE_DEPTH, lambda: len(queue) if parts.leads() else 0)
    metrics.gauge(metric_tables.QUEUE_OLDEST, lambda: queue.oldest_seconds if parts.leads() else 0.0)
    metrics.gauge(metric_tables.WORKING, lambda: queue.num_working)
    metrics.gauge(metric_tables.API_SILENT, parts.api_silent)
    metrics.gauge(metric_tables.WATCH_AGE, parts.watch_ages)
    metrics.gauge(metric_tables.LIST_AGE, parts.list_age)
    metrics.gauge(metric_tables.POLLED_PODS, parts.num_polled)
    metrics.gauge(metric_tables.CACHED, cached)
    metrics.gauge(metric_tables.LEADING, parts.leads)
    metrics.gauge(metric_tables.POLICY_CURRENT, parts.policy_current)
    metrics.gauge(metric_tables.CRD_CURRENT, parts.crd_current)
    metrics.gauge(metric_tables.BUILD_INFO, lambda: {parts.version: 1})
