"""Seals: what a checkpoint looked like once it was safely on the volume.

A checkpoint that the training process has written is in the kernel's memory. A full or faulty volume may say
so only when the data leaves it, and a power cut may leave files of the right length full of zeros. So the
supervisor, beside the training and without holding it up, has every file of a new checkpoint written out
(`fsync`, which is where such errors are told) and notes names, sizes and digests. A resume compares. What was
not sealed, because the pod was killed in that minute, is read whole instead (`weights.fault_of_content`).

Seals lie in `.sftrun/seals/`, not in the checkpoint: training may be deleting an old one at this moment.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Annotated

import xxhash
from pydantic import Field, ValidationError

from sftrun_api.models import OpenModel
from sftrun_trainer import files

FOLDER = Path(".sftrun/seals")
NAMES = frozenset({"trainer_state.json", "latest"})
SUFFIXES = frozenset({".safetensors", ".bin", ".pt", ".pth"})
"""Of the files that a resume reads. The others, the tokenizer's, LLaMA-Factory may write once more."""
BLOCK_BYTES = 1 << 20
WAIT_SECONDS = 0.1
MOST_BLOCKS = 64
"""Of a longer file so many blocks are compared, spread evenly, its first and last among them: a terabyte of
checkpoint is compared in seconds, and a hole, a cut or a stale copy shows."""

Count = Annotated[int, Field(ge=0, le=2**62)]


class FileSeal(OpenModel):
    """One file."""

    size: Count
    digest: str


class Seal(OpenModel):
    """A checkpoint, by the names of its files relative to it."""

    files: dict[str, FileSeal]


def path_of(checkpoint: Path) -> Path:
    """Returns where a checkpoint's seal lies: in the state folder of the run that wrote it."""
    return checkpoint.parent / FOLDER / f"{checkpoint.name}.json"


def make(checkpoint: Path) -> Seal:
    """Has every file of a checkpoint written out and returns the seal of those that a resume reads. Raises
    `OSError`."""
    found = {}
    for path in _files_of(checkpoint):
        sync(path)
        if path.name in NAMES or (path.suffix in SUFFIXES and path.name != "training_args.bin"):
            found[path.relative_to(checkpoint).as_posix()] = _of(path)
    for folder in {path.parent for path in _files_of(checkpoint)} | {checkpoint.parent}:
        files.sync_folder(folder)
    return Seal(files=found)


def sync(path: Path) -> None:
    """Has a file written out, whoever wrote it. Raises `OSError`: also for what failed in the background."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_files(folder: Path) -> None:
    """Has the files that lie in a folder itself written out: a model that is said to be there is. Raises
    `OSError`."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.is_symlink():
            sync(path)
    files.sync_folder(folder)


def write(checkpoint: Path, seal: Seal) -> None:
    """Writes a checkpoint's seal. Raises `OSError`."""
    path = path_of(checkpoint)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_json(path, seal.to_json_object())


def prune(output_dir: Path) -> None:
    """Removes the seals of checkpoints that are gone: others may be written under their names. Raises
    `OSError`."""
    for path in (output_dir / FOLDER).glob("*.json"):
        if not (output_dir / path.stem).is_dir():
            path.unlink(missing_ok=True)


def read(checkpoint: Path) -> Seal | None:
    """Returns a checkpoint's seal, `None` where there is none that can be read."""
    value = files.read_json(path_of(checkpoint))
    try:
        return Seal.model_validate(value) if value is not None else None
    except ValidationError:
        return None


def broken(checkpoint: Path, seal: Seal) -> str | None:
    """Returns what is not as it was when the checkpoint was sealed, `None` when all of it is."""
    for name, was in seal.files.items():
        path = checkpoint / name
        try:
            if path.stat().st_size != was.size:
                return f"{name} had {was.size} bytes when it was written"
            if _of(path).digest != was.digest:
                return f"{name} is not what was written"
        except OSError as error:
            return f"{name} cannot be read ({error.strerror})"
    return None


def _files_of(folder: Path) -> list[Path]:
    return sorted(Path(root) / name for root, _, names in os.walk(folder) for name in names)


def _of(path: Path) -> FileSeal:
    size = path.stat().st_size
    found = xxhash.xxh3_128()
    with path.open("rb") as stream:
        for offset in _offsets(size):
            stream.seek(offset)
            found.update(stream.read(BLOCK_BYTES))
    return FileSeal(size=size, digest=found.hexdigest())


def _offsets(size: int) -> list[int]:
    if size <= MOST_BLOCKS * BLOCK_BYTES:
        return list(range(0, size, BLOCK_BYTES))
    last = size - BLOCK_BYTES
    return [last * number // (MOST_BLOCKS - 1) for number in range(MOST_BLOCKS)]


class Sealer:
    """Has what training has written written out, and seals it, one thing after another in a thread of its
    own: a file system that hangs must not hang the supervisor."""

    def __init__(self, *, failed: Callable[[], None]) -> None:
        self._failed = failed
        """Told once, from the thread, that something could not be written out."""
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="seals", daemon=True)
        self.error: OSError | None = None
        """Why something could not be written out."""
        self.unsafe: Path | None = None
        """The checkpoint that it was."""
        self._thread.start()

    def take(self, checkpoint: Path) -> None:
        """Takes a checkpoint that is complete."""
        self._queue.put(lambda: self._seal(checkpoint))

    def finish(self, outputs: Path | None, *, patience: Callable[[], bool]) -> bool:
        """Waits until all that was taken is sealed, and the files in `outputs` are written out.

        Returns whether they are; gives up when `patience`, asked all the time, is at its end.
        """
        if outputs is not None:
            self._queue.put(lambda: sync_files(outputs))
        self._queue.put(None)
        while self._thread.is_alive() and patience():
            self._thread.join(WAIT_SECONDS)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            try:
                work()
            except OSError as error:
                if self.error is None:
                    self.error = error
                    self._failed()

    def _seal(self, checkpoint: Path) -> None:
        try:
            seal = make(checkpoint)
            prune(checkpoint.parent)
            write(checkpoint, seal)
        except FileNotFoundError:
            return  # training has deleted it meanwhile, to keep no more than it should
        except OSError:
            if not checkpoint.is_dir():
                return
            self.unsafe = self.unsafe or checkpoint
            raise
