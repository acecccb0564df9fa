"""What the operator would create against what is on the cluster, as a unified diff.

The API server fills in defaults, and controllers add what is theirs; none of that is a difference. Whatever
else only one side has is shown: nothing is left out because it was not expected.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from sftrun_cli import consoles, outputs
from sftrun_cli.forms import Form

JsonObject = dict[str, Any]
_ANY = object()
_DEFAULTS: Mapping[str, tuple[Any, ...]] = {
    "status": (_ANY,),
    "uid": (_ANY,),
    "resourceVersion": (_ANY,),
    "generation": (_ANY,),
    "creationTimestamp": (_ANY,),
    "managedFields": (_ANY,),
    "finalizers": (_ANY,),
    "deletionTimestamp": (_ANY,),
    "deletionGracePeriodSeconds": (_ANY,),
    "annotations": ({}, {"batch.kubernetes.io/job-tracking": ""}),
    "selector": (_ANY,),
    "manualSelector": (False,),
    "completionMode": ("NonIndexed",),
    "suspend": (_ANY,),  # Kueue's
    "dnsPolicy": ("ClusterFirst",),
    "schedulerName": ("default-scheduler",),
    "serviceAccount": (_ANY,),  # an old name of serviceAccountName
    "securityContext": ({},),
    "imagePullPolicy": ("Always", "IfNotPresent"),
    "terminationMessagePath": ("/dev/termination-log",),
    "terminationMessagePolicy": ("File",),
    "protocol": ("TCP",),
    "apiVersion": ("v1",),
    "defaultMode": (420,),
    "volumeMode": ("Filesystem",),
    "resources": ({},),
    "recursiveReadOnly": ("Disabled",),
    "readOnly": (False,),
    "terminationGracePeriodSeconds": (30,),
    "restartPolicy": ("Never",),
}
"""What the API server and the Job controller put where the operator says nothing."""
_OF_THE_CONTROLLER = (
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
    "controller-uid",
    "job-name",
)


def difference(kind: str, name: str, *, live: JsonObject | None, wanted: JsonObject) -> list[str]:
    """Returns the lines of the diff of one object, `live` to `wanted`; none where both are the same."""
    before = "" if live is None else _text(_without_defaults(live, wanted))
    after = _text(wanted)
    lines = difflib.unified_diff(
        before.splitlines(),
        after.splitlines(),
        fromfile=f"cluster/{kind}/{name}",
        tofile=f"render/{kind}/{name}",
        lineterm="",
    )
    return list(lines)


def coloured(lines: list[str]) -> Iterator[Text]:
    """Yields the lines as a terminal shows them: the sign says what the colour does."""
    for line in lines:
        yield Text(consoles.printable(line), style=_style(line))


def _style(line: str) -> str:
    if line.startswith(("+++", "---")):
        return "bold"
    return {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")


def _text(value: JsonObject) -> str:
    return outputs.documents([_sorted(value)], form=Form.YAML)


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(each) for each in value] if isinstance(value, list) else value


def _without_defaults(live: Any, wanted: Any) -> Any:
    """Returns what the cluster holds without what it has filled in where nothing was said."""
    if isinstance(live, dict):
        said = wanted if isinstance(wanted, dict) else {}
        kept = {key: value for key, value in live.items() if key in said or not _is_default(key, value)}
        return {key: _without_defaults(value, said.get(key)) for key, value in kept.items()}
    if isinstance(live, list):
        return [_without_defaults(each, _partner(each, place, wanted)) for place, each in enumerate(live)]
    return live


def _is_default(key: str, value: Any) -> bool:
    if key in _OF_THE_CONTROLLER:
        return True
    return any(value is default or default is _ANY or value == default for default in _DEFAULTS.get(key, ()))


def _partner(item: Any, place: int, wanted: Any) -> Any:
    """Returns what an element of a list corresponds to: of the same name, else at the same place."""
    if not isinstance(wanted, list):
        return None
    name = item.get("name") if isinstance(item, dict) else None
    if name is not None:
        named = [each for each in wanted if isinstance(each, dict) and each.get("name") == name]
        return named[0] if named else None
    return wanted[place] if place < len(wanted) else None
