"""What a pass has decided so far. Policies write here; the differences to the old status become ONE write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from sftrun_api.models import JsonObject, OpenModel, field_names
from sftrun_operator.decisions import Deletion, EventNote, Plan
from sftrun_operator.observations import JobView
from sftrun_operator.plans import clocks, patches, phases, texts
from sftrun_operator.plans.views import View

LAZY = frozenset({"jobUID", "podName", "nodeName", "retries"})
"""Keys that are written with the next change, never for their own sake."""


class Draft:
    """Collects one pass's decisions. Nothing outside sees it before `finish`."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._old: Mapping[str, Any] = view.status.raw
        # Not deep: what is inside is replaced, and never changed where it stands.
        self._new: JsonObject = dict(view.status.raw)
        self._conditions: list[JsonObject] = _conditions(view.status.raw)
        self._prove = False
        self._curious = False
        self._deletions: list[Deletion] = []
        self._creations: list[dict[str, Any]] = []
        self._keeps: list[dict[str, Any]] = []
        self._events: list[EventNote] = []
        self._poll_pod: str | None = None
        self._look_again: float | None = None

    def need_proof(self) -> bool:
        """Returns whether this pass read Job and pods live. If not, the pass ends and is done again with
        them."""
        if not self._view.seen.proven:
            self._prove = True
        return self._view.seen.proven

    def is_explained(self) -> bool:
        """Returns whether this pass heard of warnings. If not, it is done again with them, if there is time:
        only what is said of the run depends on it."""
        self._curious = self._curious or not self._view.seen.proven
        return self._view.seen.proven

    def put(self, key: str, value: object) -> None:
        """Sets a key of the status; `None` removes it."""
        if value is None:
            self._new.pop(key, None)
        else:
            self._new[key] = value

    def put_model(self, key: str, value: OpenModel | None) -> None:
        """Replaces what `value`'s model knows under `key`; keys that the model does not know are left
        alone."""
        if value is None:
            self._new.pop(key, None)
            return
        known = field_names(type(value))
        before = self._new.get(key)
        kept = {k: v for k, v in before.items() if k not in known} if isinstance(before, Mapping) else {}
        self._new[key] = kept | texts.harmless(value.to_json_object())

    def value(self, key: str) -> Any:
        """Returns what the status will say under `key`."""
        return self._new.get(key)

    def condition(
        self, kind: str, status: Literal["True", "False", "Unknown"], reason: str, message: str = ""
    ) -> None:
        """Sets a condition. Its transition time changes only when its status does."""
        before = next((c for c in self._conditions if c.get("type") == kind), None)
        moved = (
            before is None
            or before.get("status") != status
            or not isinstance(before.get("lastTransitionTime"), str)
        )
        after = {
            "type": kind,
            "status": status,
            "reason": str(reason),
            "message": texts.clean(message),
            "lastTransitionTime": clocks.stamp(self._view.now)
            if moved or before is None
            else before["lastTransitionTime"],
            "observedGeneration": self._view.run.generation,
        }
        if before is None:
            self._conditions.append(after)
        else:
            self._conditions[self._conditions.index(before)] = before | after

    def reason(self, kind: str) -> str:
        """Returns the reason that the condition will have, empty where it is not set."""
        return next((str(c.get("reason")) for c in self._conditions if c.get("type") == kind), "")

    def turned(self, kind: str) -> bool:
        """Returns whether the condition has another status or reason than before this pass."""
        before = self._view.status.conditions.get(kind)
        after = next((c for c in self._conditions if c.get("type") == kind), None)
        if after is None:
            return False
        return before is None or (before.status, before.reason) != (after.get("status"), after.get("reason"))

    def say(self, message: str) -> None:
        """Sets the status' message: the one sentence that people read first."""
        self.put("message", texts.clean(message))

    def event(self, kind: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        """Adds an event."""
        self._events.append(EventNote(type=kind, reason=str(reason), message=texts.clean(message)))

    def delete(self, job: JobView | None) -> None:
        """Deletes a Job with its pods, unless it is being deleted already."""
        if job is not None and not job.deleting:
            self._deletions.append(Deletion(kind="Job", name=job.name, uid=job.uid))

    def create(self, *manifests: dict[str, Any]) -> None:
        """Creates objects, in this order, after the status is written."""
        self._creations.extend(manifests)

    def keep(self, manifest: dict[str, Any]) -> None:
        """Creates an object that nothing waits for."""
        self._keeps.append(manifest)

    def poll(self, pod_uid: str) -> None:
        """Has the pod's progress server polled."""
        self._poll_pod = pod_uid

    def look_again_in(self, seconds: float) -> None:
        """Has the run looked at again after `seconds` at the latest."""
        wanted = max(seconds, 0.1)
        self._look_again = wanted if self._look_again is None else min(self._look_again, wanted)

    def finish(self) -> Plan:
        """Returns the plan: the proof alone if one is needed, else everything."""
        if self._prove:
            return Plan(prove=True)
        if self._curious:
            return Plan(prove=True, may_wait=True, look_again_in=self._look_again)
        return Plan(
            status_patch=self._patch(),
            delete=tuple(self._deletions),
            create=tuple(self._creations),
            keep=tuple(self._keeps),
            events=tuple(self._events),
            poll_pod=self._poll_pod,
            look_again_in=self._look_again,
        )

    def _patch(self) -> JsonObject | None:
        if self._view.status.observed_generation != self._view.run.generation:
            self._observe_generation()
        if self._conditions:
            self._new["conditions"] = self._conditions
            self._new["phase"] = phases.phase(self._conditions)
        patch = patches.difference(self._old, self._new)
        return patch if patch.keys() - LAZY else None

    def _observe_generation(self) -> None:
        self._new["observedGeneration"] = self._view.run.generation
        self._conditions = [c | {"observedGeneration": self._view.run.generation} for c in self._conditions]


def _conditions(raw: Mapping[str, Any]) -> list[JsonObject]:
    found = raw.get("conditions")
    return [c for c in found if isinstance(c, dict)] if isinstance(found, list) else []
