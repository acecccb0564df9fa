"""A program as its pod would run it, without a container: what runs in one is counted elsewhere.

A service account stands in place of a kubeconfig; its files are mounted for the program's process alone.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import urlsplit

from cluster.handles import ClusterHandle

IN_POD = """
mount -t tmpfs none /run
mkdir -p /run/secrets/kubernetes.io
cp -r "$1" /run/secrets/kubernetes.io/serviceaccount
shift
exec "$@"
"""


def command(account: Path, *words: str) -> tuple[str, ...]:
    """Returns the command that becomes `words` with the files of `account` at their place in a pod."""
    return ("unshare", "--mount", "sh", "-ec", IN_POD, "sh", str(account), *words)


def environment(cluster: ClusterHandle) -> dict[str, str]:
    """Returns the variables by which a pod finds the API server."""
    jsonpath = "-o=jsonpath={.clusters[0].cluster.server}"
    server = urlsplit(cluster.kubectl("config", "view", "--minify", jsonpath).strip())
    return {
        "KUBERNETES_SERVICE_HOST": server.hostname or "",
        "KUBERNETES_SERVICE_PORT": str(server.port),
        "KUBECONFIG": "",
    }


def service_account(cluster: ClusterHandle, name: str, *, namespace: str, folder: Path) -> Path:
    """Makes a folder with the files that the kubelet would mount for a service account that is there, and
    returns it."""
    assert cluster.folder is not None
    folder.mkdir(parents=True, exist_ok=True)
    token = cluster.kubectl("create", "token", name, "--duration=2h", namespace=namespace)
    (folder / "token").write_text(token.strip())
    (folder / "namespace").write_text(namespace)
    shutil.copy(cluster.folder.pki / "ca.crt", folder / "ca.crt")
    return folder
