"""The operator: there, ready, serving this namespace, of this version, and led."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from typing import Any

from sftrun_cli.doctoring.findings import Finding, Result
from sftrun_cli.doctoring.looks import Answer, JsonObject, map_of

LABELS = "app.kubernetes.io/name=sftrun-operator"
INSTALL = "install the chart sftrun-operator (docs/install.md)"
STALE_SECONDS = 60.0
"""A Lease of 15 s that nobody has renewed for so long has no holder."""


def operators(answer: Answer, *, namespace: str, version: str, runs: Answer) -> Iterator[Finding]:
    """Judges the operator's deployments.

    Args:
        answer: Deployments of all namespaces with the chart's label.
        namespace: The user's.
        version: This program's.
        runs: SFTRuns of the namespace: what they say where the deployments may not be seen.
    """
    if answer.unseen:
        yield _by_its_works(answer.unseen, runs)
        return
    serving = [each for each in answer.items if _serves(each, namespace)]
    if not serving:
        there = ", ".join(_place(each) for each in answer.items)
        message = f"{there} does not serve namespace {namespace}" if there else "no operator is installed"
        remedy = "add the namespace to the chart's watchNamespaces" if there else INSTALL
        yield Finding(name="operator", result=Result.FAIL, message=message, remedy=remedy)
        return
    if len(serving) > 1:
        yield Finding(
            name="operator",
            result=Result.WARN,
            message=f"{len(serving)} serve namespace {namespace}: {', '.join(map(_place, serving))}",
            remedy="keep one deployment, or give each namespaces of its own (watchNamespaces)",
        )
    for each in serving:
        yield _ready(each)
        yield _version(each, version)


def _by_its_works(why: str, runs: Answer) -> Finding:
    seen = [each for each in runs.items if map_of(each.get("status")).get("phase")]
    if seen:
        message = (
            f"its deployment cannot be seen, and it has judged {len(seen)} of {len(runs.items)} runs here"
        )
        return Finding(name="operator", result=Result.PASS, message=message)
    if runs.items:
        return Finding(
            name="operator",
            result=Result.WARN,
            message=f"its deployment cannot be seen, and none of {len(runs.items)} runs here has a status",
            remedy="ask whoever runs the cluster whether the operator serves this namespace",
        )
    return Finding(name="operator", result=Result.UNSEEN, message=why)


def _ready(deployment: JsonObject) -> Finding:
    wanted = map_of(deployment.get("spec")).get("replicas", 1)
    status = map_of(deployment.get("status"))
    ready = status.get("readyReplicas") or 0
    place = _place(deployment)
    if not ready:
        namespace, name = place.split("/")
        return Finding(
            name="operator",
            result=Result.FAIL,
            message=f"{place}: 0 of {wanted} replicas are ready",
            remedy=f"kubectl -n {namespace} describe deployment {name}, or logs deployment/{name}",
        )
    result = Result.PASS if ready >= wanted else Result.WARN
    remedy = "" if result is Result.PASS else "one works; another takes over only once it is ready"
    return Finding(
        name="operator", result=result, message=f"{place}: {ready} of {wanted} ready", remedy=remedy
    )


def _version(deployment: JsonObject, version: str) -> Finding:
    labels = map_of(map_of(deployment.get("metadata")).get("labels"))
    theirs = str(labels.get("app.kubernetes.io/version") or _tag(deployment) or "")
    if theirs == version:
        return Finding(name="versions", result=Result.PASS, message=f"operator and this program: {version}")
    return Finding(
        name="versions",
        result=Result.WARN,
        message=f"the operator is {theirs or 'of an unknown version'}, this program {version}",
        remedy="lint and render judge as an operator of this program's version: "
        + (f"pip install 'sftrun=={theirs}'" if theirs else "use the operator's version"),
    )


def leader(deployments: Iterable[JsonObject], leases: Answer, *, now: float) -> Iterator[Finding]:
    """Judges who holds the Lease of the deployments that elect a leader."""
    for each in deployments:
        name = _argument(each, "--lease-name")
        if "--leader-elect" not in _arguments(each) or not name:
            continue
        if leases.unseen:
            yield Finding(name="leader", result=Result.UNSEEN, message=leases.unseen)
            continue
        found = [lease for lease in leases.items if map_of(lease.get("metadata")).get("name") == name]
        spec = map_of(found[0].get("spec")) if found else {}
        holder, age = spec.get("holderIdentity"), _age(spec.get("renewTime"), now)
        if not holder or age is None or age > STALE_SECONDS:
            since = f" for {age:.0f} s" if age is not None else ""
            yield Finding(
                name="leader",
                result=Result.FAIL,
                message=f"nobody has renewed the Lease {name}{since}: no operator works",
                remedy=f"kubectl -n {_place(each).split('/')[0]} logs deploy/{_place(each).split('/')[1]}",
            )
        else:
            yield Finding(
                name="leader", result=Result.PASS, message=f"{holder}, renewed {max(age, 0):.0f} s ago"
            )


def namespaces_of(deployments: Iterable[JsonObject]) -> list[str]:
    """Returns where deployments are, for the Leases beside them."""
    return sorted({_place(each).split("/")[0] for each in deployments})


def _serves(deployment: JsonObject, namespace: str) -> bool:
    named = [word.partition("=")[2] for word in _arguments(deployment) if word.startswith("--namespace=")]
    return not named or namespace in named


def _place(deployment: JsonObject) -> str:
    metadata = map_of(deployment.get("metadata"))
    return f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"


def _container(deployment: JsonObject) -> JsonObject:
    template = map_of(map_of(deployment.get("spec")).get("template"))
    containers = map_of(template.get("spec")).get("containers") or [{}]
    return map_of(containers[0])


def _arguments(deployment: JsonObject) -> list[str]:
    return [str(each) for each in _container(deployment).get("args") or []]


def _argument(deployment: JsonObject, flag: str) -> str:
    found = [word.partition("=")[2] for word in _arguments(deployment) if word.startswith(f"{flag}=")]
    return found[0] if found else ""


def _tag(deployment: JsonObject) -> str:
    image = str(_container(deployment).get("image") or "").partition("@")[0]
    return image.rpartition("/")[2].partition(":")[2]


def _age(stamp: Any, now: float) -> float | None:
    try:
        return now - datetime.datetime.fromisoformat(str(stamp)).timestamp()
    except ValueError:
        return None
