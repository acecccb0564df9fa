"""Every row of the hyperparameter guide's tables, and of ERNIEKit's, is a row here: what lies within says
nothing, what lies outside is told."""

from __future__ import annotations

from typing import Any

import pytest
from tests.crds.estimate_samples import resolved, spec
from tests.crds.samples import GONE

from sftrun_api import advice
from sftrun_api.advice import Advice, Facts
from sftrun_api.advice.learning_rates import for_batch
from sftrun_api.advice.ranges import number
from sftrun_api.advice.warmups import recommended

SMALL, MEDIUM, LARGE = 3_000, 20_000, 100_000
METHODS: dict[str, dict[str, Any]] = {
    "SFT": {"training__finetuningType": "full"},
    "LoRA": {"training__finetuningType": "lora"},
    "QLoRA": {"training__finetuningType": "lora", "training__quantization": {}},
}
RATE, DECAY, EPOCHS = "training__learningRate", "training__weightDecay", "training__numTrainEpochs"
RANK, DROPOUT = "training__lora__rank", "training__lora__dropout"
SCALED = "alpha over rank"
ACCUMULATED, MOST_STEPS = "training__gradientAccumulationSteps", "training__maxSteps"
CUTOFF, JOINED = "training__cutoffLen", {"training__packing": "Joined"}
STRETCHED = {CUTOFF: 65_536}


def given(method: str, samples: int | None, facts: Any = None, **changes: Any) -> list[Advice]:
    """Returns the advice on a run with one process."""
    run = spec(**({"infrastructure__gpusPerNode": 1} | METHODS[method] | changes))
    return list(advice.advise(run, resolved=resolved(run), facts=Facts(num_samples=samples, **(facts or {}))))


def ids(found: list[Advice]) -> set[str]:
    return {each.id for each in found}


# Method, samples, field, values within the row, values outside, id of the advice.
Row = tuple[str, int, str, tuple[Any, ...], tuple[Any, ...], str]
ROWS: list[Row] = [
    # SFT (full fine-tuning): one line a row and column of the guide's first table.
    ("SFT", SMALL, RATE, (1e-6, 3e-6, 5e-6), (5e-7, 6e-6), "LearningRate"),
    ("SFT", MEDIUM, RATE, (5e-6, 1e-5, 2e-5), (4e-6, 2e-3), "LearningRate"),
    ("SFT", LARGE, RATE, (1e-5, 3e-5), (9e-6, 4e-5), "LearningRate"),
    ("SFT", SMALL, DECAY, (0.01, 0.05, 0.1), (0, 0.2), "WeightDecay"),
    ("SFT", MEDIUM, DECAY, (0.01,), (0, 0.1), "WeightDecay"),
    ("SFT", LARGE, DECAY, (0, 0.01), (0.1,), "WeightDecay"),
    ("SFT", SMALL, EPOCHS, (1, 2, 3), (0.5, 4), "Epochs"),
    ("SFT", MEDIUM, EPOCHS, (2, 5), (1, 6), "Epochs"),
    ("SFT", LARGE, EPOCHS, (1, 3), (0.5, 4), "Epochs"),
    ("SFT", SMALL, "batch", (16, 32), (8, 64), "GlobalBatch"),
    ("SFT", MEDIUM, "batch", (32, 64), (16, 128), "GlobalBatch"),
    ("SFT", LARGE, "batch", (64, 128), (32, 256), "GlobalBatch"),
    ("SFT", SMALL, "local", (2, 4), (1, 8), "LocalBatch"),
    ("SFT", MEDIUM, "local", (4, 8), (2, 16), "LocalBatch"),
    ("SFT", LARGE, "local", (8, 16), (4, 32), "LocalBatch"),
    *(
        ("SFT", size, "training__maxGradNorm", (1.0, 0.5), (0, 5.0), "Clipping")
        for size in (SMALL, MEDIUM, LARGE)
    ),
    *(
        ("SFT", size, "training__lrSchedulerType", ("cosine",), ("linear", "constant"), "Schedule")
        for size in (SMALL, MEDIUM, LARGE)
    ),
    ("SFT", SMALL, "least rate", (1e-7,), (1e-6, 0), "LeastRate"),
    ("SFT", MEDIUM, "least rate", (1e-6,), (1e-7,), "LeastRate"),
    ("SFT", LARGE, "least rate", (1e-6,), (1e-5,), "LeastRate"),
    # LoRA.
    ("LoRA", SMALL, RATE, (1e-5, 5e-5), (9e-7, 6e-5), "LearningRate"),
    ("LoRA", MEDIUM, RATE, (1e-5, 1e-4), (1e-6, 2e-4), "LearningRate"),
    ("LoRA", LARGE, RATE, (5e-5, 2e-4), (4e-5, 3e-4), "LearningRate"),
    ("LoRA", SMALL, RANK, (4, 8), (2, 16), "LoraRank"),
    ("LoRA", MEDIUM, RANK, (8, 16), (4, 32), "LoraRank"),
    ("LoRA", LARGE, RANK, (16, 64), (8, 128), "LoraRank"),
    ("LoRA", SMALL, SCALED, (2, 4, 1), (0.5, 8), "LoraAlpha"),
    ("LoRA", MEDIUM, SCALED, (2, 4, 1), (0.5, 8), "LoraAlpha"),
    ("LoRA", LARGE, SCALED, (2, 1), (0.5, 4), "LoraAlpha"),
    ("LoRA", SMALL, DROPOUT, (0.05, 0.1), (0, 0.2), "LoraDropout"),
    ("LoRA", MEDIUM, DROPOUT, (0.05,), (0, 0.1), "LoraDropout"),
    ("LoRA", LARGE, DROPOUT, (0, 0.05), (0.1,), "LoraDropout"),
    ("LoRA", SMALL, EPOCHS, (3, 5), (2, 6), "Epochs"),
    ("LoRA", MEDIUM, EPOCHS, (2, 4), (1, 5), "Epochs"),
    ("LoRA", LARGE, EPOCHS, (1, 3), (0.5, 4), "Epochs"),
    ("LoRA", SMALL, "batch", (16, 32), (8, 64), "GlobalBatch"),
    ("LoRA", MEDIUM, "batch", (32, 64), (16, 128), "GlobalBatch"),
    ("LoRA", LARGE, "batch", (64, 128), (32, 256), "GlobalBatch"),
    # QLoRA: one column for every size.
    *(
        row
        for size in (SMALL, MEDIUM, LARGE)
        for row in (
            ("QLoRA", size, RATE, (1e-5, 2e-4), (3e-4,), "LearningRate"),
            ("QLoRA", size, "optimizer", ("adamw_torch", "paged_adamw_8bit"), ("sgd",), "QuantizedOptimizer"),
            ("QLoRA", size, DECAY, (0.01,), (0, 0.1), "WeightDecay"),
            ("QLoRA", size, RANK, (16, 64), (8, 128), "LoraRank"),
            ("QLoRA", size, "training__lora__alpha", (32,), (16, 64), "LoraAlpha"),
            ("QLoRA", size, DROPOUT, (0.05, 0.1), (0, 0.2), "LoraDropout"),
            ("QLoRA", size, "training__quantization__type", ("nf4",), ("fp4",), "QuantizedType"),
            ("QLoRA", size, "training__precision", ("bf16",), ("fp16",), "QuantizedCompute"),
            ("QLoRA", size, "training__quantization__double", (True,), (False,), "DoubleQuantized"),
        )
    ),
]
BUILT: dict[str, Any] = {
    "batch": lambda value: {ACCUMULATED: value},
    "local": lambda value: {"training__perDeviceTrainBatchSize": value, CUTOFF: 2048},
    "least rate": lambda value: {
        "training__lrSchedulerType": "cosine_with_min_lr",
        "training__lrSchedulerArgs": {"min_lr": value},
    },
    "optimizer": lambda value: {"training__optimizer": {"name": value}},
    SCALED: lambda value: {"training__lora": {"rank": 16, "alpha": int(16 * value)}},
}


def _changes(field: str, value: Any) -> dict[str, Any]:
    built: dict[str, Any] = BUILT[field](value) if field in BUILT else {field: value}
    return built


@pytest.mark.parametrize(("method", "samples", "field", "within", "outside", "id_"), ROWS)
def test_rows_of_the_guide(
    method: str, samples: int, field: str, within: tuple[Any, ...], outside: tuple[Any, ...], id_: str
) -> None:
    for value in within:
        assert id_ not in ids(given(method, samples, **_changes(field, value))), value
    for value in outside:
        found = given(method, samples, **_changes(field, value))
        assert id_ in ids(found), value
        told = next(each for each in found if each.id == id_)
        assert all((told.field, told.value, told.recommended, told.why, told.source))


@pytest.mark.parametrize(
    ("method", "samples", "rate", "suited"),
    [
        ("LoRA", SMALL, 2e-6, "2e-5"),
        ("LoRA", LARGE, 1e-5, "1e-4"),
        ("SFT", SMALL, 2e-5, "2e-6"),
        ("SFT", MEDIUM, 1e-4, "1e-5"),
        ("SFT", LARGE, 2e-4, "2e-5"),
        ("QLoRA", SMALL, 5e-6, "5e-5"),
    ],
)
def test_a_rate_of_the_other_method_is_named(method: str, samples: int, rate: float, suited: str) -> None:
    found = {each.id: each for each in given(method, samples, **{RATE: rate})}
    assert suited in found["RateOfOtherMethod"].recommended
    assert "10 times" in found["RateOfOtherMethod"].why


def test_the_rate_goes_with_the_square_root_of_the_batch() -> None:
    assert for_batch(1e-5, batch=64, usual=32) == pytest.approx(1.41e-5, rel=0.01)
    found = {each.id: each for each in given("SFT", SMALL, **{RATE: 4e-6, ACCUMULATED: 128})}
    assert "8e-6" in found["GlobalBatch"].recommended


# Steps of the run, warm-up steps within, outside.
WARMUPS = [
    (100, (5, 10, 1), (0, 20)),
    (400, (5, 10, 40), (2, 60)),
    (500, (50, 200, 25), (10, 300)),
    (2_000, (50, 200, 100), (20, 400)),
    (5_000, (50, 500), (10, 800)),
    (20_000, (1_000, 200), (2_000, 50)),
]


@pytest.mark.parametrize(("total", "within", "outside"), WARMUPS)
def test_warm_up_by_the_length_of_the_run(
    total: int, within: tuple[int, ...], outside: tuple[int, ...]
) -> None:
    for steps in (*within, *outside):
        found = given("SFT", None, training__maxSteps=total, training__warmupSteps=steps)
        assert ("WarmUp" in ids(found)) == (steps in outside), steps
        assert recommended(total).holds(steps) == (steps in within)


def test_a_tenth_is_a_sound_warm_up_until_the_run_is_long() -> None:
    for total, told in ((100, False), (1_000, False), (5_000, False), (9_000, False), (30_000, True)):
        found = given("SFT", None, training__maxSteps=total, training__warmupRatio=0.1)
        assert ("WarmUp" in ids(found)) == told, total
    assert "WarmUp" not in ids(given("SFT", None, training__maxSteps=9_000))


# What else the guide and ERNIEKit advise: method, samples, facts, changes, id, whether it is told.
OTHERS: list[tuple[str, int | None, dict[str, Any], dict[str, Any], str, bool]] = [
    ("SFT", 800, {}, {}, "SmallData", True),
    ("SFT", 1_000, {}, {}, "SmallData", False),
    ("LoRA", 800, {}, {}, "SmallData", False),
    ("SFT", SMALL, {}, {}, "NoValidation", True),
    ("SFT", SMALL, {}, {"dataset__validation": {"fraction": 0.05}}, "NoValidation", False),
    ("LoRA", LARGE, {}, {RANK: 64}, "RankStabilised", True),
    ("LoRA", LARGE, {}, {RANK: 63}, "RankStabilised", False),
    ("LoRA", LARGE, {}, {RANK: 64, "training__lora__rslora": True}, "RankStabilised", False),
    ("LoRA", LARGE, {}, {"training__extraArgs": {"loraplus_lr_ratio": 2}}, "LoraPlusRatio", True),
    ("LoRA", LARGE, {}, {"training__extraArgs": {"loraplus_lr_ratio": 16}}, "LoraPlusRatio", False),
    ("SFT", 300, {}, {ACCUMULATED: 32}, "FewSteps", True),
    ("SFT", 300, {}, {ACCUMULATED: 16}, "FewSteps", False),
    ("SFT", MEDIUM, {}, {ACCUMULATED: 32}, "FewSteps", False),
    ("SFT", SMALL, {}, {MOST_STEPS: 1_000, ACCUMULATED: 32}, "Epochs", True),
    ("SFT", SMALL, {}, {MOST_STEPS: 200, ACCUMULATED: 32}, "Epochs", False),
    ("SFT", SMALL, {}, {MOST_STEPS: 2}, "Epochs", False),
    ("SFT", MEDIUM, {"num_cut": 2_000}, {}, "ManyCut", True),
    ("SFT", MEDIUM, {"num_cut": 500}, {}, "ManyCut", False),
    ("SFT", MEDIUM, {"native_length": 32_768, "longest": 9_000}, STRETCHED, "NeedlessStretch", True),
    ("SFT", MEDIUM, {"native_length": 32_768, "longest": 60_000}, STRETCHED, "NeedlessStretch", False),
    ("SFT", MEDIUM, {"native_length": 40_960, "longest": 9_000}, {}, "NeedlessStretch", False),
    ("SFT", MEDIUM, {"median": 300, "p95": 1_500}, {}, "Packing", True),
    ("SFT", MEDIUM, {"median": 9_000, "p95": 30_000}, {}, "Packing", False),
    ("SFT", MEDIUM, {"median": 300, "p95": 400}, {}, "Packing", False),
    ("SFT", MEDIUM, {"median": 300, "p95": 1_500}, {**JOINED}, "PackedLength", True),
    ("SFT", MEDIUM, {"median": 300, "p95": 1_500}, {**JOINED, CUTOFF: 2_048}, "PackedLength", False),
    ("SFT", MEDIUM, {"parameters": 32_000_000_000}, {"deepspeed__zeroStage": 2}, "LargeModelStage", True),
    ("SFT", MEDIUM, {"parameters": 32_000_000_000}, {}, "LargeModelStage", False),
    ("SFT", MEDIUM, {"parameters": 8_000_000_000}, {"deepspeed__zeroStage": 2}, "LargeModelStage", False),
]  # fmt: skip


@pytest.mark.parametrize(("method", "samples", "facts", "changes", "id_", "told"), OTHERS)
def test_other_advice(
    method: str, samples: int | None, facts: dict[str, Any], changes: dict[str, Any], id_: str, told: bool
) -> None:
    assert (id_ in ids(given(method, samples, facts, **changes))) == told


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({ACCUMULATED: 64}, "training.gradientAccumulationSteps"),
        ({ACCUMULATED: 1, "training__perDeviceTrainBatchSize": 64}, "training.perDeviceTrainBatchSize"),
        ({ACCUMULATED: 2, "training__perDeviceTrainBatchSize": 32}, "training.gradientAccumulationSteps"),
        ({ACCUMULATED: 1, "infrastructure__gpusPerNode": 64}, "infrastructure.gpusPerNode"),
        (
            {ACCUMULATED: 1, "infrastructure__gpusPerNode": 64, "infrastructure__processesPerNode": 64},
            "infrastructure.processesPerNode",
        ),
    ],
)
def test_advice_names_a_field_that_makes_the_batch_smaller(changes: dict[str, Any], field: str) -> None:
    (found,) = (each for each in given("LoRA", 3_000, **changes) if each.id == "GlobalBatch")
    assert found.field == field


PREFERENCES = [
    ("SFT", 5e-7, False),
    ("SFT", 1e-6, False),
    ("SFT", 1e-5, True),
    ("LoRA", 5e-6, False),
    ("LoRA", 1e-5, False),
    ("LoRA", 1e-4, True),
]


@pytest.mark.parametrize(("method", "rate", "told"), PREFERENCES)
def test_preference_training_takes_a_tenth_of_the_rate(method: str, rate: float, told: bool) -> None:
    ranked: dict[str, Any] = {
        "sources": [{"files": {"paths": ["a.json"], "ranking": True}}],
        "training__stage": "dpo",
        RATE: rate,
    }
    found = ids(given(method, MEDIUM, **ranked))
    assert ("PreferenceRate" in found) == told
    assert not found & {"LearningRate", "Epochs", "GlobalBatch", "WeightDecay"}


# What the spec alone tells: only what is wrong for every size of data.
WITHOUT_FACTS: list[tuple[str, dict[str, Any], str, bool]] = [
    ("SFT", {RATE: 1e-6}, "LearningRate", False),
    ("SFT", {RATE: 3e-5}, "LearningRate", False),
    ("SFT", {RATE: 1e-3}, "LearningRate", True),
    ("SFT", {RATE: 1e-4}, "RateOfOtherMethod", True),
    ("LoRA", {RATE: 3e-6}, "RateOfOtherMethod", True),
    ("LoRA", {RANK: 32}, "LoraRank", False),
    ("LoRA", {RANK: 256}, "LoraRank", True),
    ("SFT", {EPOCHS: 5}, "Epochs", False),
    ("SFT", {EPOCHS: 20}, "Epochs", True),
]


@pytest.mark.parametrize(("method", "changes", "id_", "told"), WITHOUT_FACTS)
def test_at_acceptance_only_what_is_wrong_for_every_size(
    method: str, changes: dict[str, Any], id_: str, told: bool
) -> None:
    assert (id_ in ids(given(method, None, **changes))) == told


# The guide's four whole examples, by size of data. Each has validation data; the rest is as they write it.
SCENARIOS: list[tuple[str, str, int, dict[str, Any]]] = [
    (
        "small, with an adapter",
        "LoRA",
        900,
        {
            "training__lora": {"rank": 4, "alpha": 16, "dropout": 0.1},
            RATE: 2e-5,
            DECAY: 0.05,
            EPOCHS: 3,
            ACCUMULATED: 16,
        },
    ),
    (
        "medium, with an adapter",
        "LoRA",
        50_000,
        {
            "training__lora": {"rank": 16, "alpha": 32, "dropout": 0.05},
            RATE: 1e-5,
            DECAY: 0,
            EPOCHS: 2,
            ACCUMULATED: 64,
        },
    ),
    (
        "large, all weights",
        "SFT",
        60_000,
        {
            RATE: 2e-5,
            DECAY: 0,
            EPOCHS: 2,
            ACCUMULATED: 128,
            "training__lrSchedulerType": "cosine_with_min_lr",
            "training__lrSchedulerArgs": {"min_lr": 1e-6},
        },
    ),
    (
        "one GPU, quantized",
        "QLoRA",
        15_000,
        {
            "training__lora": {"rank": 16, "alpha": 32, "dropout": 0.1},
            RATE: 1e-5,
            DECAY: 0.01,
            MOST_STEPS: 500,
            ACCUMULATED: 32,
        },
    ),
]


@pytest.mark.parametrize(("name", "method", "samples", "changes"), SCENARIOS)
def test_the_guides_own_examples_are_no_mistakes(
    name: str, method: str, samples: int, changes: dict[str, Any]
) -> None:
    assert given(method, samples, dataset__validation={"fraction": 0.05}, **changes) == []


def test_the_defaults_are_no_mistakes() -> None:
    run = spec(dataset__validation={"fraction": 0.05})
    assert advice.advise(run, resolved=resolved(run)) == ()
    assert advice.advise(run, resolved=resolved(run), facts=Facts(num_samples=MEDIUM)) == ()


@pytest.mark.parametrize("changes", [{"mode": "PrepareData"}, {"infrastructure__accelerator": "CPU"}])
def test_what_is_no_training_needs_no_advice(changes: dict[str, Any]) -> None:
    run = spec(**changes, **{RATE: 1.0})
    assert advice.advise(run, resolved=resolved(run), facts=Facts(num_samples=10)) == ()


def test_a_dry_run_is_advised_as_the_run_it_tries() -> None:
    changes: dict[str, Any] = {"infrastructure__gpusPerNode": GONE, "training__gradientAccumulationSteps": 1}
    tried = spec(mode="DryRun", **changes)
    meant = resolved(tried, processes_per_node=1, global_batch_size=1)
    found = {each.id: each for each in advice.advise(tried, resolved=meant)}
    assert found["GlobalBatch"].value == "8 samples a step (1 x 1 x 8 processes)"


def test_lines_fit_the_status() -> None:
    found = given("QLoRA", 10, {"num_cut": 10}, **{RATE: 9.0, EPOCHS: 10_000, RANK: 4096})
    lines = advice.checks(tuple(found))
    assert len(lines) == len(found) > 5
    assert {line.result for line in lines} == {"Warn"}
    assert len({line.name for line in lines}) == len(lines)
    assert all(0 < len(line.message) <= 512 for line in lines)


@pytest.mark.parametrize("samples", [0, 1, -5, 2**53])
def test_absurd_facts_do_no_harm(samples: int) -> None:
    facts = {"longest": 0, "median": 0, "p95": -1, "num_cut": 2**53, "native_length": 0, "parameters": -1}
    for method in METHODS:
        given(method, samples, facts, training__packing="Joined")


def test_the_run_in_one_sentence() -> None:
    run = spec(**{RATE: 1e-5})
    known = Facts(num_samples=5_000)
    words = advice.outline(run, resolved=resolved(run, warmup_ratio=0.1), facts=known)
    assert words == (
        "32 samples a step (1 a process x 4 accumulated x 8 processes), learning rate 1e-5, 5,000 samples "
        "x 3 epochs: 471 steps, 48 of them warm-up"
    )
    assert advice.outline(run, resolved=resolved(run)).endswith("learning rate 1e-5")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1e-5, "1e-5"),
        (5e-6, "5e-6"),
        (1.5e-5, "1.5e-5"),
        (0.05, "0.05"),
        (32.0, "32"),
        (0, "0"),
        (2e4, "20,000"),
    ],
)
def test_numbers_as_people_write_them(value: float, words: str) -> None:
    assert number(value) == words
