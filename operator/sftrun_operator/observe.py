"""Gathers what `plan` looks at: from the caches for the daily look, live where absence has to be proven.

A live observation reads the run again too, so that nothing is created for a run that is gone, is being
deleted or has been suspended since the cache heard of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sftrun_api.models import JsonObject
from sftrun_api.names import LABEL_RUN, attempt_name
from sftrun_operator import kube, views
from sftrun_operator.caches import Caches, Key, news_of
from sftrun_operator.observations import (
    ApplyError,
    JobView,
    Observed,
    PodView,
    ProgressAnswer,
    Run,
    WarningView,
)

COLLECT_SUFFIX = "-collect"
MAX_PODS_ASKED_ABOUT = 4
EVENTS_READ = "100"


@dataclass(frozen=True, slots=True, kw_only=True)
class Memories:
    """What the shell itself knows about a run, beside the cluster."""

    answer: Callable[[Key], ProgressAnswer | None]
    apply_error: Callable[[Key], ApplyError | None]


class Observer:
    """Looks at one run at a time."""

    def __init__(self, *, client: kube.Kube, caches: Caches, memories: Memories) -> None:
        self._kube = client
        self._caches = caches
        self._memories = memories

    def cached(self, run: Run) -> Observed:
        """Returns what the watch has told. Costs no request; absence means nothing."""
        key = Key(run.namespace, run.name)
        name = job_name(run)
        return Observed(
            proven=False,
            job=self._cached_job(run, name),
            pods=tuple(entry.value for entry in self._caches.pods.of_run(key)),
            collect_job=self._cached_job(run, name + COLLECT_SUFFIX if name else None),
            answer=self._memories.answer(key),
            apply_error=self._memories.apply_error(key),
        )

    async def around_new(self, run: Run) -> Observed:
        """Returns the surroundings of a run whose status nobody has written yet.

        The run itself is not read: it has no Job, and what begins with a write of its status, which carries
        its uid and resourceVersion, begins only if the run is what the cache says. Pods can only be an
        earlier run's: they are read live where its name was another's before. A list for each new run would
        cost the API server a look at every pod of the namespace.

        Raises:
            KubeError: Something could not be read; nothing is known then.
        """
        key = Key(run.namespace, run.name)
        pods = () if self._caches.is_first(key) else await self._pods(key)
        return Observed(proven=True, pods=pods, apply_error=self._memories.apply_error(key))

    async def live(self, key: Key) -> tuple[Run, Observed] | None:
        """Returns run and surroundings as the API server has them now; `None` when the run is gone.

        Raises:
            KubeError: Something could not be read; nothing is known then.
        """
        obj, pods = await asyncio.gather(
            self._kube.get(kube.SFTRUNS, key.namespace, key.name), self._pods(key)
        )
        if obj is None:
            return None
        self._caches.learn("SFTRun", obj)
        fresh = views.run_view(obj)
        name = job_name(fresh)
        # Strictly afterwards: a Job that is not there although a pod or a recorded uid shows it has existed
        # is gone. Read side by side, one that another operator makes at this moment would look so too.
        job, config_map, collect = await asyncio.gather(
            self._job(key, name),
            self._kube.get(kube.CONFIG_MAPS, key.namespace, name) if name else _nothing(),
            self._job(key, name + COLLECT_SUFFIX if name else None),
        )
        return fresh, Observed(
            proven=True,
            job=job,
            config_map_owner_uid=views.controller_uid(config_map) if config_map is not None else None,
            pods=pods,
            collect_job=collect,
            warnings=await self._warnings(fresh, job=job, collect=collect, pods=pods),
            answer=self._memories.answer(key),
            apply_error=self._memories.apply_error(key),
        )

    async def refresh(self, key: Key) -> None:
        """Reads the run again after a write met another one than the cache knew."""
        obj = await self._kube.get(kube.SFTRUNS, key.namespace, key.name)
        if obj is not None:
            self._caches.learn("SFTRun", obj)
            return
        known = self._caches.runs.get(key)
        if known is not None:
            self._caches.runs.remove(key, known.uid)

    def _cached_job(self, run: Run, name: str | None) -> JobView | None:
        entry = self._caches.jobs.get(Key(run.namespace, name)) if name else None
        return entry.value if entry is not None else None

    async def _job(self, key: Key, name: str | None) -> JobView | None:
        if name is None:
            return None
        obj = await self._kube.get(kube.JOBS, key.namespace, name)
        if obj is not None:
            self._caches.learn("Job", obj)
            return views.job_view(obj)
        known = self._caches.jobs.get(Key(key.namespace, name))
        if known is not None:
            self._caches.jobs.remove(known.key, known.uid)
        return None

    async def _pods(self, key: Key) -> tuple[PodView, ...]:
        listed = await self._kube.list(kube.PODS, key.namespace, labelSelector=f"{LABEL_RUN}={key.name}")
        news = [news_of("Pod", obj) for obj in views.items(listed, "items")]
        for each in news:
            self._caches.take(each)
        candidates = [entry.key for entry in self._caches.pods.of_run(key)]
        version = views.text(views.mapping(listed, "metadata"), "resourceVersion")
        self._caches.pods.sweep(candidates, {each.entry.key for each in news}, version)
        return tuple(each.entry.value for each in news)

    async def _warnings(
        self, run: Run, *, job: JobView | None, collect: JobView | None, pods: tuple[PodView, ...]
    ) -> tuple[WarningView, ...]:
        ours = [pod for pod in pods if pod.run_uid == run.uid and not pod.terminal]
        if any(pod.container is not None and pod.container.state == "running" for pod in ours):
            return ()
        asked = [("Job", each.name, each.uid) for each in (job, collect) if each is not None]
        newest = sorted(ours, key=lambda pod: pod.created_at, reverse=True)[:MAX_PODS_ASKED_ABOUT]
        asked += [("Pod", pod.name, pod.uid) for pod in newest]
        lists = await asyncio.gather(*(self._events(run.namespace, *each) for each in asked))
        found = [view for listed in lists for event in listed if (view := views.warning_view(event))]
        return tuple(sorted(found, key=lambda each: each.last_seen, reverse=True))

    async def _events(self, namespace: str, kind: str, name: str, uid: str) -> Iterable[Any]:
        selector = (
            f"type=Warning,involvedObject.kind={kind},involvedObject.name={name},involvedObject.uid={uid}"
        )
        listed = await self._kube.list(kube.EVENTS, namespace, fieldSelector=selector, limit=EVENTS_READ)
        return views.items(listed, "items")


def job_name(run: Run) -> str | None:
    """Returns the name of the current attempt's Job and ConfigMap; `None` before the first attempt."""
    attempt = views.number(run.status, "attempt")
    return attempt_name(run.name, run.uid, attempt) if attempt > 0 else None


async def _nothing() -> JsonObject | None:
    return None
