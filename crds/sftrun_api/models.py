"""The base of every model of the contract: camelCase outside, snake_case inside, frozen, nothing unknown."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

JsonObject = dict[str, Any]


class Model(BaseModel):
    """A value of the contract. Unset means absent, everywhere: dump with `to_json_object`."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        use_enum_values=True,
    )

    def to_json_object(self) -> JsonObject:
        """Returns the value as Kubernetes and the files hold it: camelCase keys, absent instead of null."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


@cache
def field_names(model: type[Model]) -> tuple[str, ...]:
    """Returns the model's fields as users and files write them."""
    return tuple(field.alias or name for name, field in model.model_fields.items())


class OpenModel(Model):
    """A value that another version of ours may have written: keys that we do not know are passed over."""

    model_config = ConfigDict(extra="ignore")
