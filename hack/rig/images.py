"""Both images: built when what they are made of has changed, pushed when the registry lacks them.

The tag is a digest of the inputs, so a tag that the registry knows is the right image, and a node that has
pulled it need not ask again.
"""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rig import commands
from rig.commands import REPOSITORY

_INPUTS = {
    "operator": (
        "requirements/uv.txt",
        "requirements/operator.txt",
        "crds/sftrun_api",
        "operator/sftrun_operator",
    ),
    "trainer": (
        "requirements/uv.txt",
        "requirements/trainer.txt",
        "crds/sftrun_api",
        "image/sftrun_data",
        "image/sftrun_trainer",
    ),
}
ALWAYS = (
    "Dockerfile",
    "LICENSE",
    "NOTICE",
    "hack/images/base.sh",
    "hack/images/build.sh",
    "hack/release/notices.py",
)
"""What both images are made with."""
BUILD_SECONDS = 1800
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""No proxy knows the way to a registry of our own."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image as nodes pull it."""

    repository: str
    tag: str

    @property
    def reference(self) -> str:
        return f"{self.repository}:{self.tag}"


@dataclass(frozen=True, kw_only=True)
class Registry:
    """Where images are pushed to. One of our own speaks plain HTTP and knows nobody."""

    address: str
    own: bool
    plain_http: bool = False

    @classmethod
    def of(cls, name: str, *, own: bool) -> Registry:
        """Returns the registry of a name as REGISTRY has it; `http://` before it says that it speaks plain
        HTTP, as the local registries of kind and minikube do."""
        address = name.removeprefix("http://").rstrip("/")
        return cls(address=address, own=own, plain_http=own or address != name.rstrip("/"))


def build(target: str) -> str:
    """Builds an image if its inputs have changed; returns its name in the local store.

    Raises:
        CommandFailed: the build failed; its last lines are in the message.
    """
    local = f"localhost/sftrun-{target}:{tag_of(target)}"
    command = ["hack/images/build.sh", target, local]
    commands.run(command, timeout=BUILD_SECONDS, what=f"building the {target} image")
    return local


def publish(target: str, *, registry: Registry) -> Image:
    """Builds an image if need be and pushes it to the registry; returns its name there.

    Raises:
        CommandFailed: the build or the push failed.
    """
    image = Image(repository=f"{registry.address}/sftrun/{target}", tag=tag_of(target))
    if not _is_there(image, registry=registry):
        options = ["--plain-http"] if registry.plain_http else []
        command = ["hack/images/push.sh", *options, build(target), image.reference]
        commands.run(command, timeout=BUILD_SECONDS, what=f"pushing the {target} image")
    return image


def tag_of(target: str) -> str:
    """Returns a digest of everything that an image is made of."""
    digest = hashlib.sha256()
    for name in (*ALWAYS, *_INPUTS[target]):
        for file in _files(REPOSITORY / name):
            digest.update(f"{file.relative_to(REPOSITORY)}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield from [path] * path.is_file()
        return
    yield from sorted(file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)


def _is_there(image: Image, *, registry: Registry) -> bool:
    """Asks a registry of our own; any other is asked by the push itself, which has its credentials."""
    if not registry.own:
        return False
    path = image.repository.removeprefix(f"{registry.address}/")
    request = urllib.request.Request(
        f"http://{registry.address}/v2/{path}/manifests/{image.tag}",
        method="HEAD",
        headers={"Accept": "application/vnd.oci.image.manifest.v1+json"},
    )
    try:
        with _DIRECT.open(request, timeout=5):
            return True
    except urllib.error.URLError:
        return False
