"""An SFTRun as it is shown. Read without the contract's models: a newer operator's status must be shown too,
and ten thousand of them at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ACTIVE = ("Training", "Collecting", "Preparing", "Suspending", "Pending", "Queued")
ENDED = ("Succeeded", "Failed", "Rejected")
"""Where nothing more happens until somebody does something."""
ORDER = (*ACTIVE, "Suspended", "Failed", "Rejected", "Succeeded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition."""

    type: str
    status: str
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """One object, and what is read of it. Every figure may be missing."""

    object: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.at("metadata", "name") or "")

    @property
    def namespace(self) -> str:
        return str(self.at("metadata", "namespace") or "")

    @property
    def uid(self) -> str:
        return str(self.at("metadata", "uid") or "")

    @property
    def created(self) -> str:
        return str(self.at("metadata", "creationTimestamp") or "")

    @property
    def version(self) -> str:
        return str(self.at("metadata", "resourceVersion") or "")

    @property
    def phase(self) -> str:
        """The phase; before the operator has seen the object, Pending."""
        return self.text("status", "phase") or "Pending"

    @property
    def ended(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.phase in ENDED

    @property
    def message(self) -> str:
        if self.phase in ("Failed", "Rejected") and self.text("status", "failure", "message"):
            reason = self.text("status", "failure", "reason")
            return f"{reason}: {self.text('status', 'failure', 'message')}"
        return self.text("status", "message") or "the operator has not said anything of it yet"

    @property
    def attempt(self) -> int:
        return int(self.number("status", "attempt") or 0)

    @property
    def gpus(self) -> int | None:
        found = self.number("status", "display", "gpus")
        if found is None:
            found = self.number("spec", "infrastructure", "gpusPerNode")
        return int(found) if found is not None else None

    @property
    def conditions(self) -> tuple[Condition, ...]:
        found = self.at("status", "conditions")
        return tuple(
            Condition(
                type=str(each.get("type") or ""),
                status=str(each.get("status") or ""),
                reason=str(each.get("reason") or ""),
                message=str(each.get("message") or ""),
            )
            for each in (found if isinstance(found, list) else [])
            if isinstance(each, dict)
        )

    def condition(self, kind: str) -> Condition | None:
        """Returns one condition, `None` where it is not there."""
        return next((each for each in self.conditions if each.type == kind), None)

    def at(self, *path: str) -> Any:
        """Returns what lies at a path, `None` where nothing does."""
        value: Any = self.object
        for key in path:
            if not isinstance(value, Mapping):
                return None
            value = value.get(key)
        return value

    def text(self, *path: str) -> str:
        """Returns a text, empty where there is none."""
        found = self.at(*path)
        return found if isinstance(found, str) else ""

    def number(self, *path: str) -> float | None:
        """Returns a number."""
        found = self.at(*path)
        return found if isinstance(found, int | float) and not isinstance(found, bool) else None

    def progress(self, name: str) -> float | None:
        """Returns a figure of `status.progress`."""
        return self.number("status", "progress", name)

    @property
    def stage(self) -> str:
        return self.text("status", "progress", "stage")

    def with_progress(self, progress: Mapping[str, Any], *, message: str = "") -> View:
        """Returns the same run with newer figures: the pod's own, which the status follows."""
        status = dict(self.at("status") or {}) | {"progress": dict(progress)}
        if message:
            status["message"] = message
        return View({**self.object, "status": status})
