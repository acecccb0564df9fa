"""`docs/cli.md` is what the program says of itself; help comes at once, with examples, for every command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from sftrun_cli import reference_pages
from sftrun_cli.main import app

ROOT = Path(__file__).parents[2]
COMMANDS: Any = typer.main.get_command(app)
NAMES = sorted(COMMANDS.commands)
HEAVY = ("rich", "ruamel", "yaml", "jinja2", "kubernetes", "numpy", "torch")


def test_the_page_is_what_the_program_says(tmp_path: Path) -> None:
    assert reference_pages.main(["--check", str(ROOT)]) == 0, "run `make generate`"
    (tmp_path / "docs").mkdir()
    assert reference_pages.main(["--check", str(tmp_path)]) == 1
    assert reference_pages.main(["--write", str(tmp_path)]) == 0
    assert reference_pages.main(["--check", str(tmp_path)]) == 0


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help_with_examples(name: str) -> None:
    done = CliRunner().invoke(app, [name, "--help"])
    assert done.exit_code == 0
    examples = done.stdout.partition("Examples:")[2]
    assert f"sftrun {name} " in examples or f"kubectl sft {name}" in examples
    for parameter in COMMANDS.commands[name].params:
        assert parameter.help, f"{name} {parameter.name} has no help"


@pytest.mark.parametrize(
    "words", [["--help"], *([name, "--help"] for name in NAMES)], ids=lambda words: words[0]
)
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys\n"
        "sys.argv = ['sftrun', *sys.argv[1:]]\n"
        "from sftrun_cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print('HEAVY', *sorted({HEAVY!r} & sys.modules.keys()))".replace(
            f"{HEAVY!r} &", f"set({HEAVY!r}) &"
        )
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY"


WRONG = [(["unheard"], 2), (["lint"], 2), (["lint", "--unheard", "x"], 2), (["render", "x", "-o", "toml"], 2)]


@pytest.mark.parametrize(("words", "code"), WRONG)
def test_wrong_command_lines_end_with_2_and_a_sentence(words: list[str], code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sftrun_cli", *words], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()


def test_a_missing_file_is_a_sentence_and_not_a_trace() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sftrun_cli", "render", "gone.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "error: gone.yaml: there is no such file\n")


def test_colours_are_left_out_where_nobody_sees_them(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: SFTRun\n")
    command = [sys.executable, "-m", "sftrun_cli", "lint", str(tmp_path / "a.yaml")]
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {}):
        done = subprocess.run(
            command, env=os.environ | environment, capture_output=True, text=True, check=False
        )
        assert "\x1b" not in done.stdout + done.stderr
