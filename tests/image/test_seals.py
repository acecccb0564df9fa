"""Seals: a checkpoint that is not as it was written is recognised, and one that never came to the volume is
none."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.image.test_training_checkpoints import checkpoint

from sftrun_trainer import checkpoints, seals


def sealed(path: Path) -> Path:
    """Seals a checkpoint as the supervisor does."""
    seals.write(path, seals.make(path))
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def flip(path: Path, at: float = 0.5) -> None:
    """Changes one bit of a file."""
    content = bytearray(path.read_bytes())
    content[min(int(len(content) * at), len(content) - 1)] ^= 1
    path.write_bytes(content)


def hollow(path: Path) -> None:
    """Leaves the length and nothing else: what a power cut does to a file that was never written out."""
    path.write_bytes(bytes(path.stat().st_size))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a bit at the beginning": lambda path: flip(path, 0.0),
    "a bit in the middle": flip,
    "the last bit": lambda path: flip(path, 1.0),
    "zeros": hollow,
    "half of it": lambda path: os.truncate(path, path.stat().st_size // 2),
    "nothing": lambda path: path.write_bytes(b""),
    "gone": Path.unlink,
    "a byte more": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_any_damage_to_any_file_of_a_sealed_checkpoint_is_recognised(tmp_path: Path, damage: str) -> None:
    for number, name in enumerate(names(checkpoint(tmp_path / "names", 4))):
        root = tmp_path / str(number)
        older, newer = (sealed(checkpoint(root, step)) for step in (2, 4))
        assert checkpoints.fault_of(newer, world_size=2) is None
        DAMAGES[damage](newer / name)
        assert checkpoints.fault_of(newer, world_size=2) is not None, name
        found = checkpoints.find_last_complete(root, world_size=2)
        assert found is not None
        assert found.path == older


@pytest.mark.parametrize("damage", ["a bit in the middle", "zeros", "half of it"])
def test_what_was_not_sealed_is_read_whole(tmp_path: Path, damage: str) -> None:
    for number, name in enumerate(name for name in names(checkpoint(tmp_path / "names", 4)) if ".pt" in name):
        path = checkpoint(tmp_path / str(number), 4)
        DAMAGES[damage](path / name)
        assert checkpoints.fault_of(path, world_size=2) is not None, name


def test_what_was_not_sealed_is_read_no_longer_than_there_is_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = checkpoint(tmp_path, 4)
    flip(path / "scheduler.pt")
    assert "scheduler.pt is corrupt" in (checkpoints.fault_of(path, world_size=2) or "")
    monkeypatch.setattr(checkpoints, "READ_SECONDS", 0.0)
    assert checkpoints.fault_of(path, world_size=2) is None


def test_what_a_resume_does_not_read_may_be_written_once_more(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, 4)
    others = ("tokenizer_config.json", "training_args.bin", "README.md", "zero_to_fp32.py")
    for name in others:
        (path / name).write_bytes(b"\x80 before")
    sealed(path)
    for name in others:
        (path / name).write_bytes(b"\x80 after")
    assert checkpoints.fault_of(path, world_size=2) is None


def test_a_named_checkpoint_of_another_run_is_held_to_its_own_seal(tmp_path: Path) -> None:
    path = sealed(checkpoint(tmp_path, 4))
    flip(path / "model.safetensors", 1.0)
    assert "model.safetensors is not what was written" in (checkpoints.fault_of(path, world_size=2) or "")


@pytest.mark.parametrize("content", ["", "{", "null", '{"files": 3}'])
def test_garbage_in_place_of_a_seal_is_none(tmp_path: Path, content: str) -> None:
    path = sealed(checkpoint(tmp_path, 4))
    seals.path_of(path).write_text(content)
    assert seals.read(path) is None
    assert checkpoints.fault_of(path, world_size=2) is None


def test_the_seal_of_a_checkpoint_that_is_gone_says_nothing_of_the_next_one(tmp_path: Path) -> None:
    path = sealed(checkpoint(tmp_path, 4))
    path.rename(tmp_path / "elsewhere")
    seals.prune(tmp_path)
    flip(checkpoint(tmp_path, 4) / "model.safetensors", 1.0)
    assert seals.read(path) is None


@given(st.integers(min_value=0, max_value=1 << 44))
def test_of_any_file_its_beginning_and_its_end_are_compared_and_never_too_much(size: int) -> None:
    offsets = seals._offsets(size)
    assert len(offsets) <= seals.MOST_BLOCKS
    assert offsets == sorted(set(offsets))
    assert (offsets[0] == 0) if size else (offsets == [])
    if size:
        assert offsets[-1] < size <= offsets[-1] + seals.BLOCK_BYTES


def test_a_checkpoint_that_cannot_be_written_out_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(_: int) -> Any:
        raise OSError(5, "Input/output error")

    told: list[bool] = []
    monkeypatch.setattr(os, "fsync", faulty)
    sealer = seals.Sealer(failed=lambda: told.append(True))
    for step in (2, 4):
        sealer.take(checkpoint(tmp_path, step))
    assert sealer.finish(None, patience=lambda: True)
    assert (told, sealer.unsafe) == ([True], tmp_path / "checkpoint-2")
    assert sealer.error is not None
    assert sealer.error.errno == 5


def test_a_volume_that_hangs_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    monkeypatch.setattr(os, "fsync", lambda _: answers.wait(60))
    sealer = seals.Sealer(failed=lambda: pytest.fail("no fault"))
    sealer.take(checkpoint(tmp_path, 2))
    asked = iter([True, True, False])
    assert not sealer.finish(tmp_path, patience=lambda: next(asked))
    answers.set()
    assert sealer.finish(None, patience=lambda: True)


def test_a_checkpoint_that_training_deletes_meanwhile_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = checkpoint(tmp_path, 2)
    deleted = threading.Event()
    whole = seals.sync

    def delete(file: Path) -> None:
        if not deleted.is_set():
            deleted.set()
            path.rename(tmp_path / "gone")
        whole(file)

    monkeypatch.setattr(seals, "sync", delete)
    sealer = seals.Sealer(failed=lambda: pytest.fail("no fault"))
    sealer.take(path)
    assert sealer.finish(None, patience=lambda: True)
    assert (sealer.error, seals.read(path)) == (None, None)
