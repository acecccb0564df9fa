"""What a user gets from the package index: the command line by the package's name, the rest by extras."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
NAME = re.compile(r"[A-Za-z0-9_.-]+")


def asked(extra: str = "") -> set[str]:
    extras = PROJECT["project"]["optional-dependencies"]
    return {*(extras[extra] if extra else ()), *PROJECT["project"]["dependencies"]}


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def names(lines: set[str]) -> set[str]:
    return {found[0].lower() for line in lines if (found := NAME.match(line))}


def listed(file: str) -> set[str]:
    lines = (ROOT / "requirements" / file).read_text().splitlines()
    return {line.strip() for line in lines if line.strip() and not line.startswith(("#", "-r"))}


def test_the_extra_of_the_trainer_is_what_its_image_holds() -> None:
    assert names(listed("trainer.in")) <= names(asked("trainer"))
    pinned = {line for line in listed("trainer.in") if "==" in line or ">=" in line}
    assert pinned <= asked("trainer")


@pytest.mark.parametrize("name", ["torch", "transformers", "llamafactory", "kopf"])
def test_the_command_line_brings_nothing_heavy(name: str) -> None:
    assert name not in names(asked())


def test_the_command_line_starts_with_what_the_package_s_name_brings() -> None:
    """Everything that its modules import from elsewhere, at once or when a command needs it."""
    imported = {name for path in (ROOT / "cli").rglob("*.py") for name in _imports(path)}
    foreign = {name for name in imported if name not in sys.stdlib_module_names and name[:7] != "sftrun_"}
    brought = {each.partition(".")[0] for each in names(asked())} | {"yaml", "urllib3"}  # of kubernetes
    assert foreign - brought == {"matplotlib"}, "an extra: its absence is told"


def test_every_package_of_ours_is_in_the_wheel() -> None:
    packages = {Path(each).name for each in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]}
    there = {path.parent.name for path in ROOT.glob("*/sftrun_*/__init__.py")}
    assert packages == there


def test_the_operator_s_command_without_its_extra_says_what_to_install() -> None:
    hidden = "import sys; sys.modules['kopf'] = None; "
    program = hidden + "from sftrun_operator.__main__ import main; sys.exit(main([]))"
    ended = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr == "kopf is not installed; pip install 'sftrun[operator]' brings it\n"
