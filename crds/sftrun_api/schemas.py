"""From a pydantic model to the structural schema that Kubernetes takes.

Kubernetes wants every reference inlined and every object typed, knows no `null` beside a type, prunes what is
not named (so nothing needs to forbid it), and fills in nested defaults only below a parent that has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel

from sftrun_api.models import JsonObject, OpenModel
from sftrun_api.rules import Rule

PRESERVE = "x-kubernetes-preserve-unknown-fields"
VALIDATIONS = "x-kubernetes-validations"
INT_OR_STRING = "x-kubernetes-int-or-string"


def structural_schema(
    model: type[BaseModel], *, rules: Mapping[str, tuple[Rule, ...]], defaults: bool
) -> JsonObject:
    """Returns the schema of `model`, with the rules of each section (by class name) beside its fields.

    With `defaults` the API server fills in what is absent; without it an object stays as it was written, as a
    status must: else what was read would never equal what was written.

    Raises ValueError when a part of the model has no structural form; that is a mistake in the model.
    """
    schema = model.model_json_schema(by_alias=True, mode="validation")
    definitions: JsonObject = schema.pop("$defs", {})
    definitions[model.__name__] = schema
    open_names = frozenset(part.__name__ for part in _parts(model) if issubclass(part, OpenModel))
    inliner = _Inliner(definitions=definitions, rules=rules, open_names=open_names, defaults=defaults)
    return inliner.section(model.__name__)


def _parts(model: type[BaseModel]) -> set[type[BaseModel]]:
    """Returns the model and all models inside it. Others may share their names."""
    found: set[type[BaseModel]] = set()
    waiting: list[Any] = [model]
    while waiting:
        annotation = waiting.pop()
        waiting += get_args(annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in found:
            found.add(annotation)
            waiting += [field.annotation for field in annotation.model_fields.values()]
    return found


class _Inliner:
    """Rewrites one schema. Order of keys is part of the generated file, so it is fixed here."""

    def __init__(
        self,
        *,
        definitions: JsonObject,
        rules: Mapping[str, tuple[Rule, ...]],
        open_names: frozenset[str],
        defaults: bool,
    ) -> None:
        self._definitions = definitions
        self._rules = rules
        self._open_names = open_names
        self._defaults = defaults

    def section(self, name: str) -> JsonObject:
        """Returns the schema of the model called `name`."""
        schema = self.value(self._definitions[name])
        if name in self._open_names:
            schema[PRESERVE] = True
        rules = self._rules.get(name, ())
        if rules:
            schema[VALIDATIONS] = [*schema.get(VALIDATIONS, ()), *(rule.to_validation() for rule in rules)]
        return schema

    def value(self, schema: JsonObject) -> JsonObject:
        """Returns the structural form of any schema."""
        schema = _without_null(schema)
        if INT_OR_STRING in schema:
            return {key: value for key, value in schema.items() if value is not None}
        if "$ref" in schema:
            return self._reference(schema)
        result = {key: value for key, value in schema.items() if key not in _REWRITTEN}
        if "const" in schema:
            result["enum"] = [schema["const"]]
        _rewrite_exclusive_bounds(schema, result)
        if self._defaults and schema.get("default") not in (None, [], {}):
            result["default"] = _as_json(schema["default"])
        if "items" in schema:
            result["items"] = self.value(schema["items"])
        if schema.get("type") == "object":
            self._rewrite_object(schema, result)
        if "type" not in result:
            raise ValueError(f"no structural form for {schema}")
        return result

    def _reference(self, schema: JsonObject) -> JsonObject:
        """Inlines a section; the field's own description wins over the class's."""
        result = self.section(str(schema["$ref"]).rpartition("/")[2])
        return result | {key: value for key, value in schema.items() if key == "description"}

    def _rewrite_object(self, schema: JsonObject, result: JsonObject) -> None:
        if "properties" in schema:
            required = schema.get("required", [])
            result["properties"] = {
                name: self._property(value, filled="$ref" in value and name not in required)
                for name, value in schema["properties"].items()
            }
            if required:
                result["required"] = required
            return
        # Kubernetes knows no rule about the names of a map's keys; those of ours the models check.
        by_pattern: list[JsonObject] = list(schema.get("patternProperties", {}).values())
        values: JsonObject = by_pattern[0] if by_pattern else schema["additionalProperties"]
        result["additionalProperties"] = values if PRESERVE in values else self.value(values)

    def _property(self, schema: JsonObject, *, filled: bool) -> JsonObject:
        """A section that is always there gets `default: {}`, so that the defaults inside it apply."""
        return self.value(schema) | ({"default": {}} if filled and self._defaults else {})


_REWRITTEN = frozenset(
    {
        "title",
        "const",
        "anyOf",
        "default",
        "items",
        "properties",
        "required",
        "additionalProperties",
        "patternProperties",
        "propertyNames",
        "exclusiveMinimum",
        "exclusiveMaximum",
    }
)


def _without_null(schema: JsonObject) -> JsonObject:
    """`anyOf [X, null]` means that X may be absent, which every property that is not required may be."""
    members: list[Any] = schema.get("anyOf", [])
    real = [member for member in members if member != {"type": "null"}]
    if not members or INT_OR_STRING in schema:
        return schema
    if len(real) != 1:
        raise ValueError(f"a field holds one kind of value only: {schema}")
    outer = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**real[0], **outer}


def _rewrite_exclusive_bounds(schema: JsonObject, result: JsonObject) -> None:
    """OpenAPI v3.0 says `minimum: 0, exclusiveMinimum: true` where JSON Schema says `exclusiveMinimum: 0`."""
    for exclusive, inclusive in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if exclusive in schema:
            result[inclusive] = schema[exclusive]
            result[exclusive] = True


def _as_json(default: Any) -> Any:
    """Returns a default as people write it: JSON knows one kind of number, and 3 reads better than 3.0."""
    return int(default) if isinstance(default, float) and default.is_integer() else default
