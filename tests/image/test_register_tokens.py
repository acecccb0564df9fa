"""Register with the real LLaMA-Factory: what is trained, token by token; what is refused; what is reused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.image import training_runs
from tests.image.training_runs import pair, record

from sftrun_api import steps
from sftrun_api.models import JsonObject
from sftrun_api.reasons import Reason
from sftrun_trainer import arguments, events, tokenising
from sftrun_trainer.calls import StageFailure

pytestmark = [pytest.mark.llamafactory, pytest.mark.timeout(600)]


def tokenized(payload: JsonObject) -> Any:
    """Returns the set that training will load."""
    from datasets import load_from_disk

    return load_from_disk(str(Path(payload["files"]["tokenized"]).parent))


def tokenizer(made: training_runs.TrainingRun) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(made.run.resolved.model_path)


def trained_text(made: training_runs.TrainingRun, sample: dict[str, Any]) -> str:
    """Returns what has loss, decoded."""
    return str(tokenizer(made).decode([label for label in sample["labels"] if label != -100]))


def test_loss_is_on_the_assistants_tokens_and_on_no_other(tmp_path: Path) -> None:
    records = [record(number, turns=3) for number in range(8)]
    records[0]["messages"][0]["content"] += " <image> {{7*7}} <think>"
    made = training_runs.make(tmp_path, records=records)
    payload = made.register()
    samples = tokenized(payload)["train"]
    assert len(samples) == payload["numSamples"] == 8
    stop = tokenizer(made).convert_tokens_to_ids("<|im_end|>")
    for given, sample in zip(records, samples, strict=True):
        answers = [item["content"] for item in given["messages"] if item["role"] == "assistant"]
        assert trained_text(made, sample) == "".join(f"{answer}<|im_end|>\n" for answer in answers)
        assert sample["labels"].count(stop) == len(answers)
        whole = tokenizer(made).decode(sample["input_ids"])
        for item in given["messages"]:
            assert item["content"] in whole
        assert whole.startswith("<|im_start|>system\nYou are an agent.<|im_end|>\n")
        assert all(
            label in (-100, token) for label, token in zip(sample["labels"], sample["input_ids"], strict=True)
        )


def test_a_second_run_finds_the_set_and_imports_nothing(tmp_path: Path) -> None:
    first = training_runs.make(tmp_path, name="first").register()
    second = training_runs.make(tmp_path, name="second")
    program = (
        "import sys; from sftrun_trainer import register; code = register.main(); "
        "print(sorted({'torch', 'transformers', 'llamafactory', 'datasets'} & sys.modules.keys())); "
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *second.call.arguments()],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
    (result,) = [event for event in second.events() if isinstance(event, events.Result)]
    assert result.payload["files"]["tokenized"] == first["files"]["tokenized"]
    assert result.payload["trainingDigest"] == first["trainingDigest"]
    said = [event.name for event in second.events() if isinstance(event, events.CheckLine)]
    assert {"template tokens", "template markup", "tokenised set"} <= set(said)


@pytest.mark.parametrize(
    "changed",
    [
        {"records": [record(1), record(7)]},
        {"training": {"template": "qwen3_nothink"}},
        {"training": {"cutoffLen": 64}},
        {"training": {"maskHistory": True}},
        {"training": {"seed": 7}},
        {"dataset": {"overlong": "Drop"}},
    ],
)
def test_anything_that_reaches_the_tokens_makes_another_set(tmp_path: Path, changed: dict[str, Any]) -> None:
    plain: dict[str, Any] = {"records": [record(1), record(2)]}
    first = training_runs.make(tmp_path, name="first", **plain).register()
    second = training_runs.make(tmp_path, name="second", **{**plain, **changed}).register()
    assert first["files"]["tokenized"] != second["files"]["tokenized"]


def test_half_a_set_is_made_again(tmp_path: Path) -> None:
    made = training_runs.make(tmp_path)
    folder = Path(made.register()["files"]["tokenized"]).parent
    (folder / tokenising.FOUND_FILE).write_text("{")
    (folder / "train" / "data-00000-of-00001.arrow").unlink()
    payload = made.register()
    assert len(tokenized(payload)["train"]) == 24
    assert [entry.name for entry in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize(
    ("file", "text"),
    [("tokenizer.json", "{"), ("tokenizer_config.json", "[]")],
)
def test_a_model_whose_tokenizer_cannot_be_loaded_is_refused(tmp_path: Path, file: str, text: str) -> None:
    made = training_runs.make(tmp_path)
    model = Path(str(made.run.resolved.model_path))
    (model / file).write_text(text)
    with pytest.raises(StageFailure) as caught:
        made.register()
    assert (caught.value.reason, caught.value.final) == (Reason.BAD_MODEL, True)
    for word in (str(model), "its tokenizer", "put its files there again"):
        assert word in caught.value.message
    assert not list(Path(made.run.resolved.workspace, ".cache").rglob("*.arrow"))


@pytest.mark.parametrize(
    ("overlong", "truncated", "excluded", "num_samples"),
    [
        ("CutAtTurn", 1, [{"reason": "Overlong", "count": 1}], 3),
        ("Drop", 0, [{"reason": "Overlong", "count": 2}], 2),
    ],
)
def test_overlong_samples_lose_whole_turns(
    tmp_path: Path, overlong: str, truncated: int, excluded: list[JsonObject], num_samples: int
) -> None:
    records = [record(0), record(1, turns=9), record(2), record(3, words=60)]
    made = training_runs.make(
        tmp_path, records=records, training={"cutoffLen": 120}, dataset={"overlong": overlong}
    )
    payload = made.register()
    assert (payload["truncated"], payload["excluded"]) == (truncated, excluded)
    samples = tokenized(payload)["train"]
    assert len(samples) == payload["numSamples"] == num_samples
    for sample in samples:
        assert len(sample["input_ids"]) <= 120
        assert trained_text(made, sample).endswith("<|im_end|>\n")
        assert tokenizer(made).decode(sample["input_ids"]).endswith("<|im_end|>\n")


@pytest.mark.parametrize("stage", ["dpo", "kto"])
def test_overlong_preferences_are_left_out_whole(tmp_path: Path, stage: str) -> None:
    """LLaMA-Factory would cut the end of the prompt and of the answers."""
    records = [pair(number) for number in range(6)] + [pair(9, words=60)]
    if stage == "kto":
        records = [
            {**item, "messages": [*item["messages"], item["chosen"]], "kto_tag": bool(number % 2)}
            for number, item in enumerate(records)
        ]
    made = training_runs.make(
        tmp_path, records=records, held_out=records[:2], training={"stage": stage, "cutoffLen": 120}
    )
    payload = made.register()
    assert (payload["truncated"], payload["excluded"]) == (0, [{"reason": "Overlong", "count": 1}])
    sets = tokenized(payload)
    assert (len(sets["train"]), len(sets["validation"]), payload["numSamples"]) == (6, 2, 6)
    columns = ("chosen_input_ids", "rejected_input_ids") if stage == "dpo" else ("input_ids",)
    for sample in sets["train"]:
        for column in columns:
            assert tokenizer(made).decode(sample[column]).endswith("<|im_end|>\n")
    assert payload["effective"]["numTokens"] == sum(len(s[c]) for s in sets["train"] for c in columns)


def test_packed_samples_are_counted_as_they_are_trained(tmp_path: Path) -> None:
    made = training_runs.make(tmp_path, training={"packing": "Joined", "cutoffLen": 256})
    payload = made.register()
    samples = tokenized(payload)["train"]
    assert payload["numSamples"] == len(samples) < 24
    assert payload["totalSteps"] == -(-len(samples) // 2)


def test_held_out_records_are_evaluated_and_never_trained(tmp_path: Path) -> None:
    held_out = [record(100 + number) for number in range(4)]
    made = training_runs.make(tmp_path, held_out=held_out)
    payload = made.register()
    sets = tokenized(payload)
    assert (len(sets["train"]), len(sets["validation"])) == (24, 4)
    final = arguments.read(Path(payload["files"]["arguments"]))
    assert (final["eval_dataset"], final["eval_strategy"], final["eval_steps"]) == (
        "data-validation",
        "steps",
        3,
    )


def _refused(made: training_runs.TrainingRun) -> StageFailure:
    with pytest.raises(StageFailure) as caught:
        made.register()
    assert caught.value.final
    return caught.value


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("llama3", "2 new tokens (<|eot_id|>, <|eom_id|>)"),
        ("vicuna", "it begins an answer with 'ASSISTANT:'"),
    ],
)
def test_a_template_of_another_family_is_refused(tmp_path: Path, template: str, words: str) -> None:
    failure = _refused(training_runs.make(tmp_path, training={"template": template}))
    assert failure.reason == Reason.TEMPLATE_MISMATCH
    assert f"training.template {template} does not fit" in failure.message
    assert words in failure.message


@pytest.mark.parametrize("template", ["qwen3", "qwen3_nothink", "chatml", "qwen"])
def test_templates_of_the_models_family_pass(tmp_path: Path, template: str) -> None:
    made = training_runs.make(tmp_path, training={"template": template})
    made.register()
    said = {event.name: event.result for event in made.events() if isinstance(event, events.CheckLine)}
    assert said["template markup"] == ("Warn" if template == "qwen" else "Pass")


def test_overlong_fail_names_the_number(tmp_path: Path) -> None:
    made = training_runs.make(
        tmp_path,
        records=[record(0), record(1, turns=9)],
        training={"cutoffLen": 120},
        dataset={"overlong": "Fail"},
    )
    failure = _refused(made)
    assert failure.reason == Reason.LENGTH_OVERFLOW
    assert failure.message.startswith("1 samples are longer than training.cutoffLen 120")


def test_nothing_left_is_named(tmp_path: Path) -> None:
    failure = _refused(training_runs.make(tmp_path, training={"cutoffLen": 16}))
    assert failure.reason == Reason.NO_TRAJECTORIES_LEFT
    assert "cutoffLen 16" in failure.message


def test_yarn_is_seen_by_transformers_and_leaves_the_model_alone(tmp_path: Path) -> None:
    from transformers import AutoConfig

    made = training_runs.make(tmp_path, native_length=128, training={"cutoffLen": 200})
    payload = made.register()
    assert payload["effective"]["ropeScaling"] == "yarn"
    assert payload["effective"]["nativeLength"] == 128
    final = arguments.read(Path(payload["files"]["arguments"]))
    assert "rope_scaling" not in final
    loaded = AutoConfig.from_pretrained(final["model_name_or_path"])
    assert (loaded.rope_parameters["rope_type"], loaded.rope_parameters["factor"]) == ("yarn", 2.0)
    assert loaded.rope_parameters["rope_theta"] == 1000000
    assert loaded.max_position_embeddings == 256
    untouched = json.loads((Path(made.run.resolved.model_path or "") / "config.json").read_text())
    assert untouched["max_position_embeddings"] == 128


@pytest.mark.parametrize(
    ("samples", "processes", "training"),
    [
        (5, 1, {}),
        (7, 2, {"gradientAccumulationSteps": 2}),
        (9, 2, {"perDeviceTrainBatchSize": 2, "numTrainEpochs": 2.5}),
    ],
)
def test_steps_are_the_trainers_own(
    tmp_path: Path, samples: int, processes: int, training: dict[str, Any]
) -> None:
    from accelerate.data_loader import BatchSamplerShard
    from torch.utils.data import BatchSampler, SequentialSampler
    from transformers import Trainer, TrainingArguments

    made = training_runs.make(tmp_path, training=training)
    spec = made.run.spec
    batches = BatchSampler(
        SequentialSampler(range(samples)), spec.training.per_device_train_batch_size, False
    )
    shard = BatchSamplerShard(batches, num_processes=processes, process_index=0)
    given = TrainingArguments(
        output_dir=str(tmp_path),
        use_cpu=True,
        gradient_accumulation_steps=spec.training.gradient_accumulation_steps,
        num_train_epochs=spec.training.num_train_epochs,
    )

    class Counter(Trainer):  # type: ignore[misc]
        def __init__(self) -> None:
            """Counts only: without a model there is nothing to set up."""

        def get_total_train_batch_size(self, args: Any) -> int:
            return 1

        get_tp_size = get_cp_size = get_sp_size = lambda self: 1

    class Loader:
        dataset = range(samples)

        def __len__(self) -> int:
            return len(shard)

    values = Counter().set_initial_training_values(given, Loader())
    assert values[-1] == steps.total_steps(spec, num_samples=samples, num_processes=processes)
