"""Files that lie in a pinned Go module and are no program: CRDs and manifests, as others publish them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from cluster.errors import BuildFailed
from cluster.paths import GO_MODULES

PROMETHEUS_OPERATOR = "github.com/prometheus-operator/prometheus-operator"


def prometheus_operator_crds() -> tuple[Path, ...]:
    """Returns the CRDs of the kinds that monitoring is told with: monitors and rules."""
    folder = _folder("prometheus-operator", PROMETHEUS_OPERATOR) / "example" / "prometheus-operator-crd"
    kinds = ("podmonitors", "prometheusrules", "servicemonitors")
    return tuple(folder / f"monitoring.coreos.com_{kind}.yaml" for kind in kinds)


def kubeflow_trainer() -> Path:
    """Returns Kubeflow Trainer's module: its `manifests` install it."""
    return _folder("kubeflow-trainer", "github.com/kubeflow/trainer/v2")


def jobset() -> Path:
    """Returns JobSet's module: its `config` installs it."""
    return _folder("jobset", "sigs.k8s.io/jobset")


def _folder(module: str, path: str) -> Path:
    """Returns where the module lies, downloaded and compared with go.sum."""
    done = subprocess.run(
        ["go", "mod", "download", "-json", path],
        cwd=GO_MODULES / module,
        env={**os.environ, "GOFLAGS": "-mod=readonly", "GOWORK": "off"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout or "{}")
    if done.returncode or found.get("Error"):
        raise BuildFailed(f"{path} could not be downloaded: {found.get('Error') or done.stderr}")
    return Path(found["Dir"])
