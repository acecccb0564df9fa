"""What the pages show is true: their YAML is accepted, their commands exist, their links lead somewhere.

Commands that need an API server are run in `test_document_commands.py`; one that neither knows fails here.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.docs import documents
from tests.docs.documents import Block, Command

from sftrun_operator.decisions import Plan
from sftrun_operator.observations import Observed, OperatorConfig, Run
from sftrun_operator.plans import plan

RUNS: tuple[Block, ...] = tuple(block for block in documents.blocks("yaml") if "kind: SFTRun" in block.text)
EXAMPLES = tuple(sorted((documents.ROOT / "examples").glob("*.yaml")))
COMMANDS = tuple(documents.commands())
KNOWN = ("make", "export", "docker", "kubectl", "helm", "hack/cluster/cluster", "python", "sftrun")


def judged(manifest: dict[str, Any]) -> Plan:
    """Returns what the operator does with a manifest as it first sees it."""
    run = Run(
        namespace="default",
        name=manifest["metadata"]["name"],
        uid="01234567-89ab-cdef-0123-456789abcdef",
        resource_version="1",
        generation=1,
        created_at=0.0,
        deleting=False,
        spec=manifest["spec"],
        status={},
    )
    return plan(run, Observed(proven=True), now=0.0, config=OperatorConfig(trainer_image="t:1", version="1"))


@pytest.mark.parametrize("text", [block.text for block in RUNS] + [path.read_text() for path in EXAMPLES])
def test_runs_that_people_copy_are_accepted(text: str) -> None:
    manifest = yaml.safe_load(text)
    assert [created["kind"] for created in judged(manifest).create] == ["ConfigMap", "Job"]


def test_a_wrong_run_is_refused() -> None:
    manifest = yaml.safe_load(RUNS[0].text)
    manifest["spec"]["training"]["template"] = "qwen33"
    assert judged(manifest).create == ()


@pytest.mark.parametrize("language", ["yaml", "json"])
def test_blocks_of_data_parse(language: str) -> None:
    for block in documents.blocks(language):
        assert yaml.safe_load(block.text) is not None, block  # JSON is YAML


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: f"{command.page}: {command.text}")
def test_commands_are_whole_and_known(command: Command) -> None:
    subprocess.run(["bash", "-n", "-c", command.text], check=True)
    assert command.words[0] in KNOWN


@pytest.mark.parametrize("command", [each for each in COMMANDS if each.words[0] == "make"])
def test_make_targets_exist(command: Command) -> None:
    makefile = (documents.ROOT / "Makefile").read_text()
    for target in command.words[1:]:
        assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("command", [each for each in COMMANDS if each.words[:2] == ["docker", "build"]])
def test_images_are_built_from_targets_that_exist(command: Command) -> None:
    target = command.words[command.words.index("--target") + 1]
    assert re.search(rf"^FROM .* AS {target}$", (documents.ROOT / "Dockerfile").read_text(), re.MULTILINE)


def test_diagrams_hold_no_semicolon() -> None:
    """It ends a statement of Mermaid's, also in the middle of a text: the diagram is not drawn then."""
    diagrams = list(documents.blocks("mermaid"))
    assert diagrams
    assert [block.page for block in diagrams if ";" in block.text] == []


def test_links_lead_somewhere() -> None:
    dead = [f"{page.name}: {link}" for page, link in documents.links() if not (page.parent / link).exists()]
    assert dead == []


def test_programs_of_the_cluster_are_those_that_its_page_lists() -> None:
    page = Path(documents.ROOT, "docs", "cluster.md").read_text()
    helped = subprocess.run(
        [documents.ROOT / "hack/cluster/cluster", "--help"], check=True, capture_output=True, text=True
    ).stdout
    for verb in re.findall(r"`hack/cluster/cluster (\S+?)[` ]", page):
        assert verb in helped
