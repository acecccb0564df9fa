"""Models and runs to estimate: configs as published with the models, and a run as it is resolved."""

from __future__ import annotations

import copy
from typing import Any

from tests.crds.samples import GONE, MINIMAL, changed

from sftrun_api.estimates import Estimate, estimate
from sftrun_api.run_files import ResolvedValues
from sftrun_api.specs import SFTRunSpec

GIB = 1 << 30
QWEN3_8B: dict[str, Any] = {
    "model_type": "qwen3",
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 151936,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
LLAMA31_8B: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "tie_word_embeddings": False,
}
LLAMA31_70B = LLAMA31_8B | {
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
}
DEEPSEEK_V3 = {
    "model_type": "deepseek_v3",
    "hidden_size": 7168,
    "intermediate_size": 18432,
    "moe_intermediate_size": 2048,
    "num_hidden_layers": 61,
    "num_attention_heads": 128,
    "num_key_value_heads": 128,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "first_k_dense_replace": 3,
    "q_lora_rank": 1536,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "vocab_size": 129280,
}
QWEN25_72B = LLAMA31_70B | {"model_type": "qwen2", "intermediate_size": 29568, "vocab_size": 152064}
QWEN3_32B = QWEN3_8B | {
    "hidden_size": 5120,
    "intermediate_size": 25600,
    "num_hidden_layers": 64,
    "num_attention_heads": 64,
}
QWEN3_MOE = {
    "model_type": "qwen3_moe",
    "hidden_size": 2048,
    "num_hidden_layers": 48,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "head_dim": 128,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "moe_intermediate_size": 768,
    "intermediate_size": 6144,
    "vocab_size": 151936,
}


def spec(**changes: Any) -> SFTRunSpec:
    """Returns a run on eight GPUs; `changes` by dotted path with `__` for dots."""
    base = changed(MINIMAL, {"infrastructure.gpusPerNode": 8})
    return SFTRunSpec.model_validate(
        changed(base, {path.replace("__", "."): _own(value) for path, value in changes.items()})
    )


def _own(value: Any) -> Any:
    """Returns a copy that further changes may be written into."""
    return value if value is GONE else copy.deepcopy(value)


def resolved(run: SFTRunSpec, **values: Any) -> ResolvedValues:
    """Returns what the operator works out for the run."""
    training, gpus = run.training, run.infrastructure.gpus_per_node or 0
    on_gpu = run.infrastructure.accelerator == "GPU"
    processes = run.infrastructure.processes_per_node or (gpus if on_gpu else 1)
    known: dict[str, Any] = {
        "workspace": "/workspace",
        "output_dir": "/workspace/artifacts/model/run",
        "dataset_name": "run",
        "run_name": "run",
        "gpus_per_node": gpus,
        "processes_per_node": processes,
        "learning_rate": training.learning_rate or (1e-4 if training.finetuning_type == "lora" else 1e-5),
        "warmup_ratio": _warmup(run),
        "warmup_steps": training.warmup_steps,
        "global_batch_size": training.per_device_train_batch_size
        * training.gradient_accumulation_steps
        * processes,
        "gradient_checkpointing": training.gradient_checkpointing or ("Unsloth" if on_gpu else "Standard"),
        "enable_liger_kernel": on_gpu
        if training.enable_liger_kernel is None
        else training.enable_liger_kernel,
        "preprocessing_num_workers": 1,
    }
    return ResolvedValues.model_validate(known | values)


def _warmup(run: SFTRunSpec) -> float | None:
    ratio = run.training.warmup_ratio
    return None if run.training.warmup_steps is not None else 0.1 if ratio is None else ratio


def estimated(
    config: object, *, gpu_gib: float | None = 80, index: object = None, **changes: Any
) -> Estimate:
    """Estimates a run of the changed sample spec."""
    run = spec(**changes)
    memory = int(gpu_gib * GIB) if gpu_gib is not None else None
    return estimate(run, config, resolved=resolved(run), index=index, gpu_memory=memory)
