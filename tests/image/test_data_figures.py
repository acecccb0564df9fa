"""How much there is to train, and what is said of turns without a thought."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from tests.image import data_samples as samples

from sftrun_data.figures import MOST_TOOLS, Figures, Shape, Spread, ToolUse, total
from sftrun_data.results import ConversionResult

Json = dict[str, Any]
LOG = "agent/litellm-trajectory.jsonl"


def rows(tmp_path: Path, *thoughts: str) -> Path:
    """One question a thought; an empty one is none."""
    items = [
        {"messages": [{"role": "user", "content": f"Q{n}"}, {"role": "assistant", "content": f"{thought}A"}]}
        for n, thought in enumerate(thoughts)
    ]
    return samples.write(tmp_path / "rows.jsonl", "\n".join(map(json.dumps, items)))


def figures(result: ConversionResult) -> Figures:
    """Those of a result that has some."""
    assert result.figures is not None
    return result.figures


THOUGHT = "<think>\nT\n</think>\n\n"
EMPTY: dict[str, tuple[str, str, list[str], int, bool]] = {
    "every thought is there": ("qwen3", "Keep", [THOUGHT] * 20, 0, False),
    "one in twenty is five per cent": ("qwen3", "Keep", [THOUGHT] * 19 + [""], 1, False),
    "more than five per cent": ("qwen3", "Keep", [THOUGHT] * 18 + [""], 1, True),
    "a template without thoughts": ("qwen3_nothink", "Keep", [""] * 3, 0, False),
    "dropped on purpose": ("qwen3", "Drop", [THOUGHT] * 3, 0, False),
}


@pytest.mark.parametrize("name", EMPTY)
def test_turns_that_get_an_empty_thought(tmp_path: Path, name: str) -> None:
    template, policy, thoughts, expected, warned = EMPTY[name]
    result = samples.converted(tmp_path, rows(tmp_path, *thoughts), template=template, reasoning=policy)
    assert figures(result).empty_thoughts == expected
    assert bool(result.warnings) == warned
    summary = json.loads(Path(result.summary_path).read_text())["result"]
    assert summary["warnings"] == list(result.warnings)
    assert ConversionResult.from_json(json.loads(json.dumps(result.to_json()))) == result


def test_the_warning_counts_and_says_what_to_do(tmp_path: Path) -> None:
    result = samples.converted(tmp_path, rows(tmp_path, THOUGHT, "", ""), template="qwen3")
    (warning,) = result.warnings
    assert warning.startswith("2 of 3 trained turns (67%) show no reasoning")
    assert "conversion.reasoning" in warning and "_nothink" in warning


def test_an_account_of_an_earlier_version_has_no_figures(tmp_path: Path) -> None:
    value = samples.converted(tmp_path, rows(tmp_path, "")).to_json()
    del value["figures"], value["warnings"]
    assert ConversionResult.from_json(value).warnings == ()


def test_percentiles_are_by_nearest_rank() -> None:
    found = total(Shape(turns=n, empty_thoughts=0, tokens=10 * n) for n in range(100, 0, -1))
    assert found and found.turns_a_record == Spread(p50=50, p90=90, p99=99, max=100)
    assert found.estimated_tokens == 50500
    one = total([Shape(turns=3, empty_thoughts=0, tokens=7)])
    assert one and one.estimated_tokens_a_record == Spread(p50=7, p90=7, p99=7, max=7)
    assert total([]) is None


def test_tokens_are_estimated_from_bytes(tmp_path: Path) -> None:
    row = {
        "messages": [{"role": "user", "content": "é" * 40}, {"role": "assistant", "content": "A" * 81}],
        "system": "S" * 40,
    }
    result = samples.converted(tmp_path, samples.write(tmp_path / "r.jsonl", json.dumps(row)))
    (line,) = Path(result.datasets[0].path).read_bytes().splitlines(keepends=True)
    assert figures(result).estimated_tokens == -(-len(line) // 4)


def exchange(time: int, messages: list[Json], answer: str) -> Json:
    """A line of a request log."""
    return {
        "request_time": time,
        "request_body": {"model": "m", "messages": messages},
        "response_body": {"choices": [{"message": {"role": "assistant", "content": answer}}]},
    }


def test_turns_trained_again_are_counted(tmp_path: Path) -> None:
    head = [
        {"role": "system", "content": "You are Claude Code."},
        {"role": "user", "content": "Fix it."},
        {"role": "assistant", "content": "First."},
    ]
    ways = [[*head, {"role": "user", "content": way}] for way in ("this way", "that way")]
    log = "\n".join(json.dumps(exchange(n, way, f"Done {n}.")) for n, way in enumerate(ways))
    samples.trial(tmp_path / "jobs" / "job", files={LOG: log})
    job = tmp_path / "jobs" / "job"
    both = figures(samples.converted(tmp_path, job, branches="All"))
    assert (both.turns, both.turns_again) == (4, 1)
    one = figures(samples.converted(tmp_path, job, branches="Longest"))
    assert (one.turns, one.turns_again) == (2, 0)


def test_calls_and_thoughts_are_counted(tmp_path: Path) -> None:
    def call(name: str) -> Json:
        return {"id": name, "function": {"name": name, "arguments": "{}"}}

    messages = [
        {"role": "user", "content": "Q"},
        {"role": "assistant", "content": "", "reasoning": "T", "tool_calls": [call("g"), call("f")]},
        *({"role": "tool", "tool_call_id": name, "content": "R"} for name in "gf"),
        {"role": "assistant", "content": "", "tool_calls": [call("f")]},
        {"role": "tool", "tool_call_id": "f", "content": "R"},
        {"role": "assistant", "content": "Done."},
    ]
    path = samples.write(tmp_path / "rows.jsonl", json.dumps({"messages": messages}))
    for kind in ("WholeTrajectory", "PerTurn"):
        found = figures(samples.converted(tmp_path, path, samples=kind))
        assert (found.turns, found.thoughts) == (3, 1)
        assert found.tools == (ToolUse(name="f", calls=2), ToolUse(name="g", calls=1))
        assert Figures.from_json(json.loads(json.dumps(dataclasses.asdict(found)))) == found


def test_tools_without_end_are_cut_off() -> None:
    shapes = [Shape(turns=1, empty_thoughts=0, tokens=1, calls=((f"t{n:03}", 1),)) for n in range(200)]
    found = total([*shapes, Shape(turns=1, empty_thoughts=0, tokens=1, calls=(("most", 3),))])
    assert found
    assert (len(found.tools), found.tools[0].name, found.tools[1].name) == (MOST_TOOLS, "most", "t000")


def test_what_is_over_the_limit_is_not_counted(tmp_path: Path) -> None:
    assert figures(samples.converted(tmp_path, rows(tmp_path, "", "", ""), max_instances=1)).turns == 1
