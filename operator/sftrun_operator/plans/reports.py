"""Reports as untrusted input: a pod can say anything. What is not ours, not of this version or not finite is
left.

Reports come three ways in one form: polled while the pod runs, as the termination message of its end, and
from the helper Job that reads a lost one from the claim.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from sftrun_api import shapes
from sftrun_api.models import JsonObject
from sftrun_api.names import TERMINATION_MESSAGE_BYTES
from sftrun_api.reports import Report
from sftrun_api.versions import READABLE_REPORTS
from sftrun_operator.plans import resolutions, texts
from sftrun_operator.plans.views import View

MOST_KEYS = 64
MOST_VALUES = 120
MOST_CHARACTERS = 1024
MOST_DEPTH = 8


def read(text: str) -> Report | None:
    """Returns the report in a termination message, `None` where there is none."""
    if not text or len(text.encode("utf-8", "replace")) > TERMINATION_MESSAGE_BYTES:
        return None
    try:
        return Report.model_validate_json(text)
    except (ValidationError, ValueError, RecursionError):
        return None


def unsupported(report: Report) -> bool:
    """Whether the report is of a version that this operator does not read."""
    return report.format_version not in READABLE_REPORTS


def readable() -> str:
    """Returns the versions that this operator reads, in words."""
    return " and ".join(map(str, READABLE_REPORTS))


def refused(view: View, report: Report, *, pod_uid: str | None) -> str:
    """Returns why a report is not this attempt's; empty when it is. `pod_uid` is `None` where any pod may
    speak."""
    identity, run = report.run, view.run
    if unsupported(report):
        return f"it speaks report version {report.format_version}, this operator reads {readable()}"
    if (identity.namespace, identity.name, identity.uid) != (run.namespace, run.name, run.uid):
        return "it answers for another run"
    if identity.attempt != view.status.attempt:
        return f"it answers for attempt {identity.attempt}, this is {view.status.attempt}"
    if pod_uid is not None and report.pod_uid != pod_uid:
        return "it answers for another pod"
    return ""


def effective(known: Mapping[str, Any], reported: Mapping[str, Any]) -> JsonObject:
    """Returns `status.effective` with what the pod worked out; what the operator pinned is never replaced."""
    taken = {
        str(key): value
        for key, value in list(reported.items())[:MOST_KEYS]
        if key not in resolutions.PINNED and len(str(key)) <= 64 and _plain(value)
    }
    merged = dict(known) | taken
    return merged if len(merged) <= MOST_VALUES else dict(known)


def _plain(value: object) -> bool:
    """Whether a value is small, finite JSON that a status can hold."""
    if value is None or shapes.too_deep(value, MOST_DEPTH):
        return False
    try:
        text = json.dumps(value, allow_nan=False)
        text.encode("utf-8")
    except (TypeError, ValueError, RecursionError):
        return False
    return len(text) <= MOST_CHARACTERS and _in_range(value)


def _in_range(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(_in_range(item) for item in value.values())
    if isinstance(value, list):
        return all(_in_range(item) for item in value)
    return isinstance(value, bool | str | None) or (isinstance(value, int | float) and _bounded(value))


def _bounded(number: float) -> bool:
    return math.isfinite(number) and (isinstance(number, float) or abs(number) <= texts.LARGEST)


def checks(known: object, report: Report) -> list[JsonObject]:
    """Returns `status.checks`: those that are there, replaced by the report's of the same group and name."""
    listed = [item for item in known if isinstance(item, dict)] if isinstance(known, list) else []
    merged: dict[tuple[str, str], JsonObject] = {(str(c.get("group")), str(c.get("name"))): c for c in listed}
    for check in report.checks:
        merged[(check.group, check.name)] = check.model_copy(
            update={"message": texts.clean(check.message, 512)}
        ).to_json_object()
    return list(merged.values())[:64]
