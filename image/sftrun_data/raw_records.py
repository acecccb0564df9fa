"""Records of conversations whose texts are left as JSON: the bytes that the long way gives, pasted
together.

Only what is usual is done here: a task, an answer, its results, an answer. Whatever the long way would
repair, note, refuse or break up is `None` here, and goes that way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import orjson

from sftrun_data import figures, im_records, jsons, lf_records, literals, raw_texts, scores, tools
from sftrun_data.exclusions import Note
from sftrun_data.families import Family
from sftrun_data.figures import Shape
from sftrun_data.literals import Literals
from sftrun_data.raw_conversations import RawConversation, RawTurn
from sftrun_data.raw_messages import BEFORE_FIRST, Marks, Messages, within
from sftrun_data.raw_texts import Markers, Unusual
from sftrun_data.requests import ReasoningPolicy
from sftrun_data.scores import Score

_UNUSUAL = ("<think>", "<tool_use_error>")
"""Where these stand in a text, a thought may have to be lifted out of it, or a call left out."""
_OTHER_FORMATS = frozenset({"mistral", "glm4"})
"""Tool formats that spell results or calls in their own way."""


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A record, and what is counted of it."""

    im: bytes
    lf: bytes
    shape: Shape
    score: Score
    notes: frozenset[str]


def record_of(
    conversation: RawConversation, *, family: Family, policy: ReasoningPolicy, system: str
) -> RawRecord | None:
    """Returns the record of a conversation, None where something of it is unusual. `system` is the prompt for
    logs that hold none."""
    style = _style_of(family)
    if style is None or policy != "Keep" or any(map(style.markers.are_in, conversation.searched)):
        return None
    try:
        return _record(conversation, style, system)
    except (Unusual, *raw_texts.UNREADABLE):
        return None


@dataclass(frozen=True, slots=True)
class _Style:
    """How a family's records are pasted together."""

    family: Family
    markers: Markers
    marks: Marks


@cache
def _style_of(family: Family) -> _Style | None:
    """Returns how a family's records are pasted together, None if they cannot be."""
    marks = [*family.markers, *(mark.strip() for mark in family.thought), *family.tool_call, *_UNUSUAL]
    markers = Markers.of([*marks, *(literals.MEDIA if family.multimodal else ())])
    if markers is None or family.folded or family.tool_format in _OTHER_FORMATS:
        return None
    return _Style(
        family=family,
        markers=markers,
        marks=Marks(
            thought=(within(family.thought[0]), within(family.thought[1])),
            tool_call=(within(family.tool_call[0]), within(family.tool_call[1])),
            gap=within(lf_records.gap_before_calls(family)),
            results_join=within(family.results_join),
        ),
    )


def _record(conversation: RawConversation, style: _Style, system: str) -> RawRecord:
    prompt, turns = _divided(conversation.turns, system)
    written = Messages(style.marks)
    written.take(turns)
    frame, cleaner = conversation.frame, Literals(style.family)
    definitions = tools.for_template(frame.tools, tool_format=style.family.tool_format)
    lf_tools = jsons.dumps(definitions) if definitions else ""
    tools_spelt = orjson.dumps(lf_tools)
    if style.markers.are_in(tools_spelt):
        lf_tools = cleaner.heard(lf_tools)
        tools_spelt = orjson.dumps(lf_tools)
    lf_system = cleaner.heard(prompt)
    before = b'{"id":%b,"messages":[' % orjson.dumps(frame.provenance.id)
    behind = b'}],"system":%b,"tools":%b}\n' % (orjson.dumps(lf_system), tools_spelt)
    # Pieces are thousands: what stands around them is put into their list, not they beside it.
    written.lf[:1] = (before, bytes(written.lf[0]).removeprefix(BEFORE_FIRST))
    written.lf.append(behind)
    lf = b"".join(written.lf)
    score = scores.score_of_counts(
        frame,
        called=written.called,
        num_failed=written.num_failed,
        num_repairs=0,
        calls_at_end=written.calls_at_end,
    )
    head = im_records.head_of(
        frame, score=score, rounds=written.num_answers, acts=bool(written.called or frame.agent)
    )
    opening = orjson.dumps({"role": "system", "content": prompt})[:-1]
    written.im[:0] = (orjson.dumps(head)[:-1], b',"messages":[', opening)
    written.im.append(b"}]}\n")
    counted = style.family.reasoning
    return RawRecord(
        im=b"".join(written.im),
        lf=lf,
        shape=Shape(
            turns=written.num_answers,
            empty_thoughts=written.num_answers - written.num_thoughts if counted else 0,
            tokens=figures.estimated_tokens(lf),
            thoughts=written.num_thoughts,
            calls=figures.counted_calls(written.called),
        ),
        score=score,
        notes=frame.notes | ({Note.LITERAL_MARKUP} if cleaner.broken else frozenset()),
    )


def _divided(turns: Sequence[RawTurn], system: str) -> tuple[str, list[RawTurn]]:
    """Returns the prompt, and the turns that are trained or seen behind it: what comes after the last answer
    is neither."""
    prompts: list[str] = []
    others: list[RawTurn] = []
    end = users = 0
    for turn in turns:
        if turn.role == "system":
            if end:
                raise Unusual
            prompts.append(orjson.loads(turn.text))
            continue
        others.append(turn)
        if turn.role == "assistant":
            end, users = len(others), 0
        elif turn.role == "user":
            users += 1
        elif not end or users:
            raise Unusual  # a result that answers no call
    if not end or users > 1:
        raise Unusual
    if end < len(others) and others[end].role == "tool" and not others[end - 1].calls:
        raise Unusual
    return "\n\n".join(filter(None, prompts)) or system, others[:end]
