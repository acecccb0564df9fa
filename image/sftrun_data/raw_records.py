"""Records of conversations whose texts are left as JSON: the bytes that the long way gives, pasted
together.

Only what is usual is done here: a task, an answer, its results, an answer. Whatever the long way would
repair, note, refuse or break up is `None` here, and goes that way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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

# Each ends the message before it, of which there always is one: a prompt's, or what is taken off again.
_IM_SAID = b'},{"role":"user","content":'
_IM_RESULT, _IM_RESULT_TEXT = b'},{"role":"tool","tool_call_id":', b',"content":'
_IM_ANSWER, _IM_REASONING = b'},{"role":"assistant","content":', b',"reasoning_content":'
_IM_CALLS, _IM_CALL_NAME = b',"tool_calls":[{"id":', b',"type":"function","function":{"name":'
_IM_CALL_ARGUMENTS, _IM_CALL_END, _IM_NEXT_CALL = b',"arguments":"', b'"}}', b',{"id":'
_LF_SAID, _LF_OBSERVED = b'},{"role":"user","content":', b'},{"role":"observation","content":'
_LF_ANSWER, _LF_FUNCTION = b'},{"role":"assistant","content":', b'},{"role":"function","content":'
_NO_MESSAGE = b"},"
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
    thinks: bytes
    """How a message with a thought and calls begins."""
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
        thinks=_LF_FUNCTION + b'"' + _within(family.thought[0]),
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
    lf_tools = jsons.dumps(definitions) if definitions else ""
    if style.markers.are_in(orjson.dumps(lf_tools)):
        lf_tools = cleaner.heard(lf_tools)
    lf_system = cleaner.heard(prompt)
    before = b'{"id":%b,"messages":[' % orjson.dumps(frame.provenance.id)
    behind = b'}],"system":%b,"tools":%b}\n' % (orjson.dumps(lf_system), orjson.dumps(lf_tools))
    written.lf[0] = written.lf[0].removeprefix(_NO_MESSAGE)
    lf = b"".join((before, *written.lf, behind))
    around = raw_texts.num_bytes(before) + raw_texts.num_bytes(behind) + written.lf_around - len(_NO_MESSAGE)
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
                orjson.dumps({"role": "system", "content": prompt})[:-1],
                *written.im,
                b"}]}\n",
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
    """The messages of both records, in pieces, all but the end of the last one."""

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
    _arguments: Iterator[bytes] = field(default_factory=lambda: iter(()))
    """Those of all calls, as they are spelt within a string."""
    _names: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)

    def take(self, turns: Sequence[RawTurn]) -> None:
        """Takes in all turns; the last one is an answer. Raises Unusual."""
        arguments = [call.arguments for turn in turns for call in turn.calls]
        self._arguments = iter(raw_texts.within_strings(arguments))
        said: list[RawTurn] = []
        results: list[RawTurn] = []
        calls: tuple[RawCall, ...] = ()
        for turn in turns:
            role = turn.role
            if role == "tool":
                results.append(turn)
            elif role == "user":
                said.append(turn)
            else:
                if results or calls:
                    self._observe(calls, results, said)
                    results = []
                elif said:
                    self._hear(said)
                else:
                    raise Unusual
                if said:
                    said = []
                calls = turn.calls
                if calls:
                    self._act(turn, calls)
                else:
                    self._speak(turn)
        self.calls_at_end = bool(calls)

    def _hear(self, said: list[RawTurn]) -> None:
        for turn in said:
            if _TURN_NUMBER in turn.text:
                raise Unusual
            self.im += (_IM_SAID, turn.text)
        self.lf += (_LF_SAID, b'"', _JOIN.join([turn.text[1:-1] for turn in said]), b'"')
        self.lf_around += len(_LF_SAID) + len(EMPTY)

    def _observe(self, calls: tuple[RawCall, ...], results: list[RawTurn], said: list[RawTurn]) -> None:
        if not results or not calls:
            raise Unusual
        if len(results) > 1:
            results = _in_order_of_calls(calls, results)
        for turn in results:
            if turn.call_id == EMPTY:
                raise Unusual
            if turn.is_error:
                self.num_failed += 1
            self.im += (_IM_RESULT, turn.call_id, _IM_RESULT_TEXT, turn.text)
        self.lf_around += len(_LF_OBSERVED) + len(EMPTY)
        if len(results) == 1 and not said:
            self.lf += (_LF_OBSERVED, results[0].text)
            return
        observed = self.style.results_join.join([turn.text[1:-1] for turn in results])
        self.lf += (_LF_OBSERVED, b'"', observed)
        if said:
            self.im += [piece for turn in said for piece in (_IM_SAID, turn.text)]
            if words := _JOIN.join([turn.text[1:-1] for turn in said]):
                self.lf += (_JOIN, words)
        self.lf.append(b'"')

    def _speak(self, turn: RawTurn) -> None:
        """Takes an answer without calls."""
        text, reasoning = turn.text, turn.reasoning
        if _is_blank(text):
            raise Unusual
        self.num_answers += 1
        self.im += (_IM_ANSWER, text, _IM_REASONING, reasoning)
        self.lf_around += len(_LF_ANSWER) + len(EMPTY)
        if reasoning == EMPTY:
            self.lf += (_LF_ANSWER, text)
            return
        self.num_thoughts += 1
        opening, closing = self.style.thought
        self.lf += (_LF_ANSWER, b'"', opening, reasoning[1:-1], closing, text[1:])

    def _act(self, turn: RawTurn, calls: tuple[RawCall, ...]) -> None:
        """Takes an answer with calls."""
        text, reasoning, style = turn.text, turn.reasoning, self.style
        self.num_answers += 1
        self.im += (_IM_ANSWER, text, _IM_REASONING, reasoning)
        written = self._calls(calls)
        self.lf_around += len(_LF_FUNCTION) + len(EMPTY)
        if reasoning != EMPTY:
            self.num_thoughts += 1
            self.lf += (style.thinks, reasoning[1:-1], style.thought[1])
        else:
            self.lf += (_LF_FUNCTION, b'"')
        if text != EMPTY:
            self.lf += (text[1:-1], style.gap, style.tool_call[0], *written, style.tool_call[1], b'"')
        elif reasoning != EMPTY:
            self.lf += (style.tool_call[0], *written, style.tool_call[1], b'"')
        else:
            self.lf += (*written, b'"')

    def _calls(self, calls: tuple[RawCall, ...]) -> list[bytes]:
        """Returns calls as the templates' formatters read them."""
        written: list[bytes] = []
        piece = _IM_CALLS
        for call in calls:
            if call.id == EMPTY:
                raise Unusual
            name = call.name
            known = self._names.get(name) or self._known(name)
            arguments = next(self._arguments)
            self.called.append(name)
            self.im += (piece, call.id, known[0], arguments, _IM_CALL_END)
            piece = _IM_NEXT_CALL
            written += (known[1], arguments, b"}")
        self.im.append(b"]")
        if len(calls) == 1:
            return written
        each = [b"".join(written[index : index + 3]) for index in range(0, len(written), 3)]
        return [b"[", b", ".join(each), b"]"]

    def _known(self, name: str) -> tuple[bytes, bytes]:
        """Returns what stands around the name of a tool, in either record."""
        beginning = _within(f'{{"name": {jsons.dumps(name)}, "arguments": ')
        known = _IM_CALL_NAME + orjson.dumps(name) + _IM_CALL_ARGUMENTS, beginning
        self._names[name] = known
        return known


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
