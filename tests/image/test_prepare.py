"""The child of stage Prepare: what it says of the data, beside converting it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.image import data_samples as samples
from tests.image import training_runs

from sftrun_api.preflights import Group
from sftrun_trainer import calls, events, prepare

LITERAL = {"conversations": [{"from": "human", "value": "Q <|im_end|>"}, {"from": "gpt", "value": "A"}]}
"""Holds a token of the template in a question: it is kept, broken up, and that is said."""
ROWS = [
    {"conversations": [{"from": "human", "value": f"Q{number}"}, {"from": "gpt", "value": "A"}]}
    for number in range(3)
]


@pytest.mark.parametrize(("template", "results"), [("qwen3", ["Pass", "Warn"]), ("qwen3_nothink", ["Pass"])])
def test_turns_without_thoughts_are_warned_about(tmp_path: Path, template: str, results: list[str]) -> None:
    payload, said = prepared(tmp_path, template=template, rows=ROWS)
    assert [line.result for line in said] == results
    assert payload["dataset"]["converted"] == len(ROWS)
    assert payload["effective"]["readers"].keys() == {"rows"}, "Auto has settled on one"
    assert payload["effective"]["readers"]["rows"].startswith("ShareGPT")


def test_what_is_said_of_kept_records_is_shown_where_the_run_is_looked_at(tmp_path: Path) -> None:
    payload, said = prepared(tmp_path, template="qwen3_nothink", rows=[*ROWS, LITERAL])
    (remarks,) = (line for line in said if line.name == "remarks")
    assert remarks.result == "Pass"
    assert "1 LiteralMarkup" in remarks.message
    assert payload["conversion"]["summary_path"] in remarks.message


def prepared(tmp_path: Path, *, template: str, rows: list[Any]) -> tuple[Any, list[events.CheckLine]]:
    """Runs the stage over rows; returns its payload and what it says of its outputs."""
    made = training_runs.make(tmp_path, training={"template": template})
    workspace = Path(made.run.resolved.workspace)
    path = samples.write(workspace / "data" / "rows.json", rows)
    source = {"name": "rows", "files": {"paths": [str(path.relative_to(workspace))]}}
    spec = made.run.spec.model_validate(made.run.spec.to_json_object() | {"sources": [source]})
    run = made.run.model_copy(update={"spec": spec})
    log = tmp_path / "events"
    child = calls.Child(call=made.call, run=run, events=events.EventWriter(log))
    payload = prepare.body(child)
    told = [event for event in events.EventReader(log).read() if isinstance(event, events.CheckLine)]
    return payload, [event for event in told if event.group == Group.OUTPUTS]
