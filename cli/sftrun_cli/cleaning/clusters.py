"""Cleaning a claim's workspace from afar: which runs of the cluster are not over, and a pod that looks and
removes with the program of the trainer's image."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from sftrun_cli import consoles
from sftrun_cli.cleaning.results import Result
from sftrun_cli.cluster import helper_pods, refusals, resources
from sftrun_cli.cluster.clients import Client, JsonObject
from sftrun_cli.errors import CommandError
from sftrun_cli.exit_codes import ExitCode
from sftrun_cli.steering.facts import OVER, Run
from sftrun_workspace import lines
from sftrun_workspace.__main__ import arguments_of
from sftrun_workspace.values import Wish

MODULE = "sftrun_workspace"
SECONDS = 3600
"""Deleting terabytes over a network takes its time."""
_IDLE = (*OVER, "Rejected")
"""Phases in which a run has no use for anything."""


def clean(
    cluster: Client, wish: Wish, *, run: str | None, claim: str | None, image: str | None, yes: bool
) -> Result:
    """Looks, and removes with `yes`, in the workspace that a run or a claim stands for.

    Raises:
        CommandError: no run tells what image and whose rights to take, or the pod failed.
        ClusterError: the cluster cannot be asked, or refuses the pod.
    """
    runs = [_slim(each) for each in cluster.items(resources.SFTRUNS)]
    chosen = _chosen(runs, run=run, claim=claim, namespace=cluster.namespace)
    place = helper_pods.place_of(chosen, job=_job(cluster, chosen))
    if image is not None:
        place = dataclasses.replace(place, image=image)
    place = dataclasses.replace(place, owner=None)
    wish = aware(wish, runs, claim=place.claim, mount=place.mount_path, sub_path=place.sub_path)
    pod = helper_pods.manifest(
        place,
        purpose="clean",
        command=["python", "-m", MODULE, *arguments_of(place.mount_path, wish, yes=yes)],
        writes=yes,
        seconds=SECONDS,
    )
    consoles.remark(helper_pods.announcement(pod))
    with helper_pods.running(cluster, pod, told=consoles.remark) as helper:
        said = list(helper.lines())
        answer = lines.read(said)
        if not answer.whole:
            _explain(helper, said, image=place.image)
    where = f"claim {place.claim}" + (f", {place.sub_path}" if place.sub_path else "")
    return Result(
        where=f"{where}, namespace {cluster.namespace}",
        plan=answer.plan,
        removed=answer.removed if yes else None,
    )


def _slim(run: JsonObject) -> JsonObject:
    """Returns a run without what nobody asks here: thousands of them are held at once."""
    metadata = {key: value for key, value in run["metadata"].items() if key != "managedFields"}
    status = {key: run.get("status", {}).get(key) for key in ("phase", "image", "jobName")}
    return run | {"metadata": metadata, "status": status}


def aware(wish: Wish, runs: Iterable[JsonObject], *, claim: str, mount: str, sub_path: str | None) -> Wish:
    """Returns the wish with what the cluster knows: runs on this claim that are not over, and the paths that
    they refer to. Another part of the claim counts too: mounts may overlap."""
    live: set[str] = set()
    protected: set[str] = set()
    for each in map(Run, runs):
        if each.claim != claim or each.phase in _IDLE:
            continue
        live.add(each.uid)
        if (each.spec.get("workspace") or {}).get("subPath") == sub_path:
            protected |= set(_paths(each.spec, mount=mount))
    return dataclasses.replace(wish, live=wish.live | live, protected=wish.protected | protected)


def _paths(value: Any, *, mount: str) -> Iterable[str]:
    """Yields every text of a spec that is a path in the workspace: what a run names must be there for it."""
    if isinstance(value, Mapping):
        for each in value.values():
            yield from _paths(each, mount=mount)
    elif isinstance(value, list):
        for each in value:
            yield from _paths(each, mount=mount)
    elif isinstance(value, str) and "/" in value and len(value) < 1024:
        path = PurePosixPath(mount, value)
        if path.is_relative_to(mount) and ".." not in path.parts and path != PurePosixPath(mount):
            yield str(path.relative_to(mount))


def _chosen(runs: list[JsonObject], *, run: str | None, claim: str | None, namespace: str) -> JsonObject:
    """Returns the run that tells image, placement and rights: the one that is named, or the newest of the
    claim that an operator has accepted."""
    claims = {Run(each).claim for each in runs}
    if run is not None:
        named = [each for each in runs if Run(each).name == run and claim in (None, Run(each).claim)]
        if not named:
            raise CommandError(
                f"there is no SFTRun {run} in namespace {namespace}; --claim NAME cleans for deleted ones"
            )
        return named[0]
    if claim is None:
        told = f"; runs of namespace {namespace} use {', '.join(sorted(claims))}" if claims else ""
        raise CommandError(f"say whose workspace: --run NAME or --claim NAME{told}", code=ExitCode.USAGE)
    of_claim = [each for each in runs if Run(each).claim == claim and Run(each).status.get("image")]
    if not of_claim:
        raise CommandError(
            f"no run of namespace {namespace} uses the claim {claim}, so nothing tells image and user; "
            "mount it and use sftrun clean PATH"
        )
    return max(of_claim, key=lambda each: str(each["metadata"].get("creationTimestamp", "")))


def _job(cluster: Client, run: JsonObject) -> JsonObject | None:
    name = Run(run).status.get("jobName")
    try:
        return cluster.find(resources.JOBS, str(name)) if name else None
    except refusals.ForbiddenError:
        return None


def _explain(helper: helper_pods.HelperPod, said: list[str], *, image: str) -> None:
    """Raises CommandError with what kept the program from its end."""
    if any(f"No module named {MODULE}" in line or f"No module named '{MODULE}'" in line for line in said):
        raise CommandError(
            f"the image {image} is older than this command: name a newer trainer's image with --image"
        )
    helper.expect_success()
    raise CommandError("the pod's answer was cut off; what it removed is gone, the rest is as it was")
