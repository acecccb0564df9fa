"""`status`: the truth about a run, written by the operator alone.

What comes from the pod (progress, outputs, checks, failure) passes through these models before it is written,
so every text and number is bounded here to what the API server takes: one value that it refuses would fail
the whole write.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema

from sftrun_api.models import OpenModel
from sftrun_api.specs.values import OpenMap, list_map

Phase = Literal[
    "Pending",
    "Queued",
    "Preparing",
    "Training",
    "Collecting",
    "Suspending",
    "Suspended",
    "Succeeded",
    "Failed",
    "Rejected",
]
ConditionType = Literal[
    "Accepted", "DataReady", "Running", "ProgressAvailable", "Healthy", "Suspended", "Succeeded", "Failed"
]
CheckResult = Literal["Pass", "Warn", "Fail"]
MAX_COUNT = 2**53 - 1
"""The largest whole number that every JSON reader keeps exactly."""
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Path = Annotated[str, Field(max_length=1024)]
Name = Annotated[str, Field(max_length=253)]
Word = Annotated[str, Field(max_length=64)]
Time = Annotated[str, Field(max_length=64)]
"""RFC 3339, UTC. No format in the schema: a pod's clock must not be able to fail a status write."""


class Condition(OpenModel):
    """A condition after Kubernetes' API conventions."""

    type: Annotated[
        ConditionType,
        WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[A-Z]"}),
    ] = Field(
        description="What the condition is about: Accepted, DataReady, Running, ProgressAvailable, Healthy, "
        "Suspended, Succeeded or Failed."
    )
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: Word = Field(description="Why, in one word for programs.")
    message: Annotated[str, Field(max_length=1024)] = Field(
        default="", description="Why, in words for people, with what to do about it."
    )
    last_transition_time: Time = Field(description="When the status last changed.")
    observed_generation: Count | None = Field(
        default=None, description="The metadata.generation that the condition speaks of."
    )


class Excluded(OpenModel):
    """Trajectories left out for one reason."""

    reason: Word = Field(description="Why they were left out, in one word.")
    count: Count = Field(description="How many.")


class DatasetStatus(OpenModel):
    """What became of the sources."""

    name: Name = Field(description="The data set's name.")
    path: Path | None = Field(default=None, description="The file with the records, as seen in the pod.")
    digest: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="The digest of inputs and options that the records were made from."
    )
    converted: Count = Field(default=0, description="Records that came out, those for validation included.")
    excluded: Annotated[tuple[Excluded, ...], Field(max_length=64)] = Field(
        default=(), description="Trajectories that were left out, by reason."
    )
    validation: Count = Field(default=0, description="Records held back for validation.")
    truncated: Count = Field(default=0, description="Records cut to training.cutoffLen.")


class Progress(OpenModel):
    """Where the run stands. `done` and `total` are in units of the stage (trajectories, samples, steps)."""

    stage: Annotated[str, Field(max_length=32)] = Field(
        description="What the pod is doing: Prepare, Register, Train or Collect."
    )
    done: Count = Field(default=0, description="How much of the stage is done, in its own units.")
    total: Count | None = Field(default=None, description="How much there is to do. Absent: not known yet.")
    percent: Annotated[float, Field(ge=0, le=100)] | None = Field(
        default=None, description="Share of the stage that is done, from 0 to 100."
    )
    step: Count | None = Field(default=None, description="The last training step.")
    total_steps: Count | None = Field(default=None, description="Training steps of the whole run.")
    epoch: float | None = Field(default=None, description="Passes over the data so far.")
    loss: float | None = Field(default=None, description="The loss of the last logged step.")
    smoothed_loss: float | None = Field(default=None, description="A moving average of the loss.")
    eval_loss: float | None = Field(default=None, description="The last validation loss.")
    grad_norm: float | None = Field(
        default=None, description="The norm of the gradients at the last logged step."
    )
    learning_rate: float | None = Field(
        default=None, description="The learning rate at the last logged step."
    )
    tokens_per_second: float | None = Field(
        default=None, description="Tokens trained a second, all processes."
    )
    samples_per_second: float | None = Field(
        default=None, description="Samples trained a second, all processes."
    )
    step_seconds_p50: float | None = Field(default=None, description="Median seconds of a recent step.")
    step_seconds_p95: float | None = Field(
        default=None, description="Seconds that 95 of 100 recent steps stay below."
    )
    gpu_memory_gi_b: float | None = Field(
        default=None, alias="gpuMemoryGiB", description="Peak memory in use on the fullest GPU, in GiB."
    )
    gpu_utilization: float | None = Field(
        default=None, description="How busy the GPUs are, from 0 to 100, on average."
    )
    remaining_seconds: Count | None = Field(
        default=None, description="Estimated seconds to the end of the stage, from recent steps."
    )
    non_finite: bool | None = Field(
        default=None, description="True when a figure was not a number or infinite and was left out here."
    )
    updated_at: Time | None = Field(default=None, description="When this was written.")


class BestCheckpoint(OpenModel):
    """The checkpoint with the best metric; retention never deletes it."""

    path: Path = Field(description="The checkpoint's folder.")
    step: Count = Field(description="The step it was written at.")
    metric: Word = Field(description="The metric it was judged by.")
    value: float = Field(description="The metric's value.")


class TrainingMetrics(OpenModel):
    """Final figures over all attempts. `meanTrainLoss` is the mean over all steps, from our own callback;
    `finalLoss` the mean of the last logged steps (a tenth of the run, at most 20)."""

    final_loss: float | None = Field(
        default=None, description="Mean loss of the last logged steps (a tenth of the run, at most 20)."
    )
    mean_train_loss: float | None = Field(
        default=None, description="Mean loss over all steps of all attempts."
    )
    eval_loss: float | None = Field(default=None, description="The last validation loss.")
    total_steps: Count | None = Field(default=None, description="Steps trained, over all attempts.")
    train_runtime_seconds: float | None = Field(
        default=None, description="Seconds of training, over all attempts."
    )


class Artifacts(OpenModel):
    """Paths of files that people look for."""

    train_results: Path | None = Field(default=None, description="LLaMA-Factory's train_results.json.")
    train_loss_plot: Path | None = Field(
        default=None, description="LLaMA-Factory's picture of the loss curve."
    )
    curves_plot: Path | None = Field(
        default=None,
        description="One page with losses, learning rate and restarts over all attempts, for print.",
    )
    training_log: Path | None = Field(default=None, description="LLaMA-Factory's trainer_log.jsonl.")
    report: Path | None = Field(default=None, description="Our account of the run, sftrun-report.json.")
    archive: Path | None = Field(
        default=None,
        description="The archive of the last attempt that ended: object, logs, curve, versions; no weights.",
    )


class TrainingCurves(OpenModel):
    """Where the curves are on Weights & Biases."""

    wandb_run_id: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, alias="wandbRunID", description="The run's id on Weights & Biases."
    )
    url: Path | None = Field(default=None, description="The run's page.")


class Outputs(OpenModel):
    """What the run has produced, as paths in the pod's mounts."""

    checkpoint_path: Path | None = Field(default=None, description="The newest checkpoint.")
    best_checkpoint: BestCheckpoint | None = Field(
        default=None, description="The checkpoint with the best validation loss; retention never deletes it."
    )
    model_path: Path | None = Field(default=None, description="The folder with loadable weights.")
    training_metrics: TrainingMetrics | None = Field(
        default=None, description="Final figures, over all attempts."
    )
    artifacts: Artifacts | None = Field(default=None, description="Paths of files that people look for.")
    training_curves: TrainingCurves | None = Field(
        default=None, description="Where the curves are on Weights & Biases."
    )


class Check(OpenModel):
    """One line of the preflight."""

    group: Word = Field(description="The group of checks, such as model or wandb.")
    name: Word = Field(description="The check's name in its group.")
    result: CheckResult = Field(description="Pass, Warn (the run goes on) or Fail (it does not).")
    message: Annotated[str, Field(max_length=512)] = Field(
        default="", description="What was found, and what to do about it."
    )


class Failure(OpenModel):
    """Why a run failed, in words a user can act on."""

    reason: Word = Field(description="Why the run failed, in one word for programs.")
    message: Annotated[str, Field(max_length=1024)] = Field(
        description="Why, in words for people: which field, which file, what to do."
    )
    exit_code: Annotated[int, Field(ge=-(2**31), le=2**31 - 1)] | None = Field(
        default=None, description="The trainer's exit code, where it ended by itself."
    )
    pod: Name | None = Field(default=None, description="The pod that failed.")
    log_tail: Annotated[str, Field(max_length=2048)] | None = Field(
        default=None, description="The end of the failed stage's log, without secrets."
    )


class MemoryEnding(OpenModel):
    """Where the last container that was killed for memory stood: a second one no further on ends the run."""

    pod: Name = Field(description="The pod that was killed.")
    stage: Annotated[str, Field(max_length=32)] = Field(default="", description="The stage it was in.")
    step: Count = Field(default=0, description="The training step it was at.")
    count: Count = Field(default=1, description="How many of the attempt's pods have ended so.")


class Display(OpenModel):
    """Texts for printer columns, which cannot compute."""

    progress: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="Share of the stage that is done, such as 41%."
    )
    loss: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="The loss of the last logged step."
    )
    eta: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="Estimated time to the end of the stage, such as 53m."
    )
    gpus: Count | None = Field(default=None, description="GPUs that the run holds or asks for.")


class SFTRunStatus(OpenModel):
    """The whole status. Keys that we do not know (a newer operator's) are left alone on the server."""

    observed_generation: Count | None = Field(
        default=None, description="The metadata.generation that this status speaks of."
    )
    phase: Phase | None = Field(
        default=None,
        description="Where the run stands, in one word for people, derived from the conditions. Programs "
        "read those.",
    )
    message: Annotated[str, Field(max_length=1024)] | None = Field(
        default=None, description="What happens now, or why it ended, in words for people."
    )
    display: Display | None = Field(default=None, description="Texts for the columns of kubectl get.")
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16), list_map("type")] = Field(
        default=(), description="The run's conditions; each has a reason and a message."
    )
    attempt: Count = Field(
        default=0, description="The attempt, counted from 1; each is one Job. 0: none yet."
    )
    handled_restart_request: Count | None = Field(
        default=None, description="The last spec.restartRequest that was acted on."
    )
    retries: Count = Field(default=0, description="Failures of this attempt that were tried again.")
    spec_hash: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="The digest of the accepted spec, its mutable fields left out."
    )
    image: Annotated[str, Field(max_length=512)] | None = Field(
        default=None,
        description="The trainer's image: fixed at acceptance, replaced only by one given while suspended.",
    )
    effective: OpenMap = Field(
        default_factory=dict,
        description="Values worked out where the spec left them open, such as learningRate or totalSteps.",
    )
    job_name: Name | None = Field(default=None, description="The attempt's Job.")
    job_uid: Word | None = Field(default=None, alias="jobUID", description="The uid of the attempt's Job.")
    pod_name: Name | None = Field(default=None, description="The attempt's newest pod.")
    node_name: Name | None = Field(default=None, description="The node that the pod runs on.")
    start_time: Time | None = Field(default=None, description="When the trainer first started.")
    completion_time: Time | None = Field(default=None, description="When the run ended.")
    dataset: DatasetStatus | None = Field(default=None, description="What became of the sources.")
    progress: Progress | None = Field(
        default=None,
        description="Where the pod stands; written when the stage, the step or the health changed.",
    )
    outputs: Outputs | None = Field(
        default=None, description="What the run has produced, as seen in the pod."
    )
    checks: Annotated[tuple[Check, ...], Field(max_length=64), list_map("group", "name")] = Field(
        default=(), description="Findings of the checks before and during the run."
    )
    failure: Failure | None = Field(default=None, description="Why the run failed.")
    out_of_memory: MemoryEnding | None = Field(
        default=None, description="Where a container was last killed for memory."
    )
