"""The DeepSpeed configuration of a run: generated from `spec.deepspeed`, or the user's own, judged before.

A DeepSpeed mistake shows late and dear: without `stage3_gather_16bit_weights_on_model_save` a run of days
ends with exit code 0 and no weights; `offload_param` below stage 3 is accepted and ignored.
"""

from __future__ import annotations

import json
from functools import lru_cache

from sftrun_api.models import JsonObject
from sftrun_api.rules.about_deepspeed import GATHER
from sftrun_api.run_files import RunFile
from sftrun_api.specs import DeepSpeed, SFTRunSpec


def render(run_file: RunFile) -> str:
    """Returns the configuration as JSON: the same bytes for the same run file."""
    spec = run_file.spec
    if spec.deepspeed.config is not None:
        return _text(spec.deepspeed.config)
    return _generated_text(spec.deepspeed, spec.training.precision, spec.infrastructure.accelerator)


def configuration(spec: SFTRunSpec) -> JsonObject:
    """Returns the configuration. `auto` is filled in by transformers from LLaMA-Factory's own arguments."""
    if spec.deepspeed.config is not None:
        return spec.deepspeed.config
    return _generated(spec.deepspeed, spec.training.precision, spec.infrastructure.accelerator)


def _text(config: JsonObject) -> str:
    return json.dumps(config, indent=2, sort_keys=True, allow_nan=False) + "\n"


@lru_cache(maxsize=64)
def _generated_text(deepspeed: DeepSpeed, precision: str, accelerator: str) -> str:
    """Kept: nearly all runs have one of a few."""
    return _text(_generated(deepspeed, precision, accelerator))


def _generated(deepspeed: DeepSpeed, precision: str, accelerator: str) -> JsonObject:
    return {
        "train_batch_size": "auto",
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "zero_allow_untested_optimizer": True,
        "bf16": {"enabled": precision == "bf16"},
        "fp16": {
            "enabled": precision == "fp16",
            "loss_scale": 0,
            "loss_scale_window": 1000,
            "initial_scale_power": 16,
            "hysteresis": 2,
            "min_loss_scale": 1,
        },
        "zero_optimization": _zero(deepspeed, accelerator),
    }


def _zero(deepspeed: DeepSpeed, accelerator: str) -> JsonObject:
    stage = deepspeed.zero_stage
    zero: JsonObject = {"stage": stage}
    if stage > 0:
        zero |= {"overlap_comm": stage < 3, "contiguous_gradients": True, "reduce_bucket_size": "auto"}
    if stage in (1, 2):
        zero |= {
            "allgather_partitions": True,
            "allgather_bucket_size": 500_000_000,
            "reduce_bucket_size": 500_000_000,
            "reduce_scatter": True,
            "round_robin_gradients": True,
        }
    if stage == 3:
        zero |= {
            "sub_group_size": 1_000_000_000,
            "stage3_prefetch_bucket_size": "auto",
            "stage3_param_persistence_threshold": "auto",
            "stage3_max_live_parameters": 1_000_000_000,
            "stage3_max_reuse_distance": 1_000_000_000,
            GATHER: True,
        }
    host = {"device": "cpu", "pin_memory": accelerator == "GPU"}
    if deepspeed.offload_optimizer == "CPU" and stage > 0:
        zero["offload_optimizer"] = host
    if deepspeed.offload_parameters == "CPU" and stage == 3:
        zero["offload_param"] = host
    return zero
