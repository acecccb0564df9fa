"""`spec` as a whole."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sftrun_api.specs.datasets import Dataset
from sftrun_api.specs.infrastructures import Infrastructure
from sftrun_api.specs.lifecycles import Lifecycle
from sftrun_api.specs.model_sources import ModelSource
from sftrun_api.specs.sections import Section, always
from sftrun_api.specs.sources import Mixing, Source
from sftrun_api.specs.trackings import Credentials, Tracking
from sftrun_api.specs.trainings import DeepSpeed, Training
from sftrun_api.specs.values import AtLeast, Switch, Whole, list_map, unique
from sftrun_api.specs.workspaces import Volume, Workspace


class SFTRunSpec(Section):
    """What the user wants: data, model, training, and where it runs."""

    mode: Literal["Train", "PrepareData", "DryRun"] = Field(
        default="Train",
        description="Train: the whole run. PrepareData: convert and register the data only. DryRun: all "
        "checks, no training.",
    )
    suspend: Switch = Field(
        default=False,
        description="True stops the run after a checkpoint and gives its GPUs back; false again goes on "
        "from there. Always mutable.",
    )
    restart_request: Whole = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="Raise it by one to run a failed run again. Always mutable; it only rises.",
    )
    sources: Annotated[tuple[Source, ...], Field(max_length=16), AtLeast(1)] = Field(
        description="Where the training data comes from."
    )
    mixing: Mixing = Field(
        default_factory=always(Mixing), description="How several sources become one data set."
    )
    dataset: Dataset = Field(
        default_factory=always(Dataset), description="The data set that the sources become."
    )
    model: ModelSource = Field(description="What is fine-tuned: exactly one of path, huggingFace.")
    training: Training = Field(description="The fine-tuning itself.")
    deepspeed: DeepSpeed = Field(
        default_factory=always(DeepSpeed), description="How the training state is spread over the GPUs."
    )
    infrastructure: Infrastructure = Field(
        default_factory=always(Infrastructure), description="What the pod gets and where it may run."
    )
    workspace: Workspace = Field(
        description="The volume that the run reads from and writes to; all relative paths lie in it."
    )
    volumes: Annotated[
        tuple[Volume, ...], Field(max_length=32), list_map("mountPath"), unique("mount_path")
    ] = Field(default=(), description="Further volumes, for models and data.")
    tracking: Tracking = Field(default_factory=always(Tracking), description="Where curves go.")
    credentials: Credentials = Field(
        default_factory=always(Credentials),
        description="References to Secrets. Their values appear in no object, log or process list.",
    )
    lifecycle: Lifecycle = Field(
        default_factory=always(Lifecycle),
        description="How long a run may take and how often it is tried. Always mutable.",
    )
