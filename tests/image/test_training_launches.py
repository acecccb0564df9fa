"""How torchrun is started, and where its curves go."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.image import training_runs

from sftrun_api.reports import Stage
from sftrun_trainer import arguments, launches, markers, trackings


def launched(
    root: Path, *, resume: Path | None = None, base: dict[str, str] | None = None, **options: Any
) -> Any:
    made = training_runs.make(root, **options)
    state = made.call.state_dir
    shutil.copyfile(made.call.run_file.with_name("llamafactory.yaml"), state / arguments.ARGUMENTS_FILE)
    launch = launches.build(call=made.call, run=made.run, resume=resume, base=base or {}, port=2)
    return made, launch


def test_torchrun_is_started_directly_with_as_many_processes_as_the_spec_says(tmp_path: Path) -> None:
    made, launch = launched(tmp_path, processes=3)
    assert launch.argv[1:3] == ("-m", "torch.distributed.run")
    assert {"--nproc_per_node=3", "--nnodes=1", "--master_port=2", "--max_restarts=0"} <= set(launch.argv)
    assert launch.argv[-8:] == ("-m", launches.WORKER, *made.call.arguments())


@pytest.mark.parametrize("name", ["checkpoint-3", None])
def test_the_checkpoint_to_go_on_from_is_always_explicit(tmp_path: Path, name: str | None) -> None:
    path = tmp_path / name if name else None
    made, _ = launched(tmp_path, resume=tmp_path / "checkpoint-1")
    launches.build(call=made.call, run=made.run, resume=path, base={}, port=2)
    final = arguments.read(made.call.state_dir / arguments.ARGUMENTS_FILE)
    assert final.get("resume_from_checkpoint") == (str(path) if path else None)
    assert final["overwrite_output_dir"] is False


@pytest.mark.parametrize(
    ("options", "base", "expected"),
    [
        ({}, {}, {"CUDA_VISIBLE_DEVICES": "", "DS_ACCELERATOR": "cpu"}),
        ({}, {"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": ""}),
        ({}, {"OMP_NUM_THREADS": "3"}, {"OMP_NUM_THREADS": "3"}),
        ({}, {}, {"TORCHINDUCTOR_COMPILE_THREADS": "1"}),
        ({"infrastructure": {"accelerator": "GPU"}}, {}, {"TORCHINDUCTOR_COMPILE_THREADS": None}),
        ({}, {"A": "b"}, {"A": "b"}),
        (
            {"infrastructure": {"accelerator": "GPU"}},
            {"CUDA_VISIBLE_DEVICES": "0"},
            {"CUDA_VISIBLE_DEVICES": "0"},
        ),
        ({}, {}, {"IMAGE_PLACEHOLDER": "<|sftrun-no-image|>"}),
        (
            {"tracking": {"wandb": {"mode": "Offline", "project": "p", "tags": ["a", "b"]}}},
            {},
            {"WANDB_MODE": "offline", "WANDB_PROJECT": "p", "WANDB_TAGS": "a,b", "WANDB_RUN_ID": "uid-r"},
        ),
    ],
)
def test_environment(
    tmp_path: Path, options: dict[str, Any], base: dict[str, str], expected: dict[str, str | None]
) -> None:
    _, launch = launched(tmp_path, base=base, **options)
    assert {name: launch.environment.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("content", "most"),
    [("200000 100000", 2), ("50000 100000", 1), ("max 100000", None), ("", None), ("x y", None)],
)
def test_cpus_are_bounded_by_the_quota(tmp_path: Path, content: str, most: int | None) -> None:
    (tmp_path / "cpu.max").write_text(content)
    everything = launches.cpus(tmp_path / "nowhere")
    assert launches.cpus(tmp_path) == (everything if most is None else min(most, everything))


ONLINE: dict[str, Any] = {
    "tracking": {"wandb": {"mode": "Online"}},
    "credentials": {"wandbAPIKeySecretRef": {"name": "wandb", "key": "api-key"}},
}


def _refuses(_: str | None) -> str:
    raise ConnectionError("no route")


@pytest.mark.parametrize(
    ("options", "ask", "mode", "result"),
    [
        ({}, _refuses, "disabled", "Pass"),
        ({"tracking": {"wandb": {"mode": "Offline"}}}, _refuses, "offline", "Pass"),
        (ONLINE, lambda _: "team", "online", "Pass"),
        (ONLINE, _refuses, "offline", "Warn"),
    ],
)
def test_a_server_that_does_not_answer_is_a_warning_and_the_run_goes_on_offline(
    tmp_path: Path, options: dict[str, Any], ask: Callable[[str | None], str], mode: str, result: str
) -> None:
    made, _ = launched(tmp_path, **options)
    found, line = trackings.check(made.run, ask=ask)
    assert (found, line.group, line.result) == (mode, "wandb", result)
    marker = markers.Marker(stage=Stage.REGISTER, uid="u", digest="d", payload={"wandbMode": found})
    markers.write(made.call.state_dir, marker)
    launch = launches.build(call=made.call, run=made.run, resume=None, base={}, port=2)
    assert launch.environment.get("WANDB_MODE", "disabled") == mode
