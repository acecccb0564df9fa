"""The archive's names and its index: what one writes the other reads, whatever stands beside it."""

from __future__ import annotations

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from sftrun_api import archives
from sftrun_api.run_files import RunIdentity

TEXTS = st.text(max_size=40)
ENTRIES = st.builds(
    archives.Entry,
    archive=st.text(min_size=1, max_size=40),
    namespace=TEXTS,
    name=TEXTS,
    reason=TEXTS,
    model=TEXTS,
    attempt=st.integers(0, 99),
    loss=st.none() | st.floats(allow_nan=False, allow_infinity=False),
)
ONE = archives.Entry(archive="one-abcde-1", name="one", outcome="Succeeded", loss=1.5)


def test_a_folder_is_called_as_the_attempts_job() -> None:
    run = RunIdentity(namespace="team", name="quick", uid="0b7d3a52-1c", attempt=2)
    assert archives.folder_name(run) == "quick-0b7d3-2"


@given(ENTRIES)
@example(ONE.model_copy(update={"name": "\x7f\x85\u2028\ufeff𐀀\n"}))
def test_what_is_written_is_read_again(entry: archives.Entry) -> None:
    line = archives.line_of(entry)
    assert line.endswith("\n") and line.count("\n") == 1
    assert archives.entry_of(line) == entry
    assert archives.Entry.model_validate(yaml.safe_load(line)[0]) == entry


@given(ENTRIES, st.integers(0, 400))
def test_a_torn_line_is_ours_and_no_entry(entry: archives.Entry, length: int) -> None:
    line = archives.line_of(entry).rstrip("\n")
    torn = line[: min(length, len(line) - 1)]
    assert archives.entry_of(torn) is None
    assert archives.is_ours(torn) is (len(torn) >= len('- {"a'))


@given(st.lists(st.text(max_size=80) | st.just(archives.line_of(ONE)), max_size=8))
def test_any_index_is_read(lines: list[str]) -> None:
    found = archives.entries("\n".join(lines))
    assert len({entry.archive for entry in found}) == len(found)


def test_the_last_line_of_an_archive_counts() -> None:
    again = ONE.model_copy(update={"outcome": "Failed"})
    other = ONE.model_copy(update={"archive": "two-abcde-1"})
    text = "# of people\n" + "".join(map(archives.line_of, (ONE, other, again)))
    assert archives.entries(text) == (other, again)


def test_an_entry_is_made_from_metadata_and_report() -> None:
    run = RunIdentity(namespace="team", name="quick", uid="0b7d3a52-1c", attempt=2)
    metadata = archives.Metadata(
        run=run,
        pod_uid="p",
        outcome="Failed",
        reason="Diverged",
        stage="Train",
        step=7,
        started_at="2026-01-01T00:00:00Z",
        ended_at="2026-01-01T01:00:00Z",
        image="trainer:1",
        spec_hash="h",
    )
    report = {"outputs": {"modelPath": "/w/m", "trainingMetrics": {"finalLoss": 2}}}
    entry = archives.entry_from(metadata, archive="quick-0b7d3-2", report=report)
    assert (entry.outcome, entry.reason, entry.steps, entry.loss) == ("Failed", "Diverged", 7, 2.0)
    assert (entry.model, entry.ended_at) == ("/w/m", "2026-01-01T01:00:00Z")
    assert archives.entry_from(metadata, archive="a", report={}).loss is None
