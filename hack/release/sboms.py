"""The software bill of materials of an image, as CycloneDX JSON, from what lies in its root file system.

Python packages by their own metadata, Debian's by dpkg's list: what is installed, not what was asked for. The
same root gives the same bytes.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from email.parser import HeaderParser
from importlib.metadata import distributions
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from release import notices

SITE = "opt/sftrun/venv/lib/python3.11/site-packages"
DPKG = "var/lib/dpkg/status"
NAMESPACE = uuid.UUID("6f8f3c0e-8c0a-5d0e-9f5b-2f4b1d6b7a10")
"""Of the serial numbers: the same image gets the same one."""


class SbomError(Exception):
    """There is nothing to list, or what came out is not CycloneDX."""


def sbom(root: Path, *, name: str, version: str, digest: str, epoch: int) -> str:
    """Returns the bill of the image whose root file system is `root`.

    Raises:
        SbomError: The root holds no packages, or the bill breaks the schema of CycloneDX.
    """
    bom = Bom(serial_number=uuid.uuid5(NAMESPACE, f"{name}@{digest}"))
    bom.metadata.timestamp = datetime.fromtimestamp(epoch, UTC)
    bom.metadata.component = image = Component(
        type=ComponentType.CONTAINER,
        name=name,
        version=version,
        bom_ref=name,
        purl=PackageURL("oci", name=name, version=digest),
        licenses=[LicenseFactory().make_from_string("Apache-2.0")],
    )
    parts = [*_python(root), *_debian(root)]
    if not parts:
        raise SbomError(f"{root} holds neither Python's nor Debian's packages")
    for part in parts:
        bom.components.add(part)
    bom.register_dependency(image, parts)
    text = JsonV1Dot6(bom).output_as_string(indent=1) + "\n"
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if fault is not None:
        raise SbomError(f"the bill of {name} is no CycloneDX: {fault}")
    return text


def _python(root: Path) -> Iterator[Component]:
    for found in distributions(path=[str(root / SITE)]):
        one = notices.notice(found)
        name = one.name.lower().replace("_", "-").replace(".", "-")
        known = one.licence != notices.UNKNOWN
        yield Component(
            type=ComponentType.LIBRARY,
            name=one.name,
            version=one.version,
            bom_ref=f"pypi/{name}",
            purl=PackageURL("pypi", name=name, version=one.version),
            licenses=[LicenseFactory().make_from_string(one.licence)] if known else [],
        )


def _debian(root: Path) -> Iterator[Component]:
    status = root / DPKG
    if not status.is_file():
        return
    for block in status.read_text(encoding="utf-8").split("\n\n"):
        fields = HeaderParser().parsestr(block)
        if "installed" not in str(fields["Status"]).split()[2:]:
            continue
        name, version, arch = (str(fields[key]) for key in ("Package", "Version", "Architecture"))
        yield Component(
            type=ComponentType.LIBRARY,
            name=name,
            version=version,
            bom_ref=f"deb/{name}:{arch}",
            purl=PackageURL("deb", "debian", name, version, {"arch": arch, "distro": "debian-12"}),
        )
