"""The operator as its image holds it and as its pod finds it: the image's packages and compiled code, and a
service account in place of a kubeconfig. What it costs would otherwise be another program's figure.

Without a container, because what runs in one is counted elsewhere: the service account's files are mounted
for this process alone.
"""

from __future__ import annotations

import compileall
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from tests.cluster.operator_harness import Harness, OperatorProcess

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements" / "operator.txt"
CODE = (ROOT / "crds" / "sftrun_api", ROOT / "operator" / "sftrun_operator")
IN_POD = """
mount -t tmpfs none /run
mkdir -p /run/secrets/kubernetes.io
cp -r "$1" /run/secrets/kubernetes.io/serviceaccount
shift
exec "$@"
"""


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
    account = _service_account(here, folder / "account")
    server = urlsplit(_server(here))
    return OperatorProcess(
        arguments=("-n", here.namespace, *arguments),
        folder=folder,
        source=code,
        python=("unshare", "--mount", "sh", "-ec", IN_POD, "sh", str(account), str(interpreter())),
        environment={
            "KUBERNETES_SERVICE_HOST": server.hostname or "",
            "KUBERNETES_SERVICE_PORT": str(server.port),
            "KUBECONFIG": "",
        },
    )


def _server(here: Harness) -> str:
    jsonpath = "-o=jsonpath={.clusters[0].cluster.server}"
    return here.cluster.kubectl("config", "view", "--minify", jsonpath).strip()


def _service_account(here: Harness, folder: Path) -> Path:
    """Makes a folder with the files that the kubelet would mount, and returns it."""
    assert here.cluster.folder is not None
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "operator"}}
    here.cluster.apply(account, namespace=here.namespace)
    folder.mkdir(exist_ok=True)
    token = here.cluster.kubectl("create", "token", "operator", "--duration=2h", namespace=here.namespace)
    (folder / "token").write_text(token.strip())
    (folder / "namespace").write_text(here.namespace)
    shutil.copy(here.cluster.folder.pki / "ca.crt", folder / "ca.crt")
    return folder
