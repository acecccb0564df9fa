"""The programs of the real stages: conversion by `sftrun_data`, training by LLaMA-Factory under torchrun."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

from sftrun_api.models import JsonObject
from sftrun_api.reasons import Reason
from sftrun_api.reports import Outcome, Stage
from sftrun_api.run_files import RunFile
from sftrun_api.statuses import Artifacts, Check, Outputs, TrainingCurves
from sftrun_trainer import checkpoints, launches, results, stages, wandb_runs
from sftrun_trainer.calls import ChildCall, StageFailure
from sftrun_trainer.endings import Ending
from sftrun_trainer.folders import OutputFolder
from sftrun_trainer.plots import drawing
from sftrun_trainer.preflight import places
from sftrun_trainer.settings import Settings


class LlamaFactoryPrograms:
    """What the pod runs."""

    def look(self, *, run: RunFile, settings: Settings, tell: Callable[[Check], None]) -> None:
        """Looks at image and GPUs: a later attempt may have others. Raises `Ending`."""
        places.look(settings.run_file, run=run, environment=settings.environment, tell=tell)

    def program(
        self, stage: Stage, *, call: ChildCall, run: RunFile, environment: Mapping[str, str]
    ) -> stages.Program:
        """Returns what to start for a stage; for Train also clears what would mislead LLaMA-Factory."""
        if stage is not Stage.TRAIN:
            return stages.Program(argv=stages.module_argv(stage, call), environment=environment)
        try:
            checkpoint = checkpoints.to_resume_from(run)
        except StageFailure as failure:
            outcome = Outcome.FAILED if failure.final else Outcome.RETRY
            raise Ending(outcome=outcome, reason=failure.reason, message=failure.message) from failure
        resume: Path | None = checkpoint.path if checkpoint else None
        launch = launches.build(call=call, run=run, resume=resume, base=environment)
        # torchrun would give its ranks 30 s after SIGTERM and then kill them: they are told themselves.
        return stages.Program(argv=launch.argv, environment=launch.environment, stop_children=True)

    def settle(
        self,
        stage: Stage,
        *,
        run: RunFile,
        folder: OutputFolder,
        earlier: Mapping[Stage, JsonObject],
        payload: JsonObject | None,
    ) -> JsonObject | None:
        """Training is judged by what lies on disk, whatever its processes said; the others by their word."""
        if stage is not Stage.TRAIN:
            return payload
        total_steps = earlier.get(Stage.REGISTER, {}).get("totalSteps")
        outcome = results.judge(
            run, state_dir=folder.state, total_steps=total_steps if isinstance(total_steps, int) else 0
        )
        if outcome.reason is Reason.WEIGHTS_MISSING and payload is None:
            # It came to its end and left nothing; a marker's payload means that somebody removed them since.
            raise Ending(outcome=Outcome.FAILED, reason=outcome.reason, message=outcome.message)
        if not outcome.succeeded:
            return None
        return {"totalSteps": outcome.step, "endedEarly": outcome.stopped_early}

    def outputs(self, *, run: RunFile, folder: OutputFolder) -> Outputs:
        """Returns what training has produced."""
        found = results.outputs(run)
        artifacts = (found.artifacts or Artifacts()).model_copy(update={"report": str(folder.report)})
        return found.model_copy(update={"artifacts": artifacts, "training_curves": _curves(run, folder)})

    def plot(self, *, run: RunFile, folder: OutputFolder, settings: Settings) -> str:
        """Has the page of the curves drawn by a child."""
        return drawing.draw(run, folder=folder, run_file=settings.run_file, environment=settings.environment)


def _curves(run: RunFile, folder: OutputFolder) -> TrainingCurves | None:
    """Returns where the curves are on Weights & Biases: as the server said, else by what the spec says."""
    wandb = run.spec.tracking.wandb
    if wandb.mode == "Disabled":
        return None
    begun = wandb_runs.read(folder.state)
    if begun is not None:
        return TrainingCurves(wandb_run_id=begun.run_id[:128], url=begun.url[:1024] if begun.url else None)
    run_id = wandb.run_id or run.run.uid
    url = None
    if wandb.mode == "Online" and wandb.entity and wandb.project:
        base = (wandb.base_url or "https://wandb.ai").rstrip("/")
        url = f"{base}/{quote(wandb.entity)}/{quote(wandb.project)}/runs/{quote(run_id)}"
    return TrainingCurves(wandb_run_id=run_id, url=url)
