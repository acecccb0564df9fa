"""Builds the cluster's programs from pinned Go modules, once.

Each folder under `go/` is a module of its own (their dependencies disagree) that names programs by `tool`
lines; its go.sum pins every byte. A program is built into `bin/<digest>/`, where the digest covers the
module's files and the build flags, under a temporary name and renamed: an interrupted build leaves no half of
a program, and the next call goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster import locks
from cluster.errors import BuildFailed, UnsuitableMachine
from cluster.paths import GO_MODULES, cache_folder

KUBERNETES_VERSION = "v1.36.2"
HELM_VERSION = "v4.3.1"
CONTAINERD_VERSION = "v2.2.1"
_COMPONENT_VERSION = "k8s.io/component-base/version"
_CONTAINERD_TAGS = "no_btrfs,no_aufs,no_zfs,no_devmapper"


@dataclass(frozen=True, kw_only=True)
class Program:
    """One program to build. `variables` are set with the linker's -X: without them it calls itself v0.0.0."""

    name: str
    module: str
    package: str
    tags: str = ""
    variables: tuple[tuple[str, str], ...] = ()


def _kubernetes(name: str) -> Program:
    major, minor = KUBERNETES_VERSION.removeprefix("v").split(".")[:2]
    return Program(
        name=name,
        module="kubernetes",
        package=f"k8s.io/kubernetes/cmd/{name}",
        variables=(
            (f"{_COMPONENT_VERSION}.gitVersion", KUBERNETES_VERSION),
            (f"{_COMPONENT_VERSION}.gitMajor", major),
            (f"{_COMPONENT_VERSION}.gitMinor", minor),
        ),
    )


def _containerd(name: str) -> Program:
    return Program(
        name=name,
        module="containerd",
        package=f"github.com/containerd/containerd/v2/cmd/{name}",
        tags=_CONTAINERD_TAGS,
        variables=(("github.com/containerd/containerd/v2/version.Version", CONTAINERD_VERSION),),
    )


PROGRAMS: Mapping[str, Program] = {
    program.name: program
    for program in (
        Program(name="etcd", module="etcd", package="go.etcd.io/etcd/server/v3"),
        _kubernetes("kube-apiserver"),
        _kubernetes("kube-controller-manager"),
        _kubernetes("kube-scheduler"),
        _kubernetes("kubelet"),
        _kubernetes("kube-proxy"),
        _containerd("containerd"),
        _containerd("containerd-shim-runc-v2"),
        _containerd("ctr"),
        Program(
            name="registry", module="registry", package="github.com/distribution/distribution/v3/cmd/registry"
        ),
        Program(name="pause", module="pause", package="."),
        Program(
            name="helm",
            module="helm",
            package="helm.sh/helm/v4/cmd/helm",
            variables=(("helm.sh/helm/v4/internal/version.version", HELM_VERSION),),
        ),
        Program(name="actionlint", module="actionlint", package="github.com/rhysd/actionlint/cmd/actionlint"),
        Program(
            name="kubeflow-trainer",
            module="kubeflow-trainer",
            package="github.com/kubeflow/trainer/v2/cmd/trainer-controller-manager",
        ),
        Program(name="jobset", module="jobset", package="sigs.k8s.io/jobset"),
    )
}
LIGHT = ("etcd", "kube-apiserver", "kube-controller-manager")
"""What a cluster without nodes needs."""
BASELINE = ("kubeflow-trainer", "jobset")
"""What `make bench-scale` compares with; built for it alone, or by name."""
ORDINARY = tuple(name for name in PROGRAMS if name not in BASELINE)
"""What `cluster build` builds when nobody says."""
FULL = tuple(name for name in ORDINARY if name not in ("helm", "actionlint"))
"""What a cluster with nodes needs."""


def binary(name: str) -> Path:
    """Returns where the program lies once it is built."""
    program = PROGRAMS[name]
    return cache_folder() / "bin" / f"{program.module}-{_digest(program)[:16]}" / program.name


def ensure(names: Iterable[str]) -> None:
    """Builds the programs that are not there yet, one after another.

    Raises:
        UnsuitableMachine: Go is not installed.
        BuildFailed: the compiler or the download of a module failed.
    """
    for name in names:
        target = binary(name)
        if target.exists():
            continue
        with locks.held(cache_folder() / "locks" / f"build-{name}"):
            if not target.exists():
                _build(PROGRAMS[name], target)


def _build(program: Program, target: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise UnsuitableMachine(
            "Go is not installed, and the cluster is built from Go modules: install the version that "
            f"{GO_MODULES / program.module / 'go.mod'} names, or set KUBECONFIG to a cluster of your own"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    print(f"building {program.name} (once; {program.module} modules are pinned)", file=sys.stderr, flush=True)
    try:
        subprocess.run(
            [go, "build", *_flags(program), "-o", str(unfinished), program.package],
            cwd=GO_MODULES / program.module,
            env={
                **os.environ,
                "CGO_ENABLED": "0",
                "GOFLAGS": "-p=2 -mod=readonly -buildvcs=false",
                "GOWORK": "off",
            },
            check=True,
            stdout=sys.stderr,
        )
        unfinished.rename(target)
    except subprocess.CalledProcessError as error:
        raise BuildFailed(
            f"building {program.name} ended with exit code {error.returncode}; the compiler's words stand "
            "above. Run the command again: finished programs are kept"
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)


def _flags(program: Program) -> list[str]:
    variables = "".join(f" -X {name}={value}" for name, value in program.variables)
    tags = [f"-tags={program.tags}"] if program.tags else []
    return ["-trimpath", *tags, f"-ldflags=-s -w{variables}"]


def _digest(program: Program) -> str:
    digest = hashlib.sha256()
    for file in sorted((GO_MODULES / program.module).iterdir()):
        digest.update(file.read_bytes())
    digest.update(repr(_flags(program)).encode())
    return digest.hexdigest()
