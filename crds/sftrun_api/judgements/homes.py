"""Where a field belongs that was written in another section: right name, wrong place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from sftrun_api.judgements.partials import section_in
from sftrun_api.specs import SFTRunSpec
from sftrun_api.specs.sections import Section

MOST = 2
"""A name that stands in more places, such as `name` or `path`, says nothing of what was meant."""


def home(name: object, *, base: str = "") -> str:
    """Returns ` (did you mean …?)` with the field's place below `base`, nothing where that is not clear."""
    known = _places().get(name, ()) if isinstance(name, str) else ()
    places = [base + place for place in known]
    return f" (did you mean {' or '.join(places)}?)" if 0 < len(places) <= MOST else ""


@cache
def _places() -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, place in _fields(SFTRunSpec, prefix=""):
        found[name] = (*found.get(name, ()), place)
    return found


def _fields(section: type[Section], *, prefix: str) -> Iterator[tuple[str, str]]:
    for attribute, field in section.model_fields.items():
        name = field.alias or attribute
        yield name, prefix + name
        inside, listed = section_in(section, attribute)
        if inside is not None:
            yield from _fields(inside, prefix=f"{prefix}{name}{'[]' * listed}.")
