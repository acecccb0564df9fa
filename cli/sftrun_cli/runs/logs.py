"""The log of a run's pod, followed through lost connections and from one pod to the next."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from sftrun_cli.cluster import helper_pods, refusals, resources
from sftrun_cli.cluster.clients import Client, JsonObject
from sftrun_cli.runs import pods
from sftrun_cli.runs.views import View
from sftrun_cli.runs.watching import LOOK_SECONDS, PASSING, PAUSES


class Follower:
    """Follows the log of a run, whichever pods come."""

    def __init__(
        self,
        cluster: Client,
        run: View,
        *,
        attempt: int | None,
        told: Callable[[str], None],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Follows the pods of one attempt, or of whatever attempt is the current one."""
        self._cluster, self._run, self._attempt = cluster, run, attempt
        self._told, self._pause = told, pause

    def lines(self, pod: JsonObject, *, tail: int | None) -> Iterator[str]:
        """Yields lines, beginning with the last `tail` of a pod, until the run, or the attempt, has ended."""
        current: JsonObject | None = pod
        while current is not None:
            self._await_start(current)
            yield from self._of_pod(current, tail=tail)
            current, tail = self._next(current), None
            if current is not None:
                self._told(f"now the log of pod {current['metadata']['name']}")

    def _await_start(self, pod: JsonObject) -> None:
        said = ""
        while True:
            found = self._cluster.find(resources.PODS, pod["metadata"]["name"], namespace=self._run.namespace)
            if found is None or pods.phase(found) != "Pending":
                return
            why = helper_pods.waiting_for(found.get("status") or {}) or "it starts"
            if why != said:
                self._told(f"pod {pod['metadata']['name']} waits: {why}")
                said = why
            self._pause(LOOK_SECONDS)

    def _of_pod(self, pod: JsonObject, *, tail: int | None) -> Iterator[str]:
        """Yields a pod's lines to their end. After a lost connection it goes on behind the last one."""
        last, failed = "", 0
        while True:
            try:
                for line in pods.log_lines(
                    self._cluster, pod, tail=None if last else tail, follow=True, timestamps=True, since=last
                ):
                    stamp, _, text = line.partition(" ")
                    if last and stamp <= last:
                        continue  # the server's `since` has whole seconds
                    last, failed = stamp, 0
                    yield text
                return
            except PASSING as error:
                wait = PAUSES[min(failed, len(PAUSES) - 1)]
                failed += 1
                self._told(f"connection lost: {error}; trying again in {wait:.0f} s")
                self._pause(wait)
            except refusals.MissingError:
                return

    def _next(self, pod: JsonObject) -> JsonObject | None:
        """Waits for the pod that follows; `None` once the run or the attempt has ended."""
        uid = pod["metadata"]["uid"]
        while True:
            try:
                found = self._cluster.find(resources.SFTRUNS, self._run.name, namespace=self._run.namespace)
                run = View(found) if found is not None else None
                if run is None or run.uid != self._run.uid:
                    return None
                later = pods.of_run(self._cluster, run, attempt=self._attempt)
            except PASSING:
                self._pause(PAUSES[-1])
                continue
            names = [each["metadata"]["uid"] for each in later]
            if uid in names[:-1] or (names and uid not in names):
                return later[-1]
            over = run.ended or run.phase == "Suspended"
            if over or (self._attempt is not None and run.attempt > self._attempt):
                return None
            self._pause(LOOK_SECONDS)
