"""Conversations whose texts stand as they do in the log's JSON.

To turn every text into a string of Python's and that into JSON again is most of what a conversion costs. A
reader that meets nothing unusual leaves texts as they are, and a record is pasted together from them; whoever
needs more asks for the `whole` conversation.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import msgspec
import orjson

from sftrun_data.conversations import Conversation, Role, ToolCall, Turn
from sftrun_data.raw_texts import EMPTY, Text


class RawCall(msgspec.Struct, gc=False):
    """A call of a tool; `id` is a string of JSON."""

    name: str
    arguments: bytes
    """An object of JSON, as `jsons.dumps` writes it."""
    id: bytes = EMPTY


class RawTurn(msgspec.Struct, gc=False):
    """One message, as `conversations.Turn`; its texts are strings of JSON as records spell them."""

    role: Role
    text: Text = EMPTY
    reasoning: bytes = EMPTY
    calls: tuple[RawCall, ...] = ()
    call_id: bytes = EMPTY
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class RawConversation:
    """A conversation of such turns."""

    frame: Conversation
    """All but the turns."""
    turns: tuple[RawTurn, ...]
    searched: tuple[bytes, ...]
    """Where every text of the turns stands, spelt as records spell it: what is not in here is in none."""

    def whole(self) -> Conversation:
        """Returns the conversation with its texts as strings."""
        return replace(self.frame, turns=tuple(map(_turn, self.turns)))


def whole(conversation: Conversation | RawConversation) -> Conversation:
    """Returns a conversation with its texts as strings."""
    return conversation.whole() if isinstance(conversation, RawConversation) else conversation


def _turn(raw: RawTurn) -> Turn:
    return Turn(
        role=raw.role,
        text=orjson.loads(raw.text),
        reasoning=orjson.loads(raw.reasoning),
        calls=tuple(
            ToolCall(name=call.name, arguments=json.loads(call.arguments), id=orjson.loads(call.id))
            for call in raw.calls
        ),
        call_id=orjson.loads(raw.call_id),
        is_error=raw.is_error,
    )
