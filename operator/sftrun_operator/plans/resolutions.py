"""What the operator works out where the spec leaves it open: the values pinned in `status.effective`.

Worked out once, at acceptance, and reused by every later attempt: a newer operator with other defaults must
not change a run half-way. Learning rates are those of LLaMA-Factory's own examples: 1e-5 for full and freeze,
1e-4 for adapters, and a tenth or less of it for preference training, whose loss moves the model away from a
reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

from pydantic import ValidationError

from sftrun_api.counts import gpu_count, process_count
from sftrun_api.models import JsonObject, field_names
from sftrun_api.rules.about_data import REASONING_TEMPLATES
from sftrun_api.run_files import ResolvedValues
from sftrun_api.specs import Lora, SFTRunSpec, Training
from sftrun_operator.manifests import llamafactory, resources
from sftrun_operator.manifests.resources import cpus, uses_gpus

MOST_WORKERS = 16
WARMUP_RATIO = 0.1

_ADAPTER_RATES = {"sft": 1.0e-4, "dpo": 5.0e-6, "kto": 5.0e-6}
_WEIGHT_RATES = {"sft": 1.0e-5, "dpo": 5.0e-7, "kto": 5.0e-7}


def resolve(spec: SFTRunSpec, *, name: str) -> ResolvedValues:
    """Works the open values out for the run called `name`."""
    training = spec.training
    gpus = gpu_count(spec)
    processes = process_count(spec)
    on_gpus = uses_gpus(spec, gpus)
    checkpointing = training.gradient_checkpointing
    liger = training.enable_liger_kernel
    return ResolvedValues(
        workspace=spec.workspace.mount_path,
        output_dir=output_dir(spec, name=name),
        model_path=in_workspace(spec, spec.model.path) if spec.model.path is not None else None,
        dataset_name=spec.dataset.name or name,
        run_name=spec.tracking.run_name or name,
        gpus_per_node=gpus,
        processes_per_node=processes,
        learning_rate=training.learning_rate
        if training.learning_rate is not None
        else _learning_rate(training),
        warmup_ratio=_warmup_ratio(training),
        warmup_steps=training.warmup_steps,
        global_batch_size=training.per_device_train_batch_size
        * training.gradient_accumulation_steps
        * processes,
        gradient_checkpointing=checkpointing or ("Unsloth" if on_gpus else "Standard"),
        enable_liger_kernel=liger if liger is not None else on_gpus,
        enable_thinking=_enable_thinking(training),
        preprocessing_num_workers=training.preprocessing_num_workers or min(cpus(spec, gpus), MOST_WORKERS),
    )


def restore(effective: Mapping[str, Any]) -> ResolvedValues | None:
    """Returns the values that `status.effective` holds, `None` where it does not hold them all."""
    try:
        return ResolvedValues.model_validate(dict(effective))
    except (ValidationError, RecursionError):
        return None


def shown(spec: SFTRunSpec, resolved: ResolvedValues) -> JsonObject:
    """Returns what `status.effective` holds: the pinned values, and those that only rendering works out."""
    sizes = resources.sizes(spec, resolved)
    training = spec.training
    evaluation = training.evaluation.batch_size if training.evaluation is not None else None
    rendered: JsonObject = {
        "optimizer": training.optimizer.name or llamafactory.OPTIMIZER,
        "dataloaderNumWorkers": llamafactory.dataloader_workers(spec),
        "sharedMemory": sizes.shared_memory,
        "resources": {"requests": sizes.requests, "limits": sizes.limits},
    }
    if training.finetuning_type == "lora":
        rendered["loraAlpha"] = llamafactory.lora_alpha(training.lora or Lora())
    if spec.dataset.validation is not None:
        rendered["evalBatchSize"] = evaluation or llamafactory.EVALUATION_BATCH
    return rendered | allowed(spec) | resolved.to_json_object()


ALLOWED = ("queueName", "priorityClassName")
"""What the policy has allowed of the fields that change while suspended, beside `status.image`: kept so that
a change of it is noticed."""


def allowed(spec: SFTRunSpec) -> JsonObject:
    """Returns what the spec says of `ALLOWED`."""
    asked = spec.infrastructure
    values = {"queueName": asked.queue_name, "priorityClassName": asked.priority_class_name}
    return {key: value for key, value in values.items() if value is not None}


_RENDERED = ("optimizer", "dataloaderNumWorkers", "sharedMemory", "resources", "loraAlpha", "evalBatchSize")
PINNED = frozenset((*field_names(ResolvedValues), *_RENDERED, *ALLOWED))
"""Keys of `status.effective` that the operator alone writes, whatever a report says."""


def output_dir(spec: SFTRunSpec, *, name: str) -> str:
    """Returns the output folder as the pod sees it."""
    asked = spec.training.output_dir or name
    if asked.startswith("/"):
        return asked
    return f"{_below(spec.workspace.mount_path, 'artifacts/model')}/{asked}"


def in_workspace(spec: SFTRunSpec, path: str) -> str:
    """Returns a path of the spec as the pod sees it: relative ones lie in the workspace."""
    return _below(spec.workspace.mount_path, path)


@lru_cache(maxsize=256)
def _below(folder: str, path: str) -> str:
    return str(PurePosixPath(folder) / path)


def _learning_rate(training: Training) -> float:
    by_stage = _ADAPTER_RATES if training.finetuning_type in ("lora", "oft") else _WEIGHT_RATES
    return by_stage[training.stage]


def _enable_thinking(training: Training) -> bool | None:
    """LLaMA-Factory's own default, where the template has thoughts at all."""
    if training.enable_thinking is None and training.template in REASONING_TEMPLATES:
        return True
    return training.enable_thinking


def _warmup_ratio(training: Training) -> float | None:
    if training.warmup_steps is not None:
        return None
    return training.warmup_ratio if training.warmup_ratio is not None else WARMUP_RATIO
