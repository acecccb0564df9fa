"""Where a run's curve, live figures and events are to be had: the pod while it lives, ConfigMaps afterwards.

The pod is asked through the API server, with the user's own rights (`get` of `pods/proxy`). Many have none,
and some API servers do not reach pods: the status' own figures are shown then, and that is said. Requests
carry `?look`, so that the trainer does not take us for the operator.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sftrun_api import names
from sftrun_cli.cluster import refusals, resources
from sftrun_cli.cluster.clients import Client, JsonObject
from sftrun_cli.runs import curves
from sftrun_cli.runs.curves import Curve
from sftrun_cli.runs.views import View

ANSWER_SECONDS = 3.0
"""Patience with a pod; it is asked again soon."""
MOST_ATTEMPTS = 20
"""Curves of earlier attempts that are fetched: the last one holds the steps of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A curve, and what is to be said of where it comes from."""

    curve: Curve
    note: str = ""


class CurveReader:
    """Reads one run's curve, again and again: what a ConfigMap has said once it says for ever."""

    def __init__(self, cluster: Client) -> None:
        self._cluster = cluster
        self._kept: dict[tuple[str, int], Curve | None] = {}

    def read(self, run: View) -> Found:
        """Returns the run's curve from wherever it is to be had.

        Raises:
            ClusterError: ConfigMaps cannot be read.
        """
        earlier = self._of_attempts(run, range(max(1, run.attempt - MOST_ATTEMPTS + 1), run.attempt))
        if run.phase not in ("Training", "Collecting") or not run.text("status", "podName"):
            kept = [*earlier, *self._of_attempts(run, range(run.attempt, run.attempt + 1))]
            return Found(curve=curves.joined(kept), note="" if kept else _why_none(run))
        try:
            live = curves.parse(ask(self._cluster, run, "curve"))
        except refusals.ClusterError as error:
            return Found(
                curve=curves.joined(earlier),
                note=f"the curve of {run.name} as far as it is now cannot be had: {why_not_asked(error)}",
            )
        return Found(curve=curves.joined([*earlier, live]))

    def kept(self, run: View) -> dict[int, Curve]:
        """Returns the curves that ConfigMaps keep, by attempt."""
        self._of_attempts(run, range(max(1, run.attempt - MOST_ATTEMPTS + 1), run.attempt + 1))
        return {
            attempt: curve
            for (uid, attempt), curve in self._kept.items()
            if uid == run.uid and curve is not None
        }

    def _of_attempts(self, run: View, attempts: range) -> list[Curve]:
        found: list[Curve] = []
        for attempt in attempts:
            key = (run.uid, attempt)
            if key not in self._kept:
                name = names.curve_name(run.name, run.uid, attempt)
                config_map = self._cluster.find(resources.CONFIG_MAPS, name, namespace=run.namespace)
                if config_map is None and attempt == run.attempt:
                    continue  # it may come yet
                text = str(((config_map or {}).get("data") or {}).get(names.CURVE_FILE) or "")
                self._kept[key] = curves.parse(text) if text else None
            curve = self._kept[key]
            found += [curve] if curve is not None else []
        return found


def ask(cluster: Client, run: View, path: str) -> bytes:
    """Returns what the run's pod answers at its progress port. Raises ClusterError."""
    pod = run.text("status", "podName")
    call = cluster.call("get", resources.PODS, namespace=run.namespace, name=pod, subresource="proxy")
    where = resources.PODS.path(run.namespace, f"{pod}:{names.PROGRESS_PORT}", subresource=f"proxy/{path}")
    return cluster.ask(call, where, params={"look": "1"}, seconds=ANSWER_SECONDS)


def live(cluster: Client, run: View) -> View:
    """Returns the run with the figures that its pod has now. Raises ClusterError."""
    try:
        report = json.loads(ask(cluster, run, "progress"))
    except ValueError:
        return run
    progress = report.get("progress") if isinstance(report, dict) else None
    identity = report.get("run") if isinstance(report, dict) else None
    if (
        not isinstance(progress, Mapping)
        or not isinstance(identity, Mapping)
        or identity.get("uid") != run.uid
    ):
        return run
    return run.with_progress(progress, message=str(report.get("message") or ""))


def why_not_asked(error: refusals.ClusterError) -> str:
    """Returns in a few words why a pod was not asked."""
    if isinstance(error, refusals.ForbiddenError):
        return "you may not get pods/proxy; the figures are the status' own"
    if isinstance(error, refusals.MissingKindError | refusals.MissingError):
        return "the pod is gone or does not answer yet; the figures are the status' own"
    return "the API server does not reach the pod; the figures are the status' own"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event."""

    at: str
    type: str
    reason: str
    message: str
    about: str


def events(cluster: Client, run: View, *, most: int = 5) -> tuple[Event, ...]:
    """Returns the newest events of the run and of its current pod, oldest first.

    Raises:
        ClusterError: events may not be read.
    """
    found = list(_events_of(cluster, run, f"involvedObject.uid={run.uid}"))
    pod = run.text("status", "podName")
    if pod and not run.ended:
        found += _events_of(cluster, run, f"involvedObject.kind=Pod,involvedObject.name={pod}")
    return tuple(sorted(found, key=lambda event: event.at)[-most:])


def _events_of(cluster: Client, run: View, fields: str) -> list[Event]:
    return [
        Event(
            at=_when(each),
            type=str(each.get("type") or ""),
            reason=str(each.get("reason") or ""),
            message=str(each.get("message") or ""),
            about=str((each.get("involvedObject") or {}).get("kind") or ""),
        )
        for each in cluster.items(resources.EVENTS, namespace=run.namespace, fields=fields)
    ]


def _when(event: JsonObject) -> str:
    series: dict[str, Any] = event.get("series") or {}
    for value in (
        series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"),
        (event.get("metadata") or {}).get("creationTimestamp"),
    ):  # fmt: skip
        if value:
            return str(value)
    return ""


def _why_none(run: View) -> str:
    if not run.attempt:
        return "the run has not trained yet"
    return (
        "no curve is kept: the pod ended before the operator could fetch one. The steps are in the archive's "
        "steps.jsonl in the workspace"
    )
