"""The parameters in which runs differ: the spec as written with its defaults, and what was worked out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sftrun_cli.runs.views import View

UNIMPORTANT = (
    "spec.suspend",
    "spec.restartRequest",
    "spec.lifecycle",
    "effective.datasetName",
    "effective.outputDir",
    "effective.runName",
)
"""What changes neither what is learnt nor how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field, and what it is in each run; empty: not set."""

    field: str
    values: tuple[str, ...]


def differences(runs: Sequence[View]) -> tuple[Difference, ...]:
    """Returns the fields in which the runs differ, those of the spec first."""
    flat = [dict(_fields(run)) for run in runs]
    named = dict.fromkeys(name for each in flat for name in each)
    names = sorted(named, key=lambda name: not name.startswith("spec."))
    found = [
        Difference(field=name, values=values)
        for name in names
        if len(set(values := tuple(each.get(name, "") for each in flat))) > 1
    ]
    worked_out = {each.field.rpartition(".")[2] for each in found if each.field.startswith("effective.")}
    # What was worked out says more than what was written: a default shows there too.
    return tuple(
        each
        for each in found
        if not (each.field.startswith("spec.training.") and each.field.rpartition(".")[2] in worked_out)
    )


def _fields(run: View) -> Iterator[tuple[str, str]]:
    for root, value in (("spec", run.at("spec")), ("effective", run.at("status", "effective"))):
        for name, text in _flattened(root, value):
            if not name.startswith(UNIMPORTANT):
                yield name, text
    for name in ("digest", "converted", "validation"):
        found = run.at("status", "dataset", name)
        if found is not None:
            yield f"dataset.{name}", str(found)[:12] if name == "digest" else str(found)
    yield "image", run.text("status", "image")


def _flattened(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key in value:
            yield from _flattened(f"{name}.{key}", value[key])
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _flattened(f"{name}[{index}]", item)
    elif isinstance(value, str):
        yield name, value
    else:
        yield name, json.dumps(value)
