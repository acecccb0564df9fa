"""A real run on this machine: a workspace with a tiny model and small data, and the files that the operator
would have mounted, made by the operator's own code.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.image.supervisor_fakes import wait_until

import tiny_model
from sftrun_api.reports import Report
from sftrun_api.run_files import RunFile, RunIdentity
from sftrun_api.spec_hashes import spec_hash
from sftrun_api.specs import SFTRunSpec
from sftrun_operator import manifests
from sftrun_operator.observations import OperatorConfig
from sftrun_operator.plans import resolutions

ROOT = Path(__file__).resolve().parents[2]
CONFIG = OperatorConfig(trainer_image="trainer:1", version="1")


def conversations(count: int) -> list[dict[str, Any]]:
    """Returns small ShareGPT rows; no two are alike."""
    return [
        {
            "conversations": [
                {"from": "human", "value": f"What is {number} plus {number}?"},
                {"from": "gpt", "value": f"<think>\nI add {number} twice.\n</think>\n\nIt is {2 * number}."},
            ]
        }
        for number in range(count)
    ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """A workspace, and where the pod would see its configuration."""

    root: Path

    @property
    def workspace(self) -> Path:
        return self.root / "workspace"

    def make(self, *, num_samples: int = 24, native_length: int = 2048) -> Place:
        tiny_model.make(self.workspace / "models" / "tiny", native_length=native_length)
        data = self.workspace / "data"
        data.mkdir()
        (data / "sums.json").write_text(json.dumps(conversations(num_samples)))
        return self

    def run_file(
        self,
        *,
        name: str = "local",
        uid: str = "uid-1",
        attempt: int = 1,
        sections: Mapping[str, Any] | None = None,
    ) -> RunFile:
        """Returns a run of the spec that the sections are laid over."""
        value: dict[str, Any] = {
            "sources": [{"files": {"paths": ["data/sums.json"], "format": "ShareGPT"}}],
            "model": {"path": "models/tiny"},
            "training": {
                "template": "qwen3",
                "cutoffLen": 512,
                "numTrainEpochs": 2,
                "gradientAccumulationSteps": 2,
                "learningRate": 1e-3,
                "save": {"steps": 2},
            },
            "infrastructure": {"accelerator": "CPU", "gpusPerNode": 0, "processesPerNode": 2},
            "workspace": {
                "persistentVolumeClaim": {"claimName": "claim"},
                "mountPath": str(self.workspace),
            },
        }
        for section, given in (sections or {}).items():
            value[section] = {**value[section], **given} if isinstance(value.get(section), dict) else given
        spec = SFTRunSpec.model_validate(value)
        return RunFile(
            run=RunIdentity(namespace="team", name=name, uid=uid, attempt=attempt),
            spec=spec,
            spec_hash=spec_hash(spec),
            image="trainer:1",
            resolved=resolutions.resolve(spec, name=name),
        )

    def mount(self, run: RunFile) -> Path:
        """Writes the attempt's ConfigMap as the kubelet would, and returns the folder."""
        folder = self.root / f"config-{run.run.name}-{run.run.uid}-{run.run.attempt}"
        folder.mkdir(exist_ok=True)
        data = manifests.config_map(manifests.Attempt(run_file=run, config=CONFIG))["data"]
        for name, text in data.items():
            (folder / name).write_text(text)
        return folder

    def start(
        self,
        run: RunFile,
        *,
        pod_uid: str = "pod-1",
        port: int = -1,
        secrets: Mapping[str, str] | None = None,
    ) -> Trainer:
        """Starts the trainer as the image does; `secrets` are the mounted files, by name."""
        credentials = self.root / "credentials"
        credentials.mkdir(exist_ok=True)
        for name, value in (secrets or {}).items():
            (credentials / name).write_text(value)
        termination = self.root / f"termination-{pod_uid}"
        output = self.root / f"output-{pod_uid}.log"
        with output.open("wb") as stream:
            process = subprocess.Popen(
                [
                    sys.executable, "-m", "sftrun_trainer", "--config-dir", str(self.mount(run)),
                    "--termination-log", str(termination), "--port", str(port), "--host", "127.0.0.1",
                    "--credentials-dir", str(credentials),
                ],
                env={
                    **{key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ},
                    "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("crds", "image")),
                    "SFTRUN_POD_UID": pod_uid,
                    "SFTRUN_POD_NAME": pod_uid,
                },
                stdout=stream,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
        return Trainer(process=process, run=run, termination=termination, output=output)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trainer:
    """A running trainer."""

    process: subprocess.Popen[bytes]
    run: RunFile
    termination: Path
    output: Path

    @property
    def folder(self) -> Path:
        return Path(self.run.resolved.output_dir)

    @property
    def steps(self) -> Path:
        return self.folder / ".sftrun" / "steps.jsonl"

    def num_steps(self) -> int:
        return len(self.steps.read_text().splitlines()) if self.steps.exists() else 0

    def until_step(self, step: int, *, seconds: float) -> None:
        """Waits until so many steps are trained; fails when the trainer ends before."""

        def there() -> bool:
            return self.num_steps() >= step or self.process.poll() is not None

        wait_until(there, what=self.text, seconds=seconds)
        assert self.num_steps() >= step, self.text()[-4000:]

    def wait(self, seconds: float = 240.0) -> int:
        return self.process.wait(seconds)

    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def report(self) -> Report:
        return Report.model_validate_json(self.termination.read_bytes())
