"""Results as text: YAML for people, JSON for programs, and nothing else on standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from sftrun_cli.documents.scalars import needs_quotes
from sftrun_cli.forms import Form


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and equal parts out each time."""

    def ignore_aliases(self, _data: Any) -> bool:
        """Returns true: nothing becomes an alias."""
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None
    if "\n" in text and not any(line.endswith((" ", "\t")) for line in text.splitlines()):
        style = "|"
    elif needs_quotes(text):
        style = "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def documents(objects: Iterable[Any], *, form: Form) -> str:
    """Returns objects as a stream of YAML documents; as JSON, several as one Kubernetes `List`."""
    listed = list(objects)
    if form is Form.YAML:
        return yaml.dump_all(
            listed,
            Dumper=_Dumper,
            sort_keys=False,
            width=110,
            allow_unicode=True,
            explicit_start=len(listed) > 1,
        )
    whole = listed[0] if len(listed) == 1 else {"apiVersion": "v1", "kind": "List", "items": listed}
    return json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def name(value: Mapping[str, Any]) -> str:
    """Returns what `-o name` shows of an object, as kubectl does: `sftrun.sftrun.dev/x`."""
    group = str(value.get("apiVersion", "")).rpartition("/")[0]
    return f"{str(value['kind']).lower()}{'.' * bool(group)}{group}/{value['metadata']['name']}"


def write(text: str) -> None:
    """Writes a result to standard output, whose errors are the caller's pipe's."""
    sys.stdout.write(text)
    sys.stdout.flush()
