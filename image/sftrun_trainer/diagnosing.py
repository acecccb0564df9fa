"""Looks at the run's own curve with the contract's rules, now and then and once at its end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sftrun_api import diagnoses
from sftrun_api.diagnoses import Diagnosis, Severity
from sftrun_api.reports import Health
from sftrun_api.run_files import RunFile
from sftrun_api.statuses import Check
from sftrun_trainer import steps
from sftrun_trainer.step_tails import Tail

EVERY_SECONDS = 30.0
"""The status is not written more often."""
RECENT = 100
"""Steps that the share of waiting for data is taken over."""
GROUP = "diagnosis"
TOLD_OTHERWISE = ("NonFiniteLossEarly", "NonFiniteLoss")
"""While a run goes on, its last step says whether the loss is a number: a NaN that healed is no alarm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What is known beside curve and spec."""

    total_steps: int | None = None
    num_samples: int | None = None
    finished: bool = False
    out_of_memory: bool = False
    gpu_utilization: float | None = None
    gpu_memory_used: float | None = None
    """Share of the GPU's memory, 0..1."""


class Diagnoser:
    """Keeps the last diagnoses, and makes new ones when it is time. Safe to ask from several threads."""

    def __init__(self, *, run: RunFile, tail: Tail, clock: Callable[[], float]) -> None:
        self._run = run
        self._tail = tail
        self._clock = clock
        self._looked_at: float | None = None
        self._found: tuple[Diagnosis, ...] = ()
        self._guard = threading.Lock()

    def look(self, situation: Situation) -> tuple[Diagnosis, ...]:
        """Returns what the curve shows; anew at most every `EVERY_SECONDS`, and always at the end."""
        with self._guard:
            return self._look(situation)

    def _look(self, situation: Situation) -> tuple[Diagnosis, ...]:
        now = self._clock()
        recent = self._looked_at is not None and now - self._looked_at < EVERY_SECONDS
        if recent and not (situation.finished or situation.out_of_memory):
            return self._found
        self._looked_at = now
        curve = self._tail.curve()
        self._found = diagnoses.diagnose(
            curve_of(curve, situation), facts_of(self._run, curve.steps, situation)
        )
        return self._found


def curve_of(curve: steps.Curve, situation: Situation) -> diagnoses.Curve:
    """Returns the curve as the rules read it."""
    return diagnoses.Curve(
        points=tuple(
            diagnoses.Point(
                step=record.step,
                loss=record.loss,
                grad_norm=record.grad_norm,
                tokens_per_second=record.tokens / record.seconds
                if record.tokens and record.seconds
                else None,
                epoch=record.epoch,
            )
            for record in curve.steps
        ),
        evaluations=tuple((e.step, e.eval_loss) for e in curve.evaluations if e.eval_loss is not None),
        non_finite=tuple(record.step for record in curve.steps if record.non_finite),
        total_steps=situation.total_steps,
        finished=situation.finished,
    )


def facts_of(run: RunFile, records: Sequence[steps.StepRecord], situation: Situation) -> diagnoses.Facts:
    """Returns what the rules may know of the settings."""
    training, resolved = run.spec.training, run.resolved
    warmup = resolved.warmup_steps
    if warmup is None:
        warmup = round((resolved.warmup_ratio or 0.0) * (situation.total_steps or 0))
    return diagnoses.Facts(
        method=training.finetuning_type,
        learning_rate=resolved.learning_rate,
        warmup_steps=warmup,
        num_epochs=training.num_train_epochs,
        max_grad_norm=training.max_grad_norm,
        weight_decay=training.weight_decay,
        lora_rank=training.lora.rank if training.finetuning_type == "lora" and training.lora else None,
        global_batch_size=resolved.global_batch_size,
        per_device_batch_size=training.per_device_train_batch_size,
        num_samples=situation.num_samples,
        gpu_utilization=situation.gpu_utilization,
        gpu_memory_used=situation.gpu_memory_used,
        loader_share=loader_share(records),
        out_of_memory=situation.out_of_memory,
    )


def loader_share(records: Sequence[steps.StepRecord]) -> float | None:
    """Returns the share of the time of the last steps that was spent waiting for their data."""
    known = [record for record in records[-RECENT:] if record.waited is not None and record.seconds]
    if len(known) < RECENT // 2:
        return None
    waited = sum(record.waited or 0.0 for record in known)
    worked = sum(record.seconds or 0.0 for record in known)
    return waited / (waited + worked) if waited + worked > 0 else None


def health_of(found: Sequence[Diagnosis]) -> Health | None:
    """Returns the gravest alarm as the run's health, `None` where there is none."""
    alarm = next(
        (each for each in found if each.severity is Severity.ALARM and each.rule not in TOLD_OTHERWISE), None
    )
    return Health(healthy=False, reason=alarm.rule, message=alarm.sentence[:512]) if alarm else None


def checks_of(found: Sequence[Diagnosis]) -> list[Check]:
    """Returns the diagnoses of a run that is over as lines of its checks."""
    return [
        Check(
            group=GROUP,
            name=each.rule,
            result="Pass" if each.severity is Severity.INFO else "Warn",
            message=each.sentence[:512],
        )
        for each in found
    ]
