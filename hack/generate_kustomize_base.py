"""Writes deploy/operator.yaml: `python -m generate_kustomize_base`. What the chart renders by default, for
`kubectl apply -k deploy`.

Rendering needs helm, checking does not: the file names the digest of the chart that it was rendered from.
With `--check` nothing is written, and a chart with another digest is an error. A test renders it again.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from cluster import programs

ROOT = Path(__file__).parents[1]
CHART = ROOT / "charts" / "sftrun-operator"
PAGE = ROOT / "deploy" / "operator.yaml"
RELEASE = "sftrun-operator"
NAMESPACE = "sftrun-system"
_SOURCES = ("Chart.yaml", "values.yaml", "templates")
_HEAD = """\
# Generated from charts/sftrun-operator by `make generate`; do not edit.
# chart: {digest}
"""


def digest() -> str:
    """Returns the digest of everything that the default rendering depends on."""
    found = hashlib.sha256()
    for source in _SOURCES:
        path = CHART / source
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                found.update(f"{file.relative_to(CHART)}\0".encode())
                found.update(hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()


def rendered() -> str:
    """Returns the file's text. Builds helm if need be."""
    programs.ensure(["helm"])
    helm = programs.binary("helm")
    command: list[str | Path] = [helm, "template", RELEASE, CHART, "--namespace", NAMESPACE, "--no-hooks"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    objects = [item for item in yaml.safe_load_all(done.stdout) if item]
    for item in objects:
        _own(item["metadata"])
        if "template" in item.get("spec", {}):
            _own(item["spec"]["template"]["metadata"])
    objects.sort(key=lambda item: (item["kind"], item["metadata"]["name"]))
    return _HEAD.format(digest=digest()) + yaml.safe_dump_all(objects, sort_keys=False, width=110)


def _own(metadata: dict[str, Any]) -> None:
    """Takes out what says that helm looks after the object."""
    labels = metadata["labels"]
    labels.pop("helm.sh/chart", None)
    labels["app.kubernetes.io/managed-by"] = "kustomize"


def is_current() -> bool:
    """Whether the file was rendered from the chart as it stands."""
    return PAGE.is_file() and f"\n# chart: {digest()}\n" in PAGE.read_text(encoding="utf-8")


def main(given: list[str] | None = None) -> int:
    """Writes the file if it is stale, or with `--check` says so; returns the exit code."""
    parser = argparse.ArgumentParser(prog="generate_kustomize_base")
    parser.add_argument("--check", action="store_true", help="fail when the committed file is stale")
    check = parser.parse_args(given).check
    if is_current():
        return 0
    if check:
        print(f"{PAGE} is stale; run: make generate", file=sys.stderr)
        return 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(rendered(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
