"""A short program on a workspace that nobody here has mounted: a pod of the trainer's image, made with the
user's own rights, small, without GPU, gone when the block ends.

    place = helper_pods.place_of(run, job=cluster.find(resources.JOBS, job_name))
    manifest = helper_pods.manifest(place, purpose="logs", command=["python", "-c", PROGRAM, path])
    consoles.remark(helper_pods.announcement(manifest))            # said before it is made
    with helper_pods.running(cluster, manifest, told=consoles.remark) as pod:
        for line in pod.lines(): …                                 # what the program prints
        pod.expect_success()

It mounts for reading only unless `writes` is given. It never carries the labels that the operator counts a
run's pods by. Killed together with us it ends by its own deadline, and goes with its run.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sftrun_cli.cluster import refusals, resources
from sftrun_cli.cluster.clients import Client, JsonObject
from sftrun_cli.errors import CommandError

LABEL_HELPER = "sftrun.dev/helper"
"""On every such pod: what it is for."""
CONTAINER = "helper"
DEADLINE_SECONDS = 900
"""After this the kubelet ends it, whoever still wants it."""
START_SECONDS = 180.0
LOOK_SECONDS = 0.5
DEFAULT_ID = 1000
"""Whom the chart lets trainers run as, where neither the run nor its Job says."""
_ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where and as whom the program runs."""

    namespace: str
    image: str
    claim: str
    mount_path: str = "/workspace"
    sub_path: str | None = None
    security: Mapping[str, Any] = field(default_factory=dict)
    """The pod's securityContext, without what `restricted` demands of all."""
    spec: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the pod: placement, pull secrets."""
    pull_policy: str | None = None
    owner: Mapping[str, Any] | None = None
    """An ownerReference: with that object it goes."""


def place_of(run: JsonObject, *, job: JsonObject | None = None) -> Place:
    """Returns the place of a run's own pods, without the GPU.

    Args:
        run: The SFTRun, accepted.
        job: One of its Jobs, where there is one: it knows whom the operator lets pods run as.

    Raises:
        CommandError: the run was never accepted, so nothing of it lies in the workspace.
    """
    from sftrun_api.judgements import judge_spec
    from sftrun_operator.manifests import pods

    spec, image = judge_spec(run.get("spec")).spec, (run.get("status") or {}).get("image")
    metadata = run["metadata"]
    if spec is None or not image:
        raise CommandError(
            f"SFTRun {metadata['name']} was never started: nothing of it lies in its workspace"
        )
    asked = spec.infrastructure
    rest: JsonObject = dict(pods.placement(spec))
    rest.pop("runtimeClassName", None)  # without a GPU the cluster's own is the right one
    if asked.service_account_name is not None:
        rest["serviceAccountName"] = asked.service_account_name
    if asked.image_pull_secrets:
        rest["imagePullSecrets"] = [each.to_json_object() for each in asked.image_pull_secrets]
    return Place(
        namespace=metadata["namespace"],
        image=image,
        claim=spec.workspace.persistent_volume_claim.claim_name,
        mount_path=spec.workspace.mount_path,
        sub_path=spec.workspace.sub_path,
        security=_security_of(job) or _asked(asked.security_context.to_json_object()),
        spec=rest,
        pull_policy=asked.image_pull_policy,
        owner={
            "apiVersion": run["apiVersion"],
            "kind": run["kind"],
            "name": metadata["name"],
            "uid": metadata["uid"],
        },
    )


def _security_of(job: JsonObject | None) -> JsonObject:
    if job is None:
        return {}
    found: JsonObject = job["spec"]["template"]["spec"].get("securityContext") or {}
    return found


def _asked(given: JsonObject) -> JsonObject:
    return dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup"), DEFAULT_ID) | given


def manifest(
    place: Place,
    *,
    purpose: str,
    command: Sequence[str],
    writes: bool = False,
    memory: str = "512Mi",
    seconds: int = DEADLINE_SECONDS,
    suffix: str | None = None,
) -> JsonObject:
    """Returns the pod.

    Args:
        place: Where and as whom.
        purpose: One word: part of its name and its label.
        command: The program and its arguments; what it prints is what `lines` gives.
        writes: Mount the workspace for writing too.
        memory: The most that it may use.
        seconds: The most that it may take.
        suffix: The end of its name; absent: drawn.
    """
    mount: JsonObject = {"name": "workspace", "mountPath": place.mount_path}
    if place.sub_path:
        mount["subPath"] = place.sub_path
    if not writes:
        mount["readOnly"] = True
    container: JsonObject = {
        "name": CONTAINER,
        "image": place.image,
        "command": list(command),
        "env": [{"name": "HOME", "value": "/tmp"}, {"name": "PYTHONUNBUFFERED", "value": "1"}],  # noqa: S108
        "resources": {
            "requests": {"cpu": "50m", "memory": "64Mi"},
            "limits": {"cpu": "1", "memory": memory},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [mount],
    }
    if place.pull_policy:
        container["imagePullPolicy"] = place.pull_policy
    metadata: JsonObject = {
        "name": f"sftrun-{purpose}-{suffix or uuid.uuid4().hex[:8]}",
        "namespace": place.namespace,
        "labels": {LABEL_HELPER: purpose},
    }
    if place.owner is not None:
        metadata["ownerReferences"] = [dict(place.owner)]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": dict(place.spec)
        | {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": seconds,
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": dict(place.security)
            | {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
            "volumes": [{"name": "workspace", "persistentVolumeClaim": {"claimName": place.claim}}],
        },
    }


def announcement(pod: JsonObject) -> str:
    """Returns what is to be said before the pod is made."""
    container = pod["spec"]["containers"][0]
    (volume,) = pod["spec"]["volumes"]
    how = "reading only" if container["volumeMounts"][0].get("readOnly") else "reading and writing"
    return (
        f"making the pod {pod['metadata']['namespace']}/{pod['metadata']['name']} with your rights: image "
        f"{container['image']}, no GPU, claim {volume['persistentVolumeClaim']['claimName']} for {how}; "
        "it is deleted at the end"
    )


class HelperPod:
    """A pod whose program has started."""

    def __init__(self, cluster: Client, *, namespace: str, name: str) -> None:
        self._cluster, self.namespace, self.name = cluster, namespace, name

    def lines(self) -> Iterator[str]:
        """Yields what the program prints, until its end."""
        call = self._cluster.call(
            "get", resources.PODS, namespace=self.namespace, name=self.name, subresource="log"
        )
        path = resources.PODS.path(self.namespace, self.name, subresource="log")
        params = {"container": CONTAINER, "follow": "true"}
        for line in self._cluster.lines(call, path, params=params):
            yield line.decode("utf-8", "replace")

    def expect_success(self, *, seconds: float = 30.0, pause: Callable[[float], None] = time.sleep) -> None:
        """Waits for the pod's own end. Raises CommandError with the program's last words where it failed."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            status = self._cluster.get(resources.PODS, self.name, namespace=self.namespace).get("status", {})
            if status.get("phase") in _ENDED:
                if status["phase"] == "Failed":
                    raise CommandError(f"the pod {self.name} failed: {_last_words(status)}")
                return
            pause(LOOK_SECONDS)
        raise CommandError(f"the pod {self.name} did not end in {seconds:g} s")


@contextmanager
def running(
    cluster: Client,
    pod: JsonObject,
    *,
    told: Callable[[str], None],
    seconds: float = START_SECONDS,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[HelperPod]:
    """Makes the pod, waits until its program runs or has run, and deletes it at the end of the block.

    Args:
        cluster: Whose pod it is.
        pod: What `manifest` returned.
        told: Told why it is waited, once a reason.
        seconds: Patience with its start.
        pause: Waits between two looks.

    Raises:
        ClusterError: it cannot be made: no permission, a quota, Pod Security.
        CommandError: it does not start in time; says what keeps it.
    """
    metadata = pod["metadata"]
    made = cluster.create(resources.PODS, pod, namespace=metadata["namespace"])
    helper = HelperPod(cluster, namespace=metadata["namespace"], name=metadata["name"])
    try:
        _await_start(cluster, helper, told=told, seconds=seconds, pause=pause)
        yield helper
    finally:
        _remove(cluster, helper, uid=made["metadata"]["uid"], told=told)


def _await_start(
    cluster: Client,
    helper: HelperPod,
    *,
    told: Callable[[str], None],
    seconds: float,
    pause: Callable[[float], None],
) -> None:
    until, last = time.monotonic() + seconds, ""
    while True:
        found = cluster.get(resources.PODS, helper.name, namespace=helper.namespace)
        status = found.get("status") or {}
        if status.get("phase") in ("Running", *_ENDED):
            return
        why = waiting_for(status)
        if time.monotonic() > until:
            raise CommandError(
                f"the pod {helper.name} did not start in {seconds:g} s: {why or 'no reason given'}"
            )
        if why and why != last:
            told(f"the pod {helper.name} waits: {why}")
            last = why
        pause(LOOK_SECONDS)


def waiting_for(status: Mapping[str, Any]) -> str:
    """Returns what keeps a pod from starting; empty: nothing that is worth a word."""
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return str(condition.get("message") or condition.get("reason") or "")
    for container in status.get("containerStatuses") or []:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            return f"{waiting['reason']}: {waiting.get('message', '')}".rstrip(": ")
    return ""


def _last_words(status: Mapping[str, Any]) -> str:
    for container in status.get("containerStatuses") or []:
        ended = (container.get("state") or {}).get("terminated") or {}
        if ended:
            words = str(ended.get("message") or "").strip() or ended.get("reason")
            return f"exit code {ended.get('exitCode')}: {words}"
    return str(status.get("message") or status.get("reason") or "no reason given")


def _remove(cluster: Client, helper: HelperPod, *, uid: str, told: Callable[[str], None]) -> None:
    try:
        cluster.delete(resources.PODS, helper.name, namespace=helper.namespace, uid=uid, grace_seconds=1)
    except refusals.ClusterError as error:
        told(f"the pod {helper.name} is left behind ({error}); it ends by itself, delete it with kubectl")
