"""The options that every command on a cluster takes, named as kubectl names them. Imported for `--help`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SECONDS = 10.0
"""Patience with one answer of the API server."""

Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", help="The namespace. Absent: the context's."),
]
AllNamespaces = Annotated[bool, typer.Option("--all-namespaces", "-A", help="All namespaces.")]
Context = Annotated[str | None, typer.Option(help="The kubeconfig's context. Absent: the current one.")]
Kubeconfig = Annotated[
    Path | None,
    typer.Option(help="Absent: KUBECONFIG, ~/.kube/config, or the pod's service account."),
]
RequestTimeout = Annotated[
    float, typer.Option(min=0.1, max=600, help="Seconds to wait for one answer of the API server.")
]
