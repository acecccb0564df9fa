"""Mistakes of shape: what the models say of a raw spec, in the words of the rules about shapes.

The models are the same as the API server's schema, so nothing is judged here: it is said so that a person
finds the field, sees the value and knows what to write.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import ErrorDetails

from sftrun_api.judgements import forms
from sftrun_api.judgements.findings import Finding, finding, is_hidden
from sftrun_api.judgements.homes import home
from sftrun_api.llamafactory.checks import nearest, oddity, shown
from sftrun_api.rules import about_shapes
from sftrun_api.rules.bases import Location, Place

RULES = {rule.id: rule for rule in about_shapes.RULES}

_WANTED = {
    "int": "a whole number",
    "float": "a number",
    "string": "a text",
    "bool": "true or false",
    "dict": "a map",
    "model": "a map of fields",
    "tuple": "a list",
    "list": "a list",
}
_BOUNDS = {
    "greater_than": ("gt", "above {}"),
    "greater_than_equal": ("ge", "at least {}"),
    "less_than": ("lt", "below {}"),
    "less_than_equal": ("le", "at most {}"),
}
_TRUTHS = ("y", "yes", "n", "no", "true", "false", "on", "off")


def of_error(error: ErrorDetails, *, names: tuple[str, ...], document: Any, base: Location) -> Finding:
    """Returns the finding for a model's error. `names` are those of the fields where an unknown one stands.

    `base` is where the spec stands in the document.
    """
    location = location_of(error)
    rule, words = _explain(error, names=names, hidden=is_hidden(location))
    return finding(RULES[rule], Place(words=words), location=(*base, *location), document=document)


def location_of(error: ErrorDetails) -> Location:
    """Returns where the error is; pydantic marks a wrong key by one more part."""
    location = error["loc"]
    return location[:-1] if location and location[-1] == "[key]" else location


def kind_of(value: Any) -> str:
    """Returns what a value is, in the words of a person."""
    if isinstance(value, bool):
        return "true or false"
    for types, words in (
        (int, "a whole number"),
        (float, "a number"),
        (str, "a text"),
        (Mapping, "a map"),
        (list | tuple, "a list"),
    ):
        if isinstance(value, types):
            return words
    return "null" if value is None else "nothing that JSON knows"


def _explain(error: ErrorDetails, *, names: tuple[str, ...], hidden: bool) -> tuple[str, dict[str, object]]:
    """Returns the id of the rule that an error of the models breaks, and the words for its message."""
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    told = "what stands here" if hidden else shown(value)
    words: dict[str, object] = {"value": told}
    if error["loc"][-1:] == ("[key]",) and not isinstance(value, str):
        return "KeyNotText", {"key": told}
    if kind in _BOUNDS:
        key, bound = _BOUNDS[kind]
        return "OutOfRange", words | {"bound": bound.format(_plain(context[key]))}
    if kind == "literal_error":
        return "NotAChoice", words | _choices(value, str(context["expected"]))
    if kind in _LENGTHS:
        return "WrongLength", _length(value, context)
    if kind == "string_pattern_mismatch":
        context = {"form": forms.in_words(str(context["pattern"]))}
    if kind in _PLAIN_RULES:
        further = {"oddity": "" if hidden else oddity(value), "nearest": nearest(error["loc"][-1], names)}
        if kind == "extra_forbidden":
            further["oddity"] = oddity(error["loc"][-1])
            further["nearest"] = home(error["loc"][-1]) or further["nearest"]
        return _PLAIN_RULES[kind], words | context | further
    wanted = _WANTED.get(kind.split("_")[0], "another value")
    return "WrongType", words | {"kind": kind_of(value), "wanted": wanted, "hint": _hint(value, wanted)}


_LENGTHS = ("string_too_short", "string_too_long", "too_short", "too_long", "sftrun_too_few")
_PLAIN_RULES = {
    "missing": "FieldMissing",
    "extra_forbidden": "FieldUnknown",
    "string_pattern_mismatch": "WrongForm",
    "finite_number": "NotFinite",
    "sftrun_parent": "ParentInPath",
    "sftrun_duplicates": "DuplicateItem",
}


def _choices(value: Any, expected: str) -> dict[str, object]:
    choices = [part.strip("'") for part in expected.replace(" or ", ", ").split(", ")]
    close = nearest(value, choices) if isinstance(value, str) else ""
    return {"choices": ", ".join(choices), "nearest": close, "oddity": oddity(value)}


def _length(value: Any, context: Mapping[str, Any]) -> dict[str, object]:
    unit = "characters" if isinstance(value, str) else "items"
    most, least = context.get("max_length"), context.get("min_length")
    bound = f"at most {most}" if most is not None else f"at least {least}"
    return {"given": len(value), "unit": unit, "bound": bound}


def _plain(number: Any) -> str:
    return str(int(number)) if isinstance(number, float) and number.is_integer() else str(number)


def _hint(value: Any, wanted: str) -> str:
    """Says why YAML has read something else than its author meant."""
    if isinstance(value, bool) and wanted == "a text":
        return ": put it in quotes, because YAML reads yes, no, on and off as true or false"
    if not isinstance(value, str):
        return ""
    text = value.strip()
    if wanted in ("a number", "a whole number") and _reads_as_number(text):
        if "e" in text.lower() and "." not in text:
            return f": without quotes, and with a dot ({_with_dot(text)}), or YAML reads a text"
        return ", without quotes"
    if wanted == "true or false" and text.lower() in _TRUTHS:
        return ", without quotes"
    return ""


def _reads_as_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _with_dot(text: str) -> str:
    digits, _, exponent = text.lower().partition("e")
    return f"{digits}.0e{exponent}" if exponent[:1] in "+-" else f"{digits}.0e+{exponent}"
