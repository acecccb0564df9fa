"""How much there is to train: turns and tokens of the records kept, and how many turns will show an empty
thought.

Reasoning templates put an empty thought before every answer without one, and train it: a model learns from
many of them to answer without thinking. So they are counted, and above a share said aloud.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from math import ceil
from typing import Any

from xxhash import xxh3_128

from sftrun_data.conversations import Conversation
from sftrun_data.families import Family
from sftrun_data.requests import ReasoningPolicy

_BYTES_A_TOKEN = 4
"""A usual ratio for English and code, which a template's marks and what JSON escapes are about worth too."""
MOST_TOOLS = 50
"""Models invent names of tools; an account of them all has no end."""
WARN_SHARE = 0.05
"""Of turns with an empty thought."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What one record holds."""

    turns: int
    """Turns that are trained."""
    empty_thoughts: int
    """Trained turns before which the template will put an empty thought."""
    tokens: int
    """Estimated."""
    turns_again: int = 0
    """Trained turns that a record before it of the same trajectory trains too, behind the same history."""
    thoughts: int = 0
    """Trained turns that show reasoning."""
    calls: tuple[tuple[str, int], ...] = ()
    """Of trained turns: tools, and how often each is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Percentiles over records, by nearest rank."""

    p50: int
    p90: int
    p99: int
    max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUse:
    """How often a tool is called."""

    name: str
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What all records hold."""

    turns: int
    turns_again: int
    empty_thoughts: int
    estimated_tokens: int
    turns_a_record: Spread
    estimated_tokens_a_record: Spread
    thoughts: int = 0
    """Trained turns that show reasoning."""
    tools: tuple[ToolUse, ...] = ()
    """Those that trained turns call, the most frequent first; at most `MOST_TOOLS`."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Returns what a person should hear before training."""
        if self.empty_thoughts <= WARN_SHARE * self.turns:
            return ()
        share = (
            f"{self.empty_thoughts} of {self.turns} trained turns ({self.empty_thoughts / self.turns:.0%})"
        )
        return (
            f"{share} show no reasoning and get an empty thought under this template: the model may learn "
            "not to think; use logs with reasoning, conversion.reasoning Require, or a template that ends in "
            "_nothink",
        )

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Figures:
        """Returns what `asdict` was made from. Raises KeyError or TypeError on any other shape."""
        spreads = {
            item.name: Spread(**value[item.name]) for item in fields(cls) if item.name.endswith("_a_record")
        }
        tools = tuple(ToolUse(**item) for item in value.get("tools", ()))
        return cls(**{**value, **spreads, "tools": tools})


def shape_of(
    conversation: Conversation,
    line: bytes,
    *,
    family: Family,
    policy: ReasoningPolicy,
    histories: Iterable[bytes] = (),
    trained: set[bytes],
) -> Shape:
    """Returns the shape of a conversation's record, which is written in a line. `trained` holds the turns,
    with their history, of the trajectory's records before it; the record's own `histories` are added.

    A policy of Drop asks for empty thoughts: they are not counted. Of preferences, and of samples per turn,
    the last turn alone is trained.
    """
    answers = [turn for turn in conversation.turns if turn.role == "assistant"]
    if conversation.last_turn_only or conversation.preference is not None:
        answers = answers[-1:]
    own = set(histories)
    again = len(own & trained)
    trained |= own
    counted = family.reasoning and policy != "Drop"
    return Shape(
        turns=len(answers),
        empty_thoughts=sum(not turn.reasoning for turn in answers) if counted else 0,
        tokens=estimated_tokens(line),
        turns_again=again,
        thoughts=sum(bool(turn.reasoning) for turn in answers),
        calls=counted_calls(call.name for turn in answers for call in turn.calls),
    )


def total(shapes: Iterable[Shape]) -> Figures | None:
    """Returns the figures of all records, None where there is no record."""
    items = list(shapes)
    if not items:
        return None
    calls: Counter[str] = Counter()
    for item in items:
        calls.update(dict(item.calls))
    most = sorted(calls.items(), key=lambda entry: (-entry[1], entry[0]))[:MOST_TOOLS]
    return Figures(
        turns=sum(item.turns for item in items),
        turns_again=sum(item.turns_again for item in items),
        empty_thoughts=sum(item.empty_thoughts for item in items),
        estimated_tokens=sum(item.tokens for item in items),
        turns_a_record=_spread([item.turns for item in items]),
        estimated_tokens_a_record=_spread([item.tokens for item in items]),
        thoughts=sum(item.thoughts for item in items),
        tools=tuple(ToolUse(name=name, calls=count) for name, count in most),
    )


def counted_calls(names: Iterable[str]) -> tuple[tuple[str, int], ...]:
    """Returns how often each tool is called."""
    return tuple(sorted(Counter(names).items()))


def estimated_tokens(line: bytes) -> int:
    """Returns about how many tokens a record has that is written so: converting needs no tokenizer."""
    return ceil(len(line) / _BYTES_A_TOKEN)


def histories_of(record: Mapping[str, Any]) -> Iterable[bytes]:
    """Yields what stands for each trained turn of a record, with all before it."""
    history = xxh3_128()
    for text in (record["system"], record["tools"], *_spoken(record["messages"])):
        if text is None:
            yield history.digest()
        else:
            content = text.encode(errors="replace")
            history.update(b"%d " % len(content))
            history.update(content)


def _spoken(messages: Iterable[Mapping[str, Any]]) -> Iterable[str | None]:
    """Yields roles and contents, and None behind each message that is trained."""
    for message in messages:
        yield message["role"]
        yield message["content"]
        if message["role"] in ("assistant", "function"):
            yield None


def _spread(values: list[int]) -> Spread:
    ordered = sorted(values)

    def rank(share: float) -> int:
        return ordered[ceil(share * len(ordered)) - 1]

    return Spread(p50=rank(0.5), p90=rank(0.9), p99=rank(0.99), max=ordered[-1])
