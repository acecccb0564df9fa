"""Texts left as JSON: whatever a log holds, the short way gives what the long way does, byte for byte, or
leaves it to the long way."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Raw
from tests.image.data_samples import atif, system, user, write

from sftrun_data import raw_records
from sftrun_data.families import family_of
from sftrun_data.outcomes import Defaults, Outcome, Recipe, Record, outcome_of
from sftrun_data.raw_conversations import RawConversation
from sftrun_data.raw_texts import Markers, Spelling
from sftrun_data.readers import READERS, raw_atif, raw_claude_sessions
from sftrun_data.readers.base import Place
from sftrun_data.requests import ConversionOptions
from sftrun_data.selections import Candidate
from sftrun_data.sources import Unit

FAMILIES = (
    "qwen3",
    "qwen3_nothink",
    "llama3",
    "glm4",
    "glm4_moe",
    "mistral",
    "deepseek3",
    "qwen3_5",
    "gpt_oss",
)
MARKUP = (
    *("<|im_end|>", "<think>", "</think>", "<tool_call>", "<tool_use_error>", "{{idx}}", "<image>", "</s>"),
    *("\n", "\t", '"', "\\", "\\n", "/", "\u2028", "\x7f", "\x1b", "é", "→", "😀", " "),
)
TEXT = st.lists(st.sampled_from(MARKUP) | st.text(max_size=4), max_size=5).map("".join)
WORDS = st.sampled_from(("Done.", "Let me look.\n", "é → \\n", "")) | TEXT
NUMBER = st.sampled_from((0, -1, 1.5, 1e-7, 2**53, 2**63, 2**64, 10**30, 1e30, -0.0)) | st.integers()
VALUE = st.recursive(
    st.none() | st.booleans() | NUMBER | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
ARGUMENTS = st.dictionaries(st.sampled_from(("command", "é", 'a"b')) | TEXT, VALUE, max_size=3)
NAME = st.sampled_from(("bash", "look up", 'q"', "é"))
ODD: st.SearchStrategy[Any] = st.none() | st.integers(0, 1) | st.just([]) | st.lists(TEXT, max_size=1)
relaxed = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


@st.composite
def steps(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Steps of an agent: mostly a task, then calls with their results, then an end."""
    found = [system(draw(WORDS))] if draw(st.booleans()) else []
    found.append(user(draw(WORDS)))
    for number in range(draw(st.integers(0, 3))):
        calls = [
            {"tool_call_id": f"c{number}-{n}", "function_name": draw(NAME), "arguments": draw(ARGUMENTS)}
            for n in range(draw(st.sampled_from((1, 1, 1, 2))))
        ]
        results = [{"source_call_id": call["tool_call_id"], "content": draw(WORDS)} for call in calls]
        step: dict[str, Any] = {"source": "agent", "message": draw(WORDS), "tool_calls": calls}
        step |= {"observation": {"results": draw(st.permutations(results))}}
        found.append(step | draw(optional(reasoning_content=WORDS, timestamp=TEXT)))
        found += draw(st.sampled_from(([], [], [], [user("Go on.")], [system()])))
    found.append({"source": "agent", "message": draw(WORDS)})
    return found


@st.composite
def trajectories(draw: st.DrawFn) -> dict[str, Any]:
    document = atif(*draw(steps()), agent="claude-code")
    document["agent"] |= draw(
        optional(tool_definitions=st.just([{"name": "bash"}]) | VALUE, model_name=TEXT, name=TEXT)
    )
    damaged: dict[str, Any] = _damaged(draw, document)
    return damaged


@st.composite
def sessions(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Lines of a session, an answer often spread over several."""
    found: list[dict[str, Any]] = [{"type": "user", "message": {"role": "user", "content": draw(WORDS)}}]
    for number in range(draw(st.integers(0, 3))):
        block = {"type": "tool_use", "id": f"t{number}", "name": draw(NAME), "input": draw(ARGUMENTS)}
        blocks = [
            *draw(st.sampled_from(([], [{"type": "thinking", "thinking": draw(WORDS), "signature": "s"}]))),
            *({"type": "text", "text": draw(WORDS)} for _ in range(draw(st.integers(0, 2)))),
            block,
        ]
        for part in [[one] for one in blocks] if draw(st.booleans()) else [blocks]:
            message = {"id": f"m{number}", "role": "assistant", "model": draw(st.sampled_from(("m", "")))}
            found.append({"type": "assistant", "message": message | {"content": part}})
        said = draw(WORDS | st.lists(WORDS.map(lambda text: {"type": "text", "text": text}), max_size=2))
        result = {"type": "tool_result", "tool_use_id": f"t{number}", "content": said}
        result |= draw(optional(is_error=st.booleans()))
        found.append({"type": "user", "message": {"role": "user", "content": [result]}})
        found += draw(
            st.sampled_from(
                ([], [], [{"type": "progress"}], [{"type": "user", "message": {"content": "More."}}])
            )
        )
    found.append(
        {"type": "assistant", "message": {"id": "end", "content": [{"type": "text", "text": draw(WORDS)}]}}
    )
    before: str | None = None
    for number, line in enumerate(found):
        line.update(uuid=f"u{number}", parentUuid=before, sessionId="s", isSidechain=False)
        if draw(st.integers(0, 9)):
            line["timestamp"] = f"2026-01-01T00:00:{number:02}Z"
        before = draw(st.sampled_from((*[line["uuid"]] * 6, "u0", "gone", None)))
    return [_damaged(draw, line) if draw(st.integers(0, 19)) == 7 else line for line in found]


def _damaged(draw: st.DrawFn, value: Any) -> Any:
    """Now and then puts something else in the place of something."""
    if draw(st.integers(0, 9)) < 9:
        return value
    while isinstance(value, (dict, list)) and value:
        parent, key = (
            value,
            draw(st.sampled_from(list(value) if isinstance(value, dict) else range(len(value)))),
        )
        value = parent[key]
        if draw(st.booleans()):
            break
    parent[key] = draw(ODD)
    return parent


def spelt(value: Any, *, ascii_only: bool, indent: int | None = None) -> bytes:
    return json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "replace")


def outcome(name: str, data: bytes, template: str, options: ConversionOptions) -> Outcome:
    """What becomes of a trial with one log."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        path = write(root / "trial" / "agent" / name, data)
        agent = root / "trial" / "agent"
        place = Place(source="s", trial="trial", instance="i", root=root, folder=agent)
        read = partial(READERS["ClaudeCode"].read, place, form="AsSpoken", branches="All")
        unit = Unit(candidate=Candidate(name="trial", instance="i"), parts=(read,))
        recipe = Recipe(options=options, family=family_of(template), defaults=Defaults())
        assert path.exists()
        return outcome_of(unit, recipe)


OPTIONS = st.sampled_from(
    (ConversionOptions(),) * 4
    + (ConversionOptions(samples="PerTurn"), ConversionOptions(reasoning="Require"))
    + (ConversionOptions(reasoning="Drop"), ConversionOptions(min_score=0.9))
)
LOGS: dict[str, tuple[str, Any]] = {
    "atif": ("trajectory.json", raw_atif),
    "session": ("sessions/projects/p/s.jsonl", raw_claude_sessions),
}


def same_both_ways(kind: str, data: bytes, template: str, options: ConversionOptions) -> Outcome:
    name, module = LOGS[kind]
    short = outcome(name, data, template, options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "parse", lambda data: None)
        assert short == outcome(name, data, template, options)
    return short


@given(trajectories(), st.booleans(), st.sampled_from((None, 2)), st.sampled_from(FAMILIES), OPTIONS)
@relaxed
def test_trajectories(
    document: Any, ascii_only: bool, indent: int | None, template: str, options: ConversionOptions
) -> None:
    same_both_ways("atif", spelt(document, ascii_only=ascii_only, indent=indent), template, options)


@given(sessions(), st.booleans(), st.sampled_from(FAMILIES), OPTIONS)
@relaxed
def test_sessions(lines: Any, ascii_only: bool, template: str, options: ConversionOptions) -> None:
    data = b"\n".join(spelt(line, ascii_only=ascii_only) for line in lines)
    same_both_ways("session", data, template, options)


@given(
    sessions(), st.lists(st.sampled_from((*[b"\n"] * 9, b"\r\n", b"\n\n", b"\n \n", b" ", b"")), max_size=20)
)
@relaxed
def test_lines_end_where_they_end(lines: Any, ends: list[bytes]) -> None:
    """Values of JSON behind one another are lines only where each has its own."""
    spelt_lines = [spelt(line, ascii_only=False) for line in lines]
    data = b"".join(line + end for line, end in zip_longest(spelt_lines, ends, fillvalue=b"\n"))
    same_both_ways("session", data, "qwen3", ConversionOptions())


def test_an_object_over_two_lines_is_none() -> None:
    """As many lines as objects, each between braces: and still one line holds two, and another none."""
    said = {"type": "user", "message": {"role": "user", "content": "Q"}}
    answer = {"type": "assistant", "message": {"id": "m", "content": [{"type": "text", "text": "A"}]}}
    first, second = (spelt(line, ascii_only=False) for line in (said, answer))
    for data in (first + second[:-1] + b"\n}", first + second.replace(b": {", b":\n{", 1), first + second):
        same_both_ways("session", data, "qwen3", ConversionOptions())


def session_of(*blocks: Any, **message: Any) -> bytes:
    """A session whose first answer holds such blocks behind a text."""
    said = [{"type": "text", "text": "A"}, *blocks]
    lines: list[dict[str, Any]] = [
        {"type": "user", "message": {"role": "user", "content": "Q"}},
        {"type": "assistant", "message": {"id": "m", "role": "assistant", "content": said} | message},
    ]
    lines.append({"type": "assistant", "message": {"id": "n", "content": [{"type": "text", "text": "End."}]}})
    return b"\n".join(spelt(line, ascii_only=False) for line in lines)


@pytest.mark.parametrize(
    "block",
    [
        {"type": "thinking", "thinking": "Hm.", "signature": "s"},
        {"type": "thinking", "thinking": None},
        {"type": "redacted_thinking", "data": "x"},
        {"text": "B", "type": "text", "name": 5},
        {"type": "tool_result", "tool_use_id": "t", "content": "passed over"},
    ],
)
def test_usual_blocks_of_a_session_are_read_the_short_way(block: Any) -> None:
    data = session_of(block)
    assert raw_claude_sessions.parse(data)
    (record,) = same_both_ways("session", data, "qwen3", ConversionOptions())
    assert isinstance(record, Record)


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image", "source": {}},
        {"type": "refusal", "refusal": "no"},
        {"type": "server_tool_use", "id": "t", "name": "search", "input": {}},
        {"type": "text"},
        {"type": "text", "text": None},
        {"type": None, "text": "B"},
        {"text": "B"},
        *(
            {"type": "tool_use", "id": "t", "name": "f", "input": {}, key: None}
            for key in ("function", "arguments", "parameters", "args")
        ),
    ],
)
def test_unusual_blocks_of_a_session_are_read_the_long_way(block: Any) -> None:
    data = session_of(block)
    assert raw_claude_sessions.parse(data) is None
    same_both_ways("session", data, "qwen3", ConversionOptions())


@pytest.mark.parametrize(
    "key",
    ["reasoning_content", "reasoning", "thinking", "thinking_blocks", "tool_calls", "function_call"],
)
@pytest.mark.parametrize("value", [None, "", "R", []])
def test_what_others_put_beside_content_is_read_the_long_way(key: str, value: Any) -> None:
    data = session_of(**{key: value})
    assert raw_claude_sessions.parse(data) is None
    same_both_ways("session", data, "qwen3", ConversionOptions())


@pytest.mark.parametrize("content", ["R {{idx}} é", None, "", ["R"]])
@pytest.mark.parametrize("call_id", ["c", None, 5])
@pytest.mark.parametrize("acts", [True, False])
def test_results_are_not_copied_and_read_all_the_same(content: Any, call_id: Any, acts: bool) -> None:
    call = {"tool_call_id": "c", "function_name": "f", "arguments": {"a": "b"}}
    step: dict[str, Any] = {"source": "agent", "message": "x", "tool_calls": [call] if acts else []}
    step["observation"] = {"results": [{"source_call_id": call_id, "content": content}]}
    document = atif(user("Q"), step, {"source": "agent", "message": "Done."}, agent="claude-code")
    for ascii_only in (False, True):
        same_both_ways("atif", spelt(document, ascii_only=ascii_only), "qwen3", ConversionOptions())


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data.replace(b'"n": 1', b'"n": -0'),
        lambda data: data.replace(b'"n": 1', b'"n": 01'),
        lambda data: data.replace(b'"n": 1', b'"n": 1.0'),
        lambda data: data.replace(b'"n": 1', b'"n": 1E5'),
        lambda data: data.replace(b'"n": 1', b'"n": 9223372036854775808'),
        lambda data: data.replace(b'"n": 1', b'"n": tru'),
        lambda data: data.replace(b'"n": 1', b'"n": {"a":[1,2.50,"\\u003cthink>"]}'),
        lambda data: data.replace(b'"n": 1', b'"n": "a\x00b"'),
        lambda data: data.replace(b'"n": 1', b'"n": "a\nb"'),
        lambda data: data.replace(b'"n": 1', b'"n": ' + b"[" * 900 + b"]" * 900),
        lambda data: data.replace(b'"n": 1', b'"n": ' + b"[" * 9000 + b"]" * 9000),
        lambda data: data.replace(b'"n"', rb'"\u006e"'),
        lambda data: data.replace(b'"n"', rb'"\u003cthink>"'),
        lambda data: data.replace(b'"n"', rb'"\u0000"'),
        lambda data: data.replace(b"hidden", rb"\u0000"),
        lambda data: data.replace(b"hidden", b"\xed\xa0\x80"),
        lambda data: data.replace(b"hidden", b"\xc0\xbc"),
        lambda data: data.replace(b"hidden", b"\xf4\x90\x80\x80"),
        lambda data: data.replace(b"hidden", b"\xe2\x82"),
        lambda data: data.replace(b"hidden", b"\xff"),
        lambda data: data.replace(b"hidden", rb"\ud83d"),
        lambda data: data.replace(b"hidden", rb"\u003c|im_end|>"),
        lambda data: data.replace(b"hidden", rb"<\/think>"),
        lambda data: data.replace(b"hidden", b"<|im_end|>"),
        lambda data: data.replace(b"hidden", rb"C:\\users"),
        lambda data: data.replace(b"hidden", b"\x01"),
        lambda data: data.replace(b'"n": 1', b'"n": 1e999'),
        lambda data: data.replace(b'"n": 1', b'"n": 123456789012345678901234567890'),
        lambda data: data.replace(b'"n": 1', b'"n": 1, "n": 2'),
        lambda data: data[:-9],
        lambda data: b"\xef\xbb\xbf" + data,
    ],
)
def test_bytes_that_only_one_of_two_parsers_may_accept(damage: Callable[[bytes], bytes]) -> None:
    call = {"tool_call_id": "c", "function_name": "f", "arguments": {"n": 1, "é": "hidden"}}
    step: dict[str, Any] = {
        "source": "agent",
        "message": "x hidden",
        "tool_calls": [call],
        "reasoning_content": "hidden",
    }
    step["observation"] = {"results": [{"source_call_id": "c", "content": "R hidden"}]}
    document = atif(user("hidden"), step, {"source": "agent", "message": "Done."}, agent="claude-code")
    for ascii_only in (False, True):
        data = damage(spelt(document, ascii_only=ascii_only))
        same_both_ways("atif", data, "qwen3", ConversionOptions())


@pytest.mark.parametrize("template", ["qwen3", "qwen3_nothink", "llama3", "glm4_moe", "deepseek3"])
def test_the_usual_is_never_made_python_s(template: str, tmp_path: Path) -> None:
    call = {"tool_call_id": "c", "function_name": "f", "arguments": {"a": "1 < 2"}}
    step: dict[str, Any] = {
        "source": "agent",
        "message": "I look.",
        "tool_calls": [call],
        "reasoning_content": "Hm → \n",
    }
    step["observation"] = {"results": [{"source_call_id": "c", "content": 'a "b" \\'}]}
    document = atif(system("S"), user("Q"), step, {"source": "agent", "message": "A"}, agent="claude-code")
    agent = write(tmp_path / "trial/agent/trajectory.json", spelt(document, ascii_only=False)).parent
    place = Place(source="s", trial="trial", instance="i", root=tmp_path, folder=agent)
    (found,) = READERS["ClaudeCode"].read(place, form="AsSpoken", branches="All")
    assert isinstance(found, RawConversation)
    assert raw_records.record_of(found, family=family_of(template), policy="Keep", system="")
    (record,) = same_both_ways("atif", spelt(document, ascii_only=False), template, ConversionOptions())
    assert isinstance(record, Record)


@given(st.sets(st.sampled_from(MARKUP) | st.text("</|thinkx>", max_size=9), max_size=14), TEXT)
def test_markers_are_found_where_they_are(markers: set[str], text: str) -> None:
    found = Markers.of(markers)
    if found:
        assert found.are_in(orjson.dumps(text)) == any(marker in text for marker in markers if marker)


@given(TEXT, st.booleans())
def test_strings_are_spelt_as_records_spell_them(text: str, ascii_only: bool) -> None:
    document = spelt(text, ascii_only=ascii_only)
    spelling = Spelling.of(document)
    assert spelling.string(Raw(document)) == orjson.dumps(text)
