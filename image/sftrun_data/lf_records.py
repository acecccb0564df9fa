"""LLaMA-Factory's record: sharegpt with string columns only, its turns written for the template's family.

Structural: no chat template is rendered and split, nothing is trimmed. What LLaMA-Factory would drop with a
log line,
abort on or silently change (reference: its function formatter) is settled here, or leaves the record out by
name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sftrun_data import jsons, tools
from sftrun_data.conversations import Conversation, Preference, ToolCall, Turn
from sftrun_data.exclusions import LeftOut, Reason
from sftrun_data.families import Family
from sftrun_data.literals import Literals

_TEXT_BEFORE_CALL = {"glm4": "<|assistant|>", "glm4_moe": "", "qwen3_5": "\n\n"}
"""Between the text and the calls of one turn, by tool format; a newline for all others. GLM-4 speaks and
calls in two
messages of one turn."""
_USER_JOIN = "\n\n"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A record and whether literal markup was broken up in it."""

    record: dict[str, Any]
    literal_markup: bool


def render(conversation: Conversation, *, family: Family) -> Rendered:
    """Returns the record of a checked conversation.

    Raises LeftOut (StopTokenInContent, CallsNotInTemplate, BadStructure).
    """
    literals = Literals(family)
    system = "\n\n".join(literals.heard(turn.text) for turn in conversation.turns if turn.role == "system")
    messages = list(_messages(conversation, family, literals))
    _check_alternation(messages)
    definitions = tools.for_template(conversation.tools, tool_format=family.tool_format)
    record = {
        "id": conversation.provenance.id,
        "messages": messages,
        "system": system,
        "tools": literals.heard(jsons.dumps(definitions)) if definitions else "",
    }
    if conversation.preference is not None:
        record |= _preference(conversation.preference, messages, family, literals)
    return Rendered(record, literals.broken)


def gap_before_calls(family: Family) -> str:
    """Returns what stands between the text and the calls of one turn."""
    return _TEXT_BEFORE_CALL.get(family.tool_format, "\n")


def _preference(
    preference: Preference, messages: list[dict[str, str]], family: Family, literals: Literals
) -> dict[str, Any]:
    """Returns what a record of answers to compare holds besides, or instead of, the others'."""
    if preference.rejected is None:
        return {"kto_tag": preference.label}
    rejected = _answer(preference.rejected, family, literals, trained=True)
    return {"messages": messages[:-1], "chosen": messages[-1], "rejected": rejected}


def _messages(conversation: Conversation, family: Family, literals: Literals) -> Iterator[dict[str, str]]:
    turns = [turn for turn in conversation.turns if turn.role != "system"]
    last_only = conversation.last_turn_only or conversation.preference is not None
    for spoken, group in groupby(turns, key=lambda turn: turn.role == "assistant"):
        if spoken:
            for turn in group:
                yield _answer(turn, family, literals, trained=not last_only or turn is turns[-1])
        else:
            yield _heard(list(group), family, literals)


def _heard(turns: list[Turn], family: Family, literals: Literals) -> dict[str, str]:
    results = [turn for turn in turns if turn.role == "tool"]
    words = [turn for turn in turns if turn.role == "user"]
    said = _USER_JOIN.join(literals.heard(turn.text, by_user=not results) for turn in words)
    if not results:
        return {"role": "user", "content": said}
    texts = [literals.heard(turn.text) for turn in results]
    if family.tool_format == "mistral":
        texts = [jsons.dumps(text) for text in texts]
        return {
            "role": "observation",
            "content": family.results_join.join([*texts, *([jsons.dumps(said)] if said else [])]),
        }
    observed = family.results_join.join(texts)
    return {"role": "observation", "content": f"{observed}{_USER_JOIN}{said}" if said else observed}


def _answer(turn: Turn, family: Family, literals: Literals, *, trained: bool) -> dict[str, str]:
    """Returns an answer's message. Where it is not trained, what would leave the record out is broken up."""
    spoken = literals.spoken if trained else literals.retold
    thought_marks = [mark.strip() for mark in family.thought]
    thought = ""
    if turn.reasoning:
        reasoning = spoken(turn.reasoning, markers=thought_marks)
        thought = f"{family.thought[0]}{reasoning}{family.thought[1]}"
    if not turn.calls:
        text = spoken(turn.text, markers=thought_marks if family.reasoning else ())
        return {"role": "assistant", "content": thought + text}
    text = spoken(turn.text, markers=[*thought_marks, *family.tool_call])
    calls = _calls(turn.calls, family, literals, trained=trained)
    if not thought and not text:
        return {"role": "function", "content": calls}
    if family.folded:
        return {
            "role": "assistant",
            "content": thought
            + text
            + _written_out(turn.calls, family, literals, after_text=bool(text), trained=trained),
        }
    glm4 = family.tool_format == "glm4"
    gap = gap_before_calls(family) if text or glm4 else ""
    lead = "\n" if glm4 else ""
    return {
        "role": "function",
        "content": f"{lead}{thought}{text}{gap}{family.tool_call[0]}{calls}{family.tool_call[1]}",
    }


def _calls(calls: tuple[ToolCall, ...], family: Family, literals: Literals, *, trained: bool) -> str:
    if len(calls) > 1 and family.tool_format == "glm4":
        raise LeftOut(Reason.CALLS_NOT_IN_TEMPLATE, f"{len(calls)} calls at once under {family.template}")
    objects = [{"name": call.name, "arguments": dict(call.arguments)} for call in calls]
    markers = [*(mark.strip() for mark in family.thought), *family.tool_call]
    return literals.arguments(
        _dump(objects[0] if len(objects) == 1 else objects), markers=markers, trained=trained
    )


def _written_out(
    calls: tuple[ToolCall, ...], family: Family, literals: Literals, *, after_text: bool, trained: bool
) -> str:
    """Returns calls as the template's tool format writes them, for templates that read a function turn as
    JSON only."""
    if family.tool_format == "mistral":
        objects = [{"name": call.name, "arguments": dict(call.arguments)} for call in calls]
        return "[TOOL_CALLS] " + literals.arguments(_dump(objects), markers=(), trained=trained)
    lines = (
        f"Action: {call.name}\nAction Input: "
        + literals.arguments(_dump(dict(call.arguments)), markers=(), trained=trained)
        for call in calls
    )
    return ("\n" if after_text else "") + "\n".join(lines)


def _dump(value: Any) -> str:
    try:
        return jsons.dumps(value)
    except (ValueError, RecursionError) as error:
        raise LeftOut(Reason.BAD_STRUCTURE, f"arguments that are no JSON: {error}") from error


def _check_alternation(messages: list[dict[str, str]]) -> None:
    expected: tuple[frozenset[str], frozenset[str]] = (
        frozenset({"user", "observation"}),
        frozenset({"assistant", "function"}),
    )
    for index, message in enumerate(messages):
        if message["role"] not in expected[index % 2]:
            raise LeftOut(Reason.BAD_STRUCTURE, f"turn {index + 1} is of role {message['role']}")
    if not messages or len(messages) % 2:
        raise LeftOut(Reason.BAD_STRUCTURE, "the last turn is not the model's")
