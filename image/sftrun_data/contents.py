"""What the sources of a conversion hold: how their files lie there, and digests of what they say.

Digests of contents are made in the same processes as records and, where no earlier output can be met, along
with them: then a log is read once, and the first record is written before the last file is read. Only what no
trajectory was read from is read for its digest alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from sftrun_data import digests
from sftrun_data.digests import ContentDigest, Inputs
from sftrun_data.openings import Opened
from sftrun_data.pools import Task

_BYTES_A_TASK = 8 * 1024 * 1024
_FILES_A_TASK = 512
_MOST_REMEMBERED = 10_000
File = tuple[str, str]
"""Its path, and its name within the source."""
_Digested = tuple[str, str, str | None]
"""A file, and the digest of its content if that is known."""


@dataclass(slots=True)
class Contents:
    """The sources as they were before reading, and what they said when they were read."""

    sources: tuple[Opened, ...]
    inputs: tuple[Inputs, ...]
    files: tuple[list[File] | None, ...]
    """The files of each source, where they are few: they need not be looked for again to be read."""
    complete: bool = False
    """Whether all contents have been read."""
    _digests: list[ContentDigest] = field(default_factory=list)
    _read: dict[str, str] = field(default_factory=dict)
    """Digests of the files that were read for something else."""

    @classmethod
    def look(cls, sources: Iterable[Opened]) -> Contents:
        """Returns how the sources' files lie there."""
        opened = tuple(sources)
        remembered = [_Remembered(item.source.inputs()) for item in opened]
        inputs = tuple(map(digests.inputs_of, remembered))
        return cls(opened, inputs, tuple(item.files for item in remembered))

    @property
    def num_bytes(self) -> int:
        """Returns the size of all files together."""
        return sum(item.num_bytes for item in self.inputs)

    @property
    def names(self) -> str:
        """Returns a digest of all files' names and sizes: it is the same wherever the contents are."""
        return hashlib.sha256(" ".join(item.names for item in self.inputs).encode()).hexdigest()

    @property
    def digests(self) -> tuple[tuple[str, str], ...]:
        """Returns each source's reader and content. All must have been read."""
        assert self.complete, "contents are read before they are asked for"
        return tuple(
            (item.source.reader_id, digest.content)
            for item, digest in zip(self.sources, self._digests, strict=True)
        )

    def unchanged(self) -> bool:
        """Whether the files lie there as they did before."""
        return all(
            digests.inputs_of(item.source.inputs()).stats == inputs.stats
            for item, inputs in zip(self.sources, self.inputs, strict=True)
        )

    def learn(self, read_whole: Mapping[str, str]) -> None:
        """Takes in the digests of files that were read for something else."""
        self._read.update(read_whole)

    def tasks(self, number: int) -> Iterator[Task]:
        """Yields the reading of a source's contents, but for those known. Sources are read in their order."""
        assert number == len(self._digests), "sources are read in their order, and once"
        digest = ContentDigest()
        self._digests.append(digest)
        for batch in self._batches(self.files[number] or self.sources[number].source.inputs()):
            paths = [path for path, _, content in batch if content is None]
            yield Task(
                work=partial(digests.contents_of, paths),
                take=partial(_add, digest, batch),
                portable=bool(paths),  # what is known needs nobody's work
            )
        self.complete = len(self._digests) == len(self.sources)

    def batch(self, number: int) -> int:
        """Returns how many of a source's units make a task of a few megabytes."""
        total, size = self.sources[number].source.total, self.inputs[number].num_bytes
        return min(max(1, _BYTES_A_TASK * total // max(1, 2 * size)), 64) if total else 16

    def _batches(self, files: Iterable[File]) -> Iterator[list[_Digested]]:
        """Yields files in groups of which a few megabytes are not known."""
        batch: list[_Digested] = []
        size = 0
        for path, name in files:
            digest = self._read.pop(path, None)
            batch.append((path, name, digest))
            if digest is None:
                with contextlib.suppress(OSError):
                    size += os.stat(path).st_size  # noqa: PTH116 - hot: once a file of the job
            if size >= _BYTES_A_TASK or len(batch) >= _FILES_A_TASK:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch


class _Remembered:
    """Files, which are known afterwards if they are few."""

    def __init__(self, files: Iterable[File]) -> None:
        self._files = files
        self.files: list[File] | None = []

    def __iter__(self) -> Iterator[File]:
        for file in self._files:
            if self.files is not None:
                self.files.append(file)
                if len(self.files) > _MOST_REMEMBERED:
                    self.files = None
            yield file


def _add(digest: ContentDigest, batch: list[_Digested], read: list[str]) -> None:
    """Adds files to a digest: those whose contents were known, and those that were read now."""
    rest = iter(read)
    digest.add(
        [name for _, name, _ in batch], [next(rest) if known is None else known for _, _, known in batch]
    )
