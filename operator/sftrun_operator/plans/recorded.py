"""What the status already says, read leniently: a malformed or newer status is a status, never a crash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from sftrun_api import shapes
from sftrun_api.models import JsonObject, OpenModel
from sftrun_api.statuses import Condition, DatasetStatus, MemoryEnding, Outputs, Progress
from sftrun_operator.plans.clocks import read_stamp

M = TypeVar("M", bound=OpenModel)
MOST_ATTEMPTS = 999_999


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The known part of a status."""

    raw: Mapping[str, Any]
    conditions: Mapping[str, Condition]
    attempt: int
    phase: str
    handled_restart_request: int
    spec_hash: str
    image: str
    job_uid: str
    effective: JsonObject
    observed_generation: int
    started_at: float | None
    completed_at: float | None
    progress: Progress | None
    dataset: DatasetStatus | None
    outputs: Outputs | None
    out_of_memory: MemoryEnding | None

    def holds(self, condition: str, status: str = "True") -> bool:
        """Whether the condition has this status."""
        found = self.conditions.get(condition)
        return found is not None and found.status == status

    def reason(self, condition: str) -> str:
        """Returns the condition's reason, empty where there is none."""
        found = self.conditions.get(condition)
        return found.reason if found is not None else ""

    @property
    def accepted(self) -> bool:
        return self.holds("Accepted")

    @property
    def terminal(self) -> bool:
        """Whether the run has ended: sticky, whatever exists or is missing afterwards."""
        return self.holds("Succeeded") or self.holds("Failed")


def read(raw: Mapping[str, Any]) -> Recorded:
    """Reads a raw status; values that are nested too deep are left alone, on the server too."""
    if shapes.too_deep(raw, shapes.MOST_DEPTH + 1):
        raw = {key: value for key, value in raw.items() if not shapes.too_deep(value)}
    effective = raw.get("effective")
    return Recorded(
        raw=raw,
        conditions=_conditions(raw.get("conditions")),
        attempt=min(_count(raw.get("attempt")), MOST_ATTEMPTS),
        phase=_text(raw.get("phase")),
        handled_restart_request=_count(raw.get("handledRestartRequest")),
        spec_hash=_text(raw.get("specHash")),
        image=_text(raw.get("image")),
        job_uid=_text(raw.get("jobUID")),
        effective=dict(effective) if isinstance(effective, Mapping) else {},
        observed_generation=_count(raw.get("observedGeneration")),
        started_at=read_stamp(raw.get("startTime")),
        completed_at=read_stamp(raw.get("completionTime")),
        progress=model(Progress, raw.get("progress")),
        dataset=model(DatasetStatus, raw.get("dataset")),
        outputs=model(Outputs, raw.get("outputs")),
        out_of_memory=model(MemoryEnding, raw.get("outOfMemory")),
    )


def _conditions(raw: object) -> dict[str, Condition]:
    items = raw if isinstance(raw, list) else []
    parsed = (model(Condition, item) for item in items[:64])
    return {condition.type: condition for condition in parsed if condition is not None}


def model(kind: type[M], raw: object) -> M | None:
    """Returns `raw` as a value of the contract, `None` where it is none."""
    if not isinstance(raw, Mapping):
        return None
    try:
        return kind.model_validate(dict(raw))
    except (ValidationError, RecursionError):
        return None


def _count(value: object) -> int:
    return max(value, 0) if isinstance(value, int) and not isinstance(value, bool) else 0


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
