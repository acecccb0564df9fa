"""The user's namespace: rights, Pod Security, quota, and where the workspace lies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sftrun_api import quantities
from sftrun_cli.doctoring.findings import Finding, Result
from sftrun_cli.doctoring.looks import Answer, JsonObject, map_of

ENFORCE = "pod-security.kubernetes.io/enforce"
GPU = "requests.nvidia.com/gpu"
WANTED = 8
NEEDED = tuple((verb, "sftruns") for verb in ("create", "get", "list", "watch", "patch", "delete"))
"""Without these there is no work with runs."""
USEFUL: tuple[tuple[str, str], ...] = (
    ("list", "pods"), ("get", "pods/log"), ("get", "configmaps"), ("get", "jobs"), ("list", "events"),
    ("create", "pods"), ("delete", "pods"),
)  # fmt: skip
"""What watch, logs, plot, describe and clean use besides."""


def rights(may: Mapping[tuple[str, str], bool], *, namespace: str) -> Finding:
    """Judges what the user may do in the namespace."""
    lacking = [f"{verb} {what}" for verb, what in NEEDED if not may.get((verb, what))]
    if lacking:
        return Finding(
            name="rights",
            result=Result.FAIL,
            message=f"in namespace {namespace} you may not {', '.join(lacking)}",
            remedy="ask for a role on sftruns.sftrun.dev in this namespace, or choose another with -n",
        )
    missed = [f"{verb} {what}" for verb, what in USEFUL if not may.get((verb, what))]
    if missed:
        return Finding(
            name="rights",
            result=Result.WARN,
            message=f"runs can be worked with; you may not {', '.join(missed)}",
            remedy="ask for them where logs, plot, describe or clean need them",
        )
    return Finding(name="rights", result=Result.PASS, message="everything that the commands ask for")


def pod_security(answer: Answer, *, namespace: str) -> Finding:
    """Judges the namespace and what it admits."""
    if answer.unseen:
        return Finding(name="Pod Security", result=Result.UNSEEN, message=answer.unseen)
    if answer.one is None:
        return Finding(
            name="Pod Security",
            result=Result.FAIL,
            message=f"there is no namespace {namespace}",
            remedy=f"kubectl create namespace {namespace}, or choose another with -n",
        )
    if map_of(answer.one.get("metadata")).get("deletionTimestamp"):
        return Finding(
            name="Pod Security",
            result=Result.FAIL,
            message=f"namespace {namespace} is being deleted: nothing is created in it",
            remedy="choose another with -n",
        )
    level = map_of(map_of(answer.one.get("metadata")).get("labels")).get(ENFORCE)
    told = f"enforces {level}" if level else "enforces no level of its own"
    return Finding(
        name="Pod Security",
        result=Result.PASS,
        message=f"namespace {namespace} {told}; trainers keep to restricted",
    )


def quota(answer: Answer) -> Iterator[Finding]:
    """Judges the quotas by what a run of eight GPUs takes."""
    if answer.unseen:
        yield Finding(name="quota", result=Result.UNSEEN, message=answer.unseen)
        return
    if not answer.items:
        yield Finding(name="quota", result=Result.PASS, message="none in this namespace")
        return
    for each in answer.items:
        yield _quota(each)


def _quota(item: JsonObject) -> Finding:
    status = map_of(item.get("status"))
    hard, used = map_of(status.get("hard")), map_of(status.get("used"))
    name = str(map_of(item.get("metadata")).get("name", ""))
    lacking = []
    for key, needed in ((GPU, WANTED), ("pods", 1), ("count/jobs.batch", 1), ("count/configmaps", 2)):
        most, taken = _number(hard.get(key)), _number(used.get(key))
        if most is not None and most - (taken or 0) < needed:
            lacking.append(f"{key}: {taken or 0:g} of {most:g} used, a run takes {needed}")
    limited = ", ".join(f"{key} {used.get(key, '0')}/{value}" for key, value in sorted(hard.items()))
    if lacking:
        return Finding(
            name="quota",
            result=Result.WARN,
            message=f"{name}: {'; '.join(lacking)}",
            remedy="free something (kubectl sft suspend frees GPUs), ask for more, or set "
            "infrastructure.gpusPerNode lower",
        )
    return Finding(name="quota", result=Result.PASS, message=f"{name}: {limited or 'limits nothing'}")


def storage_class(answer: Answer) -> Finding:
    """Judges whether a claim without a class gets a volume."""
    if answer.unseen:
        return Finding(name="storage class", result=Result.UNSEEN, message=answer.unseen)
    names = {str(map_of(each.get("metadata")).get("name")): each for each in answer.items}
    default = [name for name, each in names.items() if _is_default(each)]
    if default:
        others = sorted(set(names) - set(default))
        rest = f"; also {', '.join(others)}" if others else ""
        return Finding(name="storage class", result=Result.PASS, message=f"{default[0]} is the default{rest}")
    if names:
        return Finding(
            name="storage class",
            result=Result.WARN,
            message=f"none is the default; there are {', '.join(sorted(names))}",
            remedy="name one in the claim's storageClassName",
        )
    return Finding(
        name="storage class",
        result=Result.WARN,
        message="there is none: claims are bound only to volumes that somebody has made",
        remedy="install a provisioner, or make a PersistentVolume for the claim",
    )


def claims(answer: Answer, runs: Answer) -> Iterator[Finding]:
    """Judges the claims of the namespace that could be workspaces, and those that its runs name."""
    if answer.unseen:
        yield Finding(name="claim", result=Result.UNSEEN, message=answer.unseen)
        return
    named = {_claim_of(each) for each in runs.items} - {""}
    there = {str(map_of(each.get("metadata")).get("name")): each for each in answer.items}
    for name in sorted(named - set(there)):
        yield Finding(
            name="claim",
            result=Result.FAIL,
            message=f"{name}: runs name it, and it is not there",
            remedy=f"create the claim {name} in this namespace",
        )
    if not there and not named:
        yield Finding(
            name="claim",
            result=Result.WARN,
            message="there is none in this namespace; every run needs one for its workspace",
            remedy="create a PersistentVolumeClaim, best ReadWriteMany (docs/quickstart.md)",
        )
    for name, each in sorted(there.items()):
        if not named or name in named:
            yield _claim(name, each)


def _claim(name: str, item: JsonObject) -> Finding:
    spec, status = map_of(item.get("spec")), map_of(item.get("status"))
    modes: Iterable[str] = status.get("accessModes") or spec.get("accessModes") or []
    size = map_of(status.get("capacity")).get("storage") or "no size yet"
    told = f"{name}: {status.get('phase', 'Pending')}, {size}, {', '.join(modes)}"
    if status.get("phase") == "Lost":
        return Finding(
            name="claim",
            result=Result.FAIL,
            message=f"{told}: its volume is gone",
            remedy="restore or replace it",
        )
    if status.get("phase") != "Bound":
        return Finding(
            name="claim",
            result=Result.WARN,
            message=f"{told}; it may wait for its first pod",
            remedy=f"kubectl describe pvc {name}",
        )
    if not {"ReadWriteMany"} & set(modes):
        return Finding(
            name="claim",
            result=Result.PASS,
            message=f"{told}: pods on one node at a time, so runs on it follow one another",
        )
    return Finding(name="claim", result=Result.PASS, message=told)


def _claim_of(run: JsonObject) -> str:
    workspace = map_of(map_of(run.get("spec")).get("workspace"))
    return str(map_of(workspace.get("persistentVolumeClaim")).get("claimName") or "")


def _is_default(item: JsonObject) -> bool:
    annotations = map_of(map_of(item.get("metadata")).get("annotations"))
    return annotations.get("storageclass.kubernetes.io/is-default-class") == "true"


def _number(value: object) -> float | None:
    found = quantities.read(str(value)) if value is not None else None
    return float(found) if found is not None else None
