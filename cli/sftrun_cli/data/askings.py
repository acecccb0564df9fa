"""What a command line asks of a conversion, as the same request that a run's spec makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sftrun_api import judgements
from sftrun_cli import runs_in_files
from sftrun_cli.errors import CommandError
from sftrun_cli.exit_codes import ExitCode
from sftrun_data import jobs, rows, sources, specs
from sftrun_data.errors import EmptyJob, UnknownFormat
from sftrun_data.requests import (
    ConversionOptions,
    ConversionRequest,
    FilesInput,
    HarborJobInput,
    SourceRequest,
)

_ROW_SUFFIXES = frozenset({".parquet"})


def of_run(
    path: str, *, name: str | None, workspace: Path, out: Path, model: Path | None, changes: Mapping[str, Any]
) -> tuple[ConversionRequest, int | None]:
    """Returns what an SFTRun in a file asks, with the command line's `changes`, and its cutoff in tokens.

    Relative paths start in `workspace`; records go to `out`.
    Raises CommandError for a file that holds no valid SFTRun.
    """
    document = runs_in_files.one_run(path, name=name)
    spec = document.value.get("spec") if isinstance(document.value, dict) else None
    judged = judgements.judge_spec(spec)
    if judged.spec is None:
        told = "\n  ".join(each.sentence for each in judged.refusals)
        raise CommandError(f"{path}: this run would be refused:\n  {told}", code=ExitCode.USAGE)
    dataset = judged.spec.dataset
    request = specs.request_from(
        judged.spec,
        workspace=workspace,
        dataset_name=(dataset.name if dataset else None) or runs_in_files.name_of(document) or "data",
        model_path=model,
    )
    return with_changes(replace(request, workspace=out), changes), judged.spec.training.cutoff_len


def of_paths(
    paths: list[Path],
    *,
    scaffold: str,
    file_format: str,
    columns: Mapping[str, str],
    tags: Mapping[str, str],
    out: Path,
    template: str,
    model: Path | None,
    changes: Mapping[str, Any],
) -> ConversionRequest:
    """Returns what paths and options ask: a source each.

    Raises `sftrun_data.errors.DataError` for a path that holds nothing known.
    """
    rows_asked = file_format != "Auto" or bool(columns) or bool(tags) or changes["stage"] not in (None, "sft")
    given = FilesInput(paths=(), format=file_format, columns=columns, tags=tags)
    return with_changes(
        ConversionRequest(
            workspace=out,
            dataset_name=_name_of(paths[0]),
            template=template,
            sources=tuple(
                SourceRequest(
                    name=f"source-{number}",
                    input=_input(path.absolute(), scaffold, given, rows_asked=rows_asked),
                )
                for number, path in enumerate(paths, 1)
            ),
            model_path=model,
        ),
        changes,
    )


def with_changes(request: ConversionRequest, changes: Mapping[str, Any]) -> ConversionRequest:
    """Returns the request with options that were given on the command line; `None` leaves one as it is."""
    given = {key: value for key, value in changes.items() if value is not None}
    options = {key: given.pop(key) for key in tuple(given) if key in ConversionOptions.__dataclass_fields__}

    stage = given.pop("stage", None)

    def changed(source: SourceRequest) -> SourceRequest:
        return replace(source, options=replace(source.options, **options), stage=stage or source.stage)

    return replace(
        request,
        **given,
        sources=tuple(map(changed, request.sources)),
        validation_sources=tuple(map(changed, request.validation_sources)),
    )


def pairs(texts: list[str], *, option: str) -> dict[str, str]:
    """Returns `OURS=THEIRS` texts as a mapping. Raises CommandError."""
    found: dict[str, str] = {}
    for text in texts:
        ours, mark, theirs = text.partition("=")
        if not (ours and mark and theirs):
            raise CommandError(
                f"{option} {text!r}: write NAME=NAME, LLaMA-Factory's name before the data's own",
                code=ExitCode.USAGE,
            )
        found[ours] = theirs
    return found


def _input(path: Path, scaffold: str, given: FilesInput, *, rows_asked: bool) -> HarborJobInput | FilesInput:
    """Logs where they are logs of a known scaffold, rows otherwise."""
    as_logs, as_rows = HarborJobInput(path=path, scaffold=scaffold), replace(given, paths=(path,))
    if rows_asked or path.suffix in _ROW_SUFFIXES:
        return as_rows
    if scaffold != "Auto" or (path.is_dir() and (jobs.is_trial(path) or jobs.is_job(path))):
        return as_logs
    try:
        sources.open_logs(SourceRequest(name="", input=as_logs), as_logs, field="JOB")
    except (EmptyJob, UnknownFormat):
        return as_rows if _are_rows(as_rows) else as_logs
    return as_logs


def _are_rows(asked: FilesInput) -> bool:
    try:
        rows.open_rows(SourceRequest(name="", input=asked), asked, field="JOB")
    except EmptyJob:
        return False
    except UnknownFormat as error:
        if asked.paths[0].suffix not in rows.SUFFIXES:
            return False
        seen = error.message.partition(": ")[2].partition("; ")[0]
        raise UnknownFormat(
            f"{asked.paths[0]} is no log that is read here; read as rows, {seen}. Of rows name --format and, "
            "where columns are called otherwise, --column OURS=THEIRS; pairs of answers need --stage dpo, "
            "labelled answers --stage kto. Of a log name --scaffold"
        ) from error
    return True


def _name_of(path: Path) -> str:
    name = path.resolve().name.partition(".")[0]
    kept = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name).strip("-_")
    return kept or "data"
