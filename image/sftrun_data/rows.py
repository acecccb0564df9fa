"""Rows of JSON, JSONL and Parquet files, one at a time, and the source that they make."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

from sftrun_data import files, jobs, jsons
from sftrun_data.conversations import Conversation, Provenance, Turn
from sftrun_data.errors import BadData, BadRequest, UnknownFormat, UnreadableSource
from sftrun_data.exclusions import LeftOut, Note, Reason
from sftrun_data.formats import ROWS_LOOKED_AT, format_for
from sftrun_data.formats.base import Format, Naming, Parsed
from sftrun_data.requests import FilesInput, SourceRequest
from sftrun_data.selections import Candidate
from sftrun_data.sources import Unit

SUFFIXES = (".json", ".jsonl", ".ndjson", ".parquet")
_TASK_COLUMNS = ("instance_id", "task_id")
_ROW_COLUMNS = ("id", "uuid", "conversation_id")
"""What these hold is the row's own, unless it is a name like owner__name-123."""
_MISREAD = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What a row of a shape that nobody thought of makes its reader raise: one row, never the run."""
_PARQUET_ROWS = 256


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as it stands in its file: its value, or why there is none."""

    file: Path
    number: int
    value: Any = None
    left: LeftOut | None = None
    repaired: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSource:
    """Rows of files, read in their order."""

    request: SourceRequest
    field: str
    paths: tuple[Path, ...]
    root: Path
    format: Format
    naming: Naming

    @property
    def where(self) -> str:
        """Returns the first file."""
        return str(self.paths[0])

    @property
    def reader_id(self) -> str:
        """Returns the format's name and version."""
        return f"{self.format.name}/{self.format.version}"

    @property
    def total(self) -> int | None:
        """Unknown before all is read."""
        return None

    @property
    def in_seeded_order(self) -> bool:
        """Rows are known when they are read; a limit is applied to the kept ones at the end."""
        return False

    def inputs(self) -> Iterator[tuple[str, str]]:
        """Yields the files."""
        for path in self.paths:
            yield str(path), files.relative(path, root=self.root)

    def units(self, *, seed: int) -> Iterator[Unit]:  # noqa: ARG002 - the order of rows is the files'
        """Yields the rows in the order of the files."""
        for path in self.paths:
            for raw in raw_rows(path):
                yield self._unit(raw)

    def _unit(self, raw: RawRow) -> Unit:
        name = f"{files.relative(raw.file, root=self.root)}:{raw.number}"
        parsed = self._parse(raw)
        turns = parsed.turns if isinstance(parsed, Parsed) else ()
        instance = instance_of(raw.value, turns, default=name)
        return Unit(
            candidate=Candidate(
                name=name, instance=instance, repositories=_repositories(raw.value, instance)
            ),
            parts=(partial(self._read, parsed, raw.file, raw.number, name, instance),),
            notes=frozenset({Note.TEXT_REPAIRED}) if raw.repaired else frozenset(),
        )

    def _parse(self, raw: RawRow) -> Parsed | LeftOut:
        """Returns what a row says: what it asks tells its task, so this is needed before it is chosen."""
        if raw.left:
            return raw.left
        if not isinstance(raw.value, dict):
            return LeftOut(Reason.BAD_STRUCTURE, f"the row is a {type(raw.value).__name__}, not an object")
        try:
            return self.format.read(raw.value, self.naming)
        except LeftOut as left:
            return left
        except _MISREAD as error:
            return LeftOut(Reason.BAD_STRUCTURE, f"{type(error).__name__}: {error}")

    def _read(
        self, parsed: Parsed | LeftOut, file: Path, number: int, name: str, instance: str
    ) -> Iterator[Conversation]:
        if isinstance(parsed, LeftOut):
            raise parsed
        yield Conversation(
            instance=instance,
            provenance=Provenance(
                source=self.request.name,
                trial=name,
                file=files.relative(file, root=self.root),
                reader=self.reader_id,
                lines=(number, number),
            ),
            turns=parsed.turns,
            tools=parsed.tools,
            preference=parsed.preference,
            notes=parsed.notes,
        )


def open_rows(
    request: SourceRequest, tabular: FilesInput, *, field: str, root: Path | None = None
) -> RowSource:
    """Returns the rows of files, opened.

    Raises MissingJobFolder, UnreadableSource, EmptyJob, UnknownFormat, BadRequest.
    """
    paths: list[Path] = []
    for path in tabular.paths:
        files.require(path, field=f"{field}.paths")
        found = (
            [item for item in files.walk(path) if item.suffix in SUFFIXES] if files.is_dir(path) else [path]
        )
        if not found:
            raise files.nothing_in(path, field=f"{field}.paths")
        paths.extend(found)
    for path in paths:
        if path.suffix not in SUFFIXES:
            raise UnknownFormat(
                f"{field}.paths: {path} is none of {', '.join(SUFFIXES)}; convert it to JSONL"
            )
    naming = Naming(columns=tabular.columns, tags=tabular.tags)
    first = [
        raw.value
        for path in paths
        for raw in islice(raw_rows(path), ROWS_LOOKED_AT)
        if isinstance(raw.value, dict)
    ]
    if not first and tabular.format == "Auto":
        _refuse_all_broken(paths, field)
    return RowSource(
        request=request,
        field=field,
        paths=tuple(paths),
        root=root or paths[0].parent,
        format=format_for(
            tabular.format, first, naming, field=field, stage=request.stage, ranking=tabular.ranking
        ),
        naming=naming,
    )


def raw_rows(path: Path) -> Iterator[RawRow]:
    """Yields the rows of a file. A line that is no JSON is a row with its reason.

    Raises UnreadableSource, BadData, BadRequest for a file that cannot be divided into rows.
    """
    if path.suffix == ".parquet":
        yield from _parquet(path)
    elif _is_json_lines(path):
        yield from _lines(path)
    else:
        yield from _array(path)


def instance_of(row: Any, turns: Iterable[Turn], *, default: str) -> str:
    """Returns the task that a row belongs to: the one that it names, else a hash of what is asked in it.

    Rows that ask the same are thus never divided by the validation split, whatever their own ids are.
    """
    if not isinstance(row, dict):
        return default
    for key in (*_TASK_COLUMNS, *_ROW_COLUMNS):
        value = row.get(key)
        named = isinstance(value, (str, int)) and not isinstance(value, bool) and value != ""
        if named and (key in _TASK_COLUMNS or jobs.repositories_of(str(value))):
            return str(value)
    asked = [
        turn.text for turn in takewhile(lambda turn: turn.role != "assistant", turns) if turn.role == "user"
    ]
    if not any(asked):
        return default
    return hashlib.sha256("\0".join(asked).encode(errors="replace")).hexdigest()[:16]


def _repositories(row: Any, instance: str) -> frozenset[str]:
    return jobs.repositories_of(instance, row) if isinstance(row, dict) else frozenset()


def _is_json_lines(path: Path) -> bool:
    """By content, not by name: `.json` files that hold lines are common, and so is the opposite."""
    try:
        with path.open("rb") as file:
            head = file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
            if not head.startswith(b"{"):
                return not head.startswith(b"[") or path.suffix in (".jsonl", ".ndjson")
            file.seek(0)
            line = file.readline(files.MAX_TRAJECTORY_BYTES)
            alone = not file.read(4096).strip()
    except OSError as error:
        raise UnreadableSource(f"{path} cannot be read: {error.strerror}") from error
    try:
        jsons.loads(line)
    except jsons.BrokenJSON:
        return path.suffix != ".json"
    return not (alone and path.suffix == ".json")


def _lines(path: Path) -> Iterator[RawRow]:
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(files.MAX_TRAJECTORY_BYTES):
                number += 1
                if not line.endswith(b"\n") and len(line) == files.MAX_TRAJECTORY_BYTES:
                    yield RawRow(path, number, left=LeftOut(Reason.TOO_LARGE, f"line {number}"))
                    _skip_line(file)
                elif line.strip():
                    yield _row(path, number, line)
    except OSError as error:
        raise UnreadableSource(f"{path} cannot be read: {error.strerror}") from error


def _skip_line(file: Any) -> None:
    while (rest := file.readline(1 << 20)) and not rest.endswith(b"\n"):
        continue


def _row(path: Path, number: int, line: bytes) -> RawRow:
    try:
        document = jsons.loads(line)
    except jsons.BrokenJSON as error:
        return RawRow(path, number, left=LeftOut(Reason.CORRUPT_JSON, f"line {number}: {error}"))
    value = document.value
    bare = {"messages": value} if _is_message_list(value) else value
    return RawRow(path, number, bare, repaired=document.repaired)


def _is_message_list(value: Any) -> bool:
    """Whether a value is the messages of one conversation, with no row around them."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, dict) and isinstance(item.get("role"), str) for item in value)
        and any("content" in item or "tool_calls" in item for item in value)
    )


def _array(path: Path) -> Iterator[RawRow]:
    try:
        document = jsons.loads(
            files.read(path, root=path.parent.resolve() if not path.is_symlink() else Path("/"))
        )
    except LeftOut as left:
        if left.reason == Reason.TOO_LARGE:
            raise BadRequest(
                f"{path}: {left.detail}; write it as JSONL, which is read line by line"
            ) from left
        raise UnreadableSource(f"{path}: {left.detail}") from left
    except jsons.BrokenJSON as error:
        raise BadData(
            f"{path} is no JSON: {error}; one broken character spoils a JSON array, JSONL loses one line"
        ) from error
    value = document.value
    wrapped = next((value[key] for key in ("data", "rows") if isinstance(value, dict) and key in value), None)
    if _is_message_list(value):
        value = {"messages": value}
    items = wrapped if isinstance(wrapped, list) else value if isinstance(value, list) else [value]
    for number, item in enumerate(items, 1):
        yield RawRow(path, number, item, repaired=document.repaired)


def _parquet(path: Path) -> Iterator[RawRow]:
    try:
        import pyarrow.parquet  # noqa: PLC0415 - a second, and only for this
    except ModuleNotFoundError as error:
        raise BadRequest(f"{path}: reading Parquet needs pyarrow: pip install 'sftrun[parquet]'") from error
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=_PARQUET_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield RawRow(path, number, row)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise BadData(f"{path} cannot be read as Parquet: {error}") from error


def _refuse_all_broken(paths: list[Path], field: str) -> None:
    for path in paths:
        for raw in raw_rows(path):
            detail = raw.left.detail if raw.left else f"row {raw.number} is no object"
            raise BadData(f"{field}.paths: {path} holds no row that can be read; {detail}")
    raise files.nothing_in(paths[0], field=f"{field}.paths")
