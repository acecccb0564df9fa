"""What goes from process to process: messages, and the work in them."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.image import data_samples as samples

from sftrun_data import exclusions, messages, sources
from sftrun_data.exclusions import LeftOut
from sftrun_data.readers import READERS
from sftrun_data.readers.base import Place
from sftrun_data.requests import ConversionOptions, HarborJobInput, SourceRequest

VALUES = st.lists(st.binary(max_size=300), max_size=6)


@given(values=VALUES)
def test_a_message_arrives_as_it_was_sent(values: list[bytes]) -> None:
    stream = io.BytesIO()
    for sent in (values, "next"):
        messages.write(stream, messages.packed(sent))
    stream.seek(0)
    first, second = messages.read(stream), messages.read(stream)
    assert first is not None and messages.unpacked(first) == values
    assert second is not None and messages.unpacked(second) == "next"
    assert messages.read(stream) is None, "the end"


@given(values=VALUES, share=st.floats(0, 1, exclude_max=True))
def test_a_message_that_ends_in_the_middle_is_the_end(values: list[bytes], share: float) -> None:
    stream = io.BytesIO()
    messages.write(stream, messages.packed(values))
    torn = stream.getvalue()[: int(share * len(stream.getvalue()))]
    assert messages.read(io.BytesIO(torn)) is None


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_every_reader_travels(tmp_path: Path, reader: Any) -> None:
    place = Place(source="s", trial="t", instance="i", root=tmp_path, folder=tmp_path)
    work = partial(reader.read, place, form="AsSpoken", branches="Longest")
    assert len(messages.packed(work)) < 20_000


def test_a_unit_of_a_job_travels(tmp_path: Path) -> None:
    job = samples.trial(tmp_path / "job", log=samples.solved()).parent
    request = SourceRequest(name="s", input=HarborJobInput(path=job), options=ConversionOptions())
    source = sources.open_logs(request, HarborJobInput(path=job), field="sources[0]")
    for unit in source.units(seed=1):
        assert messages.packed(unit)
    assert isinstance(LeftOut(exclusions.Reason.NO_REWARD), Exception)
