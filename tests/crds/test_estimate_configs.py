"""What an estimate makes of a model's config and files: unknown, nested, quantized, hostile."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.crds.estimate_samples import (
    DEEPSEEK_V3,
    GIB,
    QWEN3_8B,
    QWEN3_MOE,
    estimated,
    resolved,
)
from tests.crds.samples import MINIMAL, changed

from sftrun_api.estimates import checks, estimate, shapes
from sftrun_api.estimates.values import gib
from sftrun_api.specs import WITHOUT_RULES, SFTRunSpec

INDEX = {"metadata": {"total_size": 16_381_470_720}}
HOSTILE: list[tuple[object, object, str]] = [
    (None, None, "config.json is not known"),
    ([], None, "config.json is not known"),
    ({}, None, "config.json is not known"),
    ("config", None, "config.json is not known"),
    ({"model_type": "mamba9"}, None, "mamba9"),
    ({"model_type": "mamba9"}, {"metadata": {}}, "no total_size"),
    ({"model_type": "mamba9"}, {"metadata": {"total_size": -5}}, "no total_size"),
    ({"model_type": "mamba9"}, {"metadata": {"total_size": "16"}}, "no total_size"),
    ({"model_type": "mamba9"}, {"weight_map": {}}, "no total_size"),
    ({"model_type": ["llama"]}, None, "without a model_type"),
    (QWEN3_8B | {"hidden_size": "4096"}, None, "hidden_size is '4096'"),
    (QWEN3_8B | {"hidden_size": -1}, None, "hidden_size is -1"),
    (QWEN3_8B | {"hidden_size": 1e300}, None, "hidden_size is 1e+300"),
    (QWEN3_8B | {"hidden_size": float("nan")}, None, "hidden_size is nan"),
    (QWEN3_8B | {"num_hidden_layers": True}, None, "num_hidden_layers is True"),
    (QWEN3_8B | {"num_hidden_layers": 10**40}, None, "num_hidden_layers is 1"),
    (QWEN3_8B | {"vocab_size": {}}, None, "vocab_size is a dict"),
    ({key: value for key, value in QWEN3_8B.items() if key != "vocab_size"}, None, "vocab_size is missing"),
    ({key: value for key, value in QWEN3_8B.items() if key != "hidden_size"}, None, "hidden_size is missing"),
]


@pytest.mark.parametrize(("config", "index", "said"), HOSTILE)
def test_what_cannot_be_read_is_said(config: object, index: object, said: str) -> None:
    found = estimated(config, index=index)
    assert found.verdict == "Unknown"
    assert found.parameters is None
    lines = checks(found)
    assert [(line.group, line.name, line.result) for line in lines] == [("Model", "size", "Warn")]
    assert said in lines[0].message


def test_an_unknown_architecture_is_estimated_from_its_files() -> None:
    found = estimated({"model_type": "mamba9", "torch_dtype": "bfloat16"}, index=INDEX)
    assert found.parameters == 8_190_735_360
    assert any("size of its files" in note for note in found.notes)
    assert any("not counted" in note for note in found.notes)
    alone = estimated({"model_type": "mamba9"}, index=INDEX, infrastructure__gpusPerNode=1)
    assert alone.verdict == "Unlikely"
    wide = estimated({"model_type": "mamba9", "dtype": "float32"}, index=INDEX)
    assert wide.parameters == 8_190_735_360 // 2


def test_a_language_model_in_a_larger_one_is_counted_with_its_surroundings() -> None:
    text = {key: value for key, value in QWEN3_8B.items() if key != "tie_word_embeddings"}
    nested = {
        "model_type": "qwen3_vl",
        "tie_word_embeddings": False,
        "text_config": text | {"model_type": "qwen3_vl_text"},
    }
    plain = shapes.size(QWEN3_8B).parameters
    assert shapes.size(nested).parameters == plain
    tower = {"metadata": {"total_size": 2 * (plain or 0) + 1_200_000_000}}
    found = estimated(nested, index=tower)
    assert found.parameters == (plain or 0) + 600_000_000
    assert found.trainable == plain


def test_older_configs_lay_the_language_model_flat() -> None:
    flat = QWEN3_8B | {"model_type": "qwen2_vl", "vision_config": {"depth": 32}}
    plain = shapes.size(flat).parameters or 0
    found = estimated(flat, index={"metadata": {"total_size": 2 * plain + 1_400_000_000}})
    assert (found.parameters, found.trainable) == (plain + 700_000_000, plain)


def test_quantized_files_are_said_once() -> None:
    fp8 = QWEN3_8B | {"quantization_config": {"quant_method": "fp8"}}
    notes = shapes.size(fp8, index={"metadata": {"total_size": 8_200_000_000}}).notes
    assert len(notes) == 1 and "quantized" in notes[0]


def test_tied_embeddings_are_counted_once() -> None:
    tied = shapes.size(QWEN3_8B | {"tie_word_embeddings": True}).parameters
    untied = shapes.size(QWEN3_8B).parameters
    assert (untied or 0) - (tied or 0) == 151936 * 4096


def test_files_that_do_not_match_the_config_are_told() -> None:
    notes = shapes.size(QWEN3_8B, index={"metadata": {"total_size": 8_000_000_000}}).notes
    assert any("may be another" in note for note in notes)
    assert shapes.size(QWEN3_8B, index=INDEX).notes == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(
    base=st.sampled_from([QWEN3_8B, QWEN3_MOE, DEEPSEEK_V3, {"text_config": QWEN3_8B}]),
    changes=st.dictionaries(
        st.sampled_from(sorted({*QWEN3_8B, *QWEN3_MOE, *DEEPSEEK_V3, "text_config"})), JSON, max_size=4
    ),
    index=JSON,
)
def test_no_config_makes_an_estimate_fail(base: dict[str, Any], changes: dict[str, Any], index: Any) -> None:
    found = estimated({**base, **changes}, index=index)
    for line in checks(found, grace_seconds=600):
        assert len(line.message) <= 512
        json.dumps(line.to_json_object(), allow_nan=False)


ZERO_KEYS = ("stage", "offload_optimizer", "offload_param", "reduce_bucket_size", "sub_group_size")


@settings(max_examples=100, deadline=None)
@given(
    zero=JSON | st.dictionaries(st.sampled_from(ZERO_KEYS), JSON, max_size=5),
    more=st.dictionaries(st.sampled_from(["bf16", "fp16", "tensor_parallel"]), JSON, max_size=2),
    extra=st.dictionaries(
        st.sampled_from(["freeze_trainable_layers", "additional_target", "pure_bf16"]), JSON, max_size=3
    ),
)
def test_no_free_form_setting_makes_an_estimate_fail(zero: Any, more: dict[str, Any], extra: Any) -> None:
    raw = changed(
        MINIMAL,
        {
            "infrastructure.gpusPerNode": 8,
            "training.finetuningType": "freeze",
            "training.extraArgs": extra,
            "deepspeed.config": {"zero_optimization": zero, **more},
        },
    )
    try:
        run = SFTRunSpec.model_validate(raw, context=WITHOUT_RULES)
    except ValidationError:
        return  # what the contract does not take, nobody estimates
    found = estimate(run, QWEN3_8B, resolved=resolved(run), gpu_memory=80 * GIB)
    assert all(part.size >= 0 for part in found.gpu.parts)
    assert all(len(line.message) <= 512 for line in checks(found))


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 MiB"), (5 << 20, "5 MiB"), (GIB, "1.0 GiB"), (1234 * GIB, "1,234 GiB")]
)
def test_sizes_read_well(size: int, words: str) -> None:
    assert gib(size) == words
