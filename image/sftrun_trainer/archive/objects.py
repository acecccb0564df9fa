"""The object in the archive: what `kubectl apply` takes, without what looks like a secret."""

from __future__ import annotations

import yaml

from sftrun_api import API_GROUP, API_VERSION, KIND
from sftrun_api.models import JsonObject
from sftrun_api.run_files import RunFile
from sftrun_trainer.archive import inventories
from sftrun_trainer.redactions import HIDDEN, Redactor


def clean(run: RunFile, redact: Redactor) -> tuple[RunFile, tuple[str, ...]]:
    """Returns the run file without what looks like a secret among its variables, and where that was."""
    infrastructure = run.spec.infrastructure
    hidden = {
        variable.name
        for variable in infrastructure.env
        if inventories.hidden(variable.name, variable.value, redact=redact) != variable.value
    }
    if not hidden:
        return run, ()
    variables = tuple(
        variable.model_copy(update={"value": HIDDEN}) if variable.name in hidden else variable
        for variable in infrastructure.env
    )
    spec = run.spec.model_copy(
        update={"infrastructure": infrastructure.model_copy(update={"env": variables})}
    )
    places = tuple(f"infrastructure.env[{name}]" for name in sorted(hidden))
    return run.model_copy(update={"spec": spec}), places


def document(run: RunFile) -> str:
    """Returns the object as YAML: the spec as it was accepted, without uid and status."""
    value: JsonObject = {
        "apiVersion": f"{API_GROUP}/{API_VERSION}",
        "kind": KIND,
        "metadata": {"name": run.run.name, "namespace": run.run.namespace},
        "spec": run.spec.to_json_object(),
    }
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=110)
