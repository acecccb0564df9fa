"""`kubectl_complete-sft`: what kubectl asks for `kubectl sft <TAB>`, where it finds that program on PATH.

It is given the words behind `kubectl sft`, the last of them the one being written, and prints what programs
made with cobra print: a candidate a line, a tab and its description behind it, and at the end a directive.
"""

from __future__ import annotations

import enum
import sys
from collections.abc import Sequence
from typing import Any

import typer.main

from sftrun_cli.main import app


class Directive(enum.IntEnum):
    """What the shell is to do besides; the numbers are cobra's."""

    FILES = 0
    """Offer files, as for a program that it knows nothing of: our own completion does so too."""
    NOTHING = 4


def lines(words: Sequence[str]) -> list[str]:
    """Returns the answer to the words of a command line."""
    *before, incomplete = words or [""]
    found = [_candidate(item) for item in _items(before, incomplete)]
    return [*found, f":{Directive.NOTHING if found else Directive.FILES:d}"]


def main() -> None:
    """Answers kubectl and ends."""
    sys.stdout.write("".join(f"{line}\n" for line in lines(sys.argv[1:])))


def _items(before: list[str], incomplete: str) -> list[Any]:
    """Returns click's candidates for a word: each has a `value`, and a `help` or `None`."""
    from typer._completion_classes import BashComplete  # any shell's: they differ in the form, which is ours

    command: Any = typer.main.get_command(app)
    return list(BashComplete(command, {}, "kubectl sft", "").get_completions(before, incomplete))


def _candidate(item: Any) -> str:
    words = (" ".join(str(text or "").split()) for text in (item.value, item.help))
    return "\t".join(filter(None, words))
