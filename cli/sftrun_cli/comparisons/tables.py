"""A comparison as text and as data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.table import Table

from sftrun_cli import consoles
from sftrun_cli.comparisons.differences import Difference
from sftrun_cli.comparisons.results import Result
from sftrun_cli.comparisons.verdicts import Verdict
from sftrun_cli.plots.series import letter
from sftrun_cli.runs import times

LOSSES_DIFFER_BY_FIELD = (
    "spec.sources",
    "spec.mixing",
    "spec.dataset",
    "dataset.",
    "spec.model",
    *(
        f"spec.training.{name}"
        for name in (
            "template", "cutoffLen", "trainOnPrompt", "maskHistory", "stage", "preference", "packing",
            "enableThinking", "preserveThinking",
        )
    ),
)  # fmt: skip
"""Where runs differ in one of these, their losses are of different texts, or count them otherwise."""


def incomparable(found: Sequence[Difference]) -> tuple[str, ...]:
    """Returns the fields that make losses incomparable."""
    return tuple(each.field for each in found if each.field.startswith(LOSSES_DIFFER_BY_FIELD))


def differences(found: Sequence[Difference], results: Sequence[Result]) -> Table:
    """Returns the parameters that differ."""
    made = _table("DIFFERS IN", results)
    for each in found:
        made.add_row(each.field, *(consoles.printable(value) or "-" for value in each.values))
    return made


def figures(results: Sequence[Result]) -> Table:
    """Returns what came out."""
    made = _table("RESULT", results)
    for label, of in _ROWS:
        cells = [of(each) for each in results]
        if any(cells):
            made.add_row(label, *(cell or "-" for cell in cells))
    return made


def as_object(
    results: Sequence[Result], found: Sequence[Difference], verdicts: Sequence[Verdict]
) -> dict[str, Any]:
    """Returns the comparison for programs; what is not known is absent."""
    runs = [
        _present(
            {
                "name": each.name,
                "phase": each.phase,
                "steps": each.steps,
                "finalLoss": each.final_loss,
                "bestLoss": _pair(each.best_loss),
                "evalLoss": each.eval_loss,
                "bestEvalLoss": _pair(each.best_eval),
                "tokensPerSecond": each.tokens_per_second,
                "secondsAStep": each.seconds_a_step,
                "trainSeconds": each.train_seconds,
                "gpuHours": each.gpu_hours,
            }
        )
        for each in results
    ]
    return {
        "runs": runs,
        "differences": [
            {
                "field": each.field,
                "values": dict(zip((result.name for result in results), each.values, strict=True)),
            }
            for each in found
        ],
        "verdicts": [
            _present(
                {
                    "base": each.base,
                    "other": each.other,
                    "metric": each.metric,
                    "difference": each.difference,
                    "noise": each.noise,
                    "better": each.better,
                    "sentence": each.sentence,
                }
            )
            for each in verdicts
        ],
        "incomparable": list(incomparable(found)),
    }


def _table(first: str, results: Sequence[Result]) -> Table:
    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    made.add_column(first, overflow="fold")
    for place, each in enumerate(results):
        made.add_column(f"{letter(place)} {each.name}", overflow="fold")
    return made


def _loss(value: float | None) -> str:
    return f"{value:.4g}" if value is not None else ""


def _at(value: tuple[int, float] | None) -> str:
    return f"{value[1]:.4g} at step {value[0]:,}" if value is not None else ""


_ROWS: tuple[tuple[str, Callable[[Result], str]], ...] = (
    ("phase", lambda each: each.phase),
    ("steps", lambda each: f"{each.steps:,}" if each.steps is not None else ""),
    ("final loss", lambda each: _loss(each.final_loss)),
    ("best loss", lambda each: _at(each.best_loss)),
    ("evaluation loss", lambda each: _loss(each.eval_loss)),
    ("best evaluation", lambda each: _at(each.best_eval)),
    ("tokens a second", lambda each: f"{each.tokens_per_second:,.0f}" if each.tokens_per_second else ""),
    ("seconds a step", lambda each: f"{each.seconds_a_step:.3g}" if each.seconds_a_step else ""),
    ("training", lambda each: times.short(each.train_seconds) if each.train_seconds is not None else ""),
    ("GPU-hours", lambda each: f"{each.gpu_hours:.3g}" if each.gpu_hours is not None else ""),
)


def _pair(value: tuple[int, float] | None) -> dict[str, Any] | None:
    return {"step": value[0], "loss": value[1]} if value is not None else None


def _present(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
