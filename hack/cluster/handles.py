"""A cluster as tests and the demo hold it: a kubeconfig, kubectl, namespaces of one's own. Whose cluster it
is (ours, or the one that KUBECONFIG names) makes no difference from here on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster import control_planes, registries, states
from cluster.errors import ClusterError, UnsuitableMachine
from cluster.paths import REPOSITORY, RunFolder, cache_folder

JsonObject = dict[str, Any]
CRD_FILE = REPOSITORY / "crds" / "sftruns.yaml"
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
"""Labels of a namespace that admits none but restricted pods."""


class KubectlFailed(ClusterError):
    """kubectl ended with an error; `stderr` holds its words."""

    def __init__(self, command: str, *, code: int, stderr: str) -> None:
        super().__init__(f"`{command}` ended with exit code {code}: {stderr.strip()}")
        self.stderr = stderr


@dataclass(frozen=True, kw_only=True)
class ClusterHandle:
    """One cluster to work with.

    Attributes:
        kubeconfig: An administrator's.
        folder: The cluster's own files, None for a cluster that is not ours.
        registry: `host:port` to push images to, under the same name the nodes pull from; None without one.
    """

    kubeconfig: Path
    folder: RunFolder | None = None
    registry: str | None = None

    @property
    def audit_log(self) -> Path | None:
        """Every write as one JSON line (verb, user, objectRef), for a cluster of ours."""
        return self.folder.audit_log if self.folder else None

    def kubectl(
        self,
        *arguments: str,
        namespace: str | None = None,
        stdin: str | None = None,
        kubeconfig: Path | None = None,
        timeout: float = 240.0,
    ) -> str:
        """Runs kubectl and returns its standard output.

        Args:
            arguments: As on the command line.
            namespace: The namespace, absent: `default`.
            stdin: Given to it, for `apply -f -`.
            kubeconfig: Someone else's than the administrator's.
            timeout: Seconds.

        Raises:
            KubectlFailed: it ended with another code than 0.
            UnsuitableMachine: kubectl is not there.
        """
        scope = ["--namespace", namespace] if namespace else []
        command = [_kubectl(), "--kubeconfig", str(kubeconfig or self.kubeconfig), *scope, *arguments]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )
        if done.returncode != 0:
            raise KubectlFailed(" ".join(["kubectl", *arguments]), code=done.returncode, stderr=done.stderr)
        return done.stdout

    def get(self, resource: str, name: str, *, namespace: str | None = None) -> JsonObject | None:
        """Returns one object, None when there is none."""
        found = self.kubectl("get", resource, name, "--ignore-not-found", "-o", "json", namespace=namespace)
        return json.loads(found) if found.strip() else None

    def list(self, resource: str, *, namespace: str | None = None, selector: str = "") -> list[JsonObject]:
        """Returns the objects that match a label selector."""
        found = self.kubectl("get", resource, "-l", selector, "-o", "json", namespace=namespace)
        items: list[JsonObject] = json.loads(found)["items"]
        return items

    def apply(self, *objects: Mapping[str, Any], namespace: str | None = None) -> str:
        """Applies objects as a user's `kubectl apply` would: client-side, unknown fields refused."""
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        return self.kubectl("apply", "--validate=strict", "-f", "-", namespace=namespace, stdin=document)

    def create_namespace(self, *, prefix: str = "test", labels: Mapping[str, str] | None = None) -> str:
        """Creates a namespace with a name of its own and waits for its default ServiceAccount."""
        name = f"{prefix}-{uuid.uuid4().hex[:8]}"
        metadata = {"name": name, "labels": dict(labels or {})}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        self.kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=180s", namespace=name)
        return name

    def delete_namespace(self, name: str) -> None:
        """Asks for a namespace's deletion without waiting for it."""
        self.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")

    def install_crds(self, files: Iterable[Path] = (CRD_FILE,)) -> None:
        """Applies the CRDs, client-side as users do, and waits until they are served."""
        for file in files:
            self.kubectl("apply", "-f", str(file))
            # A CRD that has no conditions yet is an error to the second wait, not a reason to wait.
            self.kubectl("wait", "--for=jsonpath={.status.conditions}", "--timeout=180s", "-f", str(file))
            self.kubectl("wait", "--for=condition=Established", "--timeout=180s", "-f", str(file))

    def user_kubeconfig(self, user: str, *, groups: tuple[str, ...] = ()) -> Path:
        """Returns a kubeconfig with which the API server sees `user` (also `system:serviceaccount:NS:NAME`).

        Raises:
            ClusterError: the cluster is not ours, so we cannot sign for it.
        """
        if self.folder is None:
            raise ClusterError("only a cluster of our own signs client certificates: unset KUBECONFIG")
        addresses = states.require(self.folder).addresses
        return control_planes.client_kubeconfig(self.folder, addresses, user=user, groups=groups)


def of_folder(folder: RunFolder) -> ClusterHandle:
    """Returns the handle of a cluster that `up` started."""
    state = states.require(folder)
    registry = registries.of(state.addresses.server) if state.mode == "full" else None
    return ClusterHandle(kubeconfig=folder.kubeconfig, folder=folder, registry=registry)


def of_environment(environment: Mapping[str, str] = os.environ) -> ClusterHandle | None:
    """Returns the cluster that KUBECONFIG names, with REGISTRY to push images to; None when it names none.

    Raises:
        ClusterError: KUBECONFIG names a file that is not there.
    """
    named = foreign_kubeconfig(environment)
    if not named:
        return None
    if not Path(named).is_file():
        raise ClusterError(
            f"KUBECONFIG={named} is no file: correct it, or unset it to use a cluster of our own"
        )
    return ClusterHandle(kubeconfig=Path(named).absolute(), registry=environment.get("REGISTRY") or None)


def foreign_kubeconfig(environment: Mapping[str, str]) -> str:
    """Returns KUBECONFIG where it names somebody else's cluster. One of ours, left in the shell by a look
    around, is as good as none."""
    named = environment.get("KUBECONFIG", "")
    return "" if named and Path(named).resolve().is_relative_to(cache_folder().resolve()) else named


def _kubectl() -> str:
    beside = Path(sys.executable).with_name("kubectl")
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    if found is None:
        raise UnsuitableMachine("kubectl is not installed: it comes with requirements/dev.txt (`make setup`)")
    return found
