"""The archive of an attempt: where it lies, what is in it, and its line in the workspace's index.

The trainer writes it whenever a pod of the attempt ends; the command line reads it when pod and object are
long gone. `artifacts/index.yaml` is a YAML list with one line an archive, each a flow mapping that is JSON
as well, so that it is read and mended line by line: a line that is torn costs itself and nothing else.
"""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import Field, ValidationError

from sftrun_api.models import JsonObject, OpenModel
from sftrun_api.names import attempt_name
from sftrun_api.run_files import RunIdentity

FORMAT_VERSION = 1
ARCHIVES = PurePosixPath("artifacts/archives")
"""Below the workspace: one folder an attempt, called as its Job is."""
INDEX = PurePosixPath("artifacts/index.yaml")

OBJECT_FILE = "sftrun.yaml"
METADATA_FILE = "metadata.yaml"
"""Written last: a folder without it is not whole."""
REPORT_FILE = "report.json"
RUN_FILE = "run.json"
PACKAGES_FILE = "packages.txt"
STEPS_FILE = "steps.jsonl"
RENDERED = "rendered"
"""What the operator rendered, as it was mounted."""
STARTED = "started"
"""What torchrun was really started with, and the data set's registration."""
RESULTS = "results"
PLOTS = "plots"
LOGS = "logs"

_BEGIN = '- {"archive": '
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
"""What JSON may hold as it is and YAML may not, or takes for the end of a line."""


class LogFile(OpenModel):
    """One log of the archive."""

    file: str
    """Below the archive."""
    pod_uid: str
    stage: str
    """In small letters; `supervisor` for what the pod's main process said."""
    num_bytes: int
    """As archived."""
    left_out: int = 0
    """Bytes of its middle that were not taken over."""


class Metadata(OpenModel):
    """`metadata.yaml`: whose the archive is, how the attempt ended, and with what it was made."""

    format_version: int = FORMAT_VERSION
    run: RunIdentity
    pod_uid: str
    """Of the pod that wrote it: the attempt's last one so far."""
    pod_name: str = ""
    node_name: str = ""
    outcome: str
    """Succeeded, Failed, Retry or Stopped."""
    reason: str = ""
    """Of an attempt that has not succeeded, in one word."""
    message: str = ""
    stage: str
    step: int = 0
    started_at: str
    """When the pod that wrote it started; RFC 3339, UTC."""
    ended_at: str
    image: str
    spec_hash: str
    digests: dict[str, str] = Field(default_factory=dict)
    """Of what the run was made from: data set, training settings, the model's revision on the hub."""
    versions: dict[str, str] = Field(default_factory=dict)
    """Of Python, kernel, driver, our code and its git commit, and the libraries that train. All packages are
    in `packages.txt`."""
    environment: dict[str, str] = Field(default_factory=dict)
    """The container's, without secrets."""
    redacted: tuple[str, ...] = ()
    """Fields of the object whose value looked like a secret and is not in the archive."""
    logs: tuple[LogFile, ...] = ()
    """In the order in which they were begun."""
    missing: dict[str, str] = Field(default_factory=dict)
    """What could not be taken over, and why."""


class Entry(OpenModel):
    """A line of the index."""

    archive: Annotated[str, Field(min_length=1, max_length=512)]
    """The folder's name below `artifacts/archives`."""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    attempt: int = 0
    outcome: str = ""
    reason: str = ""
    ended_at: str = ""
    steps: int = 0
    loss: float | None = None
    """The final loss; absent where there is none."""
    model: str = ""
    """The output folder."""


def folder_name(run: RunIdentity) -> str:
    """Returns the name of an attempt's archive."""
    return attempt_name(run.name, run.uid, run.attempt)


def line_of(entry: Entry) -> str:
    """Returns an entry as its line of the index, with the newline."""
    value = {"archive": entry.archive, **entry.to_json_object()}
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return "- " + _NOT_IN_YAML.sub(_escaped, text) + "\n"


def _escaped(found: re.Match[str]) -> str:
    return "\\" + f"u{ord(found[0]):04x}"


def entry_of(line: str) -> Entry | None:
    """Returns the entry in a line; `None` for one that is torn, a comment, or somebody else's."""
    text = line.strip()
    if not text.startswith(_BEGIN):
        return None
    try:
        value: Any = json.loads(text[2:])
        return Entry.model_validate(value)
    except (ValueError, ValidationError, RecursionError):
        return None


def is_ours(line: str) -> bool:
    """Returns whether a line is one that we wrote, whole or torn."""
    return line.lstrip().startswith(_BEGIN[:5])


def entries(text: str) -> tuple[Entry, ...]:
    """Returns the entries of an index, oldest first; of several lines of one archive the last counts."""
    found: dict[str, Entry] = {}
    for line in text.split("\n"):
        if (entry := entry_of(line)) is not None:
            found.pop(entry.archive, None)
            found[entry.archive] = entry
    return tuple(found.values())


def entry_from(metadata: Metadata, *, archive: str, report: JsonObject) -> Entry:
    """Returns the line's values for an archive, from its metadata and its report."""
    outputs: JsonObject = report.get("outputs") or {}
    metrics: JsonObject = outputs.get("trainingMetrics") or {}
    loss = metrics.get("finalLoss")
    return Entry(
        archive=archive,
        namespace=metadata.run.namespace,
        name=metadata.run.name,
        uid=metadata.run.uid,
        attempt=metadata.run.attempt,
        outcome=metadata.outcome,
        reason=metadata.reason,
        ended_at=metadata.ended_at,
        steps=metadata.step,
        loss=float(loss) if isinstance(loss, int | float) else None,
        model=str(outputs.get("modelPath") or ""),
    )
