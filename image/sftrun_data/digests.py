"""The name of a conversion's output: a digest of everything that it depends on.

File contents, not times or sizes: a changed file must never meet the records of its former self, and a
copied or
restored one should. Hashing runs at the speed of the disk; parsing, which it saves, does not.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import xxhash

from sftrun_data import files
from sftrun_data.families import Family
from sftrun_data.requests import ConversionRequest, SourceRequest

RECORD_VERSION = 1
"""Raised whenever equal input and options would give other records than before."""

_BLOCK_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """A source's files as they lie there, unread."""

    names: str
    """Digest of names and sizes: data that was converted before has the same."""
    stats: str
    """Digest of paths, sizes and times: equal before and after reading, or something changed."""
    num_files: int
    num_bytes: int


def inputs_of(files_and_names: Iterable[tuple[str, str]]) -> Inputs:
    """Returns how the files of a source lie there."""
    names, stats = hashlib.sha256(), hashlib.sha256()
    num_files = num_bytes = 0
    for path, name in files_and_names:
        try:
            status = os.stat(path)  # noqa: PTH116 - hot: once a file of the job
        except OSError as error:
            seen, size = type(error).__name__, -1
        else:
            size = status.st_size
            seen = f"{size} {status.st_mtime_ns} {status.st_ino}"
            num_bytes += size
        num_files += 1
        names.update(f"{name} {size}\n".encode(errors="surrogateescape"))
        stats.update(f"{path} {seen}\n".encode(errors="surrogateescape"))
    return Inputs(names=names.hexdigest(), stats=stats.hexdigest(), num_files=num_files, num_bytes=num_bytes)


def content_of(path: str | Path) -> str:
    """Returns a digest of a file's content, or of its absence. Never raises: what cannot be read becomes its
    trajectory's reason."""
    try:
        if not files.is_file(path):  # a pipe would never end
            return "no file"
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - hot: once a file of the job
            digest = xxhash.xxh3_128()
            buffer = bytearray(min(_BLOCK_BYTES, os.fstat(file.fileno()).st_size + 1))
            view = memoryview(buffer)
            while count := file.readinto(buffer):
                digest.update(view[:count])
            return digest.hexdigest()
    except OSError as error:
        return f"unread {type(error).__name__}"


def contents_of(paths: Iterable[str]) -> Iterator[list[str]]:
    """Yields the digests of several files: work for a pool."""
    yield [content_of(path) for path in paths]


class ContentDigest:
    """Collects the files of a source by name and content."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, names: Iterable[str], contents: Iterable[str]) -> None:
        """Takes in the next files."""
        for name, content in zip(names, contents, strict=True):
            self._digest.update(json.dumps([name, content]).encode())

    @property
    def content(self) -> str:
        """Returns the digest of names and contents."""
        return self._digest.hexdigest()


def digest_of(request: ConversionRequest, *, family: Family, contents: Iterable[tuple[str, str]]) -> str:
    """Returns the digest of a conversion; `contents` are the sources' reader and content digest, in their
    order."""
    value = {
        "version": RECORD_VERSION,
        "family": asdict(family) | {"markers": sorted(family.markers)},
        "seed": request.seed,
        "validation": request.validation_fraction,
        "sources": [_options_of(source) for source in request.sources],
        "validationSources": [_options_of(source) for source in request.validation_sources],
        "contents": list(contents),
    }
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _options_of(source: SourceRequest) -> dict[str, Any]:
    """Paths are left out: the same data at another place gives the same records."""
    value = asdict(source)
    options = value["options"]
    for key in ("exclude_repos_file", "tools_file", "system_file"):
        path = options[key]
        options[key] = path and hashlib.sha256(_content_of(path)).hexdigest()
    for key in ("path", "paths"):
        value["input"].pop(key, None)
    value["input"]["kind"] = type(source.input).__name__
    return value


def _content_of(path: Path) -> bytes:
    try:
        return (
            path.read_bytes()
            if files.is_file(path) and path.stat().st_size <= files.MAX_METADATA_BYTES
            else b""
        )
    except OSError:
        return b""
