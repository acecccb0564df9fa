"""The forms of results. A module of its own, because the options need it before anything is imported."""

from __future__ import annotations

import enum


class Form(enum.StrEnum):
    """What `-o` takes where a result is an object."""

    YAML = "yaml"
    JSON = "json"


class ListForm(enum.StrEnum):
    """What `-o` takes where a result is a list of a cluster's objects."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"
