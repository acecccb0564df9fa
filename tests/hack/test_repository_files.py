"""The files that other programs read: image, workflows, templates, hooks; each as its program judges it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster import programs
from cluster.paths import GO_MODULES

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    done = subprocess.run(
        [ROOT / ".venv" / "bin" / "hadolint", ROOT / "Dockerfile"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.cluster
def test_actionlint_finds_nothing_in_the_workflows() -> None:
    """The cluster mark: it is built from the cluster's pinned Go modules."""
    programs.ensure(["actionlint"])
    command: list[str | Path] = [programs.binary("actionlint"), "-shellcheck=", "-pyflakes=", *WORKFLOWS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_workflows_and_hooks_call_what_the_makefile_has() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    files = [*WORKFLOWS, ROOT / ".pre-commit-config.yaml", ROOT / ".devcontainer" / "devcontainer.json"]
    called = {
        word
        for file in files
        for line in re.findall(r"(?:run: |entry: |&& )make ([a-z -]+)", file.read_text())
        for word in line.split()
    }
    assert {"verify", "unit", "test", "release", "setup"} <= called <= targets


def test_every_job_has_a_limit_and_the_least_rights() -> None:
    assert {path.name for path in WORKFLOWS} == {"ci.yaml", "release.yaml"}
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text())
        assert workflow["permissions"] == {"contents": "read"}, path
        assert all("timeout-minutes" in job for job in workflow["jobs"].values()), path


def test_forms_and_hooks_are_well_formed() -> None:
    for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yaml"):
        form: dict[str, Any] = yaml.safe_load(path.read_text())
        assert {"name", "description", "body"} <= set(form)
        ids = [part["id"] for part in form["body"]]
        assert len(ids) == len(set(ids))
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [each["repo"] for each in hooks] == ["local"], "hooks are the programs of .venv"
    for hook in hooks[0]["hooks"]:
        program = hook["entry"].split()[0]
        assert program == "make" or (ROOT / program).exists(), hook


def test_the_devcontainer_has_the_versions_that_the_repository_asks_for() -> None:
    text = (ROOT / ".devcontainer" / "devcontainer.json").read_text()
    container = json.loads(re.sub(r"^//.*\n", "", text, flags=re.MULTILINE))
    (go,) = [options["version"] for name, options in container["features"].items() if "/go:" in name]
    module = (GO_MODULES / "kubernetes" / "go.mod").read_text()
    assert f"\ngo {go}." in module
    assert container["privileged"] is True
