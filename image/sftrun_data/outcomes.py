"""What becomes of one trajectory: records, and what was left out with its reason. Pure of everything around
it, so that it may be worked out in any process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import orjson
import xxhash

from sftrun_data import (
    checks,
    figures,
    im_records,
    jsons,
    lf_records,
    raw_records,
    scores,
    tools,
    turn_samples,
)
from sftrun_data.checks import Checked
from sftrun_data.conversations import Conversation
from sftrun_data.exclusions import LeftOut, Note, Reason
from sftrun_data.families import Family
from sftrun_data.lf_records import Rendered
from sftrun_data.prefixes import Prefixes
from sftrun_data.raw_conversations import RawConversation
from sftrun_data.records import End, Line, Loss, Record
from sftrun_data.requests import ConversionOptions
from sftrun_data.scores import Score
from sftrun_data.shelves import SHELF, Shelved
from sftrun_data.sources import Unit

__all__ = [
    "MISREAD", "Defaults", "End", "Item", "Loss", "Outcome", "Recipe", "Record", "outcome_of", "outcomes_of",
]  # fmt: skip

MISREAD = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What a log of a shape that nobody thought of makes its reader raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What a log without them is given."""

    system: str = ""
    tools: tuple[tools.Definition, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How the trajectories of one source are converted."""

    options: ConversionOptions
    family: Family
    defaults: Defaults


Outcome = tuple[Record | Loss, ...]
"""In the order of the log."""
Item = Record | Loss | End
"""In the order of the logs."""

_PIECE_BYTES = 4 * 1024 * 1024


def outcome_of(unit: Unit, recipe: Recipe) -> Outcome:
    """Returns what becomes of one trajectory. A log that a reader was not made for is a loss, never an
    error."""
    return tuple(_Conversion(unit, recipe).items())


def outcomes_of(units: Iterable[Unit], recipe: Recipe) -> Iterator[list[Item]]:
    """Yields what becomes of trajectories, in pieces of a few megabytes: one of them may give many
    records."""
    piece: list[Item] = []
    size = 0
    for unit in units:
        for item in _Conversion(unit, recipe).items():
            if size >= _PIECE_BYTES:  # not behind the last record: its end would be a piece of its own
                yield piece
                piece, size = [], 0
            piece.append(item)
            size += len(item.im) + len(item.lf) if isinstance(item, Record) else 0
        piece.append(End(unit.read_whole))
    yield piece


def shelved_outcomes_of(units: Iterable[Unit], recipe: Recipe) -> Iterator[list[Item]]:
    """Yields what becomes of trajectories, for another process: the lines of the records stay on this one's
    shelf."""
    for piece in outcomes_of(units, recipe):
        yield [_shelved(item) if isinstance(item, Record) else item for item in piece]


def _shelved(record: Record) -> Record:
    return replace(record, im=record.im and _put(record.im), lf=_put(record.lf))


def _put(line: Line) -> Shelved:
    return SHELF.put(line) if isinstance(line, bytes) else line


@dataclass(slots=True)
class _Conversion:
    unit: Unit
    recipe: Recipe
    _trained: set[bytes] = field(default_factory=set)
    """What the unit's records so far train."""
    _prefixes: Prefixes = field(default_factory=Prefixes)
    _first: Record | None = None
    """The first record, as long as it is the only one: nothing is compared with it yet."""
    _is_first: bool = True

    def items(self) -> Iterator[Record | Loss]:
        """Yields records and losses."""
        yield from self._of_parts()
        if self._first:
            yield self._first
        yield from self._prefixes.rest()

    def _of_parts(self) -> Iterator[Record | Loss]:
        for part in self.unit.parts:
            try:
                for conversation in part():
                    yield from self._items(conversation)
            except LeftOut as left:
                yield Loss(reason=left.reason, item=self.unit.candidate.name, detail=left.detail)
            except MISREAD as error:
                yield Loss(
                    reason=Reason.BAD_STRUCTURE,
                    item=self.unit.candidate.name,
                    detail=f"{type(error).__name__}: {error}",
                )

    def _items(self, conversation: Conversation | RawConversation) -> Iterator[Record | Loss]:
        is_first, self._is_first = self._is_first, False
        if self._first:
            first, self._first = self._first, None
            yield from self._compared(first)
        if isinstance(conversation, RawConversation):
            if is_first and self.recipe.options.samples != "PerTurn":
                try:
                    self._first = self._pasted(conversation)
                except LeftOut as left:
                    yield _lost(left, conversation.frame)
                    return
                if self._first:
                    return
            conversation = conversation.whole()
        try:
            checked = self._checked(conversation)
            im = self._neutral(checked)
        except LeftOut as left:
            yield _lost(left, conversation)
            return
        if self.recipe.options.samples == "PerTurn":
            yield from self._samples(checked.conversation, im)
            return
        try:
            yield from self._whole(checked.conversation, im)
        except LeftOut as left:
            yield _lost(left, conversation)

    def _pasted(self, raw: RawConversation) -> Record | None:
        """Returns the record of a conversation whose texts are JSON, None where it is unusual. Raises
        LeftOut."""
        recipe = self.recipe
        if not raw.frame.tools and recipe.defaults.tools:
            raw = replace(raw, frame=replace(raw.frame, tools=recipe.defaults.tools))
        record = raw_records.record_of(
            raw, family=recipe.family, policy=recipe.options.reasoning, system=recipe.defaults.system
        )
        if record is None:
            return None
        self._require(record.score)
        name = raw.frame.provenance.id
        return Record(
            id=name,
            im=record.im,
            lf=record.lf,
            shape=record.shape,
            fingerprint=_fingerprint(name, record.lf),
            notes=record.notes,
        )

    def _compared(self, first: Record) -> Iterator[Record | Loss]:
        """Yields the unit's first record, if it is let go of now that there are others."""
        assert isinstance(first.lf, bytes), "lines are bytes where they are made"
        histories = tuple(figures.histories_of(orjson.loads(first.lf)))
        self._trained.update(histories)
        yield from self._prefixes.take(first, histories, known=False)

    def _whole(self, conversation: Conversation, im: bytes) -> Iterator[Record | Loss]:
        """Yields the record of a conversation, or one that it lets go of. Raises LeftOut."""
        rendered = lf_records.render(conversation, family=self.recipe.family)
        histories = tuple(figures.histories_of(rendered.record)) if not conversation.preference else ()
        known = bool(histories) and histories[-1] in self._trained
        record = self._record(conversation, rendered, im=im, histories=histories)
        if histories:
            yield from self._prefixes.take(record, histories, known=known)
        else:
            yield record

    def _samples(self, conversation: Conversation, im: bytes) -> Iterator[Record | Loss]:
        """Yields a record for each answer. The neutral record is the conversation's: the first one has it."""
        notes: set[str] = set()
        for sample in turn_samples.per_turn(conversation, notes):
            try:
                turn_samples.require_reasoning(sample, self.recipe.options.reasoning)
                rendered = lf_records.render(sample, family=self.recipe.family)
            except LeftOut as left:
                yield _lost(left, sample)
                continue
            record = self._record(sample, rendered, im=im, notes=notes)
            if record.fingerprint not in self._trained:
                self._trained.add(record.fingerprint)
                yield record
                im = b""

    def _checked(self, conversation: Conversation) -> Checked:
        """Returns a conversation in order. Raises LeftOut."""
        options, defaults = self.recipe.options, self.recipe.defaults
        if not conversation.tools and defaults.tools:
            conversation = replace(conversation, tools=defaults.tools)
        return checks.checked(
            conversation, reasoning=options.reasoning, samples=options.samples, system=defaults.system
        )

    def _neutral(self, checked: Checked) -> bytes:
        """Returns the neutral record of a conversation that scores enough. Raises LeftOut."""
        score = scores.score_of(checked)
        self._require(score)
        try:
            return jsons.line(im_records.record_of(checked.conversation, score=score))
        except (ValueError, RecursionError) as error:
            raise LeftOut(Reason.BAD_STRUCTURE, f"a value that is no JSON: {error}") from error

    def _require(self, score: Score) -> None:
        minimum = self.recipe.options.min_score
        if minimum is not None and score.composite < minimum:
            raise LeftOut(Reason.LOW_SCORE, f"{score.composite:g}")

    def _record(
        self,
        sample: Conversation,
        rendered: Rendered,
        *,
        im: bytes,
        histories: Sequence[bytes] = (),
        notes: Iterable[str] = (),
    ) -> Record:
        options = self.recipe.options
        lf = jsons.line(rendered.record)
        literal = {Note.LITERAL_MARKUP} if rendered.literal_markup else frozenset()
        return Record(
            id=rendered.record["id"],
            im=im,
            lf=lf,
            shape=figures.shape_of(
                sample,
                lf,
                family=self.recipe.family,
                policy=options.reasoning,
                histories=histories,
                trained=self._trained,
            ),
            fingerprint=_fingerprint(rendered.record["id"], lf),
            notes=sample.notes | literal | frozenset(notes),
        )


def _lost(left: LeftOut, conversation: Conversation) -> Loss:
    return Loss(reason=left.reason, item=conversation.provenance.id, detail=left.detail)


def _fingerprint(record_id: str, line: bytes) -> bytes:
    """Of all but the id, which a record begins with."""
    head = jsons.line({"id": record_id})[:-2]
    assert line.startswith(head), "a record begins with its id"
    return xxhash.xxh3_128_digest(memoryview(line)[len(head) :])
