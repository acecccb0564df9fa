"""Which versions go together: one row a release, kept here and nowhere else.

A release is an operator, a chart, a CRD and a trainer image of one version. What two of them must agree on
is the form of two files: the report, which the trainer writes and the operator reads, and the run file, the
other way round. An operator reads reports of its own version and of the one before it, so that runs of the
release before it go on being seen; it writes run files of its own version only.

A release that changes neither is another row with the same numbers. `docs/versions.md` is made of this table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sftrun_api import API_VERSION
from sftrun_api.llamafactory import VERSION as LLAMAFACTORY_VERSION
from sftrun_api.policies.patterns import repository, whole_image
from sftrun_api.reports import REPORT_VERSION
from sftrun_api.run_files import RUN_FILE_VERSION

READABLE_REPORTS: tuple[int, ...] = tuple(
    version for version in (REPORT_VERSION, REPORT_VERSION - 1) if version >= 1
)
"""The versions of reports that this operator reads: its own and the one before it."""
TRAINER_NAMES = ("sftrun/trainer", "sftrun-trainer")
"""How the repositories of our trainer image end, wherever they are copied to. The tag then is a release's
version, with what the builder adds behind it (`0.1.0-fa2`). Any other tag says nothing."""
_TAG = re.compile(r"v?(\d+\.\d+\.\d+)(?:[-_+.].*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What one release speaks."""

    report: int
    """The version of the reports that its trainer writes."""
    run_file: int
    """The version of the run files that its trainer reads, and that its operator writes."""
    api: str
    """The version of `SFTRun`."""
    llamafactory: str
    """The version of LLaMA-Factory in its trainer image."""
    kubernetes: str
    """The oldest Kubernetes that its chart installs on."""


RELEASES: Mapping[str, Release] = MappingProxyType(
    {
        "0.1.0": Release(
            report=REPORT_VERSION,
            run_file=RUN_FILE_VERSION,
            api=API_VERSION,
            llamafactory=LLAMAFACTORY_VERSION,
            kubernetes="1.31",
        ),
    }
)
"""All releases by version, the newest first. When a number changes, its row's constant becomes a literal."""
CURRENT = next(iter(RELEASES))
"""The version of this code: of the Python package, the chart and both images."""


def release_of(image: str, *, own_image: str) -> str:
    """Returns the version of the release that an image's tag names; empty where it names none.

    `own_image` is the trainer image that the operator was given: its repository is ours, whatever its name.
    """
    name, _, digest = image.partition("@")
    if digest:
        return ""
    place = repository(name)
    ours = whole_image(place) == whole_image(repository(own_image))
    if not ours and not whole_image(place).endswith(TRAINER_NAMES):
        return ""
    tag = _TAG.fullmatch(name.removeprefix(place).removeprefix(":"))
    return tag.group(1) if tag is not None else ""


def mismatch(image: str, *, own_image: str, releases: Mapping[str, Release] = RELEASES) -> str:
    """Returns why this operator cannot work with an image, as far as it knows; empty where it can, or where
    nobody can tell: the image is of a release that is newer than this table, or of somebody's own making."""
    version = release_of(image, own_image=own_image)
    release = releases.get(version)
    if release is None:
        return ""
    if release.report not in READABLE_REPORTS:
        read = " and ".join(map(str, READABLE_REPORTS))
        return f"release {version} speaks report version {release.report}, this operator reads {read}"
    if release.run_file != RUN_FILE_VERSION:
        return (
            f"release {version} reads run files of version {release.run_file}, "
            f"this operator writes {RUN_FILE_VERSION}"
        )
    return ""
