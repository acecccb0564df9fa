"""The table of all rules, by topic, and `docs/rules.md` generated from it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from types import MappingProxyType

from sftrun_api import rules as section_rules
from sftrun_api.llamafactory import TEMPLATES
from sftrun_api.models import field_names
from sftrun_api.rules import (
    about_arguments,
    about_data,
    about_deepspeed,
    about_methods,
    about_numbers,
    about_oversights,
    about_packages,
    about_paths,
    about_placement,
    about_pods,
    about_resources,
    about_schedules,
    about_shapes,
    about_training,
)
from sftrun_api.rules.bases import Rule
from sftrun_api.specs import Infrastructure, SFTRunSpec

_INTRODUCTION = """\
<!-- Generated from crds/sftrun_api/rules by `make generate`; edit the rules, not this file. -->
# The rules

Every mistake that is caught before a GPU is taken, where it is caught first, and what to do. A message names
the field, the value and the remedy; *slanted words* stand for what the object holds.

| caught | by |
|---|---|
| apply | the API server: `kubectl apply` refuses it |
| operator | the operator, before a Job exists: condition Accepted is False, phase Rejected |
| pod | the trainer, before training starts: it needs the files |
| warning | nobody refuses it; it stands in `status.checks`, in an Event and in `sftrun lint` |

`sftrun lint FILE` finds all of those of apply and operator, and the warnings, at once and without a cluster.
"""
_WHERE = {"schema": "apply", "admission": "apply", "operator": "operator", "preflight": "pod"}


def root_rules() -> tuple[Rule, ...]:
    """Returns the rules about the whole object, over the fields that the models have now."""
    return section_rules.change_rules(
        spec_fields=field_names(SFTRunSpec), infrastructure_fields=field_names(Infrastructure)
    )


TOPICS = MappingProxyType(
    {
        "Shape of the object": about_shapes.RULES,
        "Names and changes": root_rules(),
        "Sources and data set": about_data.RULES,
        "Model and training": about_training.RULES,
        "Learning-rate schedules": about_schedules.RULES,
        "Arguments of LLaMA-Factory": about_arguments.RULES,
        "Numbers among the arguments": about_numbers.RULES,
        "Methods and what they exclude": about_methods.RULES,
        "Packages of the image": about_packages.RULES,
        "A whole DeepSpeed configuration": about_deepspeed.RULES,
        "Pod, volumes, tracking": about_placement.RULES,
        "Paths and mounts": about_paths.RULES,
        "Sizes": (*about_resources.RULES, about_resources.TOO_LARGE),
        "Likely oversights": about_oversights.RULES,
        "What needs the files": about_pods.RULES,
    }
)
"""Every rule there is, by topic."""
TABLE: tuple[Rule, ...] = tuple(rule for rules in TOPICS.values() for rule in rules)


def rule_page() -> str:
    """Returns the page with every rule."""
    return "".join((_INTRODUCTION, *_topics(), _names("Templates", "training.template", TEMPLATES)))


def _topics() -> Iterator[str]:
    for topic, rules in TOPICS.items():
        yield f"\n## {topic}\n\n| rule | caught | what is wrong | what to do | why |\n|---|---|---|---|---|\n"
        yield from (_row(rule) for rule in rules)


def _row(rule: Rule) -> str:
    caught = "warning" if rule.severity == "Warning" else _WHERE[rule.where]
    cells = (f"`{rule.id}`", caught, _words(rule.message), _words(rule.remedy), _plain(rule.source))
    return f"| {' | '.join(cells)} |\n"


def _words(text: str) -> str:
    """Placeholders as slanted words; a hint that may follow (`{nearest}`) is left out."""
    return re.sub(r"\{(\w+)\}", r"*\1*", re.sub(r"\{(nearest|hint|oddity)\}", "", _plain(text)))


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", "\\n")


def _names(title: str, field: str, names: Iterable[str]) -> str:
    listed = ", ".join(f"`{name}`" for name in sorted(names))
    return f"\n## {title}\n\nWhat `{field}` takes: {listed}.\n"
