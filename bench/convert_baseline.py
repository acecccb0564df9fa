"""A straightforward converter of request logs: what one writes first, and what the fast one must equal.

Each line is read with `json`, all its messages are normalised, requests that another one begins with are
dropped, reasoning is given back from the responses, and the records are written. Nothing is compared as
bytes, hashed or remembered from line to line. Checking and rendering a conversation are the product's: they
are not what differs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sftrun_data import families, tools
from sftrun_data.conversations import Conversation, Provenance, Turn
from sftrun_data.exclusions import LeftOut, Note, Reason
from sftrun_data.outcomes import Defaults, Recipe, Record, outcome_of
from sftrun_data.readers import chat_messages, request_scaffolds
from sftrun_data.requests import Branches, ConversionOptions
from sftrun_data.selections import Candidate
from sftrun_data.sources import Unit

_BILLING = re.compile(r"\bcch=[0-9a-zA-Z]+")
_TITLE = re.compile(r"title generator|generate a (?:concise |short )?title", re.IGNORECASE)
_LOG = "agent/litellm-trajectory.jsonl"
Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """One answered request: what was said before, message by message, and what was answered."""

    line: int
    time: float
    history: list[Key]
    answer: Key
    reasoning: str
    tools: Any
    model: str


def convert(
    job: Path, *, out: Path, template: str, branches: Branches = "Longest", source: str = "job"
) -> int:
    """Converts a job of request logs into two files, `im` and `lf`; returns the number of records. `source`
    is what the records call the job."""
    recipe = Recipe(
        options=ConversionOptions(branches=branches), family=families.family_of(template), defaults=Defaults()
    )
    out.mkdir(parents=True, exist_ok=True)
    seen: set[bytes] = set()
    count = 0
    with (out / "im").open("wb") as im, (out / "lf").open("wb") as lf:
        for folder in sorted(path for path in job.iterdir() if path.is_dir()):
            for record in records_of(folder, recipe, source=source):
                assert isinstance(record.im, bytes) and isinstance(record.lf, bytes)
                if record.fingerprint not in seen:
                    seen.add(record.fingerprint)
                    im.write(record.im)
                    lf.write(record.lf)
                    count += 1
    return count


def records_of(folder: Path, recipe: Recipe, *, source: str) -> Iterator[Record]:
    """Yields the records of a trial."""
    result = json.loads((folder / "result.json").read_text())
    instance = result["task_name"]

    def conversations() -> Iterator[Conversation]:
        log = _Log()
        with (folder / _LOG).open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    log.take(number, line)
        for part, (turns, call, notes) in enumerate(log.histories(recipe.options.branches)):
            yield Conversation(
                instance=instance,
                provenance=Provenance(
                    source=source,
                    trial=folder.name,
                    file=f"{folder.name}/{_LOG}",
                    reader=f"ClaudeCode/{request_scaffolds.CLAUDE_CODE.version}",
                    lines=(call.line, call.line),
                    part=part,
                ),
                turns=tuple(turns),
                tools=tools.normalised(call.tools if isinstance(call.tools, list) else ()),
                agent="ClaudeCode",
                model=call.model,
                finished=not turns[-1].calls
                or any(item.name in ("finish", "attempt_completion", "submit") for item in turns[-1].calls),
                rewards=result["verifier_result"]["rewards"],
                metadata={"toolCallForm": "AsSpoken"},
                notes=frozenset(notes),
            )

    unit = Unit(candidate=Candidate(name=folder.name, instance=instance), parts=(conversations,))
    for item in outcome_of(unit, recipe):
        if isinstance(item, Record):
            yield item


class _Log:
    def __init__(self) -> None:
        self.notes: set[str] = set()
        self.calls: list[Call] = []
        self.said: dict[str, tuple[Turn, ...]] = {}
        """How each message was first spelt, or with its thought."""

    def take(self, number: int, line: bytes) -> None:
        try:
            value = json.loads(line)
            if value.get("success") is False:
                self.notes.add(Note.FAILED_CALLS_DROPPED)
                return
            body = value["request_body"]
            messages = body["messages"]
            if body.get("system"):
                messages = [{"role": "system", "content": body["system"]}, *messages]
            message = (value.get("raw_response") or value["response_body"])["choices"][0]["message"]
            answer = chat_messages.answer_of(message, self.notes, where="response")
            history = []
            for item in messages:
                turns = chat_messages.turns_of(item, self.notes, where="message")
                key = _key(turns)
                name = json.dumps(key)
                if name not in self.said or any(turn.reasoning for turn in turns):
                    self.said[name] = turns
                history.append(key)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, LeftOut):
            self.notes.add(Note.LINES_SKIPPED)
            return
        answered = _key((answer,))
        self.said.setdefault(json.dumps(answered), (replace(answer, reasoning=""),))
        time = value.get("request_time")
        self.calls.append(
            Call(
                number,
                float(time) if isinstance(time, (int, float)) else 0.0,
                history,
                answered,
                answer.reasoning,
                body.get("tools"),
                str(body.get("model") or ""),
            )
        )

    def histories(self, branches: Branches) -> Iterator[tuple[list[Turn], Call, set[str]]]:
        calls = sorted(self.calls, key=lambda call: (call.time, call.line))
        if not calls:
            raise LeftOut(Reason.EMPTY_TRAJECTORY, "no request of the log was answered")
        leaves = self._leaves(calls, branches)
        main = [call for call in leaves if not self._is_side_call(call)]
        if main and len(main) < len(leaves):
            self.notes.add(Note.SIDE_TRAJECTORY_SKIPPED)
        leaves = main or leaves
        longest: list[tuple[list[Key], Call]] = []
        for call in leaves:
            root = self._root(call)
            same = next((index for index, (other, _) in enumerate(longest) if other == root), None)
            if same is None:
                longest.append((root, call))
            elif len(call.history) >= len(longest[same][1].history):
                longest[same] = (root, call)
        if len(longest) < len(leaves):
            self.notes.add(Note.TURNS_TRAINED_AGAIN if branches == "All" else Note.BRANCHES_DROPPED)
        kept = (
            leaves if branches == "All" else [call for call in leaves if any(call is c for _, c in longest)]
        )
        for call in kept:
            notes = set(self.notes)
            yield self._turns(call, notes), call, notes

    def _leaves(self, calls: Sequence[Call], branches: Branches) -> list[Call]:
        told: list[tuple[list[Key], Call]] = []
        for call in calls:
            whole = [*call.history, call.answer] if branches == "All" else call.history
            same = next((index for index, (other, _) in enumerate(told) if other == whole), None)
            if same is None:
                told.append((whole, call))
            else:
                told[same] = (whole, call)
        least = 0 if branches == "All" else 1
        return [
            call
            for whole, call in told
            if not any(
                len(other.history) >= len(whole) + least and other.history[: len(whole)] == whole
                for other in calls
            )
        ]

    def _is_side_call(self, call: Call) -> bool:
        first = self.said[json.dumps(call.history[0])]
        if any(turn.role == "system" and _TITLE.search(turn.text) for turn in first):
            return True
        return len(call.history) <= 2 and not self.said[json.dumps(call.answer)][0].calls

    def _root(self, call: Call) -> list[Key]:
        for index, key in enumerate(call.history):
            if any(turn.role == "user" for turn in self.said[json.dumps(key)]):
                return call.history[: index + 1]
        return call.history

    def _turns(self, call: Call, notes: set[str]) -> list[Turn]:
        turns: list[Turn] = []
        for index, key in enumerate([*call.history, call.answer]):
            said = self.said[json.dumps(key)]
            if said and said[0].role == "assistant" and not said[0].reasoning:
                before = call.history[:index]
                told = [other for other in self.calls if other.answer == key and other.reasoning]
                here = [other for other in told if other.history == before]
                thought = (here or told)[-1].reasoning if here or told else ""
                if not thought and any(other.reasoning for other in self.calls):
                    notes.add(Note.REASONING_LOST)
                said = (replace(said[0], reasoning=thought),)
            turns.extend(said)
        return turns


def _key(turns: Sequence[Turn]) -> Key:
    """What was said and called, without thoughts, marks and whatever changes with every request."""
    return tuple(
        (
            turn.role,
            _neutral(turn),
            turn.call_id,
            tuple((call.name, json.dumps(dict(call.arguments))) for call in turn.calls),
        )
        for turn in turns
    )


def _neutral(turn: Turn) -> str:
    if turn.role == "system":
        return _BILLING.sub("cch=", turn.text)
    return chat_messages.closed(turn.text).strip() if turn.role == "assistant" else turn.text
