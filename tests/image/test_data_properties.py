"""Whatever a log holds: no exception escapes a reader, and each trajectory ends as a record or under a
reason.

Readers are asked directly, without the pipeline's last resort for logs that they were not made for.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.image import data_samples as samples
from tests.image.data_logs import (
    ACTIONS,
    CHAT,
    COMPLETION,
    EVENTS,
    EXCHANGE,
    ITEMS,
    LOGS,
    MINI,
    PARTS,
    ROW,
    SDK_EVENTS,
    SESSION,
    TRAJ,
    TRAJECTORY,
)

from sftrun_data import checks, im_records, jsons, lf_records, raw_conversations, scores
from sftrun_data.conversations import Conversation, Provenance, ToolCall, Turn
from sftrun_data.exclusions import LeftOut
from sftrun_data.families import family_of
from sftrun_data.formats import FORMATS
from sftrun_data.formats.base import Naming
from sftrun_data.readers import READERS
from sftrun_data.readers.base import Place, Reader

FAMILIES = ("qwen3", "qwen3_nothink", "llama3", "glm4", "mistral", "deepseek3")
MARKUP = (
    "<|im_end|>",
    "</s>",
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "{{idx}}",
    "{{content}}",
    "\n",
    "\u2028",
    '"',
)
TEXT = st.text(max_size=12) | st.lists(st.sampled_from(MARKUP) | st.text(max_size=3), max_size=4).map("".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)

relaxed = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def _paths(value: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [prefix, *(path for key, item in inner for path in _paths(item, (*prefix, key)))]


@st.composite
def damaged(draw: st.DrawFn, original: Any) -> Any:
    """The original with up to three of its values replaced, removed or repeated."""
    value = copy.deepcopy(original)
    for _ in range(draw(st.integers(1, 3))):
        paths = [path for path in _paths(value) if path]
        if not paths:
            return value
        *above, last = draw(st.sampled_from(paths))
        parent = value
        for key in above:
            parent = parent[key]
        action = draw(st.sampled_from(("replace", "remove", "repeat")))
        if action == "replace":
            parent[last] = draw(JSON)
        elif action == "remove":
            del parent[last]
        elif isinstance(parent, list):
            parent.insert(last, copy.deepcopy(parent[last]))
    return value


def _consume(conversations: Any, template: str) -> int:
    """Takes conversations through checks and rendering; returns how many became records."""
    kept = 0
    for conversation in conversations:
        try:
            checked = checks.checked(conversation, reasoning="Keep")
            jsons.line(im_records.record_of(checked.conversation, score=scores.score_of(checked)))
            _check_record(
                lf_records.render(checked.conversation, family=family_of(template)).record, template
            )
            kept += 1
        except LeftOut:
            continue
    return kept


def _check_record(record: dict[str, Any], template: str) -> None:
    json.loads(jsons.line(record))
    roles = [message["role"] for message in record["messages"]]
    assert roles and len(roles) % 2 == 0
    assert set(roles[::2]) <= {"user", "observation"} and set(roles[1::2]) <= {"assistant", "function"}
    assert all(isinstance(message["content"], str) for message in record["messages"])
    assert isinstance(record["system"], str) and isinstance(record["tools"], str)
    family = family_of(template)
    for message in record["messages"]:
        content = message["content"]
        if message["role"] == "user" or (message["role"] == "assistant" and not family.folded):
            assert not any(marker in content for marker in family.markers)
        if message["role"] == "function":
            _, opening, calls = content.rpartition(family.tool_call[0])
            json.loads(calls.removesuffix(family.tool_call[1]) if opening else content)


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@given(
    log=st.one_of(
        damaged(TRAJECTORY).map(json.dumps).map(str.encode),
        st.lists(damaged(EXCHANGE).map(json.dumps), min_size=1, max_size=4).map("\n".join).map(str.encode),
        damaged(ITEMS).map(lambda lines: "\n".join(map(json.dumps, lines))).map(str.encode),
        damaged(CHAT).map(lambda lines: "\n".join(map(json.dumps, lines))).map(str.encode),
        damaged(TRAJ).map(json.dumps).map(str.encode),
        damaged(SESSION).map(json.dumps).map(str.encode),
        damaged(SESSION["messages"]).map(lambda lines: "\n".join(map(json.dumps, lines))).map(str.encode),
        damaged(MINI).map(json.dumps).map(str.encode),
        damaged(ACTIONS).map(json.dumps).map(str.encode),
        damaged(SDK_EVENTS).map(lambda lines: "\n".join(map(json.dumps, lines))).map(str.encode),
        damaged(PARTS).map(lambda lines: "\n".join(map(json.dumps, lines))).map(str.encode),
        damaged(COMPLETION).map(json.dumps).map(str.encode),
        damaged(EVENTS).map(lambda lines: "\n".join(map(json.dumps, lines))).map(str.encode),
        JSON.map(json.dumps).map(str.encode),
        st.integers(0, 3000).map(lambda end: json.dumps(TRAJECTORY).encode()[:end]),
        st.binary(max_size=60),
    ),
    side=st.binary(max_size=20) | damaged(TRAJECTORY).map(json.dumps).map(str.encode),
    form=st.sampled_from(("AsSpoken", "Native")),
    template=st.sampled_from(FAMILIES),
    names=st.sets(st.sampled_from(LOGS), min_size=1),
)
@relaxed
def test_a_reader_of_logs(
    reader: Reader, log: bytes, side: bytes, form: Any, template: str, names: set[str]
) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder)
        agent = root / "trial" / "agent"
        for name in sorted(names):
            samples.write(agent / name, log)
        samples.write(agent / "trajectory.summarization-1-questions.json", side)
        place = Place(source="s", trial="trial", instance="i", root=root, folder=agent)
        reader.claims(place)
        assert all(isinstance(path, Path) for path in reader.inputs(place))
        try:
            read = reader.read(place, form=form, branches="All")
            _consume(map(raw_conversations.whole, read), template)
        except LeftOut as left:
            assert left.reason


@pytest.mark.parametrize("name", FORMATS)
@given(row=damaged(ROW) | JSON, template=st.sampled_from(FAMILIES))
@relaxed
def test_a_reader_of_rows(name: str, row: Any, template: str) -> None:
    if not isinstance(row, dict):
        return
    FORMATS[name].matches(row, Naming())
    try:
        parsed = FORMATS[name].read(row, Naming())
    except LeftOut as left:
        assert left.reason
        return
    origin = Provenance(source="s", trial="t", file="f", reader="r")
    _consume(
        [Conversation(instance="i", provenance=origin, turns=parsed.turns, tools=parsed.tools)], template
    )


CALLS = st.lists(
    st.builds(
        ToolCall,
        name=st.sampled_from(("f", "g")),
        arguments=st.dictionaries(TEXT, JSON, max_size=3),
        id=st.sampled_from(("", "a", "b")),
    ),
    max_size=2,
).map(tuple)
TURNS = st.lists(
    st.builds(
        Turn,
        role=st.sampled_from(("system", "user", "assistant", "assistant", "tool")),
        text=TEXT,
        reasoning=TEXT,
        calls=st.just(()),
        call_id=st.sampled_from(("", "a", "b")),
    )
    | st.builds(Turn, role=st.just("assistant"), text=TEXT, reasoning=TEXT, calls=CALLS),
    max_size=8,
)


@given(turns=TURNS, template=st.sampled_from(FAMILIES))
@relaxed
def test_turns_in_any_order(turns: list[Turn], template: str) -> None:
    origin = Provenance(source="s", trial="t", file="f", reader="r")
    _consume([Conversation(instance="i", provenance=origin, turns=tuple(turns))], template)


@given(
    data=st.binary(max_size=40) | JSON.map(json.dumps).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
@relaxed
def test_json_of_any_kind(data: bytes) -> None:
    try:
        value = jsons.loads(data).value
    except jsons.BrokenJSON:
        return
    jsons.line(value).decode()


@pytest.mark.parametrize("messages", [[None], [None, None], ["Q"], [{}, None], [3, None, []]])
def test_a_request_whose_messages_are_none_is_passed_over(tmp_path: Path, messages: list[Any]) -> None:
    """Also behind one whose messages were fewer: what is compared ends before it."""
    body = {"system": "You are Claude Code.", "messages": [{"role": "user", "content": "Q"}]}
    answer = {"choices": [{"message": {"role": "assistant", "content": "A"}}]}
    lines = [
        {
            "request_time": n,
            "request_body": body | {"messages": [*body["messages"], *more]},
            "response_body": answer,
        }
        for n, more in enumerate(([], messages, messages))
    ]
    agent = samples.write(
        tmp_path / "a" / "litellm-trajectory.jsonl", "\n".join(map(json.dumps, lines))
    ).parent
    place = Place(source="s", trial="trial", instance="i", root=tmp_path, folder=agent)
    read = READERS["ClaudeCode"].read(place, form="AsSpoken", branches="All")
    found = list(map(raw_conversations.whole, read))
    assert [turn.text for turn in found[0].turns if turn.role == "assistant"] == ["A"]
    assert "LinesSkipped" in found[0].notes


HALF, BEYOND, DEEP = r'"\udcff"', str(10**40), 400
BOTH = f"[{HALF}, {BEYOND}]"


@pytest.mark.parametrize(
    ("text", "value", "repaired"),
    [
        (BEYOND, 1e40, False),
        (HALF, "?", True),
        (BOTH, ["?", 10**40], True),
        (f'{{{HALF}: {BEYOND}, "n": 1.5}}', {"?": 10**40, "n": 1.5}, True),
        (r'["\u00e9", ' + BEYOND + "]", ["é", 1e40], False),
        (f"{'[' * DEEP}{BOTH}{']' * DEEP}", None, True),
    ],
)
def test_halves_of_characters_beside_numbers_of_any_length(text: str, value: Any, repaired: bool) -> None:
    document = jsons.loads(text.encode())
    assert document.repaired == repaired
    assert value is None or document.value == value
    assert json.loads(jsons.line(document.value)) == document.value


@pytest.mark.parametrize("text", ["[" * 100_000, f"{'[' * 100_000}{HALF}{']' * 100_000}"])
def test_nesting_without_end_is_no_json(text: str) -> None:
    with pytest.raises(jsons.BrokenJSON):
        jsons.loads(text.encode())


@given(texts=st.lists(TEXT, min_size=1, max_size=6))
@relaxed
def test_nothing_that_was_said_is_trimmed(texts: list[str]) -> None:
    """Without markup, a record holds the very words."""
    plain = [text.translate({ord(char): None for char in "<>{}|"}) + "." for text in texts]
    turns = [
        turn for text in plain for turn in (Turn(role="user", text=text), Turn(role="assistant", text=text))
    ]
    origin = Provenance(source="s", trial="t", file="f", reader="r")
    conversation = Conversation(instance="i", provenance=origin, turns=tuple(turns))
    checked = checks.checked(conversation, reasoning="Keep").conversation
    record = lf_records.render(checked, family=family_of("qwen3")).record
    assert [message["content"] for message in record["messages"]] == [turn.text for turn in turns]
