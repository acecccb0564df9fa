"""What stands on the page beside the curves."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from sftrun_api.run_files import RunFile
from sftrun_trainer.plots.histories import History

MOST_CHARACTERS = 70


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Three lines, and what the loss is in."""

    title: str
    figures: str
    footer: str
    unit: str
    """Empty where the loss has none of its own: in preference training."""


def words(run: RunFile, history: History, *, at: float) -> Words:
    """Returns title, figures and footer; `at` is the time of the last step."""
    resolved, training, identity = run.resolved, run.spec.training, run.run
    best = history.best
    figures = [
        f"{history.num_steps:,} step{'s' if history.num_steps != 1 else ''}",
        f"{history.epochs:.3g} epochs" if history.epochs else "",
        f"final loss {history.final_loss:.4g}" if history.final_loss is not None else "",
        f"lowest validation loss {best[1]:.4g} at step {best[0]:,}" if best else "",
        f"{duration(history.seconds)} of training" if history.seconds else "",
        _restarts(history),
    ]
    footer = [
        f"{identity.namespace}/{identity.name}",
        f"uid {identity.uid[:8]}",
        f"attempt {identity.attempt}",
        training.finetuning_type,
        f"learning rate {resolved.learning_rate:g}",
        f"batch {resolved.global_batch_size}",
        f"{resolved.processes_per_node} process{'es' if resolved.processes_per_node > 1 else ''}",
        datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC") if at else "",
    ]
    return Words(
        title=_short(resolved.run_name or identity.name),
        figures="   ·   ".join(filter(None, figures)),
        footer="   ·   ".join(filter(None, map(_short, footer))),
        unit="nats a token" if training.stage == "sft" else "",
    )


def _restarts(history: History) -> str:
    count = len(history.restarts)
    if not count:
        return ""
    redone = sum(restart.redone for restart in history.restarts)
    again = f" ({redone} step{'s' if redone != 1 else ''} again)" if redone else ""
    return f"{count} restart{'s' if count != 1 else ''}{again}"


def duration(seconds: float) -> str:
    """Returns a length of time as people say it: `42 s`, `3 min`, `5.2 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def _short(text: str) -> str:
    shown = "".join(character if character.isprintable() else " " for character in text)
    return shown if len(shown) <= MOST_CHARACTERS else shown[: MOST_CHARACTERS - 1] + "…"
