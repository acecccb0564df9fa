"""Long lines: whole in a pipe, broken between words on a terminal."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from sftrun_cli import wrapping

LINE = (
    "run.yaml:4:9: error: a name must be a label of lower-case letters, because it becomes one [NameIsLabel]"
)


def shown(line: str, *, width: int, terminal: bool = True, indent: int = 2) -> list[str]:
    stream = io.StringIO()
    console = Console(
        width=width,
        file=stream,
        force_terminal=terminal,
        color_system=None,
        soft_wrap=True,
        legacy_windows=False,
    )
    wrapping.show(console, Text(line, style="red"), indent=indent)
    return stream.getvalue().splitlines()


def test_a_pipe_gets_the_line_whole() -> None:
    assert shown(LINE, width=60, terminal=False) == [LINE]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_terminal_gets_whole_words(width: int) -> None:
    lines = shown(LINE, width=width)
    assert all(len(line) <= width for line in lines)
    assert " ".join(line.strip() for line in lines) == LINE
    assert all(line.startswith("  ") for line in lines[1:])


@given(
    words=st.lists(st.text("abcdef/.-", min_size=1, max_size=90), min_size=1, max_size=30),
    width=st.integers(60, 120),
)
def test_nothing_is_lost(words: list[str], width: int) -> None:
    lines = shown(" ".join(words), width=width, indent=4)
    assert "".join("".join(lines).split()) == "".join(words)
    assert all(len(line) <= width for line in lines)
