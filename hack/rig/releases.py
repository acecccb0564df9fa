"""Installing the operator the way users do: the real helm, the chart of this checkout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster import programs
from rig import commands
from rig.images import Image

CHART = "charts/sftrun-operator"
NAMESPACE = "sftrun-system"
RELEASE = "sftrun-operator"


@dataclass(frozen=True, kw_only=True)
class Release:
    """An installed operator."""

    kubeconfig: Path
    namespace: str = NAMESPACE
    name: str = RELEASE


def install(
    kubeconfig: Path, *, operator: Image, trainer: Image, values: Mapping[str, str] | None = None
) -> Release:
    """Installs the chart or upgrades what is installed, and waits until the operator is ready: one replica,
    for a second one on the same node would stand by for nothing.

    The CRD is applied first: helm creates CRDs with the first installation and never again.

    Raises:
        CommandFailed: helm or kubectl refused, or the operator was not ready within three minutes.
    """
    release = Release(kubeconfig=kubeconfig)
    kubectl = [
        *("kubectl", "--kubeconfig", str(kubeconfig)),
        *("apply", "--server-side", "--force-conflicts", "-f", f"{CHART}/crds"),
    ]
    commands.run(kubectl, what="applying the CRD")
    settings = {
        "image.repository": operator.repository,
        "image.tag": operator.tag,
        "trainer.image.repository": trainer.repository,
        "trainer.image.tag": trainer.tag,
        **(values or {}),
    }
    chosen = [word for name, value in settings.items() for word in ("--set-string", f"{name}={value}")]
    programs.ensure(["helm"])
    commands.run(
        [
            programs.binary("helm"), "--kubeconfig", kubeconfig, "upgrade", "--install", release.name, CHART,
            "--namespace", release.namespace, "--create-namespace", "--wait", "--timeout", "3m",
            "--set", "replicas=1", *chosen,
        ],
        what="installing the chart",
    )  # fmt: skip
    return release
