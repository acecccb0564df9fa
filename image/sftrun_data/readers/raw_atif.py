"""ATIF as `atif` reads it, with texts left as JSON: for documents with nothing unusual in them.

`None` stands for all others: whatever is repaired, refused, noted or followed elsewhere is read the other
way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import orjson
from msgspec import Raw, Struct

from sftrun_data import jsons, tools
from sftrun_data.raw_arguments import Arguments
from sftrun_data.raw_conversations import RawCall, RawTurn
from sftrun_data.raw_texts import EMPTY, UNREADABLE, Spelling, Unusual

_NOTHING = Raw(EMPTY)


class _Call(Struct, gc=False):
    function_name: str
    arguments: dict[str, Raw] = {}
    tool_call_id: Raw = _NOTHING


class _Result(Struct, gc=False):
    content: Raw = _NOTHING
    source_call_id: Raw = _NOTHING
    subagent_trajectory_ref: list[Raw] | None = None


class _Observation(Struct, gc=False):
    results: list[_Result] | None = None


class _Step(Struct, gc=False):
    source: Literal["system", "user", "agent"]
    message: Raw = _NOTHING
    reasoning_content: Raw = _NOTHING
    tool_calls: list[_Call] | None = None
    observation: _Observation | None = None
    timestamp: Raw = Raw()
    llm_call_count: int | None = None


class _Document(Struct, gc=False):
    steps: list[_Step]
    agent: Raw = Raw(b"{}")
    continued_trajectory_ref: str | None = None
    subagent_trajectories: list[Raw] | None = None


_DECODER = msgspec.json.Decoder(_Document)


@dataclass(frozen=True, slots=True, kw_only=True)
class RawTrajectory:
    """One document, of one agent."""

    agent: str
    model: str
    created: str
    tools: tuple[dict[str, Any], ...]
    turns: tuple[RawTurn, ...]
    searched: tuple[bytes, ...]


def parse(data: bytes) -> RawTrajectory | None:
    """Returns the trajectory in a document, None where something of it is unusual."""
    try:
        return _parse(data)
    except (Unusual, *UNREADABLE):
        return None


def _parse(data: bytes) -> RawTrajectory:
    document = _DECODER.decode(data)
    agent = orjson.loads(bytes(document.agent))
    steps = document.steps
    if not steps or document.continued_trajectory_ref or document.subagent_trajectories:
        raise Unusual
    if not isinstance(agent, dict) or jsons.holds_huge_number(agent.get("tool_definitions")):
        raise Unusual
    spelling = Spelling.of(data)
    definitions = agent.get("tool_definitions")
    times = (time for step in steps if (time := bytes(step.timestamp))[:1] == b'"')
    return RawTrajectory(
        agent=_text(agent.get("name")),
        model=_text(agent.get("model_name")),
        created=orjson.loads(next(times, EMPTY)),
        tools=tools.normalised(definitions if isinstance(definitions, list) else ()),
        turns=tuple(_turns(steps, spelling)),
        searched=(data, *spelling.respelt),
    )


def _turns(steps: Sequence[_Step], spelling: Spelling) -> list[RawTurn]:
    strings = spelling.two_strings
    arguments = Arguments(spelling, long_numbers=True).written
    turns: list[RawTurn] = []
    for step in steps:
        text, reasoning = strings(step.message, step.reasoning_content)
        results = (step.observation.results if step.observation else None) or ()
        if step.source != "agent":
            turns.append(RawTurn(step.source, text))
            for result in results:
                spelling.string(result.content)
            continue
        if step.llm_call_count == 0:
            raise Unusual  # a program made this step
        calls: tuple[RawCall, ...] = ()
        for call in step.tool_calls or ():
            if not call.function_name:
                raise Unusual
            name, written = call.function_name, arguments(call.arguments)
            calls += (RawCall(name, written, spelling.string(call.tool_call_id)),)
        turns.append(RawTurn("assistant", text, reasoning, calls))
        for result in results:
            if result.subagent_trajectory_ref:
                raise Unusual
            content, call_id = spelling.result(result.content, result.source_call_id)
            if calls:
                turns.append(RawTurn("tool", content, EMPTY, (), call_id))
            else:
                turns.append(RawTurn("user", bytes(content)))
    return turns


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
