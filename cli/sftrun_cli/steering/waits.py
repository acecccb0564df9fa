"""Following a run until it is where it was sent: by looking again, because a watch that is cut off in silence
tells nothing, and a look a second is little."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from sftrun_api.names import LABEL_RUN, LABEL_RUN_UID
from sftrun_cli.cluster import refusals, resources
from sftrun_cli.cluster.clients import Client
from sftrun_cli.errors import CommandError
from sftrun_cli.steering.facts import Run, duration
from sftrun_cli.steering.verdicts import Verb

LOOK_SECONDS = 1.0
_PASSING = (refusals.UnreachableError, refusals.BusyError)


def follow(
    cluster: Client,
    run: Run,
    verb: Verb,
    *,
    seconds: float,
    told: Callable[[str], None],
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Looks until the run is where it was sent, and tells what changes on the way.

    Args:
        cluster: Where it is.
        run: As it was after it was sent there.
        verb: How it was sent.
        seconds: Patience.
        told: Told each new state.
        pause: Waits between two looks.
        clock: Measures the patience.

    Raises:
        CommandError: it is not there in time, has ended differently, or is not there any more.
        ClusterError: the cluster cannot be asked.
    """
    until, last = clock() + seconds, ""
    while True:
        try:
            state, there = _state(cluster, run, verb)
        except _PASSING as error:
            state, there = f"the API server does not answer ({error})", False
        if state != last:
            told(f"{run.name}: {state}")
            last = state
        if there:
            return
        if clock() >= until:
            raise CommandError(f"{run.name} is not there after {duration(seconds)}: {state}")
        pause(LOOK_SECONDS)


def _state(cluster: Client, run: Run, verb: Verb) -> tuple[str, bool]:
    """Returns where it stands, in words, and whether that is where it was sent."""
    found = cluster.find(resources.SFTRUNS, run.name, namespace=run.namespace)
    same = found is not None and found["metadata"].get("uid") == run.uid
    if verb is Verb.DELETE:
        if same:
            return "the object is being deleted", False
        pods = list(_pods(cluster, run))
        return (f"{', '.join(pods)} still ends", False) if pods else ("gone", True)
    if found is None or not same:
        raise CommandError(f"{run.name} was deleted meanwhile")
    now = Run(found)
    words = f"{now.where()}: {now.status.get('message') or ''}".rstrip(": ")
    if verb is Verb.SUSPEND:
        if now.phase in ("Succeeded", "Failed"):
            raise CommandError(f"{run.name} came to its end first: {words}")
        return words, now.phase == "Suspended"
    if verb is Verb.RETRY:
        return words, now.handled >= run.requested
    return words, now.phase not in ("Suspended", "Suspending")


def _pods(cluster: Client, run: Run) -> Iterator[str]:
    labels = f"{LABEL_RUN}={run.name},{LABEL_RUN_UID}={run.uid}"
    for pod in cluster.items(resources.PODS, namespace=run.namespace, labels=labels):
        if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
            yield str(pod["metadata"]["name"])
