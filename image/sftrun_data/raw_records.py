"""Records of conversations whose texts are left as JSON: the bytes that the long way gives, pasted
together.

Only what is usual is done here: a task, an answer, its results, an answer. Whatever the long way would
repair, note, refuse or break up is `None` here, and goes that way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from math import ceil

import orjson

from sftrun_data import figures, im_records, jsons, lf_records, literals, raw_texts, scores, tools
from sftrun_data.exclusions import Note
from sftrun_data.families import Family
from sftrun_data.figures import Shape
from sftrun_data.literals import Literals
from sftrun_data.raw_conversations import RawCall, RawConversation, RawTurn
from sftrun_data.raw_texts import EMPTY, Markers, Unusual
from sftrun_data.requests import ReasoningPolicy
from sftrun_data.scores import Score

_UNUSUAL = ("<think>", "<tool_use_error>")
"""Where these stand in a text, a thought may have to be lifted out of it, or a call left out."""
_TURN_NUMBER = literals.TURN_NUMBER.encode()
_OTHER_FORMATS = frozenset({"mistral", "glm4"})
"""Tool formats that spell results or calls in their own way."""

# Every message but a prompt's follows another one.
_IM_SAID = b',{"role":"user","content":'
_IM_RESULT, _IM_RESULT_TEXT = b',{"role":"tool","tool_call_id":', b',"content":'
_IM_ANSWER, _IM_REASONING = b',{"role":"assistant","content":', b',"reasoning_content":'
_IM_CALLS, _IM_CALL_NAME = b',"tool_calls":[{"id":', b',"type":"function","function":{"name":'
_IM_CALL_ARGUMENTS, _IM_CALL_END, _IM_NEXT_CALL = b',"arguments":"', b'"}}', b',{"id":'
_LF_SAID, _LF_OBSERVED = b',{"role":"user","content":"', b',{"role":"observation","content":"'
_LF_ANSWER, _LF_FUNCTION = b',{"role":"assistant","content":"', b',{"role":"function","content":"'
_LF_END = b'"}'
_JOIN = rb"\n\n"


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
    """A family's marks, as they are spelt within a string of JSON."""

    family: Family
    markers: Markers
    thought: tuple[bytes, bytes]
    tool_call: tuple[bytes, bytes]
    gap: bytes
    results_join: bytes


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
        thought=(_within(family.thought[0]), _within(family.thought[1])),
        tool_call=(_within(family.tool_call[0]), _within(family.tool_call[1])),
        gap=_within(lf_records.gap_before_calls(family)),
        results_join=_within(family.results_join),
    )


def _within(text: str) -> bytes:
    """Returns how a text is spelt within a string of JSON."""
    return orjson.dumps(text)[1:-1]


def _record(conversation: RawConversation, style: _Style, system: str) -> RawRecord:
    prompt, turns = _divided(conversation.turns, system)
    written = _Messages(style)
    written.take(turns)
    frame, cleaner = conversation.frame, Literals(style.family)
    definitions = tools.for_template(frame.tools, tool_format=style.family.tool_format)
    lf_tools = cleaner.heard(jsons.dumps(definitions)) if definitions else ""
    lf_system = cleaner.heard(prompt)
    before = b'{"id":%b,"messages":[' % orjson.dumps(frame.provenance.id)
    behind = b'],"system":%b,"tools":%b}\n' % (orjson.dumps(lf_system), orjson.dumps(lf_tools))
    written.lf[0] = written.lf[0][1:]  # no message is before the first
    lf = b"".join((before, *written.lf, behind))
    around = raw_texts.num_bytes(before) + raw_texts.num_bytes(behind) + written.lf_around - 1
    length = raw_texts.num_bytes(lf) - around + figures.num_bytes(lf_system) + figures.num_bytes(lf_tools)
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
    counted = style.family.reasoning
    return RawRecord(
        im=b"".join(
            (
                orjson.dumps(head)[:-1],
                b',"messages":[',
                orjson.dumps({"role": "system", "content": prompt}),
                *written.im,
                b"]}\n",
            )
        ),
        lf=lf,
        shape=Shape(
            turns=written.num_answers,
            empty_thoughts=written.num_answers - written.num_thoughts if counted else 0,
            tokens=ceil(length / figures.BYTES_A_TOKEN),
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


@dataclass(slots=True)
class _Messages:
    """The messages of both records, in pieces."""

    style: _Style
    im: list[bytes] = field(default_factory=list)
    lf: list[bytes] = field(default_factory=list)
    lf_around: int = 0
    """Bytes of the messages for LLaMA-Factory that are no content."""
    called: list[str] = field(default_factory=list)
    num_answers: int = 0
    num_thoughts: int = 0
    num_failed: int = 0
    calls_at_end: bool = False
    _names: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)

    def take(self, turns: Sequence[RawTurn]) -> None:
        """Takes in all turns; the last one is an answer. Raises Unusual."""
        said: list[RawTurn] = []
        results: list[RawTurn] = []
        calls: tuple[RawCall, ...] = ()
        for turn in turns:
            if turn.role == "tool":
                results.append(turn)
            elif turn.role == "user":
                said.append(turn)
            else:
                if results or calls:
                    self._observe(calls, results, said)
                elif said:
                    self._hear(said)
                else:
                    raise Unusual
                said, results, calls = [], [], turn.calls
                self._speak(turn)
        self.calls_at_end = bool(calls)

    def _hear(self, said: list[RawTurn]) -> None:
        for turn in said:
            if _TURN_NUMBER in turn.text:
                raise Unusual
            self.im += (_IM_SAID, turn.text, b"}")
        self.lf += (_LF_SAID, _JOIN.join([turn.text[1:-1] for turn in said]), _LF_END)
        self.lf_around += len(_LF_SAID) + len(_LF_END)

    def _observe(self, calls: tuple[RawCall, ...], results: list[RawTurn], said: list[RawTurn]) -> None:
        if not results or not calls:
            raise Unusual
        if len(results) > 1:
            results = _in_order_of_calls(calls, results)
        for turn in results:
            if turn.call_id == EMPTY:
                raise Unusual
            self.num_failed += turn.is_error
            self.im += (_IM_RESULT, turn.call_id, _IM_RESULT_TEXT, turn.text, b"}")
        observed = self.style.results_join.join([turn.text[1:-1] for turn in results])
        self.lf += (_LF_OBSERVED, observed)
        if said:
            self.im += [piece for turn in said for piece in (_IM_SAID, turn.text, b"}")]
            if words := _JOIN.join([turn.text[1:-1] for turn in said]):
                self.lf += (_JOIN, words)
        self.lf.append(_LF_END)
        self.lf_around += len(_LF_OBSERVED) + len(_LF_END)

    def _speak(self, turn: RawTurn) -> None:
        text, reasoning = turn.text, turn.reasoning
        self.num_answers += 1
        self.im += (_IM_ANSWER, text, _IM_REASONING, reasoning)
        thought: tuple[bytes, ...] = ()
        if reasoning != EMPTY:
            self.num_thoughts += 1
            thought = (self.style.thought[0], reasoning[1:-1], self.style.thought[1])
        if not turn.calls:
            if _is_blank(text):
                raise Unusual
            self.im.append(b"}")
            self.lf += (_LF_ANSWER, *thought, text[1:-1], _LF_END)
            self.lf_around += len(_LF_ANSWER) + len(_LF_END)
            return
        calls = self._calls(turn.calls)
        self.lf_around += len(_LF_FUNCTION) + len(_LF_END)
        opening, closing = self.style.tool_call
        if text != EMPTY:
            self.lf += (_LF_FUNCTION, *thought, text[1:-1], self.style.gap, opening, calls, closing, _LF_END)
        elif thought:
            self.lf += (_LF_FUNCTION, *thought, opening, calls, closing, _LF_END)
        else:
            self.lf += (_LF_FUNCTION, calls, _LF_END)

    def _calls(self, calls: tuple[RawCall, ...]) -> bytes:
        """Returns calls as the templates' formatters read them."""
        written: list[bytes] = []
        piece = _IM_CALLS
        for call in calls:
            if call.id == EMPTY:
                raise Unusual
            known = self._names.get(call.name)
            if known is None:
                beginning = f'{{"name": {jsons.dumps(call.name)}, "arguments": '
                known = self._names[call.name] = orjson.dumps(call.name), _within(beginning)
            arguments = _within(jsons.dumps(call.arguments))
            self.called.append(call.name)
            self.im += (piece, call.id, _IM_CALL_NAME, known[0], _IM_CALL_ARGUMENTS, arguments, _IM_CALL_END)
            piece = _IM_NEXT_CALL
            written += (known[1], arguments, b"}")
        self.im.append(b"]}")
        if len(calls) == 1:
            return b"".join(written)
        each = [b"".join(written[index : index + 3]) for index in range(0, len(written), 3)]
        return b"[" + b", ".join(each) + b"]"


def _in_order_of_calls(calls: tuple[RawCall, ...], results: list[RawTurn]) -> list[RawTurn]:
    """As `checks` does: equal ids are equal bytes."""
    position = {call.id: index for index, call in enumerate(calls)}
    if not all(result.call_id in position for result in results):
        return results
    return sorted(results, key=lambda result: position[result.call_id])


def _is_blank(text: bytes) -> bool:
    """Whether a string holds nothing but white space."""
    first = text[1]
    if 0x20 < first < 0x7F and first not in rb'"\\':
        return False
    return not orjson.loads(text).strip()
