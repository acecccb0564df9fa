"""Will it fit: parameters and memory against published figures, verdicts, remedies."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.crds.estimate_samples import (
    DEEPSEEK_V3,
    GIB,
    LLAMA31_8B,
    LLAMA31_70B,
    QWEN3_8B,
    QWEN3_32B,
    QWEN3_MOE,
    QWEN25_72B,
    estimated,
    resolved,
    spec,
)

from sftrun_api.estimates import Estimate, checks, estimate, shapes, states
from sftrun_api.estimates.settings import settings_of

PUBLISHED: list[tuple[str, dict[str, Any], float]] = [
    ("Qwen3-8B", QWEN3_8B, 8.19),
    ("Qwen3-32B", QWEN3_32B, 32.8),
    ("Qwen3-30B-A3B", QWEN3_MOE, 30.5),
    ("Llama-3.1-8B", LLAMA31_8B, 8.03),
    ("Llama-3.1-70B", LLAMA31_70B, 70.6),
    ("Qwen2.5-72B", QWEN25_72B, 72.7),
    (
        "Mistral-7B",
        LLAMA31_8B | {"model_type": "mistral", "vocab_size": 32000},
        7.24,
    ),
    (
        "Mixtral-8x7B",
        LLAMA31_8B | {"model_type": "mixtral", "vocab_size": 32000, "num_local_experts": 8},
        46.7,
    ),
    (
        "gemma-2-9b",
        {
            "model_type": "gemma2",
            "hidden_size": 3584,
            "intermediate_size": 14336,
            "num_hidden_layers": 42,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "head_dim": 256,
            "vocab_size": 256000,
        },
        9.24,
    ),
    (
        "GLM-4-9B-0414",
        {
            "model_type": "glm4",
            "hidden_size": 4096,
            "intermediate_size": 13696,
            "num_hidden_layers": 40,
            "num_attention_heads": 32,
            "num_key_value_heads": 2,
            "head_dim": 128,
            "vocab_size": 151552,
        },
        9.4,
    ),
    ("DeepSeek-V3", DEEPSEEK_V3, 671.0),
    (
        "gpt-oss-20b",
        {
            "model_type": "gpt_oss",
            "hidden_size": 2880,
            "intermediate_size": 2880,
            "num_hidden_layers": 24,
            "num_attention_heads": 64,
            "num_key_value_heads": 8,
            "head_dim": 64,
            "num_local_experts": 32,
            "num_experts_per_tok": 4,
            "vocab_size": 201088,
        },
        20.9,
    ),
]


@pytest.mark.parametrize(("name", "config", "billions"), PUBLISHED)
def test_parameters_are_the_published_ones(name: str, config: dict[str, Any], billions: float) -> None:
    found = shapes.size(config)
    assert found.parameters is not None
    assert found.parameters / 1e9 == pytest.approx(billions, rel=0.005), name
    assert found.notes == ()


ZERO_TABLE = [
    # Rajbhandari et al. 2019, table 1: GB of model states a device for 7.5 B parameters.
    (1, 1, 120),
    (4, 1, 52.5),
    (4, 2, 41.3),
    (4, 3, 30),
    (16, 1, 35.6),
    (16, 2, 21.6),
    (16, 3, 7.5),
    (64, 0, 120),
    (64, 1, 31.4),
    (64, 2, 16.6),
    (64, 3, 1.88),
]


@pytest.mark.parametrize(("processes", "stage", "gigabytes"), ZERO_TABLE)
def test_model_states_are_those_of_the_zero_paper(processes: int, stage: int, gigabytes: float) -> None:
    run = spec(
        infrastructure__gpusPerNode=min(processes, 64),
        infrastructure__processesPerNode=processes,
        deepspeed__zeroStage=stage,
    )
    counted = states.Counts(total=7_500_000_000, trained=7_500_000_000, quantized=0, largest=0)
    found = states.states(counted, settings_of(run, resolved=resolved(run)))
    assert found.on_device / 1e9 == pytest.approx(gigabytes, rel=0.01)


FITS = [
    # Published: LLaMA-Factory's table of hardware (README), and papers named beside the rows.
    ("8B full on 8 x 80 GB", "Fits", QWEN3_8B, 80, {}),
    ("8B full on one 80 GB", "Impossible", QWEN3_8B, 80, {"infrastructure__gpusPerNode": 1}),
    ("72B full on 8 x 80 GB", "Impossible", QWEN25_72B, 80, {}),
    (
        "72B LoRA on 8 x 80 GB",
        "Fits",
        QWEN25_72B,
        80,
        {"training__finetuningType": "lora", "training__cutoffLen": 8192},
    ),
    (
        "8B LoRA on one 24 GB",
        "Fits",
        LLAMA31_8B,
        24,
        {
            "infrastructure__gpusPerNode": 1,
            "training__finetuningType": "lora",
            "training__cutoffLen": 2048,
        },
    ),
    (
        "8B QLoRA on one 12 GB",
        "Fits",
        LLAMA31_8B,
        12,
        {
            "infrastructure__gpusPerNode": 1,
            "training__finetuningType": "lora",
            "training__quantization": {},
            "training__cutoffLen": 2048,
            "deepspeed__zeroStage": 0,
        },
    ),
    (
        "70B QLoRA on one 48 GB (Dettmers et al. 2023: 65B)",
        "Fits",
        LLAMA31_70B,
        48,
        {
            "infrastructure__gpusPerNode": 1,
            "training__finetuningType": "lora",
            "training__quantization": {},
            "training__cutoffLen": 512,
            "deepspeed__zeroStage": 0,
        },
    ),
    (
        "70B QLoRA on one 24 GB",
        "Impossible",
        LLAMA31_70B,
        24,
        {
            "infrastructure__gpusPerNode": 1,
            "training__finetuningType": "lora",
            "training__quantization": {},
            "training__cutoffLen": 512,
            "deepspeed__zeroStage": 0,
        },
    ),
    ("8B, 32k tokens, no fused loss", "Unlikely", QWEN3_8B, 80, {"training__enableLigerKernel": False}),
    ("8B, no checkpointing", "Unlikely", QWEN3_8B, 80, {"training__gradientCheckpointing": "None"}),
    ("8B plain data parallel", "Impossible", QWEN3_8B, 80, {"deepspeed__zeroStage": 0}),
    ("8B, nobody knows the GPU", "Unknown", QWEN3_8B, None, {}),
]


@pytest.mark.parametrize(("name", "verdict", "config", "gpu", "changes"), FITS)
def test_verdicts(
    name: str, verdict: str, config: dict[str, Any], gpu: float | None, changes: dict[str, Any]
) -> None:
    assert estimated(config, gpu_gib=gpu, **changes).verdict == verdict, name


def test_figures_that_people_quote() -> None:
    run = spec(dataset__validation={"fraction": 0.1})
    found = estimate(run, QWEN3_8B, resolved=resolved(run))
    assert found.evaluation is not None
    # 32,768 tokens x 151,936 words x 2 bytes are 10 GB; the loss in 32 bits takes four times as much more.
    assert found.evaluation.size("logits") == 5 * 32768 * 151936 * 2
    assert found.gpu.size("logits") < found.evaluation.size("logits") / 10
    full = estimated(LLAMA31_8B).disk
    large = estimated(LLAMA31_70B).disk
    assert full is not None and large is not None
    assert full.checkpoint / 1e9 == pytest.approx(112, rel=0.02)
    assert full.weights / 1e9 == pytest.approx(16, rel=0.01)
    assert large.checkpoint / 1e9 == pytest.approx(980, rel=0.02)
    assert full.most == 3 * full.checkpoint + full.weights


def test_what_each_setting_saves() -> None:
    base = estimated(QWEN3_8B)
    table = {
        "batch": (estimated(QWEN3_8B, training__perDeviceTrainBatchSize=4), "activations", 4.0),
        "cutoff": (estimated(QWEN3_8B, training__cutoffLen=8192), "activations", 0.25),
        "freeze": (estimated(QWEN3_8B, training__finetuningType="freeze"), "optimizer", 2 / 36 * 0.847),
        "sharding": (estimated(QWEN3_8B, infrastructure__gpusPerNode=4), "optimizer", 2.0),
        "fp32": (estimated(QWEN3_8B, training__precision="fp32"), "weights", 2.0),
        "8-bit Adam": (
            estimated(QWEN3_8B, training__optimizer={"name": "adamw_8bit"}),
            "optimizer",
            6.1 / 12,
        ),
    }
    for name, (other, part, ratio) in table.items():
        assert other.gpu.size(part) / base.gpu.size(part) == pytest.approx(ratio, rel=0.02), name


def _named(found: Estimate) -> list[str]:
    return [remedy.change for remedy in found.remedies]


def test_remedies_come_in_the_order_of_what_they_cost() -> None:
    found = estimated(
        QWEN3_8B,
        gpu_gib=40,
        training__perDeviceTrainBatchSize=4,
        infrastructure__gpusPerNode=4,
    )
    assert found.verdict == "Unlikely"
    assert _named(found)[:4] == [
        "perDeviceTrainBatchSize 1 with 4 times the gradientAccumulationSteps",
        "cutoffLen 16384",
        "deepspeed.offloadOptimizer CPU",
        "deepspeed.offloadOptimizer CPU with offloadParameters CPU",
    ]
    assert _named(found)[4] == "finetuningType lora of rank 8"
    before = found.gpu.total
    assert all(remedy.needed < before for remedy in found.remedies)


def test_more_is_offloaded_only_where_the_optimizer_is_not_enough() -> None:
    enough = _named(estimated(QWEN3_8B, gpu_gib=80, infrastructure__gpusPerNode=1))
    too_little = _named(estimated(QWEN3_32B, gpu_gib=40, infrastructure__gpusPerNode=1))
    assert "deepspeed.offloadOptimizer CPU" in enough
    assert "deepspeed.offloadOptimizer CPU with offloadParameters CPU" not in enough
    assert "deepspeed.offloadOptimizer CPU with offloadParameters CPU" in too_little
    plain = _named(estimated(QWEN3_8B, gpu_gib=80, deepspeed__zeroStage=0))
    assert plain[-2:] == [
        "deepspeed.zeroStage 3 with offloadOptimizer CPU",
        "finetuningType lora of rank 8",
    ]


def test_a_remedy_is_what_the_changed_spec_is_estimated_at() -> None:
    found = estimated(QWEN3_32B, gpu_gib=80)
    by_change = {remedy.change: remedy for remedy in found.remedies}
    offloaded = estimated(QWEN3_32B, gpu_gib=80, deepspeed__offloadOptimizer="CPU")
    assert by_change["deepspeed.offloadOptimizer CPU"].needed == offloaded.gpu.total
    lora = estimated(QWEN3_32B, gpu_gib=80, training__finetuningType="lora")
    assert by_change["finetuningType lora of rank 8"].needed == lora.gpu.total


def test_where_no_change_is_enough_all_of_them_are_tried() -> None:
    found = estimated(QWEN25_72B, gpu_gib=24, infrastructure__gpusPerNode=1)
    assert not any(remedy.fits for remedy in found.remedies[:-1])
    assert " and " in found.remedies[-1].change
    lines = checks(found)
    assert any(line.result == "Fail" and "Not enough by itself" in line.message for line in lines)


UNCERTAIN: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("BAdam", {}, {"training__extraArgs": {"use_badam": True}}),
    ("GaLore", {}, {"training__extraArgs": {"use_galore": True}}),
    ("an optimizer nobody knows here", {}, {"training__optimizer": {"name": "lomo"}}),
    ("files that are quantized", {"quantization_config": {"quant_method": "gptq"}}, {}),
    ("weights that may stay in 16 bits", {}, {"training__precision": "fp32"}),
    (
        "tensor parallelism",
        {},
        {
            "deepspeed__config": {
                "tensor_parallel": {"autotp_size": 4},
                "zero_optimization": {"stage": 2},
            }
        },
    ),
    (
        "masters in 16 bits",
        {},
        {
            "deepspeed__config": {
                "bf16": {"enabled": True, "bf16_master_weights_and_grads": True},
                "zero_optimization": {"stage": 2},
            }
        },
    ),
]


@pytest.mark.parametrize(("name", "config", "changes"), UNCERTAIN, ids=[row[0] for row in UNCERTAIN])
def test_only_what_is_certain_is_refused(name: str, config: dict[str, Any], changes: dict[str, Any]) -> None:
    found = estimated(QWEN25_72B | config, gpu_gib=24, **changes)
    assert (found.verdict, found.impossible) == ("Unlikely", ())
    assert estimated(QWEN25_72B, gpu_gib=24).verdict == "Impossible"


def test_whole_modules_beside_an_adapter_are_trained() -> None:
    lora: dict[str, Any] = {"training__finetuningType": "lora"}
    whole = estimated(QWEN3_8B, **lora, training__extraArgs={"additional_target": "embed_tokens,lm_head"})
    assert (whole.trainable or 0) - (estimated(QWEN3_8B, **lora).trainable or 0) == 2 * 151936 * 4096


def test_preference_training_loads_a_reference_model() -> None:
    ranked: dict[str, Any] = {
        "sources": [{"files": {"paths": ["a.json"], "ranking": True}}],
        "training__stage": "dpo",
        "training__cutoffLen": 2048,
    }
    full = estimated(QWEN3_8B, **ranked)
    assert full.gpu.size("reference model") == full.gpu.size("weights")
    withouts: list[dict[str, Any]] = [
        {"training__finetuningType": "lora"},
        {"training__preference": {"loss": "orpo"}},
        {"training__preference": {"loss": "simpo"}},
    ]
    for without in withouts:
        assert estimated(QWEN3_8B, **ranked, **without).gpu.size("reference model") == 0


def test_on_cpus_everything_lies_in_the_pods_memory() -> None:
    run = spec(
        infrastructure__accelerator="CPU",
        infrastructure__gpusPerNode=0,
        infrastructure__processesPerNode=2,
        infrastructure__resources={"limits": {"memory": "16Gi"}},
    )
    found = estimate(run, QWEN3_8B, resolved=resolved(run))
    assert found.gpu.parts == () and found.evaluation is None
    assert found.host.floor == pytest.approx(16 * 8.19e9, rel=0.01)
    assert [each.resource for each in found.impossible] == ["host memory"]


def test_offloading_asks_the_host() -> None:
    run = spec(deepspeed__offloadOptimizer="CPU", infrastructure__resources={"limits": {"memory": "100Gi"}})
    found = estimate(run, QWEN3_8B, resolved=resolved(run), gpu_memory=80 * GIB)
    # Pinned memory is not always counted against a pod's limit: likely, not certain.
    assert found.verdict == "Unlikely" and not found.impossible
    message = next(line.message for line in checks(found) if line.name == "host memory")
    assert "limits.memory" in message


def test_the_longest_sample_goes_before_the_cutoff() -> None:
    run = spec()
    short = estimate(run, QWEN3_8B, resolved=resolved(run), longest=4096)
    assert short.gpu.size("activations") == estimated(QWEN3_8B, training__cutoffLen=4096).gpu.size(
        "activations"
    )


def test_the_checkpoint_is_held_against_the_grace_period() -> None:
    found = estimated(LLAMA31_70B, training__finetuningType="full")
    by_grace = {
        grace: next(line for line in checks(found, grace_seconds=grace) if line.name == "checkpoint size")
        for grace in (600, 7200)
    }
    assert by_grace[600].result == "Warn"
    assert "terminationGracePeriodSeconds" in by_grace[600].message
    assert by_grace[7200].result == "Pass"


def test_deepspeeds_own_configuration_is_read() -> None:
    config = {
        "zero_optimization": {
            "stage": 3,
            "stage3_gather_16bit_weights_on_model_save": True,
            "offload_optimizer": {"device": "cpu"},
            "stage3_max_live_parameters": 3e7,
            "sub_group_size": "auto",
        }
    }
    mine = estimated(QWEN3_8B, deepspeed__config=config)
    assert mine.gpu.size("optimizer") == 0
    assert mine.gpu.size("gathered weights") < estimated(QWEN3_8B).gpu.size("gathered weights")


def test_evaluation_may_need_more_than_training() -> None:
    found = estimated(QWEN3_8B, gpu_gib=48, dataset__validation={"fraction": 0.1})
    by_resource = {each.resource: each.verdict for each in found.judged}
    assert (by_resource["GPU memory"], by_resource["GPU memory in evaluation"]) == ("Fits", "Unlikely")
    line = next(line for line in checks(found) if line.name == "GPU memory in evaluation")
    assert "logits 46.4 GiB" in line.message
    (cutoff,) = re.findall(r"cutoffLen (\d+) \(", line.message)
    fitting, longer = (
        estimated(
            QWEN3_8B,
            gpu_gib=48,
            dataset__validation={"fraction": 0.1},
            training__cutoffLen=int(cutoff) + more,
        ).verdict
        for more in (0, 1024)
    )
    assert (fitting, longer) == ("Fits", "Unlikely")
