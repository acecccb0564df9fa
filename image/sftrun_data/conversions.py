"""The door: a request in, records on disk and an account of them out.

Nothing is done twice: the output is named by a digest of all that it depends on, and if it is there it is
used. It is
published whole or not at all, its summary last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sftrun_data import digests, drafts, families, figures, memory, pools, selections, splits
from sftrun_data.contents import Contents
from sftrun_data.defaults import defaults_of
from sftrun_data.drafts import Draft, Entry
from sftrun_data.errors import BadData, BadRequest, NoTrajectoriesLeft, SourceChanging
from sftrun_data.exclusions import BROKEN, Reason
from sftrun_data.families import Family
from sftrun_data.layouts import Layout
from sftrun_data.openings import open_source
from sftrun_data.outcomes import Recipe
from sftrun_data.pipelines import Pipeline
from sftrun_data.pools import Pool
from sftrun_data.requests import ConversionRequest, HarborJobInput, SourceRequest
from sftrun_data.results import ConversionResult, LFDataset, SourceRead
from sftrun_data.selections import Selection
from sftrun_data.sources import Source
from sftrun_data.tallies import Tally

OnProgress = Callable[[int, int | None], None]
MAX_TRIES = 3
"""How often a source that changes under our hands is read from the beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """The sources, validation first: what is held back must be known before anything is trained."""

    sources: tuple[Source, ...]
    num_validation: int
    contents: Contents
    revisions: tuple[tuple[str, str], ...]

    @property
    def read(self) -> tuple[SourceRead, ...]:
        """Where what records name is to be looked for."""
        return tuple(
            SourceRead(
                name=source.request.name,
                path=source.where,
                reader=source.reader_id,
                split="validation" if number < self.num_validation else "train",
            )
            for number, source in enumerate(self.sources)
        )


def convert(
    request: ConversionRequest, *, on_progress: OnProgress, workers: int | None = None
) -> ConversionResult:
    """Converts the sources, or finds that it was done already. `on_progress` is called with the number of
    trajectories looked at and, where it is known, of all.

    At most `workers` processes share the work (absent: as many as there are CPUs), as many as the input is
    worth; the records do not depend on it.

    Raises `errors.DataError`; its `final` says whether another try can help.
    """
    if not request.sources:
        raise BadRequest("sources: there is none; name at least one")
    _refuse_unready(request)
    family = families.family_of(
        request.template, special_tokens=families.special_tokens_of(request.model_path)
    )
    for _ in range(MAX_TRIES):
        opened = _open(request)
        with memory.prepared(), pools.pool(workers=workers, size=opened.contents.num_bytes) as pool:
            if found := _found(request, opened, family=family, pool=pool):
                on_progress(found.converted, found.converted)
                datasets = tuple(_renamed(found.datasets, request))
                return replace(found, datasets=datasets, sources=opened.read, reused=True)
            with drafts.drafting(Layout(request.workspace, request.dataset_name, "").folder) as draft:
                with pools.ended(pool):
                    tally = _convert(
                        request, opened, family=family, draft=draft, pool=pool, on_progress=on_progress
                    )
                if opened.contents.unchanged():
                    layout = _layout(request, opened, family=family)
                    return _publish(request, opened, layout, draft=draft, tally=tally)
    raise SourceChanging(
        f"sources: files changed while they were read, {MAX_TRIES} times in a row; wait until the job has "
        "ended, or convert a copy of it"
    )


def _found(
    request: ConversionRequest, opened: _Opened, *, family: Family, pool: Pool
) -> ConversionResult | None:
    """Returns the result of an earlier conversion of the same data. Where none can be, nothing is read."""
    if not Layout(request.workspace, request.dataset_name, "").may_hold(opened.contents.names):
        return None
    for number in range(len(opened.sources)):
        pool.run(opened.contents.tasks(number))
    return _layout(request, opened, family=family).load()


def _layout(request: ConversionRequest, opened: _Opened, *, family: Family) -> Layout:
    digest = digests.digest_of(request, family=family, contents=opened.contents.digests)
    return Layout(request.workspace, request.dataset_name, digest)


def _convert(
    request: ConversionRequest,
    opened: _Opened,
    *,
    family: Family,
    draft: Draft,
    pool: Pool,
    on_progress: OnProgress,
) -> Tally:
    """Fills the draft, and reads the contents along with it if they were not yet. Returns what was left
    out."""
    totals = [source.total for source in opened.sources]
    total = sum(count for count in totals if count is not None) if None not in totals else None
    done = 0

    def on_unit() -> None:
        nonlocal done
        done += 1
        on_progress(done, total)

    tally = Tally()
    seen: set[bytes] = set()
    held_out: frozenset[str] = frozenset()
    over: set[Entry] = set()
    contents, read_before = opened.contents, opened.contents.complete
    for number, source in enumerate(opened.sources):
        if number == opened.num_validation:
            held_out = frozenset(entry.instance for entry in draft.entries if entry not in over)
        options = source.request.options
        pipeline = Pipeline(
            source=source,
            number=number,
            recipe=Recipe(options=options, family=family, defaults=defaults_of(options, field=source.field)),
            selection=Selection(options, selections.excluded_repos(options, field=source.field)),
            seed=request.seed,
            draft=draft,
            tally=Tally(),
            seen=seen,
            held_out=held_out,
        )
        portable = bool(pool.num_workers) and contents.sources[number].portable
        batch = contents.batch(number) if portable else 1
        pool.run(pipeline.tasks(batch=batch, portable=portable, on_unit=on_unit, on_read=contents.learn))
        draft.rest()
        if not read_before:
            pool.run(contents.tasks(number))
        over |= pipeline.forget_beyond_limit()
        _check_not_empty(pipeline)
        tally.merge(pipeline.tally)
    return tally


def _publish(
    request: ConversionRequest, opened: _Opened, layout: Layout, *, draft: Draft, tally: Tally
) -> ConversionResult:
    over = splits.over_limit(draft.entries, [_limit(source) for source in opened.sources], seed=request.seed)
    for entry in draft.entries:
        if entry in over:
            tally.exclude(Reason.OVER_INSTANCE_LIMIT, entry.id)
    kept = [entry for entry in draft.entries if entry not in over]
    held = splits.held_back(kept, fraction=request.validation_fraction, seed=request.seed)

    def dataset_of(entry: Entry) -> tuple[int, bool]:
        return entry.source, entry.source < opened.num_validation or entry.instance in held

    counts: dict[tuple[int, bool], int] = {}
    for entry in kept:
        counts[dataset_of(entry)] = counts.get(dataset_of(entry), 0) + 1
    names = {
        (number, validation): _dataset_name(
            request, source=opened.sources[number].request.name, validation=validation
        )
        for number, validation in counts
    }
    paths = {key: layout.lf_path(name) for key, name in names.items()}
    draft.publish(
        im_path=layout.im_path,
        lf_path_of=lambda entry: None if entry in over else paths[dataset_of(entry)],
    )
    result = ConversionResult(
        digest=layout.digest,
        datasets=tuple(
            LFDataset(
                name=names[key],
                source=opened.sources[key[0]].request.name,
                path=str(paths[key]),
                num_samples=count,
                split="validation" if key[1] else "train",
                weight=opened.sources[key[0]].request.weight,
                stage=opened.sources[key[0]].request.stage,
                samples=opened.sources[key[0]].request.options.samples,
            )
            for key, count in sorted(counts.items(), key=lambda item: (item[0][1], item[0][0]))
        ),
        im_path=str(layout.im_path),
        summary_path=str(layout.summary_path),
        converted=len(kept),
        validation=sum(count for (_, validation), count in counts.items() if validation),
        instances=len({entry.instance for entry in kept}),
        excluded=tally.excluded,
        noted=tally.noted,
        revisions=opened.revisions,
        figures=figures.total(entry.shape for entry in kept),
        sources=opened.read,
    )
    layout.save(result, names=opened.contents.names, draft=draft)
    return result


def _dataset_name(request: ConversionRequest, *, source: str, validation: bool) -> str:
    """Returns the key in `dataset_info.json`: with the source's name where there are several of its kind."""
    kind = (
        request.sources
        if any(source == item.name for item in request.sources)
        else request.validation_sources
    )
    name = f"{request.dataset_name}-{source}" if len(kind) > 1 else request.dataset_name
    return f"{name}-validation" if validation else name


def _renamed(datasets: Iterable[LFDataset], request: ConversionRequest) -> Iterator[LFDataset]:
    """Gives another run's data sets the names that this one's registration knows them by."""
    for item in datasets:
        name = _dataset_name(request, source=item.source, validation=item.split == "validation")
        yield replace(item, name=name)


def _open(request: ConversionRequest) -> _Opened:
    validation = [
        open_source(source, workspace=request.workspace, field=f"dataset.validation.sources[{number}]")
        for number, source in enumerate(request.validation_sources)
    ]
    train = [
        open_source(source, workspace=request.workspace, field=f"sources[{number}]")
        for number, source in enumerate(request.sources)
    ]
    everything = (*validation, *train)
    return _Opened(
        sources=tuple(item.source for item in everything),
        num_validation=len(validation),
        contents=Contents.look(everything),
        revisions=tuple((item.source.request.name, item.revision) for item in everything if item.revision),
    )


def _limit(source: Source) -> int:
    return 0 if source.in_seeded_order else source.request.options.max_instances


def _check_not_empty(pipeline: Pipeline) -> None:
    """Raises EmptyJob, BadData or NoTrajectoriesLeft for a source that gave no record, BadRequest for a list
    of
    repositories that could not have excluded anything."""
    source, tally = pipeline.source, pipeline.tally
    pipeline.selection.check_list_was_of_use(field=f"{source.field.rpartition('.')[0]}.conversion")
    if any(entry.source == pipeline.number for entry in pipeline.draft.entries):
        return
    found = f"{source.field}: no trajectory of {tally.num_units} in {source.where} is left"
    if not tally.num_units:
        raise BadData(f"{source.field}: {source.where} holds no row; is it the right file?")
    if all(item.reason in BROKEN for item in tally.excluded):
        raise BadData(f"{found}, all are broken: {tally.sentence()}; is it the right folder?")
    raise NoTrajectoriesLeft(f"{found}: {tally.sentence()}{_remedy(pipeline)}")


def _remedy(pipeline: Pipeline) -> str:
    conversion = f"{pipeline.source.field.rpartition('.')[0]}.conversion"
    options, best = pipeline.source.request.options, pipeline.selection.best_reward
    if any(item.reason == Reason.LOW_REWARD for item in pipeline.tally.excluded) and best is not None:
        minimum = f"{conversion}.minReward ({options.min_reward:g})"
        return f". The best reward seen is {best:g}: lower {minimum} to keep it"
    return f". See docs/data.md for the rules of {conversion}"


def _refuse_unready(request: ConversionRequest) -> None:
    names = [source.name for source in (*request.sources, *request.validation_sources)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadRequest(f"sources: {', '.join(twice)} is the name of more than one; give each its own")
    for source in (*request.sources, *request.validation_sources):
        _refuse_options(source)


def _refuse_options(source: SourceRequest) -> None:
    if source.stage != "sft" and isinstance(source.input, HarborJobInput):
        raise BadRequest(
            f"{source.name}: training.stage {source.stage} learns from preferences, which a Harbor job does "
            "not hold; use files or huggingFace"
        )
    if source.stage != "sft" and source.options.samples == "PerTurn":
        raise BadRequest(
            f"{source.name}: conversion.samples PerTurn has a meaning only with training.stage sft; of "
            "preferences the last answer alone is learnt from in any case; leave it out"
        )


def paths_of(result: ConversionResult) -> list[Path]:
    """Returns every file that a result names."""
    return [
        Path(result.im_path),
        Path(result.summary_path),
        *(Path(dataset.path) for dataset in result.datasets),
    ]
