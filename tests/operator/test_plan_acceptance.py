"""Judging a spec, and what is written before anything exists."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.operator.plan_factories import (
    CONFIG,
    UID,
    accepted,
    after,
    condition,
    kinds,
    look,
    pod,
    reason,
    run,
    seen,
    told,
)

from sftrun_operator.observations import OperatorConfig

REFUSED: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "unknown field": ({"training": {"learningrate": 1}}, ("training.learningrate", "no such field")),
    "missing field": ({"training": {"template": None}}, ("training.template", "required")),
    "number as text": ({"training": {"cutoffLen": "4096"}}, ("training.cutoffLen", "'4096'")),
    "not a number": ({"training": {"learningRate": float("nan")}}, ("learningRate", "not a finite number")),
    "path that climbs out": ({"model": {"path": "../other"}}, ("model.path", "'..'")),
    "unknown template": ({"training": {"template": "qwen33"}}, ("training.template", "qwen33", "qwen3")),
    "unknown argument": (
        {"training": {"extraArgs": {"neftune_alpha": 5}}},
        ("neftune_alpha", "neftune_noise_alpha"),
    ),
    "owned argument": ({"training": {"extraArgs": {"learning_rate": 1}}}, ("training.learningRate",)),
    "path in no mount": (
        {"model": {"path": "/models/m"}},
        ("model.path", "/models/m", "/workspace", "spec.volumes"),
    ),
    "output in no mount": ({"training": {"outputDir": "/out/x"}}, ("training.outputDir", "/out/x")),
    "output of two segments": ({"training": {"outputDir": "a/b"}}, ("training.outputDir", "segment")),
    "output in a read-only volume": (
        {
            "training": {"outputDir": "/models/out"},
            "volumes": [
                {"mountPath": "/models", "readOnly": True, "persistentVolumeClaim": {"claimName": "m"}}
            ],
        },
        ("training.outputDir", "readOnly"),
    ),
    "mount over our files": ({"workspace": {"mountPath": "//etc/sftrun"}}, ("workspace.mountPath", "/etc")),
    "mount over the image": ({"workspace": {"mountPath": "/opt"}}, ("workspace.mountPath", "/opt/sftrun")),
    "mount over the root": ({"workspace": {"mountPath": "//"}}, ("workspace.mountPath",)),
    "two mounts at one place": (
        {"volumes": [{"mountPath": "/workspace/", "persistentVolumeClaim": {"claimName": "m"}}]},
        ("volumes[0].mountPath", "workspace.mountPath"),
    ),
    "no GPU to train on": (
        {"infrastructure": {"accelerator": "GPU", "gpusPerNode": 0, "processesPerNode": None}},
        ("gpusPerNode", "accelerator: CPU"),
    ),
    "more processes than GPUs": (
        {"infrastructure": {"accelerator": "GPU", "gpusPerNode": 2, "processesPerNode": 4}},
        ("processesPerNode", "gpusPerNode"),
    ),
    "GPUs in resources": (
        {"infrastructure": {"resources": {"limits": {"nvidia.com/gpu": 4}}}},
        ("infrastructure.resources", "gpusPerNode"),
    ),
    "request above limit": (
        {"infrastructure": {"resources": {"requests": {"memory": "9Gi"}, "limits": {"memory": "8Gi"}}}},
        ("9Gi", "8Gi"),
    ),
    "shared memory takes it all": (
        {"infrastructure": {"sharedMemory": "8Gi", "resources": {"limits": {"memory": "8Gi"}}}},
        ("infrastructure.sharedMemory", "limits.memory"),
    ),
    "our own variable": (
        {"infrastructure": {"env": [{"name": "SFTRUN_POD_UID", "value": "x"}]}},
        ("infrastructure.env[0]", "leave it out"),
    ),
    "another controller's label": (
        {"infrastructure": {"podLabels": {"kueue.x-k8s.io/queue-name": "gold"}}},
        ("podLabels", "kueue.x-k8s.io/"),
    ),
    "another controller's annotation": (
        {"infrastructure": {"podAnnotations": {"sftrun.dev/run-uid": "x"}}},
        ("podAnnotations", "sftrun.dev/run-uid"),
    ),
    "root": ({"infrastructure": {"securityContext": {"runAsUser": 0}}}, ("runAsUser", "root")),
    "more than a ConfigMap holds": (
        {
            "sources": [
                {
                    "harborJob": {"path": f"jobs/{source}"},
                    "conversion": {"excludeRepos": [f"{'o' * 60}/{'r' * 30}{n}" for n in range(1024)]},
                }
                for source in range(16)
            ]
        },
        ("ConfigMap", "excludeReposFile"),
    ),
    "long name": ({"name": "n" * 46}, ("metadata.name", "45")),
    "name with a dot": ({"name": "a.b"}, ("metadata.name", "DNS label")),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_and_says_which_field_and_what_to_do(case: str) -> None:
    change, words = REFUSED[case]
    the_run = run(**change)
    made = look(the_run, seen(proven=False))
    status = after(the_run, made)
    assert (status["phase"], made.create, made.delete) == ("Rejected", (), ())
    assert condition(status, "Accepted")["status"] == "False"
    for word in words:
        assert word in condition(status, "Accepted")["message"]
    assert status["message"] == condition(status, "Accepted")["message"]
    assert told(made) == [("Warning", "InvalidSpec")]
    assert "attempt" not in status


def test_tells_all_mistakes_at_once() -> None:
    change: dict[str, Any] = {
        "sources": [],
        "mode": "Trian",
        "training": {"cutoffLen": -1, "precision": "bf15", "seed": "x"},
        "infrastructure": {"gpusPerNode": 1.5},
        "lifecycle": {"maxRetries": -2},
    }
    message = condition(after(run(**change), look(run(**change))), "Accepted")["message"]
    fields = (
        "sources",
        "mode",
        "cutoffLen",
        "precision",
        "training.seed",
        "gpusPerNode",
        "lifecycle.maxRetries",
    )
    assert [field for field in fields if field not in message] == []


def test_a_hundred_mistakes_fit_into_one_message() -> None:
    the_run = run(training={"extraArgs": {f"unknown_{index}": index for index in range(100)}})
    message = condition(after(the_run, look(the_run)), "Accepted")["message"]
    assert len(message) <= 1024
    assert " more" in message


def test_rejected_is_written_once_and_judged_again_when_the_spec_changes() -> None:
    wrong = run(training={"template": "qwen33"})
    status = after(wrong, look(wrong))
    assert look(run(status, training={"template": "qwen33"})).status_patch is None
    second = look(run(status, training={"template": "qwen33"}, generation=2))
    assert set(second.status_patch or {}) == {"observedGeneration", "conditions"}
    assert second.events == ()
    mended = run(status, generation=2)
    made = look(mended)
    assert kinds(made) == ["ConfigMap swe-abcde-1", "Job swe-abcde-1"]
    assert after(mended, made)["phase"] == "Pending"


def test_accepting_needs_proof_that_nothing_of_that_name_lives() -> None:
    made = look(run(), seen(proven=False))
    assert (made.prove, made.status_patch, made.create) == (True, None, ())


def test_writes_ahead_then_creates_config_map_and_job() -> None:
    the_run = run(restartRequest=4, generation=3)
    made = look(the_run)
    status = after(the_run, made)
    assert kinds(made) == ["ConfigMap swe-abcde-1", "Job swe-abcde-1"]
    assert (status["attempt"], status["observedGeneration"], status["handledRestartRequest"]) == (1, 3, 4)
    assert (status["image"], len(status["specHash"])) == ("registry.test/trainer:1", 64)
    assert (status["phase"], status["jobName"], status["display"]) == ("Pending", "swe-abcde-1", {"gpus": 8})
    assert status["effective"] == {
        "workspace": "/workspace",
        "outputDir": "/workspace/artifacts/model/swe",
        "modelPath": "/workspace/models/tiny",
        "datasetName": "swe",
        "runName": "swe",
        "gpusPerNode": 8,
        "processesPerNode": 2,
        "learningRate": 1e-05,
        "warmupRatio": 0.1,
        "globalBatchSize": 8,
        "gradientCheckpointing": "Standard",
        "enableLigerKernel": False,
        "preprocessingNumWorkers": 1,
        "enableThinking": True,
        "optimizer": "adamw_torch",
        "dataloaderNumWorkers": 0,
        "sharedMemory": "1Gi",
        "resources": {
            "requests": {"cpu": "1", "memory": "4Gi", "nvidia.com/gpu": "8"},
            "limits": {"memory": "12Gi", "nvidia.com/gpu": "8"},
        },
    }
    assert {c["type"] for c in status["conditions"]} == {
        "Accepted",
        "DataReady",
        "Running",
        "ProgressAvailable",
        "Healthy",
        "Suspended",
        "Succeeded",
        "Failed",
    }
    assert told(made) == [("Normal", "Accepted")]


def test_the_same_plan_again_changes_nothing() -> None:
    status = accepted()
    made = look(run(status))
    assert (made.status_patch, made.events) == (None, ())
    assert kinds(made) == ["ConfigMap swe-abcde-1", "Job swe-abcde-1"]


def test_suspended_from_the_start_creates_nothing() -> None:
    the_run = run(suspend=True)
    made = look(the_run, seen(proven=False))
    status = after(the_run, made)
    assert (status["phase"], made.create, status.get("attempt")) == ("Suspended", (), None)
    assert look(run(status, suspend=True)).status_patch is None
    resumed = look(run(status))
    assert kinds(resumed) == ["ConfigMap swe-abcde-1", "Job swe-abcde-1"]
    assert after(run(status), resumed)["attempt"] == 1


def test_a_run_that_is_being_deleted_gets_nothing() -> None:
    assert look(run(deleting=True)) == look(run(accepted(), deleting=True), seen(pods=(pod(),)))
    assert look(run(deleting=True)).status_patch is None


def test_a_newer_operator_neither_judges_nor_renders_again() -> None:
    status = accepted()
    newer = OperatorConfig(trainer_image="registry.test/trainer:2", version="2")
    made = look(run(status), config=newer)
    assert made.status_patch is None
    assert made.create[1]["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.test/trainer:1"
    assert '"image": "registry.test/trainer:1"' in made.create[0]["data"]["run.json"]


def test_pinned_values_come_from_the_status() -> None:
    status = accepted()
    status["effective"]["learningRate"] = 3e-5
    status["effective"]["totalSteps"] = 24
    made = look(run(status))
    resolved = json.loads(made.create[0]["data"]["run.json"])["resolved"]
    assert resolved["learningRate"] == 3e-5
    assert "totalSteps" not in resolved


def test_fields_that_may_change_while_suspended_are_taken_at_resume() -> None:
    status = after(run(suspend=True), look(run(suspend=True)))
    change = {
        "infrastructure": {"image": "registry.test/own:7", "nodeSelector": {"zone": "b"}, "queueName": "gold"}
    }
    made = look(run(status, **change))
    job = made.create[1]
    assert job["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.test/own:7"
    assert job["spec"]["template"]["spec"]["nodeSelector"] == {"zone": "b"}
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gold"
    assert after(run(status), made)["image"] == "registry.test/own:7"
    assert after(run(status), made)["specHash"] == status["specHash"]


def test_warnings_are_checks_and_events_and_no_refusal() -> None:
    the_run = run(infrastructure={"accelerator": "GPU", "gpusPerNode": 8, "processesPerNode": 4})
    made = look(the_run)
    status = after(the_run, made)
    assert status["phase"] == "Pending"
    spec_lines = [c for c in status["checks"] if c["group"] == "spec"]
    assert [(c["name"], c["result"]) for c in spec_lines] == [("IdleGpus", "Warn")]
    assert ("Warning", "SpecWarning") in told(made)


def test_advice_is_lines_and_one_event() -> None:
    unwise_change: dict[str, Any] = {
        "infrastructure": {"accelerator": "GPU", "gpusPerNode": 8, "processesPerNode": None},
        "training": {"learningRate": 1e-3, "numTrainEpochs": 50},
    }
    unwise = run(**unwise_change)
    made = look(unwise)
    status = after(unwise, made)
    lines = {c["name"]: c for c in status["checks"] if c["group"] == "Advice"}
    assert lines.keys() == {"LearningRate", "Epochs", "NoValidation"}
    assert {c["result"] for c in lines.values()} == {"Warn"}
    assert "1e-6 to 3e-5" in lines["LearningRate"]["message"]
    (event,) = [each for each in made.events if each.reason == "Advice"]
    assert event.type == "Normal"
    assert "training.learningRate: 0.001, recommended 1e-6 to 3e-5" in event.message
    assert len(event.message) <= 1024
    assert kinds(made) == ["ConfigMap swe-abcde-1", "Job swe-abcde-1"]
    again = look(run(status, **unwise_change))
    assert [each for each in again.events if each.reason == "Advice"] == []


PAIRS: dict[str, Any] = {"sources": [{"files": {"paths": ["pairs.json"], "ranking": True}}]}

RESOLVED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "GPU defaults": (
        {"infrastructure": {"accelerator": "GPU", "gpusPerNode": None, "processesPerNode": None}},
        {"gpusPerNode": 8, "processesPerNode": 8, "globalBatchSize": 32, "gradientCheckpointing": "Unsloth"},
    ),
    "liger and workers with GPUs": (
        {"infrastructure": {"accelerator": "GPU", "gpusPerNode": 2, "processesPerNode": None}},
        {"enableLigerKernel": True, "preprocessingNumWorkers": 12},
    ),
    "no GPU to prepare data": (
        {
            "mode": "PrepareData",
            "infrastructure": {"accelerator": "GPU", "gpusPerNode": None, "processesPerNode": None},
        },
        {"gpusPerNode": 0, "processesPerNode": 1, "enableLigerKernel": False},
    ),
    "lora": ({"training": {"finetuningType": "lora"}}, {"learningRate": 1e-4}),
    "dpo": ({"training": {"finetuningType": "lora", "stage": "dpo"}, **PAIRS}, {"learningRate": 5e-6}),
    "dpo full": ({"training": {"stage": "dpo"}, **PAIRS}, {"learningRate": 5e-7}),
    "written rate": ({"training": {"learningRate": 2e-5}}, {"learningRate": 2e-5}),
    "warm-up in steps": ({"training": {"warmupSteps": 7}}, {"warmupSteps": 7}),
    "alpha": ({"training": {"finetuningType": "lora", "lora": {"rank": 32}}}, {"loraAlpha": 64}),
    "written alpha": (
        {"training": {"finetuningType": "lora", "lora": {"rank": 32, "alpha": 16}}},
        {"loraAlpha": 16},
    ),
    "no alpha": ({}, {"loraAlpha": None, "evalBatchSize": None}),
    "evaluation": ({"dataset": {"validation": {"fraction": 0.1}}}, {"evalBatchSize": 1}),
    "template without thoughts": ({"training": {"template": "llama3"}}, {"enableThinking": None}),
    "loading with GPUs": (
        {"infrastructure": {"accelerator": "GPU", "gpusPerNode": 2, "processesPerNode": None}},
        {"dataloaderNumWorkers": 4, "sharedMemory": "16Gi"},
    ),
    "absolute output": ({"training": {"outputDir": "/workspace/x"}}, {"outputDir": "/workspace/x"}),
    "named output": ({"training": {"outputDir": "x"}}, {"outputDir": "/workspace/artifacts/model/x"}),
    "other workspace": ({"workspace": {"mountPath": "/data"}}, {"modelPath": "/data/models/tiny"}),
    "names": (
        {"dataset": {"name": "mine"}, "tracking": {"runName": "my run"}},
        {"datasetName": "mine", "runName": "my run"},
    ),
}


@pytest.mark.parametrize("case", RESOLVED)
def test_works_out_what_the_spec_leaves_open(case: str) -> None:
    change, expected = RESOLVED[case]
    effective = accepted(**change)["effective"]
    assert {key: effective.get(key) for key in expected} == expected
    assert ("warmupRatio" in effective) != ("warmupSteps" in effective)


def test_a_hub_model_has_no_path() -> None:
    assert "modelPath" not in accepted(model={"path": None, "huggingFace": {"repo": "a/b"}})["effective"]


@pytest.mark.parametrize("kind", ["job", "config map"])
def test_never_uses_an_object_of_somebody_else(kind: str) -> None:
    from tests.operator.plan_factories import job

    status = accepted()
    there = {"job": job(owner_uid="other")} if kind == "job" else {"config_map_owner_uid": "other"}
    made = look(run(status), seen(**there))
    assert (made.create, reason(after(run(status), made))) == ((), "NameTaken")
    assert look(run(status), seen(config_map_owner_uid=UID)).create


def test_config_is_given() -> None:
    made = look(run(), config=OperatorConfig(trainer_image="i", version="1", run_as_user=None, fs_group=20))
    security = made.create[1]["spec"]["template"]["spec"]["securityContext"]
    assert ("runAsUser" in security, security["runAsGroup"], security["fsGroup"]) == (
        False,
        CONFIG.run_as_group,
        20,
    )
