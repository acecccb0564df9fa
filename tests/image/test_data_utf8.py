"""UTF-8 is told from what is none, as Python's decoder tells it, however the bytes are divided."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftrun_data import utf8

CHARACTERS = ("a", "\x00", "é", "\u07ff", "\u0800", "→", "\ud7ff", "\ue000", "中", "😀", "\U0010ffff")
BYTES = bytes.fromhex("41 7f 80 8f 90 9f a0 bf c0 c1 c2 df e0 e1 ec ed ee ef f0 f1 f4 f5 ff")
PIECES = st.lists(
    st.sampled_from([text.encode() for text in CHARACTERS])
    | st.sampled_from([bytes([byte]) for byte in BYTES]),
    max_size=12,
).map(b"".join)
BLOCK = 64 * 1024


@pytest.mark.parametrize("length", [1, 2, 3])
def test_every_short_sequence(length: int) -> None:
    for sequence in map(bytes, product(BYTES, repeat=length)):
        assert is_accepted(sequence) == is_utf8(sequence), sequence


@given(PIECES, st.sampled_from((0, 1, BLOCK - 4, BLOCK - 3, BLOCK - 1)), st.sampled_from((0, BLOCK)))
def test_wherever_blocks_end(pieces: bytes, before: int, behind: int) -> None:
    data = b"{" * before + pieces + b"}" * behind
    assert is_accepted(data) == is_utf8(data)


@pytest.mark.parametrize("character", CHARACTERS)
def test_many_blocks_of_one_character(character: str) -> None:
    data = character.encode() * BLOCK
    assert is_accepted(data)
    if not data.isascii():
        assert not is_accepted(data[1:])
        assert not is_accepted(data[:-1])


def is_accepted(data: bytes) -> bool:
    try:
        utf8.check(data)
    except UnicodeDecodeError:
        return False
    return True


def is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
