"""The command line as a person has it, in the namespace of a run."""

from __future__ import annotations

import os
import subprocess
import sys

from cluster.handles import ClusterHandle

SECONDS = 300


def start(cluster: ClusterHandle, namespace: str, *arguments: str) -> subprocess.Popen[str]:
    """Starts `kubectl sft …` in a namespace, as the cluster's administrator."""
    words = [sys.executable, "-m", "sftrun_cli", *arguments, "-n", namespace]
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig), "COLUMNS": "100", "NO_COLOR": "1"}
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def call(cluster: ClusterHandle, namespace: str, *arguments: str, code: int = 0) -> tuple[str, str]:
    """Runs it to its end. Returns what it wrote to both streams."""
    process = start(cluster, namespace, *arguments)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == code, (arguments, process.returncode, out[-2000:], err[-2000:])
    return out, err
