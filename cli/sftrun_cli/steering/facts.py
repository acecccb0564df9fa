"""What a run's object says of where it stands, in the words of people. Nothing is taken for granted: status
may be missing, or of another version of the operator."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_CHECKPOINT = re.compile(r"checkpoint-(\d+)/?$")
GRACE_SECONDS = 600
OVER = ("Succeeded", "Failed")
BUSY = ("Queued", "Preparing", "Training", "Collecting", "Suspending")
"""Phases in which a pod may hold GPUs, or wait for them."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run as the API server gives it."""

    whole: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.whole["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return str(self.whole["metadata"].get("namespace", ""))

    @property
    def uid(self) -> str:
        """Which object of that name."""
        return str(self.whole["metadata"].get("uid", ""))

    @property
    def version(self) -> str:
        """Its resourceVersion."""
        return str(self.whole["metadata"].get("resourceVersion", ""))

    @property
    def spec(self) -> Mapping[str, Any]:
        """What was asked for."""
        return _map(self.whole.get("spec"))

    @property
    def status(self) -> Mapping[str, Any]:
        """What came of it."""
        return _map(self.whole.get("status"))

    @property
    def phase(self) -> str:
        """Its phase; a run that no operator has seen yet is Pending."""
        return str(self.status.get("phase") or "Pending")

    @property
    def suspended(self) -> bool:
        """Whether it is asked to stand still."""
        return self.spec.get("suspend") is True

    @property
    def deleting(self) -> bool:
        """Whether it is being deleted."""
        return bool(self.whole["metadata"].get("deletionTimestamp"))

    @property
    def attempt(self) -> int:
        """The number of its last attempt; 0 before the first."""
        return _whole(self.status.get("attempt"))

    @property
    def requested(self) -> int:
        """How often a restart was asked for."""
        return _whole(self.spec.get("restartRequest"))

    @property
    def handled(self) -> int:
        """How often one was dealt with."""
        return _whole(self.status.get("handledRestartRequest"))

    @property
    def step(self) -> int:
        """The last training step that is known."""
        return _whole(_map(self.status.get("progress")).get("step"))

    @property
    def total_steps(self) -> int:
        """Steps of the whole run; 0 where it is not known."""
        found = _map(self.status.get("progress")).get("totalSteps")
        return _whole(found) or _whole(_map(self.status.get("effective")).get("totalSteps"))

    @property
    def checkpoint(self) -> tuple[int, bool] | None:
        """The step of the last checkpoint, and whether that is said (or worked out from the interval); `None`
        where neither can be."""
        match = _CHECKPOINT.search(str(_map(self.status.get("outputs")).get("checkpointPath") or ""))
        if match:
            return int(match[1]), True
        every = _whole(_map(self.status.get("effective")).get("saveSteps"))
        return (self.step // every * every, False) if every and self.step else None

    @property
    def weights_only(self) -> bool:
        """Whether its checkpoints cannot be gone on from."""
        return _map(_map(self.spec.get("training")).get("save")).get("onlyModel") is True

    @property
    def gpus(self) -> int:
        """The GPUs that its pod asks for."""
        asked = _map(self.spec.get("infrastructure"))
        shown = _map(self.status.get("display")).get("gpus")
        if isinstance(shown, int) and not isinstance(shown, bool):
            return shown
        number = asked.get("gpusPerNode")
        trains = asked.get("accelerator", "GPU") == "GPU" and self.spec.get("mode", "Train") == "Train"
        return _whole(number) if number is not None else 8 * trains

    @property
    def grace_seconds(self) -> int:
        """What its pod has to write a checkpoint."""
        found = _map(self.spec.get("lifecycle")).get("terminationGracePeriodSeconds")
        return _whole(found) or GRACE_SECONDS

    @property
    def output(self) -> str:
        """Its output folder, as far as the object tells."""
        told = _map(self.status.get("outputs")).get("modelPath")
        named = _map(self.spec.get("training")).get("outputDir") or self.name
        mount = _map(self.spec.get("workspace")).get("mountPath") or "/workspace"
        within = str(named) if str(named).startswith("/") else f"{mount}/artifacts/model/{named}"
        return str(told or within)

    @property
    def claim(self) -> str:
        """The claim of its workspace."""
        found = _map(_map(self.spec.get("workspace")).get("persistentVolumeClaim"))
        return str(found.get("claimName") or "")

    def condition(self, kind: str) -> Mapping[str, Any]:
        """Returns one of its conditions; empty where there is none."""
        listed = self.status.get("conditions")
        found = (
            [each for each in listed if _map(each).get("type") == kind] if isinstance(listed, list) else []
        )
        return _map(found[0]) if found else {}

    def where(self) -> str:
        """Returns where it stands: `Training, step 640 of 2400, 8 GPUs`."""
        words = [self.phase]
        if self.step and self.total_steps:
            words.append(f"step {self.step} of {self.total_steps}")
        if self.phase in BUSY and self.phase != "Queued" and self.gpus:
            words.append(counted(self.gpus, "GPU"))
        return ", ".join(words)


def counted(number: int, noun: str) -> str:
    """Returns `1 GPU`, `8 GPUs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """Returns `45 s`, `10 min`, `2 h 5 min`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
