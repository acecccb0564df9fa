"""What becomes of each turn of a trajectory, and why: the conversion of a single one, watched.

The turns are marked before they are checked, by nothing that the checks could see, and looked for afterwards.
What is not found again was joined with another or left out, and its neighbours tell which.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal

from sftrun_data import checks, raw_conversations, selections
from sftrun_data.conversations import Conversation, Provenance, Role, Turn
from sftrun_data.defaults import defaults_of
from sftrun_data.exclusions import SENTENCES, LeftOut, Note, Reason
from sftrun_data.families import family_of
from sftrun_data.openings import open_source
from sftrun_data.outcomes import MISREAD, Loss, Recipe, outcome_of
from sftrun_data.requests import ConversionRequest
from sftrun_data.selections import Selection
from sftrun_data.sources import Source, Unit

Fate = Literal["trained", "seen", "prompt", "joined", "left out", "not used"]
_REFUSED = "<tool_use_error>"


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnAccount:
    """What became of a turn."""

    number: int
    """From 1, as the log has them."""
    role: Role
    text: str
    reasoning: str
    calls: tuple[str, ...]
    fate: Fate
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationAccount:
    """What became of one of the histories in a trajectory."""

    provenance: Provenance
    reason: str
    """Why there is no record of it; empty for one that is kept."""
    detail: str
    notes: tuple[str, ...]
    turns: tuple[TurnAccount, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What became of a trajectory."""

    source: str
    where: str
    trial: str
    instance: str
    rewards: tuple[tuple[str, float], ...]
    reason: str
    """Why it was not read, or could not be read to its end; empty otherwise."""
    detail: str
    conversations: tuple[ConversationAccount, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Marked(Turn):
    origin: int = 0


def explain(request: ConversionRequest, trial: str) -> list[Account]:
    """Returns what becomes of every trajectory that is called so, or whose task is.

    Rules that compare trajectories (duplicates, `maxInstances`, the validation split) are not asked.
    Raises `errors.DataError` like a conversion.
    """
    found = []
    kinds = (("sources", request.sources), ("dataset.validation.sources", request.validation_sources))
    for kind, wanted in kinds:
        for number, source_request in enumerate(wanted):
            field = f"{kind}[{number}]"
            source = open_source(source_request, workspace=request.workspace, field=field).source
            for unit in source.units(seed=request.seed):
                if trial in (unit.candidate.name, unit.candidate.instance):
                    found.append(_account(source, unit, request))
    return found


def names_like(request: ConversionRequest, *, most: int = 2000) -> list[str]:
    """Returns the names of the first trajectories, to choose from. Raises `errors.DataError`."""
    names: list[str] = []
    for number, source_request in enumerate(request.sources):
        opened = open_source(source_request, workspace=request.workspace, field=f"sources[{number}]")
        names += [unit.candidate.name for unit in islice(opened.source.units(seed=request.seed), most)]
    return names


def _account(source: Source, unit: Unit, request: ConversionRequest) -> Account:
    options = source.request.options
    recipe = Recipe(
        options=options, family=family_of(request.template), defaults=defaults_of(options, field=source.field)
    )
    candidate = unit.candidate
    reason, detail = "", ""
    conversations: list[ConversationAccount] = []
    try:
        Selection(options, selections.excluded_repos(options, field=source.field)).judge(candidate)
        losses = {item.item: item for item in outcome_of(unit, recipe) if isinstance(item, Loss)}
        conversations = [_conversation(item, recipe, losses) for item in _conversations(unit)]
        if candidate.name in losses and not any(
            item.provenance.id == candidate.name for item in conversations
        ):
            reason, detail = losses[candidate.name].reason, losses[candidate.name].detail
    except LeftOut as left:
        reason, detail = left.reason, left.detail
    return Account(
        source=source.request.name,
        where=source.where,
        trial=candidate.name,
        instance=candidate.instance,
        rewards=tuple(candidate.rewards.items()),
        reason=str(reason),
        detail=detail,
        conversations=tuple(conversations),
    )


def _conversations(unit: Unit) -> Iterator[Conversation]:
    for part in unit.parts:
        try:
            yield from map(raw_conversations.whole, part())
        except (LeftOut, *MISREAD):
            continue  # a loss of the outcome's


def _conversation(conversation: Conversation, recipe: Recipe, losses: dict[str, Loss]) -> ConversationAccount:
    marked = replace(
        conversation,
        turns=tuple(_marked(turn, number) for number, turn in enumerate(conversation.turns, 1)),
    )
    loss = losses.get(conversation.provenance.id)
    reason, detail = (str(loss.reason), loss.detail) if loss else ("", "")
    notes: frozenset[str] = conversation.notes
    try:
        checked = checks.checked(
            marked,
            reasoning=recipe.options.reasoning,
            samples=recipe.options.samples,
            system=recipe.defaults.system,
        ).conversation
        turns, notes = _fates(marked.turns, checked.turns), checked.notes
        lost = _lost_samples(checked, losses) if recipe.options.samples == "PerTurn" else {}
        turns = tuple(lost.get(turn.number, turn) for turn in turns)
    except LeftOut as left:
        reason, detail = str(left.reason), left.detail
        turns = tuple(_told(turn, "not used") for turn in marked.turns if isinstance(turn, _Marked))
    if reason:
        turns = tuple(replace(turn, fate="not used") for turn in turns)
    return ConversationAccount(
        provenance=conversation.provenance,
        reason=reason,
        detail=detail,
        notes=tuple(sorted(notes)),
        turns=turns,
    )


def _lost_samples(checked: Conversation, losses: dict[str, Loss]) -> dict[int, TurnAccount]:
    """Returns the answers that are no sample of their own, by their numbers in the log."""
    lost: dict[int, TurnAccount] = {}
    answers = (turn for turn in checked.turns if turn.role == "assistant")
    for number, turn in enumerate(answers, 1):
        loss = losses.get(replace(checked.provenance, turn=number).id)
        if loss and isinstance(turn, _Marked):
            why = f"{loss.reason}; {loss.detail}" if loss.detail else str(loss.reason)
            lost[turn.origin] = _told(turn, "seen", f"no sample of its own: {why}")
    return lost


def _marked(turn: Turn, number: int) -> _Marked:
    values: dict[str, Any] = {name: getattr(turn, name) for name in Turn.__dataclass_fields__}
    return _Marked(**values, origin=number)


def _fates(before: Sequence[Turn], after: Sequence[Turn]) -> tuple[TurnAccount, ...]:
    survivors = {turn.origin: turn for turn in after if isinstance(turn, _Marked)}
    answers = [number for number, turn in survivors.items() if turn.role == "assistant"]
    return tuple(
        _survived(turn, survivors[turn.origin])
        if turn.origin in survivors
        else _lost(turn, survivors, last_answer=max(answers, default=0))
        for turn in before
        if isinstance(turn, _Marked)
    )


def _survived(turn: _Marked, kept: Turn) -> TurnAccount:
    if turn.role != "assistant":
        return _told(turn, "seen")
    if kept.untrained:
        return _told(turn, "seen", "the model did not give it behind the turns before it")
    remarks = []
    if turn.reasoning and not kept.reasoning:
        remarks.append("without its thought (conversation.reasoning Drop)")
    elif kept.reasoning and not turn.reasoning:
        remarks.append("the thought at the beginning of its text is its reasoning")
    if len(kept.calls) < len(turn.calls):
        remarks.append("without the calls that the scaffold refused")
    return _told(turn, "trained", "; ".join(remarks))


def _lost(turn: _Marked, survivors: dict[int, _Marked], *, last_answer: int) -> TurnAccount:
    if turn.role == "system":
        leading = not any(
            number < turn.origin for number in survivors if survivors[number].role == "assistant"
        )
        return _told(turn, "prompt") if leading else _left_out(turn, Note.SYSTEM_STEP_DROPPED)
    if turn.role == "tool" and turn.text.lstrip().startswith(_REFUSED):
        return _told(turn, "left out", "the scaffold refused the call")
    if turn.origin > last_answer:
        return _left_out(turn, Note.TAIL_DROPPED)
    if turn.role == "tool":
        return _left_out(turn, Note.RESULTS_UNPAIRED)
    if turn.role == "assistant" and turn.calls:
        return _told(turn, "left out", "the scaffold refused all of its calls")
    following = min((number for number in survivors if number > turn.origin), default=0)
    return _told(turn, "joined", f"with turn {following}: pieces of one answer")


def _left_out(turn: _Marked, note: Note) -> TurnAccount:
    return _told(turn, "left out", SENTENCES[note])


def _told(turn: _Marked, fate: Fate, why: str = "") -> TurnAccount:
    return TurnAccount(
        number=turn.origin,
        role=turn.role,
        text=turn.text,
        reasoning=turn.reasoning,
        calls=tuple(call.name for call in turn.calls),
        fate=fate,
        why=why,
    )


def sentence_of(reason: str) -> str:
    """Returns what a reason means."""
    return SENTENCES.get(Reason(reason), "")
