"""Where commands write: results to standard output, everything else to standard error.

A result that is piped must be nothing but the result; progress and remarks are for the person. rich leaves
out colours and movement by itself where the stream is no terminal or NO_COLOR is set.
"""

from __future__ import annotations

import functools
import re
import sys

from rich.console import Console

_UNPRINTABLE = re.compile(r"(?!\x1b\[[0-9;]*m)[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that turn the direction of writing; colours apart."""


@functools.cache
def results() -> Console:
    """Returns the console of standard output."""
    return Console(highlight=False, soft_wrap=True)


@functools.cache
def screen() -> Console:
    """Returns standard output as a screen: what is drawn in place is wrapped to its width."""
    return Console(highlight=False)


@functools.cache
def remarks() -> Console:
    """Returns the console of standard error."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def printable(text: str) -> str:
    """Returns a text on one line, without the characters that a terminal would obey: what stands in a file
    must not be able to hide a line or to change a colour."""
    spaced = "".join(" " if char in "\t\n\r" else char for char in text)
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in spaced)


def remark(text: str) -> None:
    """Tells the person something beside the result."""
    remarks().print(f"note: {printable(text)}", style="dim", markup=False)


def harmless(line: str) -> str:
    """Returns a line of a log for a terminal: its colours stay, what else it would obey is written out."""
    if not sys.stdout.isatty():
        return line
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", line.rsplit("\r", 1)[-1])
