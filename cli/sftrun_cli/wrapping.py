"""Long lines on a terminal: broken between words, what follows set in. A pipe gets each line whole, so that
what reads it finds one thing a line."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text


def show(console: Console, line: Text, *, indent: int = 2) -> None:
    """Prints a line, wrapped to a terminal's width with all but the first part of it set in."""
    room = console.width - indent
    if not console.is_terminal or room < 20 or line.cell_len <= console.width:
        console.print(line)
        return
    first, *rest = line.wrap(console, console.width)
    console.print(_trimmed(first))
    if not rest:
        return
    for part in line[len(first.plain) :].wrap(console, room):
        console.print(Text.assemble(" " * indent, _trimmed(part)))


def _trimmed(part: Text) -> Text:
    kept = part.copy()
    kept.rstrip()
    return kept
