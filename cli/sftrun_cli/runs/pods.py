"""The pods of a run: which of several is meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sftrun_api import names
from sftrun_cli.cluster import resources
from sftrun_cli.cluster.clients import Client, JsonObject
from sftrun_cli.runs.views import View


def of_run(cluster: Client, run: View, *, attempt: int | None = None) -> tuple[JsonObject, ...]:
    """Returns the pods that are still there, oldest first, those of the run's helpers left out.

    Labels carry the uid: pods of a run of the same name that was deleted are another's.
    """
    labels = f"{names.LABEL_RUN}={run.name},{names.LABEL_RUN_UID}={run.uid}"
    if attempt is not None:
        labels += f",{names.LABEL_ATTEMPT}={attempt}"
    found = [
        pod
        for pod in cluster.items(resources.PODS, namespace=run.namespace, labels=labels)
        if label(pod, names.LABEL_ROLE) in ("", "train")
    ]
    return tuple(sorted(found, key=lambda pod: str(pod["metadata"].get("creationTimestamp") or "")))


def newest(found: Sequence[JsonObject]) -> JsonObject | None:
    """Returns the newest pod that has a log to show, else the newest of all."""
    started = [pod for pod in found if phase(pod) not in ("Pending", "")]
    return (started or list(found))[-1] if found else None


def phase(pod: JsonObject) -> str:
    """Returns the pod's phase."""
    return str((pod.get("status") or {}).get("phase") or "")


def label(pod: JsonObject, key: str) -> str:
    """Returns a label, empty where it is not set."""
    labels: dict[str, Any] = pod["metadata"].get("labels") or {}
    return str(labels.get(key) or "")


def log_lines(
    cluster: Client,
    pod: JsonObject,
    *,
    tail: int | None = None,
    follow: bool = False,
    previous: bool = False,
    timestamps: bool = False,
    since: str = "",
) -> Iterator[str]:
    """Yields the lines of the trainer's log. Raises ClusterError."""
    place, name = str(pod["metadata"]["namespace"]), str(pod["metadata"]["name"])
    call = cluster.call("get", resources.PODS, namespace=place, name=name, subresource="log")
    params = {"container": names.CONTAINER}
    if tail is not None:
        params["tailLines"] = str(tail)
    for key, wanted in (("follow", follow), ("previous", previous), ("timestamps", timestamps)):
        if wanted:
            params[key] = "true"
    if since:
        params["sinceTime"] = since
    path = resources.PODS.path(place, name, subresource="log")
    for line in cluster.lines(call, path, params=params, patience=None if follow else cluster.seconds):
        yield line.decode("utf-8", "replace").rstrip("\r")


def log_tail(cluster: Client, pod: JsonObject, *, lines: int) -> list[str]:
    """Returns the last lines that say something; of a progress bar only its last state."""
    found = [line.rsplit("\r", 1)[-1].rstrip() for line in log_lines(cluster, pod, tail=4 * lines)]
    return [line for line in found if line][-lines:]
