"""The messages of both records, of turns whose texts are left as JSON: pieces, to be pasted together.

What happens here happens once a turn, and is most of what Python does in a conversion: pieces are as few and
as long as they can be, and what can be counted for all turns at once is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import orjson

from sftrun_data import jsons, literals, raw_texts
from sftrun_data.raw_conversations import RawCall, RawTurn
from sftrun_data.raw_texts import EMPTY, Text, Unusual

_TURN_NUMBER = literals.TURN_NUMBER.encode()

# Each ends the message before it, of which there always is one: a prompt's, or what is taken off again.
_IM_SAID = b'},{"role":"user","content":'
_IM_RESULT, _IM_RESULT_TEXT = b'},{"role":"tool","tool_call_id":', b',"content":'
_IM_ANSWER, _IM_REASONING = b'},{"role":"assistant","content":', b',"reasoning_content":'
_IM_CALLS, _IM_CALL_NAME = b',"tool_calls":[{"id":', b',"type":"function","function":{"name":'
_IM_CALL_ARGUMENTS, _IM_CALL_END, _IM_NEXT_CALL = b',"arguments":"', b'"}}', b',{"id":'
_IM_ONE_CALL_END = _IM_CALL_END + b"]"
_LF_SAID, _LF_OBSERVED = b'},{"role":"user","content":', b'},{"role":"observation","content":'
_LF_ANSWER, _LF_FUNCTION_TEXT = b'},{"role":"assistant","content":', b'},{"role":"function","content":"'
BEFORE_FIRST = b"},"
"""What the first message for LLaMA-Factory begins with, and has nothing to end by."""
_JOIN = rb"\n\n"


def within(text: str) -> bytes:
    """Returns how a text is spelt within a string of JSON."""
    return orjson.dumps(text)[1:-1]


@dataclass(frozen=True, slots=True)
class Marks:
    """A family's marks, as they are spelt within a string of JSON."""

    thought: tuple[bytes, bytes]
    tool_call: tuple[bytes, bytes]
    gap: bytes
    """Between the text and the calls of one turn."""
    results_join: bytes


@dataclass(frozen=True, slots=True)
class _Name:
    """What stands before a call's arguments, for the name of one tool."""

    im: bytes
    lf: bytes
    """Where nothing is said beside it."""
    lf_behind_thought: bytes
    lf_behind_text: bytes


@dataclass(slots=True)
class Messages:
    """The messages of both records, in pieces, all but the end of the last one."""

    marks: Marks
    im: list[Text] = field(default_factory=list)
    lf: list[Text] = field(default_factory=list)
    called: list[str] = field(default_factory=list)
    num_answers: int = 0
    num_thoughts: int = 0
    num_failed: int = 0
    calls_at_end: bool = False
    _arguments: Iterator[bytes] = field(default_factory=lambda: iter(()))
    """Those of all calls, as they are spelt within a string."""
    _names: dict[str, _Name] = field(default_factory=dict)
    _lf_call_end: bytes = b""

    def take(self, turns: Sequence[RawTurn]) -> None:
        """Takes in all turns; the last one is an answer. Raises Unusual."""
        self._count(turns)
        im, lf = self.im, self.lf
        said: list[RawTurn] = []
        results: list[RawTurn] = []
        calls: tuple[RawCall, ...] = ()
        for turn in turns:
            role = turn.role
            if role == "tool":
                results.append(turn)
                continue
            if role == "user":
                said.append(turn)
                continue
            if calls and len(results) == 1 and not said:  # nearly always
                result = results.pop()
                if result.call_id == EMPTY:
                    raise Unusual
                im += (_IM_RESULT, result.call_id, _IM_RESULT_TEXT, result.text)
                lf += (_LF_OBSERVED, result.text)
            elif calls or results:
                self._observe(calls, results, said)
                said, results = [], []
            else:
                self._hear(said)
                said = []
            calls = turn.calls
            if len(calls) == 1:
                self._act(turn, calls[0])
            elif calls:
                self._act_at_once(turn, calls)
            else:
                self._speak(turn)

    def _count(self, turns: Sequence[RawTurn]) -> None:
        answers = [turn for turn in turns if turn.role == "assistant"]
        acts = [turn.calls for turn in answers if turn.calls]
        calls = [call for together in acts for call in together]
        if EMPTY in [call.id for call in calls]:
            raise Unusual
        self._arguments = iter(raw_texts.within_strings([call.arguments for call in calls]))
        self._lf_call_end = b"}" + self.marks.tool_call[1] + b'"'
        self.called = [call.name for call in calls]
        self.num_answers = len(answers)
        self.num_thoughts = len(answers) - [turn.reasoning for turn in answers].count(EMPTY)
        self.num_failed = sum([turn.is_error for turn in turns])
        self.calls_at_end = bool(answers and answers[-1].calls)

    def _hear(self, said: list[RawTurn]) -> None:
        if not said:
            raise Unusual
        for turn in said:
            if _TURN_NUMBER in bytes(turn.text):
                raise Unusual
            self.im += (_IM_SAID, turn.text)
        self.lf += (_LF_SAID, b'"', _JOIN.join([turn.text[1:-1] for turn in said]), b'"')

    def _observe(self, calls: tuple[RawCall, ...], results: list[RawTurn], said: list[RawTurn]) -> None:
        """Takes results, and what the user said behind them."""
        if not results or not calls:
            raise Unusual
        if len(results) > 1:
            results = _in_order_of_calls(calls, results)
        for turn in results:
            if turn.call_id == EMPTY:
                raise Unusual
            self.im += (_IM_RESULT, turn.call_id, _IM_RESULT_TEXT, turn.text)
        self.im += [piece for turn in said for piece in (_IM_SAID, turn.text)]
        observed = self.marks.results_join.join([turn.text[1:-1] for turn in results])
        words = _JOIN.join([turn.text[1:-1] for turn in said])
        self.lf += (_LF_OBSERVED, b'"', observed, _JOIN if words else b"", words, b'"')

    def _speak(self, turn: RawTurn) -> None:
        """Takes an answer without calls."""
        text, reasoning = turn.text, turn.reasoning
        if _is_blank(text):
            raise Unusual
        self.im += (_IM_ANSWER, text, _IM_REASONING, reasoning)
        if reasoning == EMPTY:
            self.lf += (_LF_ANSWER, text)
            return
        opening, closing = self.marks.thought
        self.lf += (_LF_ANSWER, b'"', opening, reasoning[1:-1], closing, text[1:])

    def _act(self, turn: RawTurn, call: RawCall) -> None:
        """Takes an answer with a call."""
        im, lf, text, reasoning = self.im, self.lf, turn.text, turn.reasoning
        name, arguments = self._names.get(call.name) or self._known(call.name), next(self._arguments)
        # One tuple each, and none put together of others: that takes as long as all the rest.
        im += (
            _IM_ANSWER, text, _IM_REASONING, reasoning,
            _IM_CALLS, call.id, name.im, arguments, _IM_ONE_CALL_END,
        )  # fmt: skip
        if text == EMPTY == reasoning:
            lf += (_LF_FUNCTION_TEXT, name.lf, arguments, b'}"')
            return
        behind = name.lf_behind_thought if text == EMPTY else name.lf_behind_text
        if reasoning == EMPTY:
            lf += (_LF_FUNCTION_TEXT, text[1:-1], behind, arguments, self._lf_call_end)
            return
        opening, closing = self.marks.thought
        thought, said, end = reasoning[1:-1], text[1:-1], self._lf_call_end
        lf += (_LF_FUNCTION_TEXT, opening, thought, closing, said, behind, arguments, end)

    def _act_at_once(self, turn: RawTurn, calls: tuple[RawCall, ...]) -> None:
        """Takes an answer with several calls."""
        text, reasoning = turn.text, turn.reasoning
        self.im += (_IM_ANSWER, text, _IM_REASONING, reasoning)
        written = b"[" + self._calls(calls) + b"]"
        self.im.append(b"]")
        if text == EMPTY == reasoning:
            self.lf += (_LF_FUNCTION_TEXT, written, b'"')
            return
        self._say(text, reasoning)
        opening, closing = self.marks.tool_call
        self.lf += (b"" if text == EMPTY else self.marks.gap, opening, written, closing, b'"')

    def _say(self, text: Text, reasoning: bytes) -> None:
        """Takes what is said beside calls."""
        if reasoning == EMPTY:
            self.lf += (_LF_FUNCTION_TEXT, text[1:-1])
            return
        opening, closing = self.marks.thought
        self.lf += (_LF_FUNCTION_TEXT, opening, reasoning[1:-1], closing, text[1:-1])

    def _calls(self, calls: tuple[RawCall, ...]) -> bytes:
        """Returns calls as the templates' formatters read them."""
        written: list[bytes] = []
        piece = _IM_CALLS
        for call in calls:
            name, arguments = self._names.get(call.name) or self._known(call.name), next(self._arguments)
            self.im += (piece, call.id, name.im, arguments, _IM_CALL_END)
            piece = _IM_NEXT_CALL
            written.append(name.lf + arguments + b"}")
        return b", ".join(written)

    def _known(self, called: str) -> _Name:
        opening = self.marks.tool_call[0]
        beginning = within(f'{{"name": {jsons.dumps(called)}, "arguments": ')
        name = _Name(
            im=_IM_CALL_NAME + orjson.dumps(called) + _IM_CALL_ARGUMENTS,
            lf=beginning,
            lf_behind_thought=opening + beginning,
            lf_behind_text=self.marks.gap + opening + beginning,
        )
        self._names[called] = name
        return name


def _in_order_of_calls(calls: tuple[RawCall, ...], results: list[RawTurn]) -> list[RawTurn]:
    """As `checks` does: equal ids are equal bytes."""
    position = {call.id: index for index, call in enumerate(calls)}
    if not all(result.call_id in position for result in results):
        return results
    return sorted(results, key=lambda result: position[result.call_id])


def _is_blank(text: Text) -> bool:
    """Whether a string holds nothing but white space."""
    first = text[1]
    if 0x20 < first < 0x7F and first not in rb'"\\':
        return False
    return not orjson.loads(text).strip()
