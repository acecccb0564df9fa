"""Judging a spec: its shape, then every rule over what of it can be read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sftrun_api import shapes
from sftrun_api.judgements import structures
from sftrun_api.judgements.findings import Finding, finding
from sftrun_api.judgements.partials import CannotTell, Partial, section_in
from sftrun_api.llamafactory.checks import near, shown
from sftrun_api.models import field_names
from sftrun_api.rules import rules_of
from sftrun_api.rules.bases import Location, Place
from sftrun_api.specs import WITHOUT_RULES, Section, SFTRunSpec

MOST_FINDINGS = 1000
"""More of one object help nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What became of a spec."""

    spec: SFTRunSpec | None
    """Absent where its shape is wrong, or it is refused."""
    findings: tuple[Finding, ...]

    @property
    def refusals(self) -> tuple[Finding, ...]:
        """The findings that refuse."""
        return tuple(each for each in self.findings if each.refuses)


def judge_spec(raw: Any, *, document: Any = None, base: Location = ()) -> Judgement:
    """Judges a raw spec. `document` holds it at `base`, where it is part of a whole object."""
    document = raw if document is None else document
    unfit = shapes.unfit(raw)
    if unfit is not None:
        words = {"values": shapes.MOST_VALUES, "levels": shapes.MOST_DEPTH}
        told = finding(structures.RULES[unfit], Place(words=words), location=base, document=document)
        return Judgement(spec=None, findings=(told,))
    found: list[Finding] = []
    spec, partial = _read(raw, found, document=document, base=base)
    for at, section in _sections(spec or partial, ()):
        found += _broken(section, at, whole=spec is not None, document=document, base=base)
    kept = tuple(dict.fromkeys(found))
    if len(kept) > MOST_FINDINGS:
        rest = finding(structures.RULES["TooManyMistakes"], Place(), location=base, document=document)
        kept = (*kept[:MOST_FINDINGS], rest)
    refused = any(each.refuses for each in kept)
    return Judgement(spec=None if refused else spec, findings=kept)


def _read(
    raw: Any, found: list[Finding], *, document: Any, base: Location
) -> tuple[SFTRunSpec | None, SFTRunSpec | None]:
    """Returns the spec, or what of it can be read; adds what is wrong with its shape to `found`."""
    unreadable: set[Location] = set()
    for at, value in shapes.not_finite_values(raw):
        words = {"value": shown(value)}
        place = Place(words=words)
        found.append(finding(structures.RULES["NotFinite"], place, location=(*base, *at), document=document))
        unreadable.add(at)
    errors: list[ErrorDetails] = []
    spec: SFTRunSpec | None = None
    try:
        spec = SFTRunSpec.model_validate(raw, context=WITHOUT_RULES, by_alias=True, by_name=False)
    except ValidationError as caught:
        errors = caught.errors(include_url=False)[: MOST_FINDINGS + 1]
    for error in errors:
        location = structures.location_of(error)
        if location in unreadable:
            continue
        names = _names_at(location[:-1]) if error["type"] == "extra_forbidden" else ()
        found.append(structures.of_error(error, names=names, document=document, base=base))
        unreadable.add(location)
        meant = near(location[-1], names) if names else None
        if meant is not None:
            unreadable.add((*location[:-1], meant))
    if spec is not None and not unreadable:
        return spec, None
    return None, Partial(unreadable).section(SFTRunSpec, raw)


def _names_at(location: Location) -> tuple[str, ...]:
    """Returns the names of the fields of the section that stands at a location."""
    section: type[Section] | None = SFTRunSpec
    for part in location:
        if isinstance(part, int) or section is None:
            continue
        section = next(
            (
                section_in(section, name)[0]
                for name, field in section.model_fields.items()
                if part in (name, field.alias)
            ),
            None,
        )
    return field_names(section) if section is not None else ()


def _sections(value: Any, at: Location) -> Iterator[tuple[Location, Section]]:
    if value is None:
        return
    if isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _sections(item, (*at, index))
    elif isinstance(value, Section):
        yield at, value
        for name, alias in _holders(type(value)):
            yield from _sections(getattr(value, name), (*at, alias))


@cache
def _holders(section: type[Section]) -> tuple[tuple[str, str], ...]:
    """Returns the names, inside and outside, of the fields that hold sections: one in eight."""
    return tuple(
        (name, field.alias or name)
        for name, field in section.model_fields.items()
        if _holds_sections(field.annotation)
    )


def _holds_sections(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return True
    return any(map(_holds_sections, get_args(annotation)))


def _broken(
    section: Section, at: Location, *, whole: bool, document: Any, base: Location
) -> Iterator[Finding]:
    for rule in rules_of(type(section).__name__):
        try:
            if rule.holds is not None and rule.holds(section):
                continue  # as most do
            places = rule.places(section)
        except (CannotTell, TypeError):
            # A function of the library's was given the value that cannot be read.
            if whole:
                raise
            continue
        for place in places:
            yield finding(rule, place, location=(*base, *at, *place.location), document=document)
