"""The base of every section of the spec: reads as the API server does, and keeps the section's rules."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Literal, Self, TypeVar, Union, get_args, get_origin

from pydantic import ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from sftrun_api.models import Model
from sftrun_api.rules import rules_of

WITHOUT_RULES = MappingProxyType({"rules": False})
"""Context for `model_validate`: reads a spec that was accepted before. Its shape is checked, the rules are
not, because a newer operator with further rules must not refuse what runs already."""

AnySection = TypeVar("AnySection", bound="Section")

RULE_ERROR = "sftrun_rule"
"""The type of the error that broken rules raise; its context holds `rules`, a list of sentences."""


class Section(Model):
    """A part of the spec.

    Reads what JSON can mean in two ways as the API server does, and keeps the rules that the API server
    keeps; those of the operator are judged by `judgements`.
    """

    @model_validator(mode="before")
    @classmethod
    def _read_as_the_api_server_does(cls, value: Any) -> Any:
        return read_as_the_api_server_does(cls, value) if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _keep_the_rules(self, info: ValidationInfo) -> Self:
        if info.context is WITHOUT_RULES:
            return self
        rules = rules_of(type(self).__name__)
        broken = [rule.sentence for rule in rules if rule.where == "admission" and rule.places(self)]
        if broken:
            raise PydanticCustomError(
                RULE_ERROR, "{sentences}", {"sentences": "; ".join(broken), "rules": broken}
            )
        return self


def always(section: type[AnySection]) -> Callable[[], AnySection]:
    """Returns what gives a section of which nothing is said. It is one object: frozen, and asked for at each
    hash of a spec, which otherwise would make all such sections, and judge them, anew."""
    return cache(section)


def read_as_the_api_server_does(section: type[Section], value: dict[Any, Any]) -> dict[Any, Any]:
    """Returns what a section is given: without `null`, and 3 for `3.0` where a whole number is meant."""
    whole = _whole_fields(section)
    return {key: _as_whole(item) if key in whole else item for key, item in value.items() if item is not None}


@cache
def _whole_fields(section: type[Section]) -> frozenset[str]:
    """Returns the names, inside and outside, of the section's fields that hold whole numbers."""
    return frozenset(
        name
        for inside, field in section.model_fields.items()
        if _holds_whole(field.annotation)
        for name in (inside, field.alias or inside)
    )


def _holds_whole(annotation: Any) -> bool:
    """Whether a whole number, a choice of them or a list of them is meant."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _holds_whole(get_args(annotation)[0])
    if origin in (Union, UnionType, tuple):
        return any(_holds_whole(member) for member in get_args(annotation))
    if origin is Literal:
        return all(type(choice) is int for choice in get_args(annotation))
    return annotation is int


def _as_whole(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
