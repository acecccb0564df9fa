"""The nested parts of `spec.training`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sftrun_api.specs.sections import Section
from sftrun_api.specs.values import AtLeast, Number, Switch, Text, Whole, Word

ModuleName = Annotated[Text, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.*]+$")]
Beta = Annotated[Number, Field(ge=0, lt=1)]


class Lora(Section):
    """A LoRA adapter."""

    rank: Whole = Field(default=8, ge=1, le=4096, description="The adapter's rank.")
    alpha: Whole | None = Field(
        default=None, ge=1, le=65536, description="The adapter's scale is alpha / rank. Absent: 2 x rank."
    )
    dropout: Number = Field(default=0.0, ge=0, lt=1, description="Dropout of the adapter's input.")
    target: Annotated[tuple[ModuleName, ...], Field(max_length=64), AtLeast(1)] = Field(
        default=("all",), description="The modules that get an adapter; all: every linear one."
    )
    rslora: Switch = Field(
        default=False, description="Rank-stabilised LoRA: scale by alpha / the rank's square root."
    )
    dora: Switch = Field(default=False, description="Weight-decomposed LoRA.")


class Quantization(Section):
    """Weights in few bits, under an adapter."""

    bits: Literal[4, 8] = Field(default=4, description="Bits a weight, by bitsandbytes; under ZeRO-3 only 4.")
    type: Literal["nf4", "fp4"] = Field(default="nf4", description="The 4-bit number format.")
    double: Switch = Field(default=True, description="Quantize the scales too (4 bits).")


class Preference(Section):
    """The loss of preference training."""

    loss: Literal["sigmoid", "hinge", "ipo", "kto_pair", "orpo", "simpo"] = Field(
        default="sigmoid", description="LLaMA-Factory's pref_loss; stage dpo only."
    )
    beta: Number = Field(
        default=0.1, gt=0, le=100, description="How strongly the model is held to the reference."
    )
    ftx: Number = Field(default=0.0, ge=0, le=100, description="Weight of an added supervised loss.")


class Optimizer(Section):
    """The optimizer."""

    name: Word | None = Field(
        default=None, description="The optimizer in transformers' words. Absent: adamw_torch."
    )
    betas: Annotated[tuple[Beta, ...], Field(max_length=2), AtLeast(2)] | None = Field(
        default=None, description="Adam's two decay rates. Absent: 0.9 and 0.999."
    )
    epsilon: Number | None = Field(default=None, gt=0, le=1, description="Adam's epsilon. Absent: 1e-8.")


class Save(Section):
    """When checkpoints are written and which are kept. A full checkpoint takes about 14 bytes a parameter."""

    steps: Whole | None = Field(
        default=None,
        ge=1,
        le=1_000_000_000,
        description="Steps between two checkpoints. Absent: a tenth of the run.",
    )
    every_minutes: Number | None = Field(
        default=None,
        gt=0,
        le=100_000,
        description="Also write a checkpoint when this many minutes have passed since the last. Absent: no "
        "such rule.",
    )
    total_limit: Whole = Field(
        default=2,
        ge=1,
        le=1000,
        description="Checkpoints that are kept besides the best. A full one of an 8B model is 112 GB, of a "
        "70B model 980 GB.",
    )
    only_model: Switch = Field(
        default=False,
        description="Write weights without optimizer states: small, but nobody can resume from them.",
    )


class EarlyStopping(Section):
    """Ends the run when the validation loss no longer falls."""

    patience: Whole = Field(
        default=3, ge=1, le=1000, description="Evaluations without an improvement before the run ends."
    )
    threshold: Number = Field(default=0.0, ge=0, le=100, description="The least improvement that counts.")


class Evaluation(Section):
    """How the validation data is used."""

    steps: Whole | None = Field(
        default=None,
        ge=1,
        le=1_000_000_000,
        description="Steps between two evaluations. Absent: those between two checkpoints.",
    )
    batch_size: Whole | None = Field(
        default=None,
        ge=1,
        le=65536,
        description="Samples a process evaluates at once. Absent: 1, because the logits of one sample of "
        "32,768 tokens can take 10 GB.",
    )
    on_start: Switch = Field(
        default=False, description="Evaluate before the first step too, as the point to compare with."
    )
    early_stopping: EarlyStopping | None = Field(
        default=None, description="End the run when the validation loss no longer falls. Absent: never."
    )
    keep_best: Switch = Field(
        default=False,
        description="Keep the checkpoint with the least validation loss, and make the result from it.",
    )
