"""What the supervisor says of itself at any moment, as one `Report`: live, at the end, and in the termination
message. Fed by the main thread, read by the threads of the progress server.
"""

from __future__ import annotations

import datetime
import math
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from sftrun_api.diagnoses import Diagnosis
from sftrun_api.models import JsonObject
from sftrun_api.reasons import Reason, explain
from sftrun_api.reports import Health, Outcome, Report, Stage
from sftrun_api.run_files import RunIdentity
from sftrun_api.statuses import Artifacts, Check, DatasetStatus, Failure, Outputs, Progress
from sftrun_trainer import diagnosing, endings, events, figures, gpu_watches, steps

MOST_CHECKS = 64
GIB = 1 << 30
VERBS = {
    Stage.PREPARE: "converting trajectories",
    Stage.REGISTER: "registering and tokenising",
    Stage.TRAIN: "training",
    Stage.COLLECT: "collecting the result",
}


@dataclass(slots=True, kw_only=True)
class Account:
    """The state behind the report."""

    run: RunIdentity
    pod_uid: str
    pod_name: str
    now: Callable[[], float]
    """Epoch seconds, for people only."""
    _guard: threading.RLock = field(default_factory=threading.RLock)
    _stage: Stage = Stage.PREPARE
    _message: str = "starting"
    _note: str = ""
    _done: int = 0
    _total: int | None = None
    _step: events.Step | None = None
    gpus: Callable[[], gpu_watches.Figures | None] = lambda: None
    """What is known of the GPUs now."""
    _eval_loss: float | None = None
    _rates: figures.Rates = field(default_factory=figures.Rates)
    _non_finite_at: int | None = None
    _dataset: DatasetStatus | None = None
    _effective: JsonObject = field(default_factory=dict)
    _checks: dict[tuple[str, str], Check] = field(default_factory=dict)
    _outputs: Outputs | None = None
    _outcome: Outcome | None = None
    _failure: Failure | None = None
    _diagnoses: tuple[Diagnosis, ...] = ()
    _updated_at: float = 0.0

    def enter(self, stage: Stage) -> None:
        """Begins a stage."""
        with self._guard:
            self._stage, self._message, self._note = stage, VERBS[stage], ""
            self._done, self._total = 0, None
            self._updated_at = self.now()

    def say(self, message: str) -> None:
        """Says in words what happens now."""
        with self._guard:
            self._note = message[:512]
            self._updated_at = self.now()

    def take(self, event: events.Event) -> None:
        """Takes what a child tells."""
        with self._guard:
            self._updated_at = self.now()
            match event:
                case events.Progress():
                    self._done, self._total = event.done, event.total
                    self._note = event.message or self._note
                case events.Step():
                    self._take_step(event)
                case events.Evaluated():
                    self._eval_loss = event.eval_loss
                case events.Effective():
                    self._effective = {**self._effective, **_finite(event.values)}
                case events.CheckLine():
                    check = Check(
                        group=event.group, name=event.name, result=event.result, message=event.message
                    )
                    self.add_checks([check])

    def _take_step(self, event: events.Step) -> None:
        self._step, self._note = event, ""
        self._done, self._total = event.record.step, event.total_steps
        self._rates.add(event.record)
        if event.record.non_finite:
            self._non_finite_at = self._non_finite_at or event.record.step
        elif event.record.loss is not None:
            self._non_finite_at = None

    def resume(self, records: Iterable[steps.StepRecord]) -> None:
        """Takes the records of earlier attempts, so that smoothed figures go on where they were."""
        with self._guard:
            for record in records:
                self._rates.add(record)

    def restore(self, records: Sequence[steps.StepRecord]) -> None:
        """Takes the records of a training that was finished before."""
        if records:
            self.take(events.Step(record=records[-1], total_steps=records[-1].step))

    def add_checks(self, checks: Iterable[Check]) -> None:
        """Adds lines of the preflight; a later one of the same group and name replaces the earlier."""
        for check in checks:
            self.add_check(check)

    def add_check(self, check: Check) -> None:
        """Adds a line. Where there is no room, one that passed gives way to one that did not."""
        with self._guard:
            key = (check.group, check.name)
            if key not in self._checks and len(self._checks) >= MOST_CHECKS:
                passed = [each for each, found in self._checks.items() if found.result == "Pass"]
                if check.result == "Pass" or not passed:
                    return
                del self._checks[passed[-1]]
            self._checks[key] = check

    def add_last_check(self, check: Check) -> None:
        """Adds the line of what ends the run, unless a check of its group has said it."""
        with self._guard:
            told = [found for (group, _), found in self._checks.items() if group == check.group]
            if not any(found.result == "Fail" for found in told):
                self.add_check(check)

    def merge(self, payload: JsonObject) -> None:
        """Takes what a stage's result says about the data set and the values worked out."""
        with self._guard:
            effective, dataset = payload.get("effective"), payload.get("dataset")
            if isinstance(effective, dict):
                self._effective = {**self._effective, **_finite(effective)}
            if isinstance(dataset, dict):
                self._take_dataset(dataset)
            # Register may cut samples to length, or leave more of them out.
            more = {key: payload[key] for key in ("truncated", "excluded") if payload.get(key)}
            if more and self._dataset is not None:
                before = self._dataset.to_json_object()
                more["excluded"] = [*before.get("excluded", ()), *more.get("excluded", ())]
                self._take_dataset({**before, **more})

    def _take_dataset(self, value: JsonObject) -> None:
        try:
            self._dataset = DatasetStatus.model_validate(value)
        except ValidationError:
            self._note = "the data set's counts could not be read"

    def situation(self) -> diagnosing.Situation:
        """Returns what the rules of diagnosis may know beside curve and spec."""
        with self._guard:
            step, reason = self._step, self._failure.reason if self._failure else ""
            seen = self.gpus()
            return diagnosing.Situation(
                total_steps=step.total_steps if step is not None else None,
                num_samples=self._dataset.converted if self._dataset is not None else None,
                finished=self._outcome is Outcome.SUCCEEDED,
                out_of_memory=reason in (Reason.OUT_OF_MEMORY, Reason.GPU_OUT_OF_MEMORY),
                gpu_utilization=seen.utilization if seen is not None else None,
                gpu_memory_used=seen.memory_share if seen is not None else None,
            )

    def diagnosed(self, found: tuple[Diagnosis, ...]) -> None:
        """Takes what the curve shows. At the run's end it stays as lines of its checks."""
        with self._guard:
            self._diagnoses = found
            if self._outcome is not None:
                self.add_checks(diagnosing.checks_of(found))

    def set_outputs(self, outputs: Outputs) -> None:
        """Sets what the run has produced."""
        with self._guard:
            self._outputs = outputs

    def add_artifacts(self, **paths: str | None) -> None:
        """Adds paths to what the run has produced, or takes them away."""
        with self._guard:
            outputs = self._outputs or Outputs()
            artifacts = (outputs.artifacts or Artifacts()).model_copy(update=paths)
            self._outputs = outputs.model_copy(update={"artifacts": artifacts})

    def end(self, ending: endings.Ending | None) -> None:
        """Notes the end; `None` is success."""
        with self._guard:
            self._updated_at = self.now()
            if ending is None:
                self._outcome, self._message, self._note = Outcome.SUCCEEDED, "done", ""
                return
            self._outcome = ending.outcome
            self._message, self._note = ending.message[:512], ""
            if ending.outcome is not Outcome.STOPPED:
                self._failure = Failure(
                    reason=ending.reason[:64],
                    message=ending.message[:1024],
                    exit_code=int(endings.EXIT_CODES[ending.outcome]),
                    pod=self.pod_name[:253] or None,
                    log_tail=ending.log_tail[-2048:] if ending.log_tail else None,
                )

    @property
    def step(self) -> int:
        """The last trained step of this start; 0 before the first."""
        with self._guard:
            return self._step.record.step if self._step else 0

    def report(self) -> Report:
        """Returns the report of this moment."""
        with self._guard:
            return Report(
                run=self.run,
                pod_uid=self.pod_uid,
                pod_name=self.pod_name,
                stage=self._stage,
                message=self._words(),
                outcome=self._outcome,
                progress=self._progress(),
                dataset=self._dataset,
                effective=self._effective,
                checks=tuple(self._checks.values()),
                health=self._health(),
                outputs=self._outputs,
                failure=self._failure,
            )

    def _words(self) -> str:
        if self._outcome is not None:
            return self._message
        if self._stage is Stage.TRAIN and self._step is not None:
            record, note = self._step.record, f", {self._note}" if self._note else ""
            loss = f", loss {record.loss:.4g}" if record.loss is not None else ", loss not finite"
            return f"step {record.step} of {self._step.total_steps}{loss}{note}"[:512]
        words = self._note or self._message
        return (f"{words}: {self._done} of {self._total}" if self._total else words)[:512]

    def _progress(self) -> Progress:
        record = self._step.record if self._step else None
        trained = self._step is not None and self._stage in (Stage.TRAIN, Stage.COLLECT)
        total = self._total
        progress = Progress(
            stage=self._stage.value,
            done=self._done,
            total=total,
            percent=round(min(100.0, 100 * self._done / total), 1) if total else None,
            updated_at=_rfc3339(self._updated_at),
        )
        if not trained or record is None or self._step is None:
            return progress
        total_steps = self._step.total_steps
        seen = self.gpus()
        figures_now: dict[str, Any] = {
            "done": record.step,
            "total": total_steps,
            "step": record.step,
            "total_steps": total_steps,
            "percent": round(min(100.0, 100 * record.step / total_steps), 1) if total_steps else None,
            "epoch": record.epoch,
            "loss": record.loss,
            "smoothed_loss": self._rates.smoothed_loss,
            "eval_loss": self._eval_loss,
            "grad_norm": record.grad_norm,
            "learning_rate": record.learning_rate,
            "tokens_per_second": self._rates.tokens_per_second,
            "samples_per_second": self._rates.samples_per_second,
            "step_seconds_p50": self._rates.step_seconds(0.5),
            "step_seconds_p95": self._rates.step_seconds(0.95),
            "gpu_memory_gi_b": seen.memory / GIB if seen is not None else self._step.gpu_memory_gi_b,
            "gpu_utilization": seen.utilization if seen is not None else None,
            "remaining_seconds": self._rates.remaining_seconds(step=record.step, total_steps=total_steps),
            "non_finite": True if self._non_finite_at is not None else None,
        }
        return progress.model_copy(update=_finite(figures_now))

    def _health(self) -> Health:
        if self._non_finite_at is not None:
            message = explain(Reason.NON_FINITE_LOSS, step=self._non_finite_at)[:512]
            return Health(healthy=False, reason=Reason.NON_FINITE_LOSS, message=message)
        alarm = diagnosing.health_of(self._diagnoses)
        return alarm or Health(healthy=True, reason=Reason.HEALTHY, message=explain(Reason.HEALTHY))


def _finite(value: Any) -> Any:
    """Returns a JSON value without the numbers that JSON, and the API server, cannot hold."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items() if not _bad(item)}
    if isinstance(value, list):
        return [_finite(item) for item in value if not _bad(item)]
    return value


def _bad(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _rfc3339(seconds: float) -> str:
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
