"""The dashboard as Grafana's own models read it: grafana-foundation-sdk is made from Grafana's schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard, prometheus

from generate_dashboard import DASHBOARD

UNTYPED = "definition"
"""Of a query variable: Grafana writes it beside `query`, its models do not know it."""


@pytest.fixture(scope="module")
def raw() -> dict[str, Any]:
    """The file that the chart carries."""
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


@pytest.fixture(scope="module")
def loaded(raw: dict[str, Any]) -> Any:
    """What Grafana's models make of it."""
    register_default_plugins()
    return dashboard.Dashboard.from_json(raw)


def test_nothing_of_it_is_unknown_to_grafana(raw: dict[str, Any], loaded: Any) -> None:
    assert list(_differences(raw, json.loads(JSONEncoder().encode(loaded)), "")) == []


def test_every_panel_asks_prometheus(loaded: Any) -> None:
    panels = [panel for panel in loaded.panels if isinstance(panel, dashboard.Panel)]
    assert len(panels) > 20
    for panel in panels:
        assert panel.targets, panel.title
        assert all(isinstance(target, prometheus.Dataquery) and target.expr for target in panel.targets)


def _differences(ours: Any, theirs: Any, place: str) -> Iterator[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            if key not in theirs and key != UNTYPED:
                yield f"{place}.{key} is lost"
            elif key in theirs:
                yield from _differences(value, theirs[key], f"{place}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from _differences(one, other, f"{place}[{number}]")
    elif ours != theirs:
        yield f"{place}: {ours!r} became {theirs!r}"
