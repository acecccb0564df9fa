"""What the operator would create for an SFTRun: asked of the operator's own `plan`, not worked out again.

The file is shown to `plan` as an object that was just applied, in a cluster where nothing of it exists yet.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from sftrun_cli import runs_in_files
from sftrun_cli.documents import Document
from sftrun_cli.errors import CommandError
from sftrun_operator.observations import Observed, OperatorConfig, Run
from sftrun_operator.plans import plan

UNKNOWN_UID = "00000000-0000-0000-0000-000000000000"
"""Stands for the uid that the API server gives when the object is applied."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """The first attempt's objects, ConfigMap before Job."""

    created: tuple[dict[str, Any], ...]
    uid_known: bool
    suspended: bool
    """Whether the run is to stay suspended: then nothing is created until that is taken back."""

    @property
    def config(self) -> dict[str, str]:
        """The files that the pod is told, by name."""
        data: dict[str, str] = self.created[0]["data"]
        return data


def render(
    document: Document,
    *,
    namespace: str,
    config: OperatorConfig,
    uid: str = "",
    pinned: Mapping[str, Any] | None = None,
) -> Rendering:
    """Returns what the operator would create.

    Args:
        document: The run, as its file has it.
        namespace: Where the file names none.
        config: The operator's settings.
        uid: Of the object on the cluster; absent: the file's.
        pinned: What its status has pinned: the attempt, and image and values of an accepted spec.

    Raises:
        CommandError: the operator would refuse the spec; says why.
    """
    metadata = runs_in_files.metadata(document)
    spec = document.value.get("spec")
    given = uid or metadata.get("uid")
    run = Run(
        namespace=metadata.get("namespace") or namespace,
        name=runs_in_files.name_of(document),
        uid=given if isinstance(given, str) and given else UNKNOWN_UID,
        resource_version="1",
        generation=1,
        created_at=0.0,
        deleting=False,
        spec=(spec | {"suspend": False}) if isinstance(spec, dict) else {},
        status=dict(pinned or {}),
    )
    if not run.name:
        raise CommandError("metadata.name: is required and missing; add it")
    decided = plan(run, Observed(proven=True), now=0.0, config=config)
    if not decided.create:
        raise CommandError(_refusal(decided.status_patch or {}))
    return Rendering(
        created=decided.create,
        uid_known=run.uid != UNKNOWN_UID,
        suspended=isinstance(spec, dict) and spec.get("suspend") is True,
    )


def _refusal(patch: dict[str, Any]) -> str:
    """Returns the reasons of a refusal, one a line."""
    told = str(patch.get("message") or "the operator creates nothing")
    return "the operator would refuse this run:\n  " + told.replace("; ", ";\n  ")
