"""A claim with files on it, reached through a pod: that works in any cluster, and is what users would do.

On the cluster of our own the claim's volume is a folder of this machine; elsewhere it comes from the
cluster's default storage class.
"""

from __future__ import annotations

import io
import json
import shlex
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from cluster.handles import ClusterHandle
from rig import commands, pods
from rig.apis import Api, JsonObject, wait_for
from rig.commands import REPOSITORY

WORKSPACE = "/workspace"
VOLUMES = REPOSITORY / ".cache" / "volumes"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim and the pod that keeps its files at hand."""

    cluster: ClusterHandle
    namespace: str
    name: str

    @property
    def keeper(self) -> str:
        return f"{self.name}-files"

    def run(self, script: str, *, stdin: bytes | None = None, timeout: float = 120) -> bytes:
        """Runs a shell script in the workspace and returns what it wrote.

        Raises:
            CommandFailed: it ended with an error.
        """
        interactive = ["-i"] if stdin is not None else []
        command: list[str | Path] = [
            "kubectl", "--kubeconfig", self.cluster.kubeconfig, "--namespace", self.namespace,
            "exec", *interactive, self.keeper, "--", "sh", "-ec", f"cd {WORKSPACE}; {script}",
        ]  # fmt: skip
        return commands.run(
            command, stdin=stdin, timeout=timeout, what=f"in the claim {self.name}: {script[:60]}"
        )

    def put(self, folder: Path, target: str) -> None:
        """Copies a folder's content into a folder of the workspace, which is made if need be."""
        where = shlex.quote(target)
        self.run(f"mkdir -p {where} && tar -x -f - -C {where}", stdin=packed(folder))

    def write(self, path: str, content: bytes) -> None:
        """Writes one file."""
        where = shlex.quote(path)
        self.run(f"mkdir -p $(dirname {where}) && cat > {where}", stdin=content)

    def read(self, path: str) -> bytes:
        """Returns a file's content; paths may be absolute, as the status shows them."""
        return self.run(f"cat {shlex.quote(path)}")

    def read_json(self, path: str) -> Any:
        """Returns what a JSON file holds."""
        return json.loads(self.read(path))

    def read_lines(self, path: str) -> list[JsonObject]:
        """Returns what a JSON-lines file holds."""
        return [cast(JsonObject, json.loads(line)) for line in self.read(path).splitlines() if line.strip()]

    def names(self, folder: str) -> list[str]:
        """Returns the names in a folder, sorted; none where there is no such folder."""
        found = self.run(f"ls -1A {shlex.quote(folder)} 2>/dev/null || true").decode().split("\n")
        return sorted(name for name in found if name)

    def fetch(self, folder: str, target: Path) -> None:
        """Copies a folder of the workspace to this machine."""
        packed = self.run(f"tar -c -f - -C {shlex.quote(folder)} .")
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(target, filter="data")


def create(
    cluster: ClusterHandle, *, namespace: str, name: str, image: str, api: Api, storage: str = "5Gi"
) -> Claim:
    """Creates a claim and its keeper (or takes those that are there) and waits until files can be written.

    Raises:
        TimedOut: the keeper did not start within five minutes.
    """
    claim = Claim(cluster=cluster, namespace=namespace, name=name)
    for document in objects(claim, storage=storage):
        cluster.apply(document)
    if api.get("pods", claim.keeper, namespace=namespace) is None:
        cluster.apply(
            pods.restricted(
                claim.keeper, namespace=namespace, image=image, command=["sleep", "infinity"], claim=name
            )
        )

    def running() -> bool:
        pod = api.get("pods", claim.keeper, namespace=namespace)
        return pod is not None and pod["status"].get("phase") == "Running"

    wait_for(
        running,
        what=f"the pod {claim.keeper} that holds the claim {name} runs",
        timeout=300,
        seen=lambda: (api.get("pods", claim.keeper, namespace=namespace) or {}).get("status"),
    )
    return claim


def objects(claim: Claim, *, storage: str = "5Gi") -> list[JsonObject]:
    """Returns the claim and, on a cluster of our own, its volume, whose folder is made."""
    own = claim.cluster.folder is not None
    volume = [_volume(claim, storage=storage)] if own else []
    return [*volume, _claim(claim, storage=storage, own=own)]


def remove(cluster: ClusterHandle, *, namespace: str, api: Api) -> None:
    """Removes a namespace with its claims; on a cluster of our own their volumes and files too."""
    cluster.delete_namespace(namespace)
    if cluster.folder is None:
        return
    wait_for(
        lambda: api.get("namespaces", namespace) is None,
        what=f"the namespace {namespace} is gone",
        timeout=300,
        seen=lambda: api.list("pods", namespace=namespace),
    )
    for volume in api.list("persistentvolumes"):
        if volume["spec"].get("claimRef", {}).get("namespace") == namespace:
            api.delete("persistentvolumes", volume["metadata"]["name"])
    shutil.rmtree(VOLUMES / namespace, ignore_errors=True)


def packed(folder: Path) -> bytes:
    """Returns a folder as a tar archive whose files belong to the keeper."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, arcname=path.name, filter=_plain)
    return buffer.getvalue()


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """The keeper is not root: owner and modes of this machine mean nothing there."""
    entry.uid = entry.gid = pods.UID
    entry.uname = entry.gname = ""
    entry.mode = 0o755 if entry.isdir() else 0o644
    return entry


def volume_folder(claim: Claim) -> Path:
    """Returns where a claim of our own cluster keeps its files on this machine."""
    return VOLUMES / claim.namespace / claim.name


def _volume(claim: Claim, *, storage: str) -> JsonObject:
    folder = volume_folder(claim)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o777)  # what a storage driver does with fsGroup, a folder of the node does not
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{claim.namespace}-{claim.name}"},
        "spec": {
            "capacity": {"storage": storage},
            "accessModes": ["ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": claim.namespace,
                "name": claim.name,
            },
            "hostPath": {"path": str(folder), "type": "Directory"},
        },
    }


def _claim(claim: Claim, *, storage: str, own: bool) -> JsonObject:
    spec: JsonObject = {
        "accessModes": ["ReadWriteMany" if own else "ReadWriteOnce"],
        "resources": {"requests": {"storage": storage}},
    }
    if own:
        spec |= {"storageClassName": "", "volumeName": f"{claim.namespace}-{claim.name}"}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": claim.name, "namespace": claim.namespace},
        "spec": spec,
    }
