"""Images for a release: built to the same bytes from the same inputs, packed as OCI archives, and listed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from release import sboms
from rig import commands

BUILD_SECONDS = 3000
THIRD_PARTY = "opt/sftrun/THIRD_PARTY.md"


@dataclass(frozen=True, kw_only=True)
class Source:
    """What an image is made from."""

    version: str
    revision: str
    epoch: int
    """The time of everything in it: that of the commit."""


def build(target: str, *, source: Source, tag: str) -> str:
    """Builds an image, unless one of that tag is there; returns its name in the local store.

    Raises:
        CommandFailed: The build failed; its last lines are in the message.
    """
    local = f"localhost/sftrun-{target}:{tag}"
    environment = {"VERSION": source.version, "REVISION": source.revision}
    if target == "operator":  # the trainer's 8 GB of packages are not built anew for the sake of their times
        environment["SOURCE_DATE_EPOCH"] = str(source.epoch)
    command = ["hack/images/build.sh", target, local]
    commands.run(command, timeout=BUILD_SECONDS, what=f"building the {target} image", env=environment)
    return local


def pack(local: str, *, name: str, source: Source, folder: Path) -> list[Path]:
    """Writes an image's archive, its bill of materials and its third-party notices; returns the files."""
    archive = folder / f"{name}-{source.version}.oci.tar"
    archive.unlink(missing_ok=True)
    _store("push", "--quiet", local, f"oci-archive:{archive}:{source.version}", seconds=BUILD_SECONDS)
    digest = _digest(local)
    bill, notice = (folder / f"{name}-{source.version}.{end}" for end in ("cdx.json", "THIRD_PARTY.md"))
    with _mounted(local) as root:
        text = sboms.sbom(root, name=name, version=source.version, digest=digest, epoch=source.epoch)
        bill.write_text(text, encoding="utf-8")
        notice.write_text((root / THIRD_PARTY).read_text(encoding="utf-8"), encoding="utf-8")
    return [archive, bill, notice]


def _digest(local: str) -> str:
    found: str = json.loads(_store("inspect", "--type", "image", local))["FromImageDigest"]
    return found


@contextmanager
def _mounted(local: str) -> Iterator[Path]:
    container = _store("from", "--pull-never", local).strip()
    try:
        yield Path(_store("mount", container).strip())
    finally:
        _store("rm", container)


def _store(*arguments: str, seconds: float = 600) -> str:
    """Runs buildah on the store that hack/images/store.sh names, and returns what it prints."""
    script = '. hack/images/store.sh; store "$@"'
    command = ["bash", "-euc", script, "store", *arguments]
    return commands.run(command, timeout=seconds, what=f"buildah {arguments[0]}").decode()
