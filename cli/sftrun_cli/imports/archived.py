"""An attempt's archive back into the object that it was of."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from sftrun_api import archives
from sftrun_cli import commented_yaml, documents
from sftrun_cli.errors import CommandError
from sftrun_cli.exit_codes import ExitCode

SYSTEM = "archive"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """What an archive gives back."""

    document: dict[str, Any]
    yaml: str
    remarks: tuple[str, ...]
    problems: tuple[str, ...]
    """Values that were left out of the archive, because they looked like secrets."""

    @property
    def complete(self) -> bool:
        """Whether the object is the one that was run."""
        return not self.problems


def is_archive(path: str) -> bool:
    """Returns whether a path is a folder: all other systems have files."""
    return path != "-" and Path(path).is_dir()


def read(path: str, *, name: str | None = None) -> Archived:
    """Returns the object of an archive, under another name where one is given.

    Raises CommandError for a folder that is no archive, or not a whole one.
    """
    folder = Path(path)
    metadata = _metadata(folder)
    document = _document(folder)
    if name is not None:
        document["metadata"]["name"] = name
    run = metadata.run
    ended = f"{metadata.outcome} ({metadata.reason})" if metadata.reason else metadata.outcome
    head = (
        f"From the archive {folder.resolve().name} by sftrun import: attempt {run.attempt} of "
        f"{run.namespace}/{run.name}, {ended} at step {metadata.step}, {metadata.ended_at}.\n"
        f"It ran in the image {metadata.image}."
    )
    return Archived(
        document=document,
        yaml=commented_yaml.text(document, comments={}, head=head),
        remarks=_remarks(document, metadata),
        problems=tuple(
            f"{field}: its value looked like a secret and is not in the archive; give it again, or leave the "
            "variable out"
            for field in metadata.redacted
        ),
    )


def _remarks(document: dict[str, Any], metadata: archives.Metadata) -> tuple[str, ...]:
    remarks = []
    if "image" not in (document["spec"].get("infrastructure") or {}):
        remarks.append(
            f"infrastructure.image: the spec names none; {metadata.image} is what ran, and gives the same "
            "packages again"
        )
    revision = metadata.digests.get("modelRevision")
    hub = (document["spec"].get("model") or {}).get("huggingFace") or {}
    if revision and hub and hub.get("revision") != revision:
        remarks.append(f"model.huggingFace.revision: {revision} is the commit that was trained")
    if "existingOutput" in (document["spec"].get("training") or {}):
        how = document["spec"]["training"]["existingOutput"]
        remarks.append(
            f"training.existingOutput is {how}: give the copy a name or an outputDir of its own, and it "
            "leaves the first run's output alone"
        )
    return tuple(remarks)


def _metadata(folder: Path) -> archives.Metadata:
    path = folder / archives.METADATA_FILE
    if not path.is_file():
        what = (
            "an archive that was not finished" if (folder / archives.OBJECT_FILE).is_file() else "no archive"
        )
        raise CommandError(
            f"{folder}: is {what} ({archives.METADATA_FILE} is missing); import takes a folder of "
            f"{archives.ARCHIVES}, or another system's file",
            code=ExitCode.USAGE,
        )
    try:
        return archives.Metadata.model_validate(yaml.safe_load(documents.read_text(str(path))))
    except (yaml.YAMLError, ValidationError, RecursionError) as error:
        raise CommandError(f"{path}: is no metadata of an archive: {error}") from error


def _document(folder: Path) -> dict[str, Any]:
    path = folder / archives.OBJECT_FILE
    try:
        value = yaml.safe_load(documents.read_text(str(path)))
    except (yaml.YAMLError, RecursionError) as error:
        raise CommandError(f"{path}: is no YAML: {error}") from error
    if not (
        isinstance(value, dict)
        and isinstance(value.get("spec"), dict)
        and isinstance(value.get("metadata"), dict)
    ):
        raise CommandError(f"{path}: holds no SFTRun")
    return value
