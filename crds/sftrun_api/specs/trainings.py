"""`spec.training`: what LLaMA-Factory is told. Its own vocabularies pass through as they are."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sftrun_api.specs.sections import Section, always
from sftrun_api.specs.training_parts import Evaluation, Lora, Optimizer, Preference, Quantization, Save
from sftrun_api.specs.values import FilePath, Number, OpenMap, Switch, Whole, Word

LrSchedulerType = Literal[
    "linear",
    "cosine",
    "cosine_with_restarts",
    "polynomial",
    "constant",
    "constant_with_warmup",
    "inverse_sqrt",
    "reduce_lr_on_plateau",
    "cosine_with_min_lr",
    "cosine_warmup_with_min_lr",
    "warmup_stable_decay",
    "greedy",
]


class Training(Section):
    """The fine-tuning itself."""

    stage: Literal["sft", "dpo", "kto"] = Field(
        default="sft",
        description="sft: supervised fine-tuning. dpo, kto: preference training; dpo needs sources with "
        "ranking, kto records with a label (kto_tag).",
    )
    finetuning_type: Literal["full", "lora", "oft", "freeze"] = Field(
        default="full",
        description="What is trained: all weights, a LoRA or OFT adapter, or (freeze) the last layers.",
    )
    lora: Lora | None = Field(
        default=None, description="The LoRA adapter; finetuningType lora only. Absent: its defaults."
    )
    quantization: Quantization | None = Field(
        default=None,
        description="Load the model in few bits (QLoRA); finetuningType lora or oft only. Absent: not "
        "quantized.",
    )
    preference: Preference | None = Field(
        default=None, description="The loss of the stages dpo and kto. Absent: its defaults."
    )
    template: Word = Field(
        description="LLaMA-Factory's chat template, such as qwen3. It is compared with the model's own "
        "before training, because a wrong one trains on wrong markup."
    )
    enable_thinking: Switch | None = Field(
        default=None,
        description="LLaMA-Factory's enable_thinking, for templates with thoughts. Absent: true where the "
        "template has them.",
    )
    preserve_thinking: Switch | None = Field(
        default=None,
        description="Keep the thoughts of earlier turns in the history, where the template knows it. "
        "Absent: false.",
    )
    mask_history: Switch = Field(
        default=False, description="Train only the last answer of each sample; sft only."
    )
    train_on_prompt: Switch = Field(
        default=False, description="Train the prompt as well; sft only, and not with maskHistory."
    )
    cutoff_len: Whole = Field(
        default=32768,
        ge=16,
        le=16_777_216,
        description="The most tokens of a sample. Longer ones are treated as dataset.overlong says.",
    )
    rope_scaling: Literal["auto", "none", "linear", "dynamic", "yarn", "llama3"] = Field(
        default="auto",
        description="How the model is stretched beyond its native length. auto: yarn if cutoffLen is above "
        "it, else none.",
    )
    output_dir: FilePath | None = Field(
        default=None,
        description="One path segment, which becomes artifacts/model/<it> in the workspace; or an absolute "
        "path inside a mount. Absent: the run's name.",
    )
    existing_output: Literal["Fail", "Resume", "Overwrite"] = Field(
        default="Fail",
        description="What happens when the output folder already holds a checkpoint, weights or other "
        "files: Fail, Resume from the newest checkpoint (same namespace, name and training "
        "settings only), or Overwrite once.",
    )
    resume_from_checkpoint: FilePath | None = Field(
        default=None,
        description="A checkpoint of another run to start from. In the workspace, or absolute inside a "
        "mount.",
    )
    per_device_train_batch_size: Whole = Field(
        default=1, ge=1, le=65536, description="Samples a process trains at once."
    )
    gradient_accumulation_steps: Whole = Field(
        default=4,
        ge=1,
        le=65536,
        description="Batches whose gradients are added up before a step. The global batch is this x "
        "perDeviceTrainBatchSize x processes.",
    )
    learning_rate: Number | None = Field(
        default=None,
        gt=0,
        le=10,
        description="The peak learning rate. Absent: by finetuningType; the value used is in "
        "status.effective.",
    )
    num_train_epochs: Number = Field(
        default=3.0, gt=0, le=10_000, description="Passes over the data; maxSteps wins over it."
    )
    max_steps: Whole | None = Field(
        default=None,
        ge=1,
        le=1_000_000_000,
        description="Training ends after this many steps. Absent: numTrainEpochs decides.",
    )
    lr_scheduler_type: LrSchedulerType = Field(
        default="cosine", description="How the learning rate changes over the run, in transformers' words."
    )
    lr_scheduler_args: OpenMap = Field(
        default_factory=dict,
        description="Further settings of the scheduler, such as min_lr for cosine_with_min_lr.",
    )
    warmup_ratio: Number | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="The share of the steps over which the learning rate rises; not together with "
        "warmupSteps. Absent: 0.1, unless warmupSteps is given.",
    )
    warmup_steps: Whole | None = Field(
        default=None,
        ge=0,
        le=1_000_000_000,
        description="The number of steps over which the learning rate rises; not together with warmupRatio.",
    )
    weight_decay: Number = Field(default=0.01, ge=0, le=10, description="Weight decay of the optimizer.")
    max_grad_norm: Number = Field(
        default=1.0, ge=0, le=1e6, description="Gradients are clipped to this norm; 0: not clipped."
    )
    optimizer: Optimizer = Field(default_factory=always(Optimizer), description="The optimizer.")
    save: Save = Field(
        default_factory=always(Save), description="When checkpoints are written and which are kept."
    )
    evaluation: Evaluation | None = Field(
        default=None,
        description="How the validation data is used; needs dataset.validation. Absent: its defaults if "
        "there is validation data, else no evaluation.",
    )
    logging_steps: Whole = Field(
        default=1, ge=1, le=1_000_000, description="Steps between two lines of LLaMA-Factory's log."
    )
    precision: Literal["bf16", "fp16", "fp32"] = Field(
        default="bf16", description="The number format that is computed in."
    )
    flash_attn: Literal["auto", "disabled", "sdpa", "fa2"] = Field(
        default="auto",
        description="The attention kernel. fa2 fails where FlashAttention-2 is not installed, instead of "
        "falling back in silence.",
    )
    enable_liger_kernel: Switch | None = Field(
        default=None,
        description="Liger's fused kernels. Absent: on with GPUs where the model is supported.",
    )
    gradient_checkpointing: Literal["Unsloth", "Standard", "None"] | None = Field(
        default=None,
        description="Recompute activations to save memory: Unsloth (kept in the host's memory), Standard, "
        "or None. Absent: Unsloth with GPUs, Standard without.",
    )
    packing: Literal["None", "Isolated", "Joined"] = Field(
        default="None",
        description="Put several samples into one sequence; sft only. Isolated: they do not see each other "
        "(needs flashAttn fa2 and perDeviceTrainBatchSize 1). Joined: they do, which changes "
        "what is learnt.",
    )
    max_samples: Whole | None = Field(
        default=None,
        ge=1,
        le=1_000_000_000,
        description="The most samples of each data set, after conversion; for trials. Absent: all.",
    )
    preprocessing_num_workers: Whole | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="Processes that convert and tokenise. Absent: by the pod's CPUs.",
    )
    dataloader_num_workers: Whole | None = Field(
        default=None,
        ge=0,
        le=256,
        description="Processes a rank that load batches. Absent: worked out.",
    )
    seed: Whole = Field(
        default=42,
        ge=0,
        le=4_294_967_295,
        description="The seed of sampling, shuffling, splitting and training.",
    )
    ddp_timeout_seconds: Whole = Field(
        default=1800,
        ge=10,
        le=180_000_000,
        description="Seconds that a process waits for the others before it gives up. Tokenising does not "
        "count: it is done before.",
    )
    extra_args: OpenMap = Field(
        default_factory=dict,
        description="Every other argument of LLaMA-Factory, in its own spelling (neftune_noise_alpha: 5). "
        "Names, types and choices are checked. Arguments that a field of ours owns, and those "
        "that would undo our saving or reporting, are refused.",
    )


class DeepSpeed(Section):
    """How the training state is spread over the GPUs."""

    zero_stage: Literal[0, 1, 2, 3] = Field(
        default=3,
        description="ZeRO stage: 0 plain data parallel, 1 spreads optimizer states, 2 gradients too, 3 "
        "weights too.",
    )
    offload_optimizer: Literal["None", "CPU"] = Field(
        default="None",
        description="Keep optimizer states in the host's memory: slower, much less GPU memory.",
    )
    offload_parameters: Literal["None", "CPU"] = Field(
        default="None", description="Keep weights in the host's memory too; zeroStage 3 only."
    )
    config: OpenMap | None = Field(
        default=None,
        description="A whole DeepSpeed configuration instead of the generated one. With stage 3 it must "
        "gather 16-bit weights on save, or no loadable weights come out. Absent: generated from "
        "the other fields.",
    )
