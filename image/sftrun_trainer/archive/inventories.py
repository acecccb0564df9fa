"""What a run was made with, as far as the pod can see: packages, driver, kernel, variables."""

from __future__ import annotations

import importlib.metadata
import platform
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from sftrun_api.names import ENV_REVISION
from sftrun_trainer.redactions import HIDDEN

LIBRARIES = (
    *("torch", "llamafactory", "transformers", "deepspeed", "peft", "trl", "accelerate", "datasets"),
    *("flash-attn", "liger-kernel", "bitsandbytes", "wandb"),
)
DRIVER = Path("/proc/driver/nvidia/version")
VARIABLES = re.compile(
    r"^(?:CUDA|NVIDIA|NCCL|NV|TORCH|PYTORCH|TORCHINDUCTOR|TRITON|DS|OMP|MKL|GLOO|UCX|FI|HF|TRANSFORMERS"
    r"|TOKENIZERS|WANDB|PYTHON|LD|SFTRUN)_[A-Z0-9_]+$"
    r"|^(?:PATH|PYTHONPATH|LANG|LC_ALL|TZ|TMPDIR|HOME|HOSTNAME)$"
)
"""What changes how training goes. The rest of an environment, above all a laptop's, is nobody's business."""
SECRET = re.compile(r"TOKEN|KEY|SECRET|PASS|CREDENTIAL|AUTH|COOKIE", re.IGNORECASE)
MOST_CHARACTERS = 4096


def packages(found: Iterable[importlib.metadata.Distribution] | None = None) -> dict[str, str]:
    """Returns the versions of all installed packages, by name."""
    versions: dict[str, str] = {}
    for each in importlib.metadata.distributions() if found is None else found:
        name = each.metadata["Name"] if each.metadata is not None else None
        if isinstance(name, str) and name not in versions:  # the first on the path is what is imported
            versions[name] = str(each.version)
    return dict(sorted(versions.items(), key=lambda item: item[0].lower()))


def versions(
    installed: Mapping[str, str], *, environment: Mapping[str, str], driver: Path = DRIVER
) -> dict[str, str]:
    """Returns the versions that people look for first."""
    by_name = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in installed.items()}
    found = {
        "python": platform.python_version(),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "sftrun": by_name.get("sftrun"),
        "revision": environment.get(ENV_REVISION),
        "driver": _first_line(driver),
        **{name: by_name.get(name) for name in LIBRARIES},
    }
    return {name: version for name, version in found.items() if version}


def _first_line(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[0].strip()
    except (OSError, IndexError):
        return None


def environment(
    given: Mapping[str, str], *, named: Iterable[str], redact: Callable[[str], str]
) -> dict[str, str]:
    """Returns the variables that training depends on, and those that the spec names, without secrets."""
    wanted = set(named)
    return {
        name: hidden(name, value, redact=redact)[:MOST_CHARACTERS]
        for name, value in sorted(given.items())
        if VARIABLES.match(name) or name in wanted
    }


def hidden(name: str, value: str, *, redact: Callable[[str], str]) -> str:
    """Returns a variable's value; what is a secret by its name or its looks is not told."""
    return HIDDEN if value and SECRET.search(name) else redact(value)
