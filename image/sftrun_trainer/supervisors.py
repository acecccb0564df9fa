"""The supervisor: takes the output folder, runs the stages one after another, and says how it ended.

`run` reads as a table of contents. Whatever happens, it leaves a truthful report, a termination message and
one of the four exit codes; SIGTERM never ends in 0.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path

from sftrun_api import names
from sftrun_api.models import JsonObject
from sftrun_api.reasons import Reason
from sftrun_api.reports import Outcome, Report, Stage
from sftrun_api.run_files import RunFile
from sftrun_api.statuses import Check
from sftrun_trainer import (
    confinements,
    curves,
    diagnosing,
    endings,
    expositions,
    figures,
    files,
    folders,
    gpu_watches,
    keeping,
    locks,
    markers,
    preflights,
    progress_server,
    reporting,
    runners,
    seals,
    shortenings,
    stages,
    step_tails,
    steps,
    tenancies,
    wakes,
    write_outs,
)
from sftrun_trainer.endings import Ending, fail, retry, stopped
from sftrun_trainer.preflight import findings
from sftrun_trainer.sayings import say
from sftrun_trainer.settings import Settings


class Supervisor:
    """One start of one attempt."""

    def __init__(
        self,
        *,
        run: RunFile,
        settings: Settings,
        programs: stages.Programs,
        wake: wakes.Wakes,
        pod_uid: str,
        pod_name: str = "",
    ) -> None:
        self._run = run
        self._settings = settings
        self._programs = programs
        self._wakes = wake
        self._folder = folders.of_run(run)
        self._owner = locks.owner_of(run.run, pod_uid)
        self._digest = markers.digest_of(run)
        self.account = reporting.Account(run=run.run, pod_uid=pod_uid, pod_name=pod_name, now=settings.now)
        self._steps = self._folder.state / steps.STEPS_FILE
        tail = step_tails.Tail(self._steps)
        self._curve = curves.CurveFile(tail=tail, run=run.run)
        self._diagnoser = diagnosing.Diagnoser(run=run, tail=tail, clock=settings.clock)
        self._runner = runners.Runner(
            run=run,
            settings=settings,
            programs=programs,
            wake=wake,
            folder=self._folder,
            owner=self._owner,
            account=self.account,
        )
        self._keeper = keeping.Keeper(
            run=run,
            settings=settings,
            programs=programs,
            folder=self._folder,
            owner=self._owner,
            account=self.account,
            began_at=settings.now(),
        )
        self._server: progress_server.ProgressServer | None = None
        self._lock: locks.Lock | None = None
        self._lock_lost = False
        self._sealer: seals.Sealer | None = None
        self._ledger: tenancies.Ledger | None = None
        self._stage = Stage.PREPARE
        self._confined = False
        """Whether all paths of the run are known to lie in its volumes."""
        self._results: dict[Stage, JsonObject] = {}
        self._redone = False
        """Whether a stage was really done in this start: what comes after it is done anew."""
        self._trained = False
        self._checkpoint: expositions.SavedCheckpoint | None = None
        self._deferred: Ending | None = None
        """What would have ended a run that trains; a dry run ends with it."""

    def run(self) -> int:
        """Does everything and returns the exit code. Never raises."""
        self._serve()
        ending = self._end(self._attempt())
        self._keep(ending)
        self._write_report()
        if ending is None:
            self._linger()
            if self._wakes.stopping:
                ending = self._end(stopped("stopped while the result was being collected"))
                self._keep(ending)
                self._write_report()
        write_termination_message(self._settings.termination_log, self._last_words(ending))
        if self._lock is not None:
            self._lock.release()
        if self._server is not None:
            self._server.stop()
        return int(endings.EXIT_CODES[ending.outcome if ending else Outcome.SUCCEEDED])

    def _attempt(self) -> Ending | None:
        """Works through all stages; returns how that ended, `None` for success."""
        try:
            self._begin()
            for stage in stages.WORK[self._run.spec.mode]:
                self._do(stage)
            if self._deferred is not None:
                raise self._deferred
            self._collect()
        except Ending as ending:
            return ending
        except locks.LockLost as error:
            return retry(Reason.LOCK_LOST, details=str(error))
        except OSError as error:
            return self._of_os_error(error)
        except Exception as error:
            traceback.print_exc()
            details = f"an error of the supervisor: {type(error).__name__}: {error}"
            return retry(Reason.CRASHED, stage=self._stage.value, details=details)
        return None

    def _end(self, ending: Ending | None) -> Ending | None:
        """Settles how the run ends, and notes it everywhere."""
        if self._wakes.stopping and (ending is None or ending.outcome is Outcome.RETRY):
            ending = stopped(f"stopped in stage {self._stage.value} at step {self.account.step}")
        if self._ledger is not None and not self._lock_lost:
            self._ledger.reached(stage=self._stage.value, step=self.account.step)
            ending = self._ledger.close(ending)
        if ending is not None and self._stage is not Stage.TRAIN:
            check = findings.failed(ending.reason, ending.message)
            if check is not None:
                self.account.add_last_check(check)
        self.account.end(ending)
        self._diagnose()
        say(f"ends: {ending.outcome.value}: {ending}" if ending else "ends: Succeeded")
        return ending

    def _last_words(self, ending: Ending | None) -> bytes:
        """Returns the termination message; the bare outcome when the report itself is what went wrong."""
        try:
            return shortenings.shorten(self.account.report())
        except Exception:
            traceback.print_exc()
            bare = reporting.Account(
                run=self._run.run, pod_uid=self._owner.pod_uid, pod_name="", now=self._settings.now
            )
            bare.enter(self._stage)
            bare.end(ending)
            return shortenings.shorten(bare.report())

    # The stages.

    def _begin(self) -> None:
        """Checks the environment and takes the output folder."""
        say(f"run {self._run.run.namespace}/{self._run.run.name}, attempt {self._run.run.attempt}")
        self.account.say("checking the environment")
        confinements.check(self._run, private=self._settings.credentials_dir)
        self._confined = True
        preflights.check_environment(
            self._run, credentials_dir=self._settings.credentials_dir, tell=self.account.add_check
        )
        self._look()
        lock = tenancies.take(
            run=self._run,
            folder=self._folder,
            owner=self._owner,
            settings=self._settings,
            wake=self._wakes,
            say=self.account.say,
        )
        self._lock = lock
        lock.start(self._on_lock_lost)
        tenancies.remove_leftovers(self._folder)
        decision = tenancies.settle_in(run=self._run, folder=self._folder)
        say(f"output folder {self._folder.root}: {decision}")
        ledger = tenancies.Ledger(
            run=self._run, folder=self._folder, pod_uid=self._owner.pod_uid, at=self._settings.now()
        )
        ledger.open()
        self._ledger = ledger
        self._trained = self._was_trained()
        kept = folders.newest_checkpoint(self._folder.root)
        known = [record for record in steps.read(self._steps).steps if record.step <= kept]
        self.account.resume(known[-figures.WINDOW :])

    def _look(self) -> None:
        """Looks at image and machine. A dry run goes on whatever is wrong with them, to tell the rest too."""
        try:
            self._programs.look(run=self._run, settings=self._settings, tell=self._tell)
        except Ending as ending:
            if self._run.spec.mode != "DryRun":
                raise
            self._deferred = ending

    def _tell(self, check: Check) -> None:
        """Tells what image and machine are like, in the log's first lines too: versions, GPUs, driver."""
        self.account.add_check(check)
        words = ": ".join(filter(None, (check.name, check.message)))
        say(f"{check.group.lower() if check.group != 'GPU' else 'GPU'} {check.result}: {words}")

    def _do(self, stage: Stage) -> None:
        """Brings one stage to its end, by its marker or by its child. Raises `Ending`."""
        self._stage = stage
        self.account.enter(stage)
        payload = self._finished(stage)
        if payload is None:
            say(names.stage_begins(stage.value))
            payload = self._run_child(stage)
            self._redone = True
            self._mark(stage, payload)
        self._results[stage] = payload
        self.account.merge(payload)
        digest = payload.get("trainingDigest")
        if stage is Stage.REGISTER and isinstance(digest, str):
            tenancies.check_digest(run=self._run, folder=self._folder, digest=digest)
        if self._wakes.stopping:
            raise stopped(f"stopped after stage {stage.value}")

    def _finished(self, stage: Stage) -> JsonObject | None:
        """Returns the payload of a stage that was finished before, if what it made is still there."""
        if self._redone:
            return None  # it was made from what has just been made again, perhaps otherwise
        if self._run.spec.mode == "DryRun":
            return None  # a check is worth what it finds now
        marker = self._marker(stage, with_files=not self._trained)
        if marker is None:
            return None
        payload = self._settle(stage, marker.payload)
        if payload is None:
            say(f"stage {stage.value} is done again: what it had made is gone")
            return None
        say(f"stage {stage.value} was finished before")
        self.account.add_checks(marker.checks)
        if stage is Stage.TRAIN:
            self.account.restore(steps.read(self._steps).steps)
        return payload

    def _marker(self, stage: Stage, *, with_files: bool = True) -> markers.Marker | None:
        uid, digest = self._run.run.uid, self._digest
        return markers.valid(self._folder.state, stage, uid=uid, digest=digest, with_files=with_files)

    def _was_trained(self) -> bool:
        """Returns whether training was finished before: what only training needs may then be gone."""
        train, register = (self._marker(stage, with_files=False) for stage in (Stage.TRAIN, Stage.REGISTER))
        if train is None or register is None:
            return False
        payload = self._programs.settle(
            Stage.TRAIN,
            run=self._run,
            folder=self._folder,
            earlier={Stage.REGISTER: register.payload},
            payload=train.payload,
        )
        return payload is not None

    def _settle(self, stage: Stage, payload: JsonObject | None) -> JsonObject | None:
        return self._programs.settle(
            stage, run=self._run, folder=self._folder, earlier=self._results, payload=payload
        )

    def _mark(self, stage: Stage, payload: JsonObject) -> None:
        """Notes durably that a stage is done. Raises `LockLost` and `OSError`."""
        self._check_lock()
        marker = markers.Marker(
            stage=stage,
            uid=self._run.run.uid,
            digest=self._digest,
            payload=payload,
            checks=self.account.report().checks,
        )
        markers.write(self._folder.state, marker)
        if self._ledger is not None:
            self._ledger.finished_stage()

    def _run_child(self, stage: Stage) -> JsonObject:
        """Runs the stage's child and returns its result. Raises `Ending`, `LockLost` and `OSError`."""
        sealer = seals.Sealer(failed=self._wakes.wake) if stage is Stage.TRAIN else None
        self._sealer = sealer
        with self._watching(stage):
            run = self._runner.run(stage, lost=self._is_lost, saved=self._saved)
        self._check_lock()
        payload = self._settle(stage, run.payload)
        if sealer is not None:
            write_outs.finish(
                sealer,
                outputs=self._folder.root if payload is not None else None,
                run=self._run,
                settings=self._settings,
                wake=self._wakes,
                lost=lambda: self._lock_lost,
            )
        if payload is None:
            raise self._runner.verdict(stage, run)
        return payload

    def _is_lost(self) -> bool:
        """Returns whether what the child writes is worth nothing any more."""
        return self._lock_lost or (self._sealer is not None and self._sealer.error is not None)

    @contextlib.contextmanager
    def _watching(self, stage: Stage) -> Iterator[None]:
        """Looks at the GPUs while training works on them."""
        if stage is not Stage.TRAIN or self._run.spec.infrastructure.accelerator != "GPU":
            yield
            return
        watch = gpu_watches.of_run(
            self._settings.environment,
            processes=self._run.resolved.processes_per_node,
            clock=self._settings.clock,
        )
        self.account.gpus = watch.figures
        watch.start()
        try:
            yield
        finally:
            watch.stop()

    def _saved(self, step: int) -> None:
        if self._sealer is not None:
            self._sealer.take(self._folder.root / f"checkpoint-{step}")
        self._checkpoint = expositions.SavedCheckpoint(step=step, at=self._settings.now())
        if self._ledger is not None:
            try:
                self._ledger.saved(step, stage=self._stage.value)
            except OSError as error:
                say(f"starts.json could not be written: {error}")

    def _collect(self) -> None:
        """Works out the result, writes it beside the weights, and serves it for a while."""
        self._stage = Stage.COLLECT
        self.account.enter(Stage.COLLECT)
        if Stage.TRAIN in self._results:
            outputs = self._programs.outputs(run=self._run, folder=self._folder)
            total = self._results[Stage.TRAIN].get("totalSteps")
            metrics = figures.metrics_of(
                steps.read(self._steps), total_steps=total if isinstance(total, int) else None
            )
            self.account.set_outputs(outputs.model_copy(update={"training_metrics": metrics}))
        self._check_lock()

    def _keep(self, ending: Ending | None) -> None:
        """Keeps pictures and archive of what has ended, where that may be written."""
        if not self._confined or self._lock_lost:
            return
        if self._lock is None and (ending is None or ending.outcome is not Outcome.FAILED):
            return  # another pod of the run may be at work, or the next one will be
        write_termination_message(self._settings.termination_log, self._last_words(ending))
        self._keeper.keep(draws=self._lock is not None, stopping=self._wakes.stopping)

    # What goes on beside the stages.

    def _serve(self) -> None:
        if self._settings.port is None:
            return
        sources = progress_server.Sources(
            report=self._report, curve=self._curve.read, checkpoint=lambda: self._checkpoint
        )
        try:
            self._server = progress_server.ProgressServer(
                sources=sources, port=self._settings.port, host=self._settings.host
            )
        except OSError as error:
            say(f"nobody can ask for progress: port {self._settings.port} cannot be used ({error})")
            return
        self._server.start()

    def _report(self) -> Report:
        """Returns what somebody who asks is told: with a look at the curve, when it is time for one."""
        if self._stage is Stage.TRAIN:
            self._diagnose()
        return self.account.report()

    def _diagnose(self) -> None:
        """Has the account say what the curve shows. A rule that fails costs the diagnosis, never the run."""
        try:
            self.account.diagnosed(self._diagnoser.look(self.account.situation()))
        except Exception:
            traceback.print_exc()

    def _on_lock_lost(self) -> None:
        self._lock_lost = True
        self._wakes.wake()

    def _check_lock(self) -> None:
        """Raises `LockLost` unless the folder is ours."""
        if self._lock is not None:
            try:
                self._lock.check()
            except locks.LockLost:
                self._lock_lost = True
                raise

    def _write_report(self) -> None:
        """Writes the report beside the weights, if the folder is ours."""
        if self._lock is None or self._lock_lost:
            return
        try:
            self._check_lock()
            files.write_json(self._folder.report, self.account.report().to_json_object())
        except (OSError, ValueError, locks.LockLost) as error:
            say(f"the report could not be written to {self._folder.report}: {error}")

    def _linger(self) -> None:
        """Goes on answering until the final curve was fetched; not at all where nobody ever asked."""
        server, clock = self._server, self._settings.clock
        if server is None or not server.asked.is_set():
            return
        until = clock() + self._settings.linger
        while clock() < until and not self._wakes.stopping and not server.final_curve_fetched.is_set():
            if server.final_progress_fetched.is_set():
                until = min(until, clock() + self._settings.linger_for_curve)
                server.final_progress_fetched.clear()
            self._wakes.wait(min(0.05, self._settings.look_every))

    def _of_os_error(self, error: OSError) -> Ending:
        if error.errno in (28, 122):  # ENOSPC, EDQUOT
            return retry(Reason.WORKSPACE_FULL, path=error.filename or self._folder.root)
        return retry(
            Reason.WORKSPACE_FAILED, path=error.filename or self._folder.root, details=error.strerror
        )


def write_termination_message(path: Path | None, message: bytes) -> None:
    """Writes where the kubelet looks: in place, because the file is a mount of its own. Never raises."""
    if path is None:
        return
    try:
        path.write_bytes(message)
    except OSError as error:
        say(f"the termination message could not be written to {path}: {error}")


def of_bad_run_file(details: str) -> Ending:
    """Returns the ending of a run file that cannot be read: the ConfigMap is immutable, so it stays so."""
    return fail(Reason.BAD_RUN_FILE, details=details)
