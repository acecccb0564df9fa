"""One stage's child from its start to its end: environment, log, events, stalls, and what its end means."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sftrun_api.models import JsonObject
from sftrun_api.reports import Stage
from sftrun_api.run_files import RunFile
from sftrun_trainer import (
    children,
    environments,
    events,
    heartbeats,
    locks,
    logs,
    oom,
    redactions,
    reporting,
    stages,
    verdicts,
    wakes,
)
from sftrun_trainer.calls import ChildCall
from sftrun_trainer.endings import Ending
from sftrun_trainer.folders import OutputFolder
from sftrun_trainer.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a child ended, and what it said."""

    ending: children.ChildEnding
    silent_for: float
    payload: JsonObject | None
    """Of its `Result`, `None` without one."""
    failure: events.Failure | None


class Runner:
    """Runs children for the supervisor."""

    def __init__(
        self,
        *,
        run: RunFile,
        settings: Settings,
        programs: stages.Programs,
        wake: wakes.Wakes,
        folder: OutputFolder,
        owner: locks.Owner,
        account: reporting.Account,
    ) -> None:
        self._run = run
        self._settings = settings
        self._programs = programs
        self._wakes = wake
        self._folder = folder
        self._owner = owner
        self._account = account
        self._redact = redactions.redactor_for(settings.credentials_dir)

    def run(self, stage: Stage, *, lost: Callable[[], bool], saved: Callable[[int], None]) -> Ran:
        """Runs the stage's child to its end.

        `lost` is asked all the time and ends it; `saved` is told of each complete checkpoint. Raises `Ending`
        when it cannot be started, and `OSError`.
        """
        watch = _Watch(
            account=self._account,
            settings=self._settings,
            lost=lost,
            saved=saved,
            beats=heartbeats.Heartbeats(
                clock=self._settings.clock,
                timeout=self._run.spec.lifecycle.stall_timeout_seconds,
                folder=self._folder.root if stage is Stage.TRAIN else None,
            ),
        )
        with tempfile.TemporaryDirectory(prefix="sftrun-") as temporary:
            call = ChildCall(
                run_file=self._settings.run_file,
                state_dir=self._folder.state,
                events=Path(temporary) / "events",
            )
            order = self._order(stage, call)
            log = logs.Log(path=self._log_path(stage), redact=self._redact)
            try:
                child = children.Child(order=order, log=log, wake=self._wakes)
                ending = child.run(beats=watch.beats, take=watch.take, abandon=watch.abandon)
            finally:
                log.close()
        return Ran(
            ending=ending,
            silent_for=watch.beats.silent_for,
            payload=watch.result.payload if watch.result is not None else None,
            failure=watch.failure,
        )

    def verdict(self, stage: Stage, ran: Ran) -> Ending:
        """Returns how the run ends after a child that did not finish its stage."""
        return verdicts.judge(
            stage=stage,
            step=self._account.step,
            ending=ran.ending,
            failure=ran.failure,
            silent_for=ran.silent_for,
            folder=self._folder.root,
            model=_model_of(self._run),
            memory_limit=oom.memory_limit(),
        )

    def _order(self, stage: Stage, call: ChildCall) -> children.Order:
        settings = self._settings
        environment = environments.child_environment(
            run=self._run,
            stage=stage,
            base=settings.environment,
            pod_uid=self._owner.pod_uid,
            credentials_dir=settings.credentials_dir,
        )
        program = self._programs.program(stage, call=call, run=self._run, environment=environment)
        grace = settings.grace(self._run.spec.lifecycle.termination_grace_period_seconds)
        return children.Order(
            argv=program.argv,
            environment=program.environment,
            events=call.events,
            hide=self._redact.in_events,
            stop_children=program.stop_children,
            grace=grace if stage is Stage.TRAIN else min(grace, settings.quick_grace),
            look_every=settings.look_every,
        )

    def _log_path(self, stage: Stage) -> Path:
        name = f"{self._owner.attempt}-{self._owner.pod_uid}-{stage.value.lower()}.log"
        return self._folder.logs / name.replace("/", "_")


def _model_of(run: RunFile) -> str:
    hub = run.spec.model.hugging_face
    return run.resolved.model_path or (hub.repo if hub is not None else "the model")


class _Watch:
    """What is kept of one child while it runs."""

    def __init__(
        self,
        *,
        account: reporting.Account,
        settings: Settings,
        lost: Callable[[], bool],
        saved: Callable[[int], None],
        beats: heartbeats.Heartbeats,
    ) -> None:
        self._account = account
        self._settings = settings
        self._lost = lost
        self._saved = saved
        self._result_at = 0.0
        self.beats = beats
        self.result: events.Result | None = None
        self.failure: events.Failure | None = None

    def take(self, event: events.Event) -> None:
        """Takes an event of the child."""
        self._account.take(event)
        match event:
            case events.Result():
                self.result, self._result_at = event, self._settings.clock()
            case events.Failure():
                self.failure = event
            case events.Saved():
                self._saved(event.step)

    def abandon(self) -> bool:
        """Returns whether the child is to be killed: the folder is another's, or it is done and does not
        exit."""
        waited = self._settings.clock() - self._result_at
        return self._lost() or (self.result is not None and waited > self._settings.exit_within)
