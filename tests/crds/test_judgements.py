"""Judging without a cluster: every rule with its case, all mistakes at once, nothing hidden by another."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.crds.operator_rule_cases import RULE_CASES
from tests.crds.rule_cases import RuleCase
from tests.crds.samples import FULL, GONE, MINIMAL, changed, run

from sftrun_api.crd_generation import object_schema
from sftrun_api.judgements import Finding, judge
from sftrun_api.judgements.forms import in_words
from sftrun_api.rules import SECTION_RULES

PAIRS = {"sources": [{"files": {"paths": ["a"], "ranking": True}}]}


def found(changes: dict[str, Any] | Any, *, base: Any = MINIMAL) -> tuple[Finding, ...]:
    return judge(run(changed(base, changes)))


@pytest.mark.parametrize("case", RULE_CASES, ids=lambda case: case.rule)
def test_a_broken_rule_is_found_and_nothing_else(case: RuleCase) -> None:
    rule = next(rule for rule in SECTION_RULES if rule.id == case.rule)
    findings = found(case.breaks)
    assert {each.rule for each in findings} == {case.rule, *case.besides}, findings
    findings = tuple(each for each in findings if each.rule == case.rule)
    for each in findings:
        assert (each.where, each.severity) == (rule.where, rule.severity)
        assert "{" not in each.sentence.replace("{'", "")
    for words in case.words:
        assert words in findings[0].sentence
    assert [each for each in found(case.keeps) if each.rule == case.rule or each.refuses] == []


def test_every_rule_has_a_case_and_reads_as_a_sentence() -> None:
    assert {case.rule for case in RULE_CASES} == {rule.id for rule in SECTION_RULES}
    assert len({rule.id for rule in SECTION_RULES}) == len(SECTION_RULES)
    for rule in SECTION_RULES:
        assert re.fullmatch(r"[A-Z][A-Za-z0-9]+", rule.id)
        assert rule.message and rule.remedy and not rule.sentence.endswith(".")
        assert (rule.cel is not None) == (rule.where == "admission")
        assert (rule.holds is None) != (rule.finds is None)


@pytest.mark.parametrize("spec", [MINIMAL, FULL], ids=["minimal", "full"])
def test_good_specs_have_no_mistakes(spec: dict[str, Any]) -> None:
    volumes = [volume | {"readOnly": False} for volume in spec.get("volumes", [])]
    good = changed(
        spec, {"volumes": volumes, "training.lrSchedulerArgs": {"min_lr": 1e-6}} if volumes else {}
    )
    assert [each.sentence for each in judge(run(good)) if each.refuses] == []


def test_ten_mistakes_are_ten_findings() -> None:
    wrong = changed(
        MINIMAL,
        {
            "mode": "train",
            "sources": [{"harborJob": {"path": "a/../b"}}, {}],
            "model": {},
            "training": {
                "seed": "42",
                "learningRate": "1e-5",
                "template": "qwen33",
                "maskHistory": True,
                "trainOnPrompt": True,
                "extraArgs": {"cutof_len": 1, "tf32": "on"},
            },
            "workspace.mountPath": "relative",
            "infrastructure": {"gpusPerNode": -1, "env": [{"name": "PATH"}]},
            "tracking": {"wandb": {"mode": "Online"}},
            "deepspeed": {"zeroStage": 2, "offloadParameters": "CPU"},
        },
    )
    told = [(each.rule, each.field) for each in judge(run(wrong, name="x" * 50))]
    assert sorted(told) == sorted(
        [
            ("NameLength", "metadata.name"),
            ("NotAChoice", "mode"),
            ("ParentInPath", "sources[0].harborJob.path"),
            ("WrongType", "training.learningRate"),
            ("WrongType", "training.seed"),
            ("OutOfRange", "infrastructure.gpusPerNode"),
            ("WrongForm", "workspace.mountPath"),
            ("ArgumentUnknown", "training.extraArgs.cutof_len"),
            ("ArgumentType", "training.extraArgs.tf32"),
            ("OffloadStages", "deepspeed.offloadParameters"),
            ("TemplateKnown", "training.template"),
            ("OnlineNeedsKey", "tracking.wandb.mode"),
            ("OneKindOfSource", "sources[1]"),
            ("OneModel", "model"),
            ("MaskOrPrompt", "training.trainOnPrompt"),
            ("RefusedEnvironment", "infrastructure.env[0].name"),
        ]
    )


@pytest.mark.parametrize(
    ("changes", "rules"),
    [
        # A rule that would need the unreadable value says nothing about it.
        (
            {"training.stage": "DPO", "sources": [{"files": {"paths": ["a"], "ranking": True}}]},
            {"NotAChoice"},
        ),
        (
            {"training.stgae": "dpo", "sources": [{"files": {"paths": ["a"], "ranking": True}}]},
            {"FieldUnknown"},
        ),
        ({"training": GONE}, {"FieldMissing"}),
        ({"training": 5}, {"WrongType"}),
        ({"sources": "jobs"}, {"WrongType"}),
        ({"sources.0": 5}, {"WrongType"}),
        ({"model": {"path": 5}}, {"WrongType"}),
        ({"infrastructure.gpusPerNode": "8", "infrastructure.processesPerNode": 9}, {"WrongType"}),
        ({"volumes": [{"mountPath": 5, "configMap": {"name": "a"}}]}, {"WrongType"}),
    ],
)
def test_one_mistake_does_not_look_like_two(changes: dict[str, Any], rules: set[str]) -> None:
    assert {each.rule for each in found(changes)} == rules


STRANGE: dict[str, Any] = {
    "nothing": None,
    "a text": "sftrun",
    "a list": [],
    "a number": 3,
    "an empty map": {},
    "a spec that is a list": {"spec": []},
    "a spec that is a text": {"spec": "x"},
    "metadata that is a list": {"metadata": [], "spec": MINIMAL},
    "a name that is a number": run(MINIMAL) | {"metadata": {"name": 5}},
    "another kind": run(MINIMAL) | {"kind": "Job", "apiVersion": "batch/v1"},
    "an unknown section": run(MINIMAL) | {"specs": {}},
    "keys that are no texts": {1: 2, None: 3, False: 4},
    "keys of fields that are no texts": {"spec": {**MINIMAL, False: 1, None: 2, 1.5: 3}},
    "keys of maps that are no texts": run(changed(MINIMAL, {"training.extraArgs": {False: 1, 7: 2}})),
}


@pytest.mark.parametrize("case", STRANGE)
def test_whatever_is_given_something_is_said_and_nothing_raised(case: str) -> None:
    findings = judge(STRANGE[case])
    assert findings and all(each.refuses for each in findings)
    assert all(len(each.sentence) < 4000 for each in findings)


def test_a_spec_that_holds_itself_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["again"] = endless
    assert [each.rule for each in judge(run(endless))] == ["TooManyValues"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"training.learningRate": "1e-5"}, "give a number: without quotes, and with a dot (1.0e-5)"),
        ({"training.seed": "42"}, "training.seed: '42' is a text; give a whole number, without quotes"),
        ({"training.maskHistory": "no"}, "give true or false, without quotes"),
        ({"training.template": False}, "put it in quotes, because YAML reads yes, no, on and off"),
        (
            {"training.learningrate": 1},
            "there is no such field; remove it or correct its name (did you mean learningRate?)",
        ),
        ({"training.cutoff_len": 1}, "(did you mean cutoffLen?)"),
        ({"extraArgs": {"num_train_epochs": 3}}, "(did you mean training.extraArgs?)"),
        ({"infrastructure.learningRate": 1}, "(did you mean training.learningRate?)"),
        ({"training.path": "x"}, "there is no such field; remove it or correct its name"),
        (
            {"training.harborJob": {}},
            "(did you mean sources[].harborJob or dataset.validation.sources[].harborJob?)",
        ),
        ({"training.lrSchedulerType": "cosin"}, "(did you mean cosine?)"),
        ({"training.cutoffLen": 10**30}, "it must be at most 16777216"),
        ({"training.learningRate": -1}, "it must be above 0"),
        ({"model.path": "models/\u0430"}, None),
        ({"infrastructure.image": "regi\u0455try/x"}, "it holds U+0455, CYRILLIC SMALL LETTER DZE"),
        (
            {"mode": "Tr\u0430in"},
            "it holds U+0430, CYRILLIC SMALL LETTER A); give one of them (did you mean Train?",
        ),
        ({"training.s\u0435ed": 1}, "it holds U+0435, CYRILLIC SMALL LETTER IE); remove it"),
        ({"training.extraArgs": {"data_s\u0435ed": 1}}, "U+0435, CYRILLIC SMALL LETTER IE"),
        ({"training.extraArgs": {"data_seed\u200b": 1}}, "U+200B, ZERO WIDTH SPACE"),
        ({"training.learningRate": float("nan")}, "training.learningRate: nan is not a finite number"),
        ({"training.extraArgs": {"loraplus_lr_ratio": float("inf")}}, "inf is not a finite number"),
        ({"sources": []}, "sources: it has 0 items; give at least 1"),
        ({"training.template": None}, "training.template: is required and missing; add it"),
    ],
)
def test_says_what_to_write_instead(changes: dict[str, Any], sentence: str | None) -> None:
    findings = found(changes)
    assert (findings == ()) if sentence is None else (sentence in findings[0].sentence), findings


def test_a_section_beside_the_spec_is_sent_into_it() -> None:
    (one,) = judge(run(MINIMAL) | {"training": {}})
    assert (one.rule, one.field) == ("FieldUnknown", "training")
    assert "(did you mean spec.training?)" in one.sentence


def test_no_secret_is_repeated() -> None:
    secrets = {
        "training.extraArgs": {"hub_token": "hunter2", "swanlab_api_key": "hunter2"},
        "infrastructure.env": [
            {"name": "WANDB_API_KEY", "value": "hunter2"},
            {"name": "A", "value": ["hunter2"]},
        ],
        "tracking.wandb": {"baseURL": "https://user:hunter2@example.com"},
    }
    findings = found(secrets)
    assert {each.rule for each in findings if each.refuses} == {
        "ArgumentReserved",
        "RefusedEnvironment",
        "WrongType",
        "WrongForm",
    }
    assert "hunter2" not in repr(findings)


def _patterns(schema: Any) -> set[str]:
    found = {schema["pattern"]} if "pattern" in schema else set()
    below = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]
    return found.union(*(_patterns(each) for each in below if each))


def test_every_form_of_a_text_has_words() -> None:
    patterns = _patterns(object_schema()["properties"]["spec"])
    assert len(patterns) > 10
    assert [pattern for pattern in patterns if in_words(pattern) == pattern] == []
