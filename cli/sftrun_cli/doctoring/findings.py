"""One thing that was looked at."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from rich.text import Text

from sftrun_cli import consoles


class Result(enum.StrEnum):
    """How it is."""

    PASS = "Pass"  # noqa: S105 - no password
    WARN = "Warn"
    FAIL = "Fail"
    UNSEEN = "Unseen"
    """The user may not look there: neither good nor bad."""


STYLES = {Result.PASS: "green", Result.WARN: "yellow", Result.FAIL: "bold red", Result.UNSEEN: "dim"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A line."""

    name: str
    result: Result
    message: str
    remedy: str = ""
    """What to do; empty where nothing is to be done."""

    def as_object(self) -> Mapping[str, str]:
        """Returns it for programs."""
        whole = {"name": self.name, "result": self.result.value, "message": self.message}
        return whole | ({"remedy": self.remedy} if self.remedy else {})


def lines(findings: Iterable[Finding]) -> Iterator[Text]:
    """Yields a line a finding, and one below it with what to do."""
    listed = list(findings)
    width = max((len(each.name) for each in listed), default=0)
    for each in listed:
        yield Text.assemble(
            (f"{each.result:<6} ", STYLES[each.result]),
            (f"{each.name:<{width}}  ", "bold"),
            consoles.printable(each.message),
        )
        if each.remedy:
            yield Text.assemble(" " * 7, ("→ ", STYLES[each.result]), consoles.printable(each.remedy))
