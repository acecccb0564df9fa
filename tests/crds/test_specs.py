"""The models of the spec: what they take, what they refuse, and that they say all mistakes at once."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_core import PydanticUndefined
from tests.crds.operator_rule_cases import RULE_CASES
from tests.crds.rule_cases import RuleCase
from tests.crds.samples import FULL, GONE, MINIMAL, changed

from sftrun_api import specs
from sftrun_api.rules import SECTION_RULES
from sftrun_api.specs import WITHOUT_RULES, Section, SFTRunSpec


def broken(raw: dict[str, Any]) -> list[tuple[str, str]]:
    """Returns field and message of every mistake."""
    with pytest.raises(ValidationError) as caught:
        SFTRunSpec.model_validate(raw)
    return [(".".join(map(str, each["loc"])), each["msg"]) for each in caught.value.errors()]


def test_minimal_spec_is_filled_with_every_static_default() -> None:
    spec = SFTRunSpec.model_validate(MINIMAL)
    assert (spec.mode, spec.suspend, spec.restart_request) == ("Train", False, 0)
    assert spec.sources[0].harbor_job is not None
    assert spec.sources[0].harbor_job.scaffold == "Auto"
    assert spec.sources[0].conversion.tool_call_form == "AsSpoken"
    assert (spec.mixing.strategy, spec.dataset.overlong) == ("concat", "CutAtTurn")
    assert (spec.training.stage, spec.training.finetuning_type) == ("sft", "full")
    assert (spec.training.cutoff_len, spec.training.save.total_limit) == (32768, 2)
    assert spec.training.learning_rate is None, "worked out elsewhere"
    assert spec.deepspeed.zero_stage == 3
    assert spec.infrastructure.accelerator == "GPU"
    assert spec.infrastructure.gpus_per_node is None, "worked out elsewhere"
    assert spec.workspace.mount_path == "/workspace"
    assert spec.tracking.wandb.mode == "Disabled"
    assert (spec.lifecycle.max_retries, spec.lifecycle.termination_grace_period_seconds) == (3, 600)


def test_full_spec_survives_a_round_trip_in_the_documents_spelling() -> None:
    dumped = SFTRunSpec.model_validate(FULL).to_json_object()
    assert SFTRunSpec.model_validate(dumped).to_json_object() == dumped
    assert _missing(FULL, dumped) == []


def _missing(wanted: Any, found: Any, path: str = "") -> list[str]:
    """Returns paths of `wanted` that `found` lacks."""
    if isinstance(wanted, dict):
        if not isinstance(found, dict):
            return [path]
        return [
            each
            for key, value in wanted.items()
            if value is not None
            for each in (
                [f"{path}.{key}"] if key not in found else _missing(value, found[key], f"{path}.{key}")
            )
        ]
    if isinstance(wanted, list):
        return [each for a, b in zip(wanted, found, strict=True) for each in _missing(a, b, f"{path}[]")]
    return []


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("sources", [], "at least 1 item"),
        ("sources", [{"harborJob": {"path": "a"}}] * 17, "at most 16 items"),
        ("sources.0.harborJob.path", "../secrets", "must not contain '..'"),
        ("sources.0.harborJob.path", "a/../../b", "must not contain '..'"),
        ("sources.0.harborJob.path", "", "at least 1 character"),
        ("sources.0.harborJob.path", "a\nb", "pattern"),
        ("sources.0.harborJob.path", "x" * 1025, "at most 1024 characters"),
        ("sources.0.harborJob.scaffold", "auto", "Input should be 'Auto'"),
        ("sources.0.weight", 0, "greater than 0"),
        ("sources.0.weight", float("nan"), "finite number"),
        ("sources.0.weight", float("inf"), "finite number"),
        ("sources.0.name", "Swe", "pattern"),
        ("training.template", GONE, "Field required"),
        ("training.template", "qwen3\n{{ x }}", "pattern"),
        ("training.seed", "42", "valid integer"),
        ("training.seed", True, "valid integer"),
        ("training.seed", 4.5, "valid integer"),
        ("training.seed", -1, "greater than or equal to 0"),
        ("training.seed", 10**30, "less than or equal to"),
        ("training.learningRate", "1e-5", "valid number"),
        ("training.learningRate", True, "valid number"),
        ("training.maskHistory", "no", "valid boolean"),
        ("training.maskHistory", 0, "valid boolean"),
        ("training.optimizer", {"betas": [0.9]}, "at least 2 items"),
        ("training.warmupRatio", 1, "less than 1"),
        ("training.extraArgs", {str(number): 1 for number in range(129)}, "at most 128 items"),
        ("training.cutoff_Len", 5, "Extra inputs are not permitted"),
        ("training.quantization", {"bits": 5}, "Input should be 4 or 8"),
        ("deepspeed.zeroStage", 4, "Input should be 0, 1, 2 or 3"),
        ("deepspeed.zeroStage", "3", "Input should be 0, 1, 2 or 3"),
        ("infrastructure.image", "UPPER CASE", "pattern"),
        ("infrastructure.sharedMemory", "64 Gi", "pattern"),
        ("infrastructure.sharedMemory", 1.5, "valid string"),
        ("infrastructure.sharedMemory", "-1Gi", "pattern"),
        ("infrastructure.sharedMemory", -1, "pattern"),
        ("infrastructure.sharedMemory", True, "valid string"),
        ("infrastructure.sharedMemory", 10**30, "valid string"),
        ("infrastructure.env", [{"name": "A B"}], "pattern"),
        ("infrastructure.env", [{"name": "A"}, {"name": "A"}], "duplicate"),
        ("infrastructure.nodeSelector", {"bad key": "x"}, "pattern"),
        ("volumes", [{"mountPath": "/m", "configMap": {"name": "a"}}] * 2, "duplicate"),
        ("workspace.mountPath", "/work:space", "pattern"),
        ("workspace.mountPath", "/", "at least 2 characters"),
        ("workspace.subPath", "/absolute", "pattern"),
        ("workspace.subPath", "a/..", "must not contain '..'"),
        ("tracking.wandb", {"baseURL": "https://user:secret@host"}, "pattern"),
        ("lifecycle.stopOn", ["NaN", "NaN"], "duplicate"),
    ],
)
def test_single_fields_refuse(path: str, value: Any, message: str) -> None:
    mistakes = broken(changed(MINIMAL, {path: value}))
    assert len(mistakes) == 1, mistakes
    assert message in mistakes[0][1]


@pytest.mark.parametrize(
    ("path", "value", "read"),
    [
        ("training.seed", 3.0, 3),
        ("training.numTrainEpochs", 2, 2.0),
        ("training.learningRate", None, None),
        ("training.cutoffLen", None, 32768),
        ("infrastructure.sharedMemory", 1024, "1024"),
        ("infrastructure.sharedMemory", 2.0, "2"),
        ("deepspeed.zeroStage", 2.0, 2),
        ("infrastructure.gpusPerNode", 2.0, 2),
    ],
)
def test_values_are_read_as_the_api_server_reads_them(path: str, value: Any, read: Any) -> None:
    spec = SFTRunSpec.model_validate(changed(MINIMAL, {path: value})).to_json_object()
    section, name = path.split(".")
    assert spec[section].get(name) == read
    assert type(spec[section].get(name)) is type(read)


def test_ten_mistakes_are_told_at_once() -> None:
    mistakes = broken(
        changed(
            MINIMAL,
            {
                "mode": "train",
                "sources": [{"harborJob": {"path": "a/../b"}}, {}],
                "model": {},
                "training": {"seed": "42", "learningRate": "1e-5", "unknown": 1},
                "workspace.mountPath": "relative",
                "infrastructure": {"gpusPerNode": -1, "env": [{"name": "PATH"}]},
            },
        )
    )
    assert [field for field, _ in mistakes] == [
        "mode",
        "sources.0.harborJob.path",
        "sources.1",
        "model",
        "training.template",
        "training.learningRate",
        "training.seed",
        "training.unknown",
        "infrastructure.gpusPerNode",
        "infrastructure.env.0",
        "workspace.mountPath",
    ]


@pytest.mark.parametrize("case", RULE_CASES, ids=lambda case: case.rule)
def test_models_refuse_what_the_api_server_refuses_and_leave_the_rest_to_the_operator(case: RuleCase) -> None:
    rule = next(rule for rule in SECTION_RULES if rule.id == case.rule)
    raw = changed(MINIMAL, case.breaks)
    if rule.where == "admission":
        assert [message for _, message in broken(raw)] == [rule.sentence]
    else:
        SFTRunSpec.model_validate(raw)
    SFTRunSpec.model_validate(changed(MINIMAL, case.keeps))


SECTIONS = [each for each in vars(specs).values() if isinstance(each, type) and issubclass(each, Section)]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda each: each.__name__)
def test_a_default_is_of_its_fields_type(section: type[Section]) -> None:
    """Else a spec that leaves it out is rendered and hashed differently from the one that the API server has
    filled in: 3 and 3.0."""
    for name, field in section.model_fields.items():
        if field.annotation is float and field.default is not PydanticUndefined:
            assert isinstance(field.default, float), name


def test_a_spec_that_was_accepted_is_read_without_the_rules_but_not_without_the_shape() -> None:
    raw = changed(MINIMAL, {"model.huggingFace": {"repo": "a/b"}})
    assert SFTRunSpec.model_validate(raw, context=WITHOUT_RULES).model.path == "models/tiny"
    with pytest.raises(ValidationError):
        SFTRunSpec.model_validate(changed(raw, {"training.seed": "x"}), context=WITHOUT_RULES)
