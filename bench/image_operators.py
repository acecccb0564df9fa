"""The operator as its image holds it and as its pod finds it: the image's packages and compiled code, and a
service account in place of a kubeconfig (`pods`). What it costs would otherwise be another program's figure.
"""

from __future__ import annotations

import compileall
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from bench import pods
from tests.cluster.operator_harness import Harness, OperatorProcess

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements" / "operator.txt"
CODE = (ROOT / "crds" / "sftrun_api", ROOT / "operator" / "sftrun_operator")


def interpreter() -> Path:
    """Returns a Python that has the image's packages and nothing else; makes it when the lock has changed.
    Debian's own where it is there, as in the image (`hack/images/base.sh`): others are slower by a tenth."""
    folder = ROOT / ".cache" / "operator-image"
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    stamp = folder / "lock.sha256"
    if not stamp.exists() or stamp.read_text() != digest:
        shutil.rmtree(folder, ignore_errors=True)
        uv = ROOT / ".cache" / "tools" / "uv" / "bin" / "uv"
        environment = {**os.environ, "UV_SYSTEM_CERTS": "1", "VIRTUAL_ENV": str(folder / "venv")}
        python = shutil.which("python3.11", path="/usr/bin") or sys.executable
        subprocess.run([uv, "venv", "--quiet", "--python", python, folder / "venv"], check=True)
        command: list[str | Path] = [
            uv,
            "pip",
            "sync",
            "--quiet",
            "--compile-bytecode",
            "--require-hashes",
            LOCK,
        ]
        subprocess.run(command, check=True, env=environment)
        stamp.write_text(digest)
    return folder / "venv" / "bin" / "python"


def start(here: Harness, *arguments: str, folder: Path) -> OperatorProcess:
    """Starts an operator with the rights of its chart in the harness' namespace; end it."""
    code = folder / "code"
    for package in CODE:
        shutil.copytree(package, code / package.name, dirs_exist_ok=True)
    compileall.compile_dir(code, quiet=1)
    made = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "operator"}}
    here.cluster.apply(made, namespace=here.namespace)
    account = pods.service_account(
        here.cluster, "operator", namespace=here.namespace, folder=folder / "account"
    )
    return OperatorProcess(
        arguments=("-n", here.namespace, *arguments),
        folder=folder,
        source=code,
        python=pods.command(account, str(interpreter())),
        environment=pods.environment(here.cluster),
    )
