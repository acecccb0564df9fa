"""Tests of the tools that serve development. Those of our own nodes have no subject under KUBECONFIG."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cluster import handles


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the tests of our own nodes when another cluster is given."""
    if not handles.foreign_kubeconfig(os.environ):
        return
    folder = Path(__file__).parent
    ours = [item for item in items if folder in item.path.parents and item.get_closest_marker("e2e")]
    items[:] = [item for item in items if item not in ours]
    config.hook.pytest_deselected(items=ours)
