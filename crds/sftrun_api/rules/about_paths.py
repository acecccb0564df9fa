"""Paths of a spec against what is mounted: a path that no volume holds would be written into the container's
own, read-only file system, or be looked for in vain after a GPU was taken."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from sftrun_api.rules.about_placement import SYSTEM_FOLDERS, in_system_folder
from sftrun_api.rules.bases import Location, Place, Rule

if TYPE_CHECKING:
    from sftrun_api.specs import SFTRunSpec, Source

RESERVED_PATHS = (*(f"/{folder}" for folder in SYSTEM_FOLDERS), "/tmp", "/opt/sftrun")  # noqa: S108 - mount points
"""Where a user's volume would cover our files, the image's, or the kernel's."""
_RESERVED = tuple(map(PurePosixPath, RESERVED_PATHS))


def _mounts(spec: SFTRunSpec) -> Iterator[tuple[Location, str]]:
    yield ("workspace", "mountPath"), spec.workspace.mount_path
    for index, volume in enumerate(spec.volumes):
        yield ("volumes", index, "mountPath"), volume.mount_path


def _over_the_root(spec: SFTRunSpec) -> Iterator[Place]:
    for location, mount in _mounts(spec):
        if _plain(mount) == PurePosixPath("/"):
            yield Place(location=location)


def _over_the_trainer(spec: SFTRunSpec) -> Iterator[Place]:
    for location, mount in _mounts(spec):
        taken = _reserved_at(mount)
        if taken is not None and _plain(mount) != PurePosixPath("/") and not in_system_folder(mount):
            yield Place(location=location, words={"mount": mount, "taken": taken})


def _twice(spec: SFTRunSpec) -> Iterator[Place]:
    seen: dict[PurePosixPath, tuple[str, str]] = {}
    for location, mount in _mounts(spec):
        path = _plain(mount)
        if path in seen and path != PurePosixPath("/") and mount != seen[path][1]:
            yield Place(location=location, words={"mount": mount, "other": seen[path][0]})
        seen.setdefault(path, (".".join(map(str, location)), mount))


def _outside(spec: SFTRunSpec) -> Iterator[Place]:
    mounted = [_plain(path) for _, path in _mounts(spec)]
    for location, path in spec_paths(spec):
        if path.startswith("/") and not any(_inside(_plain(path), mount) for mount in mounted):
            listed = ", ".join(str(mount) for mount in mounted)
            yield Place(location=location, words={"path": path, "mounts": listed})


def _read_only_output(spec: SFTRunSpec) -> Iterator[Place]:
    output = spec.training.output_dir
    if output is None or not output.startswith("/"):
        return
    holders = [v for v in spec.volumes if _inside(_plain(output), _plain(v.mount_path))]
    if holders and max(holders, key=lambda v: len(v.mount_path)).read_only:
        yield Place(location=("training", "outputDir"), words={"path": output})


def _output_is_a_mount(spec: SFTRunSpec) -> Iterator[Place]:
    """Overwrite deletes what the folder holds, and a whole volume is no run's folder."""
    output = spec.training.output_dir
    if output is not None and output.startswith("/"):
        path = _plain(output)
        if any(_inside(_plain(mount), path) for _, mount in _mounts(spec)):
            yield Place(location=("training", "outputDir"), words={"path": output})


def spec_paths(spec: SFTRunSpec) -> Iterator[tuple[Location, str]]:
    """Yields every path that a spec names, mounts apart, with its place."""
    for index, source in enumerate(spec.sources):
        yield from _source_paths(source, ("sources", index))
    validation = spec.dataset.validation
    for index, source in enumerate(validation.sources or () if validation is not None else ()):
        yield from _source_paths(source, ("dataset", "validation", "sources", index))
    adapter = spec.model.adapter
    optional: tuple[tuple[Location, str | None], ...] = (
        (("model", "path"), spec.model.path),
        (("model", "adapter", "path"), adapter.path if adapter is not None else None),
        (("training", "outputDir"), spec.training.output_dir),
        (("training", "resumeFromCheckpoint"), spec.training.resume_from_checkpoint),
    )
    yield from ((location, path) for location, path in optional if path is not None)


def _source_paths(source: Source, at: Location) -> Iterator[tuple[Location, str]]:
    if source.harbor_job is not None:
        yield (*at, "harborJob", "path"), source.harbor_job.path
    if source.files is not None:
        yield from (((*at, "files", "paths", index), path) for index, path in enumerate(source.files.paths))
    conversion = source.conversion
    optional = (
        ("excludeReposFile", conversion.exclude_repos_file),
        ("toolsFile", conversion.tools_file),
        ("systemFile", conversion.system_file),
    )
    yield from (((*at, "conversion", name), path) for name, path in optional if path is not None)


def lies_in(path: str, mount: str) -> bool:
    """Whether an absolute path lies in a mount; a relative one lies in none."""
    return path.startswith("/") and ".." not in path.split("/") and _inside(_plain(path), _plain(mount))


@lru_cache(maxsize=1024)
def _plain(path: str) -> PurePosixPath:
    """Returns an absolute path with single slashes: `//etc` is `/etc` to the container runtime."""
    return PurePosixPath("/" + path.lstrip("/"))


@lru_cache(maxsize=256)
def _reserved_at(mount: str) -> PurePosixPath | None:
    """Returns which of `RESERVED_PATHS` a mount would cover or lie in."""
    path = _plain(mount)
    return next((own for own in _RESERVED if _overlap(path, own)), None)


def _inside(path: PurePosixPath, folder: PurePosixPath) -> bool:
    return path.parts[: len(folder.parts)] == folder.parts


def _overlap(left: PurePosixPath, right: PurePosixPath) -> bool:
    return _inside(left, right) or _inside(right, left)


RULES = (
    Rule(
        id="MountOverRoot",
        on="SFTRunSpec",
        where="operator",
        finds=_over_the_root,
        message="the root cannot be mounted over",
        remedy="choose a folder such as /models",
        source="the container would have no programs left",
    ),
    Rule(
        id="MountOverTrainer",
        on="SFTRunSpec",
        where="operator",
        finds=_over_the_trainer,
        message="{mount} would cover {taken}, which the trainer needs",
        remedy="choose a folder such as /models",
        source="the trainer image and the pod's own mounts",
    ),
    Rule(
        id="MountTwice",
        on="SFTRunSpec",
        where="operator",
        finds=_twice,
        message="{mount} is the mount path of {other} too",
        remedy="choose another",
        source="Kubernetes refuses such a pod; `//models/` and `/models` are one path to the runtime",
    ),
    Rule(
        id="PathOutsideMounts",
        on="SFTRunSpec",
        where="operator",
        finds=_outside,
        message="{path} lies in no mounted volume ({mounts})",
        remedy="mount one with spec.volumes, or use a relative path, which lies in the workspace",
        source="the container's own file system is read-only and empty",
    ),
    Rule(
        id="OutputReadOnly",
        on="SFTRunSpec",
        where="operator",
        finds=_read_only_output,
        message="{path} lies in a volume with readOnly: true",
        remedy="choose another folder",
        source="the first checkpoint would fail, hours later",
    ),
    Rule(
        id="OutputIsMount",
        on="SFTRunSpec",
        where="operator",
        finds=_output_is_a_mount,
        message="{path} is a whole volume, or holds one",
        remedy="name a folder inside it",
        source="existingOutput Overwrite empties the output folder, and a run's folder is its own alone",
    ),
)
