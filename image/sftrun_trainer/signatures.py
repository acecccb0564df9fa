"""What the log of a dead child says: the first row of `signature_rows.TABLE` that matches.

Only for children that could not say so themselves (`events.Failure`). LLaMA-Factory always ends in
`CalledProcessError`, torchrun in `ChildFailedError`; the cause stands above them.
"""

from __future__ import annotations

from dataclasses import dataclass

from sftrun_api.reasons import Reason
from sftrun_trainer.signature_rows import TABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A row that matched."""

    reason: Reason
    final: bool
    details: str
    position: int
    """Where in the text the cause stands."""


def find(text: str) -> Finding | None:
    """Returns the first row of the table that matches the text of a log, `None` where none does."""
    for row in TABLE:
        match = row.pattern.search(text)
        if match is not None:
            named = next((group.strip() for group in match.groups() if group), "it")
            said = f"the log says: {_line_at(text, match.start())}"
            details = f"{row.details.replace('{0}', named)}; {said}" if row.details else said
            return Finding(reason=row.reason, final=row.final, details=details, position=match.start())
    return None


def _line_at(text: str, position: int) -> str:
    start = text.rfind("\n", 0, position + 1) + 1
    end = text.find("\n", max(position + 1, start))
    return text[start : end if end >= 0 else None].strip()[:300]
