"""Our own files as text: sorted keys, so the same value has the same bytes."""

from __future__ import annotations

import json

import orjson

from sftrun_api.run_files import RunFile


def run_json(run_file: RunFile) -> str:
    """Returns the run file as the trainer reads it."""
    value = run_file.to_json_object()
    try:
        return orjson.dumps(value, option=_READABLE).decode()
    except TypeError:  # numbers beyond 64 bits, broken Unicode
        return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=True, allow_nan=False) + "\n"


_READABLE = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
