"""The rule score of a record, 0..1: how well-behaved a trajectory looks, without asking a model.

    score = 0.4 · calls + 0.3 · structure + 0.3 · completion

`calls` is the share of the tool calls that name a defined tool (where the log defines any) and whose result
is no
error; 1 where there are no calls. `structure` is 1 less a quarter for each kind of repair that its turns
needed
(joined, unpaired results, stray system steps), not below 0. `completion` is 1 if the agent ended by itself,
0 if it was
stopped in mid-action, and where the log cannot show it 1 for a last turn without a call and 0.5 for one with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sftrun_data.checks import Checked
from sftrun_data.conversations import Conversation

WEIGHTS = {"calls": 0.4, "structure": 0.3, "completion": 0.3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The parts, each 0..1, and their weighted sum."""

    calls: float
    structure: float
    completion: float

    @property
    def composite(self) -> float:
        """Returns the score, rounded so that it reads the same everywhere."""
        return round(sum(weight * float(getattr(self, part)) for part, weight in WEIGHTS.items()), 4)


def score_of(checked: Checked) -> Score:
    """Returns the score of a checked conversation."""
    conversation = checked.conversation
    return score_of_counts(
        conversation,
        called=[call.name for turn in conversation.turns for call in turn.calls],
        num_failed=sum(turn.is_error for turn in conversation.turns),
        num_repairs=checked.num_repairs,
        calls_at_end=bool(conversation.turns[-1].calls),
    )


def score_of_counts(
    conversation: Conversation,
    *,
    called: Sequence[str],
    num_failed: int,
    num_repairs: int,
    calls_at_end: bool,
) -> Score:
    """Returns the score of a conversation of which is known what it called, how many calls failed, how many
    kinds of repair it needed, and whether its last turn calls. Its turns are not looked at."""
    return Score(
        calls=_calls(conversation, called, num_failed),
        structure=max(0.0, 1.0 - 0.25 * num_repairs),
        completion=_completion(conversation, calls_at_end),
    )


def _calls(conversation: Conversation, called: Sequence[str], num_failed: int) -> float:
    if not called:
        return 1.0
    defined = {tool["function"]["name"] for tool in conversation.tools}
    unknown = sum(name not in defined for name in called) if defined else 0
    return max(0.0, 1.0 - min(unknown + num_failed, len(called)) / len(called))


def _completion(conversation: Conversation, calls_at_end: bool) -> float:
    if conversation.finished is not None:
        return float(conversation.finished)
    return 0.5 if calls_at_end else 1.0
