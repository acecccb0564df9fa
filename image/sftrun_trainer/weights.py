"""Whether weight files can be loaded, told from their first bytes: a copy that broke off, a Git LFS pointer
and an index with missing shards all look like a model until a GPU has waited for it.
"""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

from sftrun_trainer import files

HEADER_BYTES = 100_000_000
"""What the safetensors format itself allows for a header."""
CHUNK_BYTES = 1 << 20
TORCH = (".pt", ".pth", ".bin")
PICKLE = b"\x80"
"""How a file of torch begins that is no archive: the form of before 2020, which some models still have."""
LFS_POINTER = b"version https://git-lfs"
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
SINGLE = ("model.safetensors", "pytorch_model.bin")
ADAPTERS = ("adapter_model.safetensors", "adapter_model.bin")


def fault_of_weights(folder: Path) -> str | None:
    """Returns what keeps the folder's weights from being loaded, `None` when nothing does."""
    for name in INDEXES:
        if (folder / name).is_file():
            return _fault_of_index(folder, name)
    for name in (*SINGLE, *ADAPTERS):
        if (folder / name).is_file():
            return fault_of_file(folder / name)
    return f"no weights: neither {SINGLE[0]} nor {INDEXES[0]}"


def _fault_of_index(folder: Path, name: str) -> str | None:
    index = files.read_json(folder / name)
    shards = index.get("weight_map") if index else None
    if not isinstance(shards, dict) or not shards:
        return f"{name} is not readable"
    for shard in sorted({str(value) for value in shards.values()}):
        path = folder / Path(shard).name
        if not path.is_file():
            return f"{shard}, which {name} names, is missing"
        fault = fault_of_file(path)
        if fault:
            return fault
    return None


def fault_of_file(path: Path) -> str | None:
    """Returns what is wrong with one file of weights or optimizer states, `None` when it looks whole."""
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            start = stream.read(len(LFS_POINTER))
    except OSError as error:
        return f"{path.name} cannot be read ({error.strerror})"
    if size == 0:
        return f"{path.name} is empty"
    if start.startswith(LFS_POINTER):
        return f"{path.name} is a Git LFS pointer, not the file itself"
    if path.suffix == ".safetensors":
        return None if tensors_of(path) is not None else f"{path.name} is cut short or corrupt"
    if path.suffix in TORCH:
        return _fault_of_torch(path, start)
    return None


def _fault_of_torch(path: Path, start: bytes) -> str | None:
    if start.startswith(b"PK"):
        return None if zipfile.is_zipfile(path) else f"{path.name} is cut short"
    return None if start.startswith(PICKLE) else f"{path.name} is no file of torch"


def fault_of_content(path: Path, *, go_on: Callable[[], bool]) -> str | None:
    """Returns what is wrong with a file of torch or safetensors, having read all of it while `go_on`, asked
    all the time, says so.

    torch keeps a checksum of each tensor and never looks at it; safetensors keeps none.
    """
    if path.suffix not in (*TORCH, ".safetensors"):
        return None
    fault = fault_of_file(path)
    if fault or not zipfile.is_zipfile(path):
        return fault
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                with archive.open(member) as stream:
                    while go_on() and stream.read(CHUNK_BYTES):
                        pass  # at its end the checksum is compared
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        return f"{path.name} is corrupt ({error})"
    return None


def tensors_of(path: Path) -> int | None:
    """Returns the number of tensors in a safetensors file; `None` unless header and size agree."""
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > min(HEADER_BYTES, size):
                return None
            header = json.loads(stream.read(length))
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    except (
        OSError,
        ValueError,
        struct.error,
        KeyError,
        TypeError,
        IndexError,
        AttributeError,
        RecursionError,
    ):
        return None
    return len(ends) if ends and 8 + length + max(ends) == size else None
