"""What installs Kubeflow Trainer and JobSet: their own manifests, but for how the API server reaches them.

A light cluster has no Services: webhooks are called at a loopback port, with a certificate of the cluster's
authority instead of one that the managers make for their Service's name. Rights, limits, leader election and
whatever else a manager is configured by stay as they publish it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cluster import module_files
from cluster.handles import ClusterHandle
from sftrun_api.models import JsonObject

NAMESPACE = "kubeflow-system"
LOOPBACK = "127.0.0.1"
CERTIFICATES = Path("k8s-webhook-server/serving-certs")
"""Where a manager looks for the certificate of its webhooks, below its folder of temporary files."""
_IN_PODS = ("Deployment", "Secret", "Service")


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Where one manager listens on loopback."""

    webhooks: int
    health: int
    metrics: int


@dataclass(frozen=True, kw_only=True)
class Manager:
    """One of the two programs, as its manifests call its parts."""

    program: str
    deployment: str
    """Also the name of its service account."""
    settings: str
    """The ConfigMap with its configuration file."""
    service: str
    """By which its webhooks are called."""
    makes_certificates: str
    """The section of its configuration that says so."""

    @property
    def user(self) -> str:
        """Who it is to the API server."""
        return f"system:serviceaccount:{NAMESPACE}:{self.deployment}"


TRAINER = Manager(
    program="kubeflow-trainer",
    deployment="kubeflow-trainer-controller-manager",
    settings="kubeflow-trainer-config",
    service="kubeflow-trainer-controller-manager",
    makes_certificates="certManagement",
)
JOBSET = Manager(
    program="jobset",
    deployment="jobset-controller-manager",
    settings="jobset-manager-config",
    service="jobset-webhook-service",
    makes_certificates="internalCertManagement",
)
MANAGERS = (TRAINER, JOBSET)


def read(cluster: ClusterHandle, folder: Path) -> list[JsonObject]:
    """Returns what Kubeflow Trainer's `overlays/manager` installs, with JobSet from its module instead of its
    release's download. The folder is for the kustomization."""
    trainer = module_files.kubeflow_trainer() / "manifests" / "base"
    bases = (
        *(trainer / part for part in ("crds", "manager", "rbac", "webhook")),
        module_files.jobset() / "config" / "default",
    )
    folder.mkdir(parents=True)
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": NAMESPACE,
        "resources": [os.path.relpath(base.resolve(), folder.resolve()) for base in bases],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return list(yaml.load_all(cluster.kubectl("kustomize", str(folder)), Loader=yaml.CSafeLoader))


def runtime() -> JsonObject:
    """Returns the `torch-distributed` runtime that Kubeflow Trainer ships."""
    file = module_files.kubeflow_trainer() / "manifests" / "base" / "runtimes" / "torch_distributed.yaml"
    found: JsonObject = yaml.safe_load(file.read_text())
    return found


def train_job(number: int, name: str) -> JsonObject:
    """Returns a TrainJob for it as a user would write it, the only one of its kind."""
    arguments = [f"--data=jobs/team-{number % 17}/job-{number}", f"--seed={number}", "--learning-rate=1e-5"]
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": name},
        "spec": {
            "runtimeRef": {"name": "torch-distributed"},
            "trainer": {
                "numNodes": 1,
                "image": "trainer:test",
                "command": ["torchrun", "train.py"],
                "args": arguments,
            },
        },
    }


def without_pods(
    manifests: Sequence[JsonObject], *, ports: Mapping[str, Ports], authority: str
) -> list[JsonObject]:
    """Returns what is left where managers are processes: webhooks are called at their `ports` (by program),
    and trusted by `authority`, PEM in base64."""
    addresses = {each.service: f"https://{LOOPBACK}:{ports[each.program].webhooks}" for each in MANAGERS}
    kept = [each for each in manifests if each["kind"] not in _IN_PODS]
    return [_reached(each, addresses=addresses, authority=authority) for each in kept]


def _reached(part: Any, *, addresses: Mapping[str, str], authority: str) -> Any:
    """Returns the part of a manifest with URLs wherever a webhook is called by its Service."""

    def reached(inner: Any) -> Any:
        return _reached(inner, addresses=addresses, authority=authority)

    match part:
        case {"service": {"name": str(name), "path": str(path)}}:
            return {"url": addresses[name] + path, "caBundle": authority}
        case dict():
            return {key: reached(value) for key, value in part.items()}
        case list():
            return [reached(each) for each in part]
    return part


def arguments(manifests: Sequence[JsonObject], manager: Manager, *, configuration: Path) -> list[str]:
    """Returns the manager's command line behind the program, with the file that it is configured by."""
    deployment = _find(manifests, "Deployment", manager.deployment)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    kept = [word for word in container["args"] if not word.startswith("--config=")]
    return [f"--config={configuration}", *kept]


def configuration(
    manifests: Sequence[JsonObject], manager: Manager, *, ports: Ports, certificates: Path
) -> JsonObject:
    """Returns the manager's configuration as published, listening at `ports`; `certificates` is the folder
    with `tls.crt` and `tls.key`."""
    (text,) = _find(manifests, "ConfigMap", manager.settings)["data"].values()
    published: JsonObject = yaml.safe_load(text)
    ours: dict[str, JsonObject] = {
        "health": {"healthProbeBindAddress": f"{LOOPBACK}:{ports.health}"},
        "metrics": {"bindAddress": f"{LOOPBACK}:{ports.metrics}"},
        "webhook": {"port": ports.webhooks, "host": LOOPBACK},
        manager.makes_certificates: {"enable": False},
    }
    if manager is JOBSET:  # Kubeflow Trainer's metrics have a certificate that it makes for itself
        ours["metrics"]["certDir"] = str(certificates)
    return published | {name: published.get(name, {}) | section for name, section in ours.items()}


def _find(manifests: Sequence[JsonObject], kind: str, name: str) -> JsonObject:
    return next(each for each in manifests if (each["kind"], each["metadata"]["name"]) == (kind, name))
