"""Does what a plan says, in its order: curves that exist nowhere else, the status (write-ahead), deletions,
creations, events.

Every step can be repeated: a status write carries uid and resourceVersion, a deletion its uid, and a name
that is taken already is fine when the taker is ours. So a crash between any two calls leaves nothing that the
next pass does not repair, and two operators at once still make one Job.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from sftrun_api import API_GROUP, API_VERSION, KIND
from sftrun_api.models import JsonObject
from sftrun_operator import kube, kube_errors, transitions, views
from sftrun_operator.caches import Caches, Key
from sftrun_operator.decisions import Deletion, EventNote, Plan
from sftrun_operator.logs import run_logger
from sftrun_operator.observations import ApplyError, Run
from sftrun_operator.transitions import Transition

COMPONENT = "sftrun-operator"
EVENT_MESSAGE_CHARACTERS = 1024


class NotAppliedError(Exception):
    """The API server refuses a creation or deletion; `error` is for the run's status."""

    def __init__(self, error: ApplyError) -> None:
        super().__init__(
            f"{error.verb} {error.kind} {error.name}: {error.code} {error.reason}: {error.message}"
        )
        self.error = error


class NameTakenError(Exception):
    """An object of the deterministic name exists and is not the run's own."""


class Applier:
    """Writes what plans say, and keeps the answers, so that the next look is at least as new as our
    writes."""

    def __init__(
        self,
        *,
        client: kube.Kube,
        caches: Caches,
        turned: Callable[[Key, Transition], None] = lambda _key, _transition: None,
    ) -> None:
        """`turned` is told what each status write changed, once it is written."""
        self._kube = client
        self._caches = caches
        self._turned = turned

    async def apply(self, plan: Plan, *, run: Run, now: float) -> None:
        """Carries the plan out.

        Raises:
            ConflictError: The run is not the one that was planned for; nothing but a curve was written.
            NotAppliedError: A creation or deletion is refused; the status is written.
            NameTakenError: Someone else's object has the attempt's name.
            KubeError: Anything else that another pass may get done.
        """
        failure: Exception | None = None
        try:
            for manifest in plan.keep:
                await self._keep(manifest, run=run)
        except kube_errors.KubeError as error:
            failure = error  # worth another pass, and not worth holding the status up
        if plan.status_patch:
            await self._patch_status(plan.status_patch, run=run)
            self._turned(Key(run.namespace, run.name), transitions.of(run, plan, now=now))
        try:
            await self._carry_out(plan, run=run)
        except (NotAppliedError, NameTakenError, kube_errors.KubeError) as error:
            failure = error  # people hear of it all the same: the status is written, and says so once
        for note in plan.events:
            await self._tell(note, run=run, now=now)
        if failure is not None:
            raise failure

    async def _carry_out(self, plan: Plan, *, run: Run) -> None:
        for deletion in plan.delete:
            await self._delete(deletion, run=run)
        for manifest in plan.create:
            await self._create(manifest, run=run)

    async def _patch_status(self, patch: JsonObject, *, run: Run) -> None:
        body = {"metadata": {"uid": run.uid, "resourceVersion": run.resource_version}, "status": patch}
        answer = await self._kube.patch_status(kube.SFTRUNS, run.namespace, run.name, body)
        if self._caches.runs.get(Key(run.namespace, run.name)) is not None:  # not after its deletion was seen
            self._caches.learn("SFTRun", answer)
        if "phase" in patch:
            message = patch.get("message") or views.text(run.status, "message")
            run_logger(run).info("%s%s", patch["phase"], f": {message}" if message else "")

    async def _delete(self, deletion: Deletion, *, run: Run) -> None:
        resource = kube.RESOURCES[deletion.kind]
        try:
            left = await self._kube.delete(
                resource, run.namespace, deletion.name, uid=deletion.uid, propagation=deletion.propagation
            )
        except kube_errors.ConflictError:
            return  # that uid is gone, its name is another's
        except kube_errors.RefusedError as error:
            raise _not_applied("delete", deletion.kind, deletion.name, error) from error
        if left is not None and deletion.kind == "Job" and left.get("kind") == "Job":
            self._caches.learn("Job", left)
        run_logger(run).info("deleted %s %s", deletion.kind, deletion.name)

    async def _create(self, manifest: Mapping[str, Any], *, run: Run) -> None:
        kind, name = str(manifest["kind"]), str(manifest["metadata"]["name"])
        made = await self._made(kind, name, manifest, run=run)
        if kind == "Job":
            self._caches.learn("Job", made)

    async def _keep(self, manifest: Mapping[str, Any], *, run: Run) -> None:
        kind, name = str(manifest["kind"]), str(manifest["metadata"]["name"])
        try:
            await self._made(kind, name, manifest, run=run)
        except (NameTakenError, NotAppliedError) as error:
            run_logger(run).warning("%s %s is not kept: %s", kind, name, error)

    async def _made(self, kind: str, name: str, manifest: Mapping[str, Any], *, run: Run) -> JsonObject:
        """Returns the object, also where an earlier pass has made it."""
        resource = kube.RESOURCES[kind]
        try:
            made = await self._kube.create(resource, run.namespace, manifest)
        except kube_errors.AlreadyExistsError:
            return await self._ours(resource, name, run=run)
        except kube_errors.RefusedError as error:
            raise _not_applied("create", kind, name, error) from error
        run_logger(run).info("created %s %s", kind, name)
        return made

    async def _ours(self, resource: kube.Resource, name: str, *, run: Run) -> JsonObject:
        found = await self._kube.get(resource, run.namespace, name)
        if found is None:
            raise kube_errors.UnreachableError(f"{resource.kind} {name} existed a moment ago and is gone now")
        owner = views.controller_uid(found)
        if owner != run.uid:
            holder = f"uid {owner}" if owner else "nobody"
            raise NameTakenError(f"{resource.kind} {name} belongs to {holder}, not to this run: delete it")
        return found

    async def _tell(self, note: EventNote, *, run: Run, now: float) -> None:
        try:
            await self._kube.create(kube.EVENTS, run.namespace, event_manifest(note, run=run, now=now))
        except kube_errors.AlreadyExistsError:
            return  # a repeated pass says nothing twice
        except kube_errors.KubeError as error:
            run_logger(run).debug("event %s not written: %s", note.reason, error)


def event_manifest(note: EventNote, *, run: Run, now: float) -> JsonObject:
    """Returns the event. Its name is a digest of what is said of which state, so that repeating a pass after
    a crash does not say it twice, and the same transition at another time is an event of its own."""
    said = "\0".join((run.uid, run.resource_version, note.type, note.reason, note.message))
    digest = hashlib.sha256(said.encode()).hexdigest()[:16]
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{run.name}.{digest}", "namespace": run.namespace},
        "involvedObject": {
            "apiVersion": f"{API_GROUP}/{API_VERSION}",
            "kind": KIND,
            "namespace": run.namespace,
            "name": run.name,
            "uid": run.uid,
            "resourceVersion": run.resource_version,
        },
        "type": note.type,
        "reason": note.reason,
        "message": note.message[:EVENT_MESSAGE_CHARACTERS],
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }


def _not_applied(verb: Any, kind: str, name: str, error: kube_errors.RefusedError) -> NotAppliedError:
    return NotAppliedError(
        ApplyError(
            verb=verb, kind=kind, name=name, code=error.code, reason=error.reason, message=error.message
        )
    )
