"""Model requests that were logged one a file, as OpenHands and its SDK log completions.

Where the model cannot call tools, the harness speaks to it in text and translates: a file then holds both
forms of the history and of the response.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sftrun_data.formats import values
from sftrun_data.readers.base import Place

_NAME = re.compile(r"-(\d{9,}(?:\.\d+)?)(?:-[0-9a-z]+)?\.json$")
_BEGINNING = re.compile(rb'\s*\{\s*"messages"\s*:')
_TRANSLATED = ("raw_messages", "fncall_messages")


def call_files(place: Place) -> list[Path]:
    """Returns the files of a place that are named like a request, by model and time, in the order of their
    times."""
    if place.file:
        named_so = _NAME.search(place.file.name) is not None
        return [place.file] if named_so and _BEGINNING.match(place.head(place.file)) else []
    found = [(float(match[1]), path) for path in place.walk(depth=4) if (match := _NAME.search(path.name))]
    return [path for _, path in sorted(found)]


def line_of(value: Any, *, as_spoken: bool) -> Any:
    """Returns a file's content as a request log would have it in a line; what is none of it as it is."""
    if not isinstance(value, dict) or "request_body" in value:
        return value
    translated = next((value[key] for key in _TRANSLATED if isinstance(value.get(key), list)), None)
    kwargs = value["kwargs"] if isinstance(value.get("kwargs"), dict) else {}
    response = value.get("response")
    messages, tools = value.get("messages"), value.get("tools") or kwargs.get("tools")
    if translated is not None and as_spoken:
        # The prompt tells of the tools in words.
        tools = None
    elif translated is not None:
        messages, response = translated, value.get("fncall_response") or response
    model = kwargs.get("model") or (response.get("model") if isinstance(response, dict) else "")
    return {
        "request_time": value.get("timestamp"),
        "request_body": {"messages": messages, "tools": tools, "model": values.string(model)},
        "response_body": response,
        "raw_response": _whole(value.get("raw_response")),
        "success": response is not None,
    }


def _whole(raw: Any) -> Any:
    """A model that called tools where it should have written them left calls in the raw response that were
    logged without content: the parsed response then tells what it did."""
    choices = raw.get("choices") if isinstance(raw, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    calls = message.get("tool_calls") if isinstance(message, dict) else None
    hollow = isinstance(calls, list) and not all(isinstance(call, dict) and call for call in calls)
    return None if hollow else raw
