"""How many records are longer than the model may see, estimated from their bytes: no tokenizer is needed.

The pod measures with the model's own tokenizer; this is for a laptop, before anything is started.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sftrun_data import jsons
from sftrun_data.figures import estimated_tokens
from sftrun_data.results import ConversionResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlong:
    """Records that would be cut, by estimate."""

    cutoff: int
    """Tokens."""
    records: int
    """All."""
    longer: int
    """Records longer than the cutoff."""
    tokens_beyond: int
    """What of them lies beyond it."""
    longest: int


def overlong(result: ConversionResult, *, cutoff: int) -> Overlong:
    """Returns the estimate for what a conversion wrote. Raises OSError."""
    lengths = [estimated_tokens(line) for line in _lines(result)]
    beyond = [length - cutoff for length in lengths if length > cutoff]
    return Overlong(
        cutoff=cutoff,
        records=len(lengths),
        longer=len(beyond),
        tokens_beyond=sum(beyond),
        longest=max(lengths, default=0),
    )


def ids(result: ConversionResult) -> Iterator[str]:
    """Yields the ids of the records that a conversion wrote. Raises OSError."""
    return (str(jsons.loads(line).value["id"]) for line in _lines(result))


def _lines(result: ConversionResult) -> Iterator[bytes]:
    for dataset in result.datasets:
        with Path(dataset.path).open("rb") as file:
            yield from file
