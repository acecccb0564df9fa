"""Judging a whole object, as it stands in a file: what it is, its name, and its spec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from sftrun_api import API_GROUP, API_VERSION, KIND
from sftrun_api.judgements import structures
from sftrun_api.judgements.findings import Finding, finding
from sftrun_api.judgements.homes import home
from sftrun_api.judgements.specs import judge_spec
from sftrun_api.llamafactory.checks import nearest, shown
from sftrun_api.rules import NAME_RULES
from sftrun_api.rules.bases import Location, Place

FIELDS = ("apiVersion", "kind", "metadata", "spec", "status")
GENERATED_LENGTH = 5
"""Characters that the API server appends to `metadata.generateName`."""


def judge(document: Any) -> tuple[Finding, ...]:
    """Returns everything that the API server and the operator would refuse or warn of; nothing when all is
    well. Never raises: what is no SFTRun is told to be none."""
    if not isinstance(document, Mapping):
        return (_made("WrongKind", (), document, value=structures.kind_of(document), wanted="an SFTRun"),)
    spec = document.get("spec")
    found = [*_head(document), *judge_name(document.get("metadata"), document=document)]
    if spec is None:
        found.append(_made("FieldMissing", ("spec",), document))
        return tuple(found)
    below = judge_spec(spec, document=document, base=("spec",))
    return (*found, *(replace(each, field=each.field.removeprefix("spec.")) for each in below.findings))


def judge_name(metadata: Any, *, document: Any = None) -> Iterator[Finding]:
    """Yields what is wrong with an object's name."""
    if not isinstance(metadata, Mapping):
        yield _made("FieldMissing", ("metadata", "name"), document)
        return
    key = "name" if metadata.get("name") is not None or "generateName" not in metadata else "generateName"
    name = metadata.get(key)
    if name is None:
        yield _made("FieldMissing", ("metadata", key), document)
    elif not isinstance(name, str):
        words = {"value": shown(name), "kind": structures.kind_of(name), "wanted": "a text"}
        yield _made("WrongType", ("metadata", key), document, **words, hint=": put it in quotes")
    else:
        whole = name if key == "name" else name + "x" * GENERATED_LENGTH
        for rule in NAME_RULES:
            if rule.places(whole):
                yield finding(rule, Place(), location=("metadata", key), document=document)


def _head(document: Mapping[str, Any]) -> Iterator[Finding]:
    wanted = {"apiVersion": f"{API_GROUP}/{API_VERSION}", "kind": KIND}
    for key, value in wanted.items():
        if document.get(key) is None:
            yield _made("FieldMissing", (key,), document)
        elif document[key] != value:
            yield _made("WrongKind", (key,), document, value=shown(document[key]), wanted=value)
    for key in document:
        if key not in FIELDS:
            meant = home(key, base="spec.") or nearest(key, FIELDS)
            yield _made("FieldUnknown", (str(key),), document, nearest=meant)


def _made(rule: str, location: Location, document: Any, **words: object) -> Finding:
    return finding(structures.RULES[rule], Place(words=words), location=location, document=document)
