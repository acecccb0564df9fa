"""Lines that stay where they were made come to stand in the draft as if they had been carried there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.image import data_samples as samples

from sftrun_data import drafts, errors, shelves, writebacks
from sftrun_data.figures import Shape
from sftrun_data.records import Line
from sftrun_data.shelves import SHELF, Stretch

NOTHING = Shape(turns=0, empty_thoughts=0, tokens=0)


@given(
    records=st.lists(
        st.tuples(
            st.binary(max_size=40),
            st.binary(min_size=1, max_size=40),
            st.booleans(),
            st.booleans(),
            st.booleans(),
        ),
        max_size=30,
    ),
)
@settings(max_examples=200, deadline=None)
def test_a_draft_of_lines_from_here_and_elsewhere(
    tmp_path_factory: pytest.TempPathFactory,
    records: list[tuple[bytes, bytes, bool, bool, bool]],
) -> None:
    folder = tmp_path_factory.mktemp("draft")
    with drafts.drafting(folder) as draft:
        for im, lf, elsewhere, kept, ask in records:
            lines: list[Line] = [SHELF.put(line) if elsewhere and line else line for line in (im, lf)]
            if kept:
                draft.append(source=0, instance="i", record_id="r", im=lines[0], lf=lines[1], shape=NOTHING)
            else:
                for line in lines:
                    draft.drop(line)
            if ask and (errand := draft.errand()):
                errand()
        if errand := draft.errand():
            errand()
        assert SHELF.num_bytes == 0, "nothing is left behind"
        if any(kept for *_, kept, _ in records):
            draft.publish(im_path=folder / "im", lf_path_of=lambda entry: folder / "lf")
            assert (folder / "im").read_bytes() == b"".join(im for im, _, _, kept, _ in records if kept)
            assert (folder / "lf").read_bytes() == b"".join(lf for _, lf, _, kept, _ in records if kept)


def test_a_shelf_knows_when_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelves, "_MAX_BYTES", 10)
    shelf = shelves.Shelf()
    first, second = shelf.put(b"12345"), shelf.put(b"678901")
    assert (len(first), len(second), shelf.is_full) == (5, 6, True)
    assert (shelf.take(first.number), shelf.is_full, shelf.num_bytes) == (b"12345", False, 6)


def test_a_shelf_is_not_full_of_what_waits_for_the_next_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The neutral record of a duplicate waits for the trajectory's next sample: who makes it must go on."""
    monkeypatch.setattr(shelves, "_MAX_BYTES", 10)
    shelf = shelves.Shelf()
    shelf.put(b"a neutral record")
    rendered = shelf.put(b"a rendered one")
    assert shelf.is_full
    shelf.take(rendered.number)
    assert not shelf.is_full
    shelf.put(b"the next one")
    assert shelf.is_full


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    line = SHELF.put(b"line")
    with pytest.raises(errors.WorkspaceFailed, match="gone/im cannot be written"):
        shelves.clear([Stretch(tmp_path / "gone" / "im", 0, [line.number])], [])
    SHELF.take(line.number)


def test_a_file_is_sent_to_the_disk_as_it_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writebacks, "_BYTES", 10)
    monkeypatch.setattr(writebacks, "_BEHIND", 3)
    sent: list[tuple[int, int]] = []
    advise = os.posix_fadvise

    def watched(handle: int, begin: int, length: int, advice: int) -> None:
        sent.append((begin, begin + length))
        advise(handle, begin, length, advice)

    monkeypatch.setattr(os, "posix_fadvise", watched)
    path = samples.write(tmp_path / "im", b"")
    writeback = writebacks.Writeback(path)
    for size in (10, 13, 18, 23, 40):
        path.write_bytes(b"x" * size)
        writeback.grown(size)
        if writeback._thread:
            writeback._thread.join()
    writeback.ended(41)
    assert writeback._thread is not None
    writeback._thread.join()
    assert sent == [(0, 10), (10, 20), (20, 37), (37, 41)]
    path.unlink()
    writeback.grown(100)
    writeback._thread.join()
    assert len(sent) == 4
