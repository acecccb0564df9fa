"""The checks before training: what passes, what is said, what fails and under which reason."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.image import training_runs

from sftrun_api.preflights import Group
from sftrun_api.reasons import Reason
from sftrun_api.statuses import Check
from sftrun_data import errors, requests
from sftrun_trainer import calls, endings, events, folders, reporting, weights
from sftrun_trainer.calls import StageFailure
from sftrun_trainer.failures import failure
from sftrun_trainer.preflight import early, findings, hubs, imports, machines, models, places, starts

GPU: dict[str, Any] = {"infrastructure": {"accelerator": "GPU"}}
LORA: dict[str, Any] = {"finetuningType": "lora"}
HUB: dict[str, Any] = {"model": {"huggingFace": {"repo": "org/model", "revision": "main"}}}
ROWS = [
    {"conversations": [{"from": "human", "value": f"Q{number}"}, {"from": "gpt", "value": "A"}]}
    for number in range(3)
]


def told(checks: Iterable[Check]) -> dict[str, str]:
    """Returns group and name of each line with its result."""
    return {f"{check.group}/{check.name}": check.result for check in checks}


def failed(body: Callable[[], Iterable[Check]]) -> StageFailure:
    """Returns what a check raises."""
    with pytest.raises(StageFailure) as caught:
        list(body())
    return caught.value


# What becomes of lines that fail.


def _raises(error: Exception) -> Callable[[], Iterable[Check]]:
    def body() -> Iterable[Check]:
        yield findings.line(Group.MODEL, "one", "Pass")
        raise error

    return body


MISSING = failure(Reason.MISSING_MODEL, path="/m", details="no such folder")
FULL = endings.retry(Reason.WORKSPACE_FULL, path="/w")


@pytest.mark.parametrize(
    ("errors", "lines", "verdict"),
    [
        ((), {}, None),
        ((MISSING,), {"Model/one": "Pass", "Model/files": "Fail"}, ("MissingModel", True)),
        ((FULL,), {"Model/one": "Pass", "Environment/disk space": "Fail"}, ("WorkspaceFull", False)),
        (
            (FULL, MISSING),
            {"Model/one": "Pass", "Model/files": "Fail", "Environment/disk space": "Fail"},
            ("PreflightFailed", True),
        ),
        ((FULL, FULL), {"Model/one": "Pass", "Environment/disk space": "Fail"}, ("PreflightFailed", False)),
    ],
)
def test_all_is_told_before_anything_ends(
    errors: tuple[Exception, ...], lines: dict[str, str], verdict: tuple[str, bool] | None
) -> None:
    said: list[Check] = []
    found = findings.Findings(tell=said.append)
    for error in errors:
        found.attempt(_raises(error))
    assert told(said) == lines
    end = found.verdict()
    assert (end and (end.reason, end.final)) == verdict
    if len(errors) == 2 and end is not None:
        assert end.message.startswith("2 checks failed before training: 1. ")


def test_an_error_of_ours_is_not_taken_for_a_check() -> None:
    with pytest.raises(ZeroDivisionError):
        findings.Findings(tell=lambda _: None).attempt(_raises(ZeroDivisionError()))


def test_a_line_that_fails_always_has_room() -> None:
    account = reporting.Account(run=training_identity(), pod_uid="p", pod_name="", now=lambda: 0.0)
    account.add_checks(findings.line(Group.SOURCE, str(number), "Pass") for number in range(70))
    account.add_check(findings.line(Group.MODEL, "files", "Fail", "gone"))
    account.add_check(findings.line(Group.MODEL, "length", "Pass"))
    checks = account.report().checks
    assert len(checks) == reporting.MOST_CHECKS
    assert told(checks)["Model/files"] == "Fail"
    assert "Model/length" not in told(checks)
    account.add_last_check(findings.line(Group.MODEL, "template", "Fail"))
    account.add_last_check(findings.line(Group.GPU, "devices", "Fail"))
    assert "Model/template" not in told(account.report().checks)
    assert told(account.report().checks)["GPU/devices"] == "Fail"


def training_identity() -> Any:
    from sftrun_api.run_files import RunIdentity

    return RunIdentity(namespace="n", name="r", uid="u", attempt=1)


# Imports.


@pytest.mark.parametrize(
    ("options", "module"),
    [
        ({**GPU, "training": {"flashAttn": "fa2"}}, "flash_attn"),
        ({**GPU, "training": {**LORA, "quantization": {}}}, "bitsandbytes"),
        ({**GPU, "training": {"optimizer": {"name": "paged_adamw_8bit"}}}, "bitsandbytes"),
        ({"tracking": {"wandb": {"mode": "Offline"}}}, "wandb"),
    ],
)
def test_what_the_image_lacks_is_named(tmp_path: Path, options: dict[str, Any], module: str) -> None:
    run = training_runs.make(tmp_path, **options).run
    assert told(imports.check(run, find=lambda _: object())) == {
        f"Imports/{module}": "Pass",
        "Imports/versions": "Pass",
    }
    error = failed(lambda: imports.check(run, find=lambda _: None))
    assert (error.reason, module in error.message) == (Reason.IMAGE_INCOMPLETE, True)


@pytest.mark.parametrize(
    ("options", "programs"),
    [
        ({}, ()),
        ({"deepspeed": {"offloadOptimizer": "CPU"}}, ("g++", "ninja")),
        ({"deepspeed": {"offloadOptimizer": "CPU"}, "mode": "PrepareData"}, ()),
    ],
)
def test_a_compiler_is_looked_for_where_something_is_compiled(
    tmp_path: Path, options: dict[str, Any], programs: tuple[str, ...]
) -> None:
    run = training_runs.make(tmp_path, **options).run
    lines = told(imports.check(run, which=lambda name: f"/usr/bin/{name}"))
    assert [key for key in lines if key != "Imports/versions"] == [f"Imports/{name}" for name in programs]
    if programs:
        error = failed(lambda: imports.check(run, which=lambda _: None))
        assert all(name in error.message for name in programs)


def test_another_llamafactory_is_refused(tmp_path: Path) -> None:
    run = training_runs.make(tmp_path).run
    error = failed(lambda: imports.check(run, version=lambda _: "0.9.4"))
    assert "0.9.4" in error.message


# GPUs.

H100 = machines.Gpu(name="NVIDIA H100", total=80 << 30, free=80 << 30, capability=(9, 0))
V100 = dataclasses.replace(H100, name="Tesla V100", capability=(7, 0))


def machine(*gpus: machines.Gpu, cuda: int = 12080) -> machines.Machine:
    """Returns what the driver says."""
    return machines.Machine(gpus=gpus, cuda=cuda)


@pytest.mark.parametrize(
    ("gpus", "lines"),
    [
        ((H100, H100), {"devices": "Pass", "memory in use": "Pass", "capability": "Pass", "driver": "Pass"}),
        (
            (H100, H100, H100),
            {"devices": "Warn", "memory in use": "Pass", "capability": "Pass", "driver": "Pass"},
        ),
        (
            (H100, dataclasses.replace(H100, free=40 << 30)),
            {"devices": "Pass", "memory in use": "Warn", "capability": "Pass", "driver": "Pass"},
        ),
        (
            (H100, dataclasses.replace(H100, name="NVIDIA A100")),
            {
                "devices": "Pass",
                "kinds": "Warn",
                "memory in use": "Pass",
                "capability": "Pass",
                "driver": "Pass",
            },
        ),
    ],
)
def test_gpus_that_can_train(tmp_path: Path, gpus: tuple[machines.Gpu, ...], lines: dict[str, str]) -> None:
    run = training_runs.make(tmp_path, **GPU).run
    found = told(machines.check(run, ask=lambda: machine(*gpus), cuda="12.8.90"))
    assert found == {f"GPU/{name}": result for name, result in lines.items()}


@pytest.mark.parametrize(
    ("found", "training", "words"),
    [
        (machine(H100), {}, ("1 of the 2", "processesPerNode")),
        (machine(), {}, ("0 of the 2", "gpuResourceName")),
        (machine(V100, V100), {}, ("precision: bf16", "7.0", "fp16")),
        (machine(H100, H100, cuda=11080), {}, ("CUDA 11.8", "12.8")),
    ],
)
def test_gpus_that_cannot(
    tmp_path: Path, found: machines.Machine, training: dict[str, Any], words: tuple[str, ...]
) -> None:
    run = training_runs.make(tmp_path, training=training, **GPU).run
    error = failed(lambda: machines.check(run, ask=lambda: found, cuda="12.8.90"))
    assert error.reason == Reason.GPU_MISSING
    assert all(word in error.message for word in words)


class _NvmlError(Exception):
    pass


def _nvml(*, starts_up: bool = True) -> Any:
    def init() -> None:
        if not starts_up:
            raise _NvmlError("Driver Not Loaded")

    return SimpleNamespace(
        NVMLError=_NvmlError,
        nvmlInit=init,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetMemoryInfo=lambda _: SimpleNamespace(total=80 << 30, free=79 << 30),
        nvmlDeviceGetName=lambda index: b"NVIDIA H100" if index else "NVIDIA H100",
        nvmlDeviceGetCudaComputeCapability=lambda _: (9, 0),
        nvmlSystemGetCudaDriverVersion=lambda: 12080,
    )


def test_the_driver_is_asked() -> None:
    found = machines.look(load=lambda _: _nvml())
    assert found == machine(*[dataclasses.replace(H100, free=79 << 30)] * 2)
    with pytest.raises(StageFailure, match="Driver Not Loaded"):
        machines.look(load=lambda _: _nvml(starts_up=False))


def test_a_machine_without_a_driver_is_said_by_the_program(tmp_path: Path) -> None:
    made = training_runs.make(tmp_path, **GPU)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with pytest.raises(endings.Ending) as caught:
        list(places.ask(made.call.run_file, environment=environment))
    assert caught.value.reason == Reason.GPU_MISSING


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (r"""print('{"kind":"check","group":"GPU","name":"x","result":"Pass"}')""", {"GPU/x": "Pass"}),
        ("raise SystemExit('Segmentation fault')", {"GPU/devices": "Warn"}),
        ("print('no JSON')", {"GPU/devices": "Warn"}),
        ("import time; time.sleep(600)", "GPUFault"),
        (r"""print('{"kind":"failure","reason":"GPUMissing","message":"m","final":true}')""", "GPUMissing"),
    ],
)
def test_a_driver_in_trouble_holds_nobody_up(
    tmp_path: Path, code: str, expected: dict[str, str] | str
) -> None:
    program = (sys.executable, "-c", code)
    seconds = 1.0 if expected == "GPUFault" else 60.0

    def ask() -> list[Check]:
        return list(places.ask(tmp_path, environment={}, program=program, seconds=seconds))

    if isinstance(expected, dict):
        assert told(ask()) == expected
    else:
        with pytest.raises(endings.Ending) as caught:
            ask()
        assert caught.value.reason == expected


@pytest.mark.parametrize(
    ("options", "words"),
    [({}, "accelerator is CPU"), ({**GPU, "mode": "DryRun"}, "none is asked for with mode DryRun")],
)
def test_runs_without_gpus_start_no_program(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    run = training_runs.make(tmp_path, **options).run
    run = run.model_copy(update={"resolved": run.resolved.model_copy(update={"gpus_per_node": 0})})
    said: list[Check] = []
    places.look(tmp_path / "none", run=run, environment={}, tell=said.append)
    assert words in next(check.message for check in said if check.group == "GPU")


# Model.


def _adapter(root: Path, **config: Any) -> None:
    folder = root / "workspace" / "runs" / "a"
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"r": 8, "lora_alpha": 16, **config}))
    (folder / "adapter_model.bin").write_bytes(weights.PICKLE)


@pytest.mark.parametrize(
    ("lora", "create_new", "words"),
    [
        (None, False, None),
        ({"rank": 8}, False, None),
        ({"dropout": 0}, False, None),
        ({"rank": 16}, True, None),
        ({"rank": 16}, False, "training.lora.rank is 16 and it has 8"),
        ({"alpha": 8, "dora": True}, False, "training.lora.alpha is 8 and it has 16"),
    ],
)
def test_an_adapter_is_trained_further_as_it_is(
    tmp_path: Path, lora: dict[str, Any] | None, create_new: bool, words: str | None
) -> None:
    _adapter(tmp_path)
    model = {"path": "models/tiny", "adapter": {"path": "runs/a", "createNew": create_new}}
    training = {**LORA, **({"lora": lora} if lora is not None else {})}
    run = training_runs.make(tmp_path, model=model, training=training, deepspeed={"zeroStage": 2}).run
    if words is None:
        assert told(models.check_adapter(run)) == {"Model/adapter": "Pass"}
    else:
        assert words in failed(lambda: models.check_adapter(run)).message


@pytest.mark.parametrize(("kind", "result"), [("qwen3", "Pass"), ("mamba", "Warn"), (None, "Warn")])
def test_kernels_that_do_not_know_the_model_are_said(tmp_path: Path, kind: str | None, result: str) -> None:
    run = training_runs.make(tmp_path, **GPU).run
    config = {"model_type": kind} if kind else {}
    assert told(models.check_kernels(run, config)) == {}
    resolved = run.resolved.model_copy(update={"enable_liger_kernel": True})
    run = run.model_copy(update={"resolved": resolved})
    assert told(models.check_kernels(run, config)) == {"Model/kernels": result}


class GatedRepoError(Exception):
    """As the hub's client names it."""


def _hub(error: Exception | None) -> Any:
    def ask(_: Any) -> Any:
        if error is not None:
            raise error
        return SimpleNamespace(sha="0123456789abcdef")

    return ask


def test_the_hub_is_asked_before_the_conversion(tmp_path: Path) -> None:
    run = training_runs.make(tmp_path, **HUB).run
    assert told(hubs.check(run, ask=_hub(None))) == {"Model/hub": "Pass"}
    assert told(hubs.check(run, ask=_hub(ConnectionError("no route")))) == {"Model/hub": "Warn"}
    error = failed(lambda: hubs.check(run, ask=_hub(GatedRepoError("401"))))
    assert error.reason == Reason.HUB_FAILED
    assert "credentials.huggingFaceTokenSecretRef" in error.message
    offline = training_runs.make(tmp_path / "offline", model={**HUB["model"], "offline": True}).run
    assert told(hubs.check(offline, ask=_hub(GatedRepoError("401")))) == {}


# Where training starts, and what a dry run leaves alone.


@pytest.mark.parametrize(
    ("existing", "content", "expected"),
    [
        ("Fail", (), "Pass"),
        ("Fail", ("checkpoint-3",), "OutputFolderNotEmpty"),
        ("Overwrite", ("checkpoint-3",), "Warn"),
        ("Overwrite", (), "Pass"),
    ],
)
def test_a_dry_run_says_what_training_will_find(
    tmp_path: Path, existing: str, content: tuple[str, ...], expected: str
) -> None:
    made = training_runs.make(tmp_path, mode="DryRun", training={"existingOutput": existing})
    folder = Path(made.run.resolved.output_dir)
    for name in content:
        (folder / name).mkdir()
    own = folders.of_run(made.run).root
    assert own != folder
    assert own.is_relative_to(made.run.resolved.workspace)
    said: list[Check] = []
    found = findings.Findings(tell=said.append)
    found.attempt(lambda: starts.check_output(made.run))
    end = found.verdict()
    assert (end.reason if end else said[0].result) == expected
    assert all((folder / name).is_dir() for name in content)


def test_a_run_that_trains_works_in_its_output_folder(tmp_path: Path) -> None:
    run = training_runs.make(tmp_path).run
    assert folders.of_run(run).root == Path(run.resolved.output_dir)
    assert list(starts.check_output(run)) == []


# All of it.


def _first_checks(root: Path, **options: Any) -> tuple[dict[str, Check], StageFailure | None]:
    made = training_runs.make(root, **options)
    with events.EventWriter(made.call.events) as writer:
        child = calls.Child(call=made.call, run=made.run, events=writer)
        try:
            early.run(child)
            error = None
        except StageFailure as caught:
            error = caught
    said = [event for event in made.events() if isinstance(event, events.CheckLine)]
    return {
        f"{event.group}/{event.name}": Check(
            group=event.group, name=event.name, result=event.result, message=event.message
        )
        for event in said
    }, error


def test_a_sound_run_passes_all_that_is_looked_at_first(tmp_path: Path) -> None:
    data = tmp_path / "workspace" / "data.json"
    data.parent.mkdir()
    data.write_text(json.dumps(ROWS))
    lines, error = _first_checks(tmp_path)
    assert error is None
    assert {key for key, check in lines.items() if check.result == "Fail"} == set()
    assert {check.group for check in lines.values()} >= {"Config", "Source", "Converter", "Model"}
    assert "3 " in lines["Source/source-1"].message or "data.json" in lines["Source/source-1"].message


def test_every_mistake_is_told_before_the_first_ends_the_run(tmp_path: Path) -> None:
    lines, error = _first_checks(
        tmp_path,
        native_length=64,
        sources=[{"files": {"paths": ["nowhere.json"]}}, {"name": "job", "harborJob": {"path": "none"}}],
        training={"resumeFromCheckpoint": "none/checkpoint-1", "ropeScaling": "none", "cutoffLen": 512},
    )
    assert error is not None
    assert error.reason == Reason.PREFLIGHT_FAILED
    fails = sorted(key for key, check in lines.items() if check.result == "Fail")
    assert fails == [
        "Model/length", "Source/path job", "Source/path source-1", "Training/checkpoint"
    ]  # fmt: skip
    assert error.message.startswith("4 checks failed")
    assert "training.cutoffLen 512" in error.message
    assert lines["Model/files"].result == "Pass"


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (os.mkfifo, ("is neither a folder nor a regular file", "name one of the two")),
        (_loop, ("cannot be read", "symbolic links")),
        (
            lambda path: path.write_text("[]"),
            ("may not be read by uid", "mode 0644", "infrastructure.securityContext"),
        ),
    ],
    ids=["a pipe", "a link to itself", "another user's"],
)
def test_a_source_that_is_there_and_cannot_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], object], words: tuple[str, ...]
) -> None:
    path = tmp_path / "workspace" / "data.json"
    path.parent.mkdir()
    make(path)
    if path.is_file():
        path.chmod(0o644)
        monkeypatch.setattr(os, "access", lambda *_: False)  # the tests may be root, whom nothing is denied
    lines, error = _first_checks(tmp_path)
    assert error is not None
    assert (error.reason, error.final) == (Reason.UNREADABLE_SOURCE, True)
    line = lines["Source/readable source-1"]
    assert (line.result, line.message) == ("Fail", error.message)
    for word in ("sources[0].files.paths", str(path), *words):
        assert word in error.message


def test_sources_that_cannot_be_asked_for_are_a_line_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise errors.BadRequest("sources: they contradict each other; keep one")

    monkeypatch.setattr(requests.ConversionRequest, "from_run_file", refuse)
    lines, error = _first_checks(tmp_path)
    assert error is not None
    assert error.reason == "BadRequest"
    assert lines["Source/request"].result == "Fail"


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("llamafactory.yaml", "a: [", "llamafactory.yaml"),
        ("llamafactory.yaml", "[]", "holds no arguments"),
        ("llamafactory.yaml", "learning_rat: 1", "does not know learning_rat"),
        ("deepspeed.json", "{", "deepspeed.json"),
        ("deepspeed.json", "[]", "deepspeed.json"),
    ],
)
def test_a_config_map_that_was_changed_by_hand_is_refused(
    tmp_path: Path, file: str, text: str, words: str
) -> None:
    made = training_runs.make(tmp_path)
    made.call.run_file.with_name(file).write_text(text)
    said: list[Check] = []
    found = early.look(made.run, folder=made.call.run_file.parent, tell=said.append)
    assert found.verdict() is not None
    bad = [check for check in said if check.group == "Config" and check.result == "Fail"]
    assert len(bad) == 1
    assert words in bad[0].message
