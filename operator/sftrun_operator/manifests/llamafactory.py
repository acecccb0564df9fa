"""The LLaMA-Factory YAML of a run: what is told to LLaMA-Factory as far as the spec alone decides it.

What needs the model's files or the number of samples (rope parameters, data sets, steps between checkpoints,
the checkpoint to go on from) is settled by the trainer, which lays its values over these. Every value passes
through one filter that writes it as a quoted JSON value, so none can add a key; an undefined name is an
error, not an empty text; the same run file gives the same bytes.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import PurePosixPath
from typing import Any

import jinja2

from sftrun_api import names
from sftrun_api.models import JsonObject
from sftrun_api.run_files import RunFile
from sftrun_api.specs import SFTRunSpec
from sftrun_api.specs.training_parts import Evaluation, Lora, Preference

TEMPLATE_FILE = "llamafactory.yaml.j2"
GPU_DATALOADER_WORKERS = 4
COSINES_WITH_LEAST_RATE = ("cosine_with_min_lr", "cosine_warmup_with_min_lr")
OPTIMIZER = "adamw_torch"
EVALUATION_BATCH = 1
"""LLaMA-Factory's 8 would take 80 GB for the logits of long samples."""

_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
"""What JSON leaves as it is and YAML takes for a line break, or refuses."""
_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
_BARE_EXPONENT = re.compile(r"^(-?\d+)(e[-+]\d+)$")
"""`1e-05`, which YAML 1.1 reads as a text."""


def render(run_file: RunFile) -> str:
    """Returns the YAML. It holds no null: of `max_steps: null` LLaMA-Factory dies, the model loaded."""
    return _environment().get_template(TEMPLATE_FILE).render(_values(run_file))


def as_yaml(value: Any) -> str:
    """Returns a value as one line that JSON and YAML (1.1 and 1.2) read alike.

    Raises ValueError or TypeError on what JSON cannot hold.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        items = (f"{as_yaml(str(key))}: {as_yaml(item)}" for key, item in sorted(value.items()))
        return "{" + ", ".join(items) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(as_yaml(item) for item in value) + "]"
    text = str(value) if type(value) is int else _JSON.encode(value)
    if isinstance(value, float) and "e" in text:
        return _BARE_EXPONENT.sub(r"\1.0\2", text)
    if text.isprintable():  # nothing in it for `_UNPRINTABLE`
        return text
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


@cache
def _environment() -> jinja2.Environment:
    """Kept, with the compiled template: compiling it takes fifty times as long as rendering."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sftrun_operator", "manifests"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - no HTML: every value passes through the filter
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,  # else each rendering asks for the file's date
    )
    environment.filters["yaml"] = as_yaml
    return environment


def _values(run_file: RunFile) -> dict[str, Any]:
    spec, resolved = run_file.spec, run_file.resolved
    training = spec.training
    on_cpu = spec.infrastructure.accelerator == "CPU"
    hub = spec.model.hugging_face
    adapter = spec.model.adapter
    evaluation = training.evaluation or Evaluation()
    return {
        "spec": spec,
        "training": training,
        "resolved": resolved,
        "lora": training.lora or Lora(),
        "lora_alpha": lora_alpha(training.lora or Lora()),
        "optimizer": training.optimizer.name or OPTIMIZER,
        "evaluation_batch": evaluation.batch_size or EVALUATION_BATCH,
        "preference": training.preference or Preference(),
        "evaluation": evaluation,
        "evaluates": spec.dataset.validation is not None,
        "model": resolved.model_path or (hub.repo if hub else ""),
        "model_revision": hub.revision if hub else None,
        "adapter": str(PurePosixPath(resolved.workspace, adapter.path)) if adapter else None,
        "on_cpu": on_cpu,
        "dataloader_num_workers": dataloader_workers(spec),
        # LLaMA-Factory counts the best checkpoint in; our field counts those besides it.
        "save_total_limit": training.save.total_limit + (1 if evaluation.keep_best else 0),
        "report_to": "none" if spec.tracking.wandb.mode == "Disabled" else "wandb",
        "lr_scheduler_args": _scheduler_args(run_file),
        "warmup_steps": _warmup(run_file),
        "deepspeed_file": str(names.CONFIG_DIR / names.DEEPSPEED_FILE) if uses_deepspeed(run_file) else None,
    }


def uses_deepspeed(run_file: RunFile) -> bool:
    """Returns whether DeepSpeed trains; stage 0 is plain data parallel, without it."""
    return run_file.spec.deepspeed.config is not None or run_file.spec.deepspeed.zero_stage > 0


def dataloader_workers(spec: SFTRunSpec) -> int:
    """Returns how many processes a rank has that load batches."""
    given = spec.training.dataloader_num_workers
    if given is not None:
        return given
    return 0 if spec.infrastructure.accelerator == "CPU" else GPU_DATALOADER_WORKERS


def lora_alpha(lora: Lora) -> int:
    """Returns the adapter's alpha: written, or twice the rank."""
    return lora.alpha if lora.alpha is not None else 2 * lora.rank


def _scheduler_args(run_file: RunFile) -> JsonObject:
    """Returns the scheduler's settings. Under DeepSpeed a least rate becomes a share of the peak, because
    transformers divides it by `optimizer.defaults["lr"]`, which DeepSpeed's optimizers do not have."""
    args = dict(run_file.spec.training.lr_scheduler_args)
    least = args.get("min_lr")
    of_cosine = run_file.spec.training.lr_scheduler_type in COSINES_WITH_LEAST_RATE
    if (
        uses_deepspeed(run_file)
        and of_cosine
        and isinstance(least, int | float)
        and "min_lr_rate" not in args
    ):
        del args["min_lr"]
        args["min_lr_rate"] = float(f"{least / run_file.resolved.learning_rate:.12g}")
    return args


def _warmup(run_file: RunFile) -> int | float:
    """Returns `warmup_steps`, which LLaMA-Factory takes for a ratio below 1. `warmup_ratio` itself is never
    rendered: it would silently beat the steps."""
    resolved = run_file.resolved
    if resolved.warmup_steps is not None:
        return resolved.warmup_steps
    return resolved.warmup_ratio or 0
