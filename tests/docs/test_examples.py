"""Every example answers a question, is accepted, and is as wise as the advice that we give."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.docs import documents
from typer.testing import CliRunner

from cluster.handles import ClusterHandle
from sftrun_cli.main import app

EXAMPLES = tuple(sorted((documents.ROOT / "examples").glob("*.yaml")))
UNWISE = {
    "long-context": ["NoValidation"],  # as its own comment says: evaluation at that length fits no GPU
}
"""The advice that an example does not follow, on purpose."""


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_first_line_is_a_question(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# ")
    assert first.endswith("?")
    page = (documents.ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
    assert f"| [`{path.name}`](../examples/{path.name}) | {first.removeprefix('# ')} |" in page


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_lint_has_nothing_to_say(path: Path) -> None:
    said = CliRunner().invoke(app, ["lint", str(path)])
    lines = said.output.splitlines()
    assert said.exit_code == 0, said.output
    assert [line.rsplit("[", 1)[1].rstrip("]") for line in lines[:-1]] == UNWISE.get(path.stem, [])


@pytest.mark.cluster
def test_a_real_api_server_takes_them_all(light_cluster_with_crds: ClusterHandle) -> None:
    folder = str(documents.ROOT / "examples")
    said = light_cluster_with_crds.kubectl(
        "apply", "--dry-run=server", "--validate=strict", "--filename", folder
    )
    assert len(said.splitlines()) == len(EXAMPLES)
