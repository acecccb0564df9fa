"""Judging a spec: before a Job exists, all mistakes at once, and never a second time once it is accepted.

The rules are the contract's; here they meet an object that the API server has taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from sftrun_api import shapes
from sftrun_api.judgements import judge_name, judge_spec
from sftrun_api.reasons import Reason
from sftrun_api.specs import WITHOUT_RULES, SFTRunSpec
from sftrun_operator.plans import texts

MOST_TOLD = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a spec: `spec` is absent exactly when there are problems."""

    spec: SFTRunSpec | None
    reason: Reason = Reason.INVALID_SPEC
    """Why there is no spec: what kind of problems they are."""
    problems: tuple[str, ...] = ()
    warnings: tuple[tuple[str, str], ...] = ()

    @property
    def message(self) -> str:
        """The problems as one message."""
        return told(self.problems)


def judge(raw: Mapping[str, Any], *, name: str) -> Verdict:
    """Parses and judges a raw spec."""
    judged = judge_spec(raw)
    findings = (*judge_name({"name": name}), *judged.findings)
    problems = tuple(each.sentence for each in findings if each.refuses)
    if problems:
        return Verdict(spec=None, problems=problems)
    warnings = tuple((each.rule, each.sentence) for each in findings if not each.refuses)
    return Verdict(spec=judged.spec, warnings=warnings)


def parse(raw: Mapping[str, Any]) -> Verdict:
    """Parses a raw spec without judging it: further rules of a newer operator must not refuse what was
    accepted."""
    if shapes.unfit(raw):
        return Verdict(spec=None, problems=("spec: nested too deep or too large",))
    try:
        return Verdict(spec=SFTRunSpec.model_validate(dict(raw), context=WITHOUT_RULES))
    except ValidationError as error:
        return Verdict(spec=None, problems=(str(error),))


def told(problems: Iterable[str]) -> str:
    """Returns the problems as one message that fits a condition; what does not fit is counted."""
    listed = tuple(texts.clean(problem, 400) for problem in problems)
    for count in range(min(len(listed), MOST_TOLD), 0, -1):
        rest = len(listed) - count
        message = "; ".join(listed[:count]) + (f"; and {rest} more" if rest else "")
        if len(message) <= texts.MESSAGE:
            return message
    return texts.cut("; ".join(listed), texts.MESSAGE)
