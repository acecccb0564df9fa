"""One source, from its units to records in the draft: select, have them converted, number, write, count.

Units are converted in any process; what depends on the ones before them (duplicates, the limit of instances,
the order of the records) is settled here, in their order. So the records are the same however many processes
there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from sftrun_data import splits
from sftrun_data.drafts import Draft, Entry
from sftrun_data.exclusions import LeftOut, Reason
from sftrun_data.outcomes import End, Item, Loss, Recipe, Record, outcomes_of, shelved_outcomes_of
from sftrun_data.pools import Errand, Task
from sftrun_data.records import Line
from sftrun_data.selections import Selection
from sftrun_data.sources import Source, Unit
from sftrun_data.tallies import Tally


@dataclass(frozen=True, slots=True)
class _Judged:
    """A unit, and why it is not wanted or what is to be noted of it."""

    unit: Unit
    verdict: LeftOut | frozenset[str]


_OVERTAKEN = LeftOut(Reason.OVER_INSTANCE_LIMIT)
"""Of a unit that was wanted when it was given out, and is no more."""


@dataclass(slots=True, kw_only=True)
class Pipeline:
    """The way of one source's trajectories. Holds a few of them at a time, and a short hash of each before
    them."""

    source: Source
    number: int
    recipe: Recipe
    selection: Selection
    seed: int
    draft: Draft
    tally: Tally
    seen: set[bytes]
    """Of all sources: what is trained from one is a duplicate in the next."""
    held_out: frozenset[str]
    """Instances of the validation sources."""
    instances: set[str] = field(default_factory=set)
    _kept: list[bytes] = field(default_factory=list)
    """Fingerprints of the records, where a limit will take some of them back."""
    _neutral: Line = b""
    """The neutral record of a trajectory whose samples so far were all duplicates."""

    def tasks(
        self,
        *,
        batch: int,
        portable: bool,
        on_unit: Callable[[], None],
        on_read: Callable[[Mapping[str, str]], None],
    ) -> Iterator[Task]:
        """Yields the conversion of the source as tasks of so many units each; `portable` ones may be done in
        another process. `on_read` is told which files were read from beginning to end, with their digests."""
        for judged in self._batches(batch):
            wanted = [item.unit for item in judged if not isinstance(item.verdict, LeftOut)]
            settlement = _Settlement(self, iter(judged), on_unit, on_read)
            yield Task(
                work=partial(outcomes_of, wanted, self.recipe) if wanted else None,
                abroad=partial(shelved_outcomes_of, wanted, self.recipe),
                take=settlement.take,
                end=settlement.end,
                portable=portable,
            )

    def _batches(self, size: int) -> Iterator[list[_Judged]]:
        batch: list[_Judged] = []
        for unit in self.source.units(seed=self.seed):
            batch.append(_Judged(unit, self._verdict(unit)))
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch

    def _verdict(self, unit: Unit) -> LeftOut | frozenset[str]:
        try:
            notes = self.selection.judge(unit.candidate) | unit.notes
            self.check_place(unit)
        except LeftOut as left:
            return left
        return notes

    def check_place(self, unit: Unit) -> None:
        """Raises LeftOut for a unit that is not wanted after those before it."""
        instance = unit.candidate.instance
        if instance in self.held_out:
            raise LeftOut(Reason.HELD_FOR_VALIDATION, instance)
        limit = self.source.request.options.max_instances
        if (
            limit
            and self.source.in_seeded_order
            and instance not in self.instances
            and len(self.instances) >= limit
        ):
            raise LeftOut(Reason.OVER_INSTANCE_LIMIT)

    @property
    def _limited_at_end(self) -> bool:
        return bool(self.source.request.options.max_instances) and not self.source.in_seeded_order

    def forget_beyond_limit(self) -> frozenset[Entry]:
        """Returns the records that `maxInstances` takes back. The same ones in a later source are no copies
        of these.
        """
        if not self._limited_at_end:
            return frozenset()
        own = [entry for entry in self.draft.entries if entry.source == self.number]
        limits = [0] * self.number + [self.source.request.options.max_instances]
        over = splits.over_limit(own, limits, seed=self.seed)
        kept = zip(own, self._kept, strict=True)
        self.seen.difference_update(fingerprint for entry, fingerprint in kept if entry in over)
        return over

    def keep(self, record: Record, unit: Unit) -> bool:
        """Puts a record into the draft; returns False for one that was there before."""
        if record.im:
            self.draft.drop(self._neutral)
        im = record.im or self._neutral
        if record.fingerprint in self.seen:
            self._neutral = im
            self.draft.drop(record.lf)
            self.tally.exclude(Reason.DUPLICATE, record.id)
            return False
        self._neutral = b""
        self.seen.add(record.fingerprint)
        if self._limited_at_end:
            self._kept.append(record.fingerprint)
        self.draft.append(
            source=self.number,
            instance=unit.candidate.instance,
            record_id=record.id,
            im=im,
            lf=record.lf,
            shape=record.shape,
        )
        return True

    def let_go(self, record: Record) -> None:
        """Takes a record that nobody wants any more."""
        self.draft.drop(record.im)
        self.draft.drop(record.lf)

    def close(self) -> None:
        """Is told that a trajectory's last record was taken."""
        self.draft.drop(self._neutral)
        self._neutral = b""


@dataclass(slots=True)
class _Settlement:
    """Takes over what became of a batch of units, one after the other."""

    pipeline: Pipeline
    judged: Iterator[_Judged]
    on_unit: Callable[[], None]
    on_read: Callable[[Mapping[str, str]], None]
    _current: _Judged | None = None
    _collected: set[str] = field(default_factory=set)
    _kept: int = 0

    def take(self, items: Iterable[Item]) -> Errand | None:
        """Takes items of the units in their order; returns what is to be done where they were made."""
        for item in items:
            if self._current is None:
                self._current = self._next_wanted()
            if isinstance(item, End):
                self.on_read(item.read_whole)
                self._close(self._current)
            elif self._current.verdict is _OVERTAKEN:
                if isinstance(item, Record):
                    self.pipeline.let_go(item)
            elif isinstance(item, Loss):
                self.pipeline.tally.exclude(item.reason, item.item, item.detail)
            elif self.pipeline.keep(item, self._current.unit):
                self._collected |= item.notes
                self._kept += 1
        return self.pipeline.draft.errand()

    def end(self) -> None:
        """Counts the units that were not wanted and stand behind all others."""
        for judged in self.judged:
            assert isinstance(judged.verdict, LeftOut)
            self._leave_out(judged, judged.verdict)

    def _next_wanted(self) -> _Judged:
        for judged in self.judged:
            if not isinstance(judged.verdict, LeftOut):
                return self._judged_again(judged)
            self._leave_out(judged, judged.verdict)
        raise AssertionError("there is a wanted unit for each that was converted")

    def _judged_again(self, judged: _Judged) -> _Judged:
        """A unit may no longer be wanted, now that all before it are settled."""
        self.pipeline.tally.num_units += 1
        try:
            self.pipeline.check_place(judged.unit)
        except LeftOut as left:
            self.pipeline.tally.exclude(left.reason, judged.unit.candidate.name, left.detail)
            return _Judged(judged.unit, _OVERTAKEN)
        return judged

    def _close(self, judged: _Judged) -> None:
        self.pipeline.close()
        if self._kept:
            assert not isinstance(judged.verdict, LeftOut)
            self.pipeline.instances.add(judged.unit.candidate.instance)
            self.pipeline.tally.note(judged.verdict | self._collected, judged.unit.candidate.name)
        self._current, self._collected, self._kept = None, set(), 0
        self.on_unit()

    def _leave_out(self, judged: _Judged, left: LeftOut) -> None:
        self.pipeline.tally.num_units += 1
        self.pipeline.tally.exclude(left.reason, judged.unit.candidate.name, left.detail)
        self.on_unit()
