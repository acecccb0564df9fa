"""One run's curve with its name."""

from __future__ import annotations

import string
from dataclasses import dataclass

from sftrun_cli.runs.curves import Curve

LETTERS = string.ascii_uppercase


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What is drawn of a run."""

    name: str
    curve: Curve

    @property
    def has_something(self) -> bool:
        """Whether there is anything to draw."""
        return bool(self.curve.losses or self.curve.evaluations)


def letter(place: int) -> str:
    """Returns what tells the series at a place from the others."""
    return LETTERS[place % len(LETTERS)]
