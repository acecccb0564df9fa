"""The neutral record (version 2.0.0): what was said, for every consumer, whatever model is trained on it.

Assistant messages always carry `content` and `reasoning_content`; arguments are JSON strings; a system
message always
stands first, empty if there was none; missing call ids are made up. `_provenance` says where it was read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from sftrun_data import jsons
from sftrun_data.conversations import Conversation, Provenance, ToolCall, Turn
from sftrun_data.scores import Score

VERSION = "2.0.0"
_PARTS = tuple(part.name for part in fields(Score))
_OF_PROVENANCE = tuple(item.name for item in fields(Provenance) if item.name != "turn")


def record_of(conversation: Conversation, *, score: Score) -> dict[str, Any]:
    """Returns the record of a checked conversation. Raises ValueError for arguments that are no JSON."""
    messages = list(_messages(conversation))
    head = head_of(
        conversation,
        score=score,
        rounds=sum(turn.role == "assistant" for turn in conversation.turns),
        acts=bool(conversation.agent) or any(turn.calls for turn in conversation.turns),
    )
    return head | {"messages": messages} | _preference(conversation)


def head_of(conversation: Conversation, *, score: Score, rounds: int, acts: bool) -> dict[str, Any]:
    """Returns what stands before a record's messages: `rounds` answers, and whether it is an agent's."""
    return {
        "version": VERSION,
        "meta_info": {
            "teacher": conversation.model,
            "query_source": conversation.provenance.source,
            "response_generate_time": conversation.created,
            "response_update_time": conversation.created,
            "owner": "",
            "language": "",
            "category": "agent" if acts else "chat",
            "rounds": rounds,
            "unique_info": {
                "_instance_id": conversation.instance,
                "_agent_type": conversation.agent,
                "_score": {"composite_score": score.composite}
                | {part: getattr(score, part) for part in _PARTS},
                "_gen_params": {},
                "_usage": {},
                "_instance_metadata": dict(conversation.metadata) | {"rewards": dict(conversation.rewards)},
                "_provenance": _provenance(conversation),
            },
        },
        "tools": [dict(tool) for tool in conversation.tools],
    }


def _provenance(conversation: Conversation) -> dict[str, Any]:
    """A neutral record is a whole conversation's: which answer a sample trains is not its matter."""
    return {name: getattr(conversation.provenance, name) for name in _OF_PROVENANCE}


def _preference(conversation: Conversation) -> dict[str, Any]:
    preference = conversation.preference
    if preference is None:
        return {}
    if preference.rejected is None:
        return {"label": preference.label}
    return {"rejected": _answer(preference.rejected, len(conversation.turns))}


def _messages(conversation: Conversation) -> Iterator[dict[str, Any]]:
    turns = conversation.turns
    if not turns or turns[0].role != "system":
        yield {"role": "system", "content": ""}
    pending: list[str] = []
    for index, turn in enumerate(turns):
        if turn.role == "assistant":
            message = _answer(turn, index)
            pending = [call["id"] for call in message.get("tool_calls", ())]
            yield message
        elif turn.role == "tool":
            yield {"role": "tool", "tool_call_id": _result_id(turn, pending), "content": turn.text}
        else:
            yield {"role": turn.role, "content": turn.text}


def _answer(turn: Turn, index: int) -> dict[str, Any]:
    calls = [_call(call, default=f"call_{index}_{number}") for number, call in enumerate(turn.calls, 1)]
    message = {"role": "assistant", "content": turn.text, "reasoning_content": turn.reasoning}
    return message | ({"tool_calls": calls} if calls else {})


def _call(call: ToolCall, *, default: str) -> dict[str, Any]:
    arguments = jsons.dumps(dict(call.arguments))
    return {
        "id": call.id or default,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }


def _result_id(turn: Turn, pending: list[str]) -> str:
    """A result without an id answers the first call that is still open."""
    if turn.call_id in pending:
        pending.remove(turn.call_id)
        return turn.call_id
    return turn.call_id or (pending.pop(0) if pending else "")
