"""The fast reader of request logs against a straightforward one: every record is the same, byte for byte."""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from bench import convert_baseline, convert_logs
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.image import data_samples as samples

from sftrun_data import families, sources
from sftrun_data.outcomes import Defaults, Recipe, Record, outcome_of
from sftrun_data.readers import repeated_lines
from sftrun_data.records import Line
from sftrun_data.requests import Branches, ConversionOptions, HarborJobInput, SourceRequest

Json = dict[str, Any]
BRANCHES: tuple[Branches, ...] = ("Longest", "All")


@pytest.mark.parametrize("branches", BRANCHES)
@pytest.mark.parametrize("shape", convert_logs.SHAPES)
def test_generated_jobs(tmp_path: Path, shape: str, branches: Branches) -> None:
    job = tmp_path / "jobs" / "job"
    convert_logs.write_job(job, shape=shape, trials=2, size=convert_logs.Size(calls=12, prompt=300))
    expected = tmp_path / "expected"
    found = samples.converted(tmp_path, job, branches=branches)
    (dataset,) = found.datasets
    assert found.converted == convert_baseline.convert(
        job, out=expected, template="qwen3", branches=branches, source=dataset.source
    )
    assert found.converted > 1
    assert Path(found.im_path).read_bytes() == (expected / "im").read_bytes()
    assert Path(dataset.path).read_bytes() == (expected / "lf").read_bytes()


TEXT = st.sampled_from(
    ("", "a", "b]", '},{"role":', '"', "\\", "é", "<think>", "cch=1a2;", "<tool_use_error>")
)
CONTENT: st.SearchStrategy[Any] = st.one_of(
    TEXT,
    st.none(),
    st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": TEXT}), max_size=2),
)
CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.sampled_from(("c1", "c2")),
            "function": st.fixed_dictionaries({"name": st.just("Bash"), "arguments": st.just('{"c": "é"}')}),
        }
    ),
    max_size=2,
)
PROMPT = st.builds(lambda text: {"role": "system", "content": f"You are Claude Code. {text}"}, TEXT)
USER = st.builds(lambda content: {"role": "user", "content": content}, CONTENT)
TOOL = st.builds(
    lambda content, call: {"tool_call_id": call, "role": "tool", "content": content},
    CONTENT,
    st.sampled_from(("c1", "c2")),
)
ANSWER = st.builds(
    lambda content, calls, thought: (
        {"role": "assistant", "content": content}
        | ({"tool_calls": calls} if calls else {})
        | ({"reasoning_content": thought} if thought else {})
    ),
    CONTENT,
    CALLS,
    st.sampled_from(("", "", "T1", "T2")),
)
MESSAGE = st.one_of(USER, TOOL, ANSWER)


def without_thought(message: Json) -> Json:
    """A message as later requests repeat it."""
    return {key: value for key, value in message.items() if key != "reasoning_content"}


def marked(message: Json) -> Json:
    """A message with a mark for caching."""
    return message | {"cache_control": {"type": "ephemeral"}}


@st.composite
def logs(draw: st.DrawFn) -> list[bytes]:
    """The lines of one to three agents that speak in turns; their histories grow, or are rewritten."""
    prompt, task = draw(PROMPT), draw(USER)
    agents = [[prompt, task], [prompt, draw(USER)], [draw(PROMPT), task]][: draw(st.integers(1, 3))]
    lines = []
    for number in range(draw(st.integers(1, 9))):
        agent = draw(st.integers(0, len(agents) - 1))
        history = agents[agent]
        change = draw(st.sampled_from(("none",) * 6 + ("mark", "strip", "cut", "summary", "replace", "drop")))
        at = draw(st.integers(0, len(history) - 1))
        if change == "mark":
            history = [*history[:at], marked(history[at]), *history[at + 1 :]]
        elif change == "strip":
            history = [without_thought(message) for message in history]
        elif change == "cut":
            history = history[: at + 1]
        elif change == "summary":
            history = [*history[:2], draw(ANSWER), draw(USER)]
        elif change == "replace":
            history = [*history[:at], draw(MESSAGE), *history[at + 1 :]]
        elif change == "drop" and len(history) > 2:
            history = [*history[:at], *history[at + 1 :]]
        answer = draw(ANSWER)
        line: Json = {
            "request_body": {"messages": history, "tools": [{"name": "Bash"}], "model": "m"},
            "request_time": draw(st.integers(0, 3)) if draw(st.booleans()) else number,
            "response_body": {"choices": [{"message": answer}]},
        }
        if draw(st.integers(0, 9)) == 0:
            line |= {"success": False}
        text = json.dumps(line, ensure_ascii=draw(st.booleans())).encode()
        lines.append(text[: len(text) // 2] if draw(st.integers(0, 14)) == 0 else text)
        agents[agent] = [*history, without_thought(answer) if draw(st.booleans()) else answer]
        agents[agent] += draw(st.lists(st.one_of(TOOL, USER), min_size=1, max_size=2))
    return lines


def fast(job: Path, recipe: Recipe) -> list[tuple[Line, Line]]:
    """The records of our own reader."""
    request = SourceRequest(
        name=job.name, input=HarborJobInput(path=job, scaffold="ClaudeCode"), options=recipe.options
    )
    source = sources.open_logs(request, HarborJobInput(path=job, scaffold="ClaudeCode"), field="sources[0]")
    items = [item for unit in source.units(seed=1) for item in outcome_of(unit, recipe)]
    return [(item.im, item.lf) for item in items if isinstance(item, Record)]


@given(lines=logs(), branches=st.sampled_from(BRANCHES))
@settings(max_examples=150, deadline=None)
def test_any_log(lines: list[bytes], branches: Branches) -> None:
    recipe = Recipe(
        options=ConversionOptions(branches=branches), family=families.family_of("qwen3"), defaults=Defaults()
    )
    with tempfile.TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as patch:
        patch.setattr(repeated_lines, "_WORTH_IT", 1)
        job = Path(scratch) / "job"
        folder = convert_logs.write_trial(job, 0)
        samples.write(folder / convert_logs.LOG, b"\n".join(lines))
        expected = convert_baseline.records_of(folder, recipe, source=job.name)
        assert fast(job, recipe) == [(item.im, item.lf) for item in expected]


def test_equal_seeds_make_equal_logs(tmp_path: Path) -> None:
    for name in ("one", "two"):
        convert_logs.write_job(tmp_path / name, shape="marks", trials=1, size=convert_logs.SMALL)
    first, second = (
        (tmp_path / name / "trial-00000" / convert_logs.LOG).read_bytes() for name in ("one", "two")
    )
    assert first == second
    assert len(first.splitlines()) == convert_logs.SMALL.calls
    other = convert_logs.Writer(random.Random(2), convert_logs.SMALL).text(50)
    assert convert_logs.Writer(random.Random(3), convert_logs.SMALL).text(50) != other
