"""Terminus-2, Harbor's own agent: ATIF in `agent/trajectory.json`, its continuations beside it.

One history of the model is one conversation. Where the context was summarised the history was replaced, so
the part
after it is a conversation of its own that begins as the model saw it: the task, the questions it asked of the
summary, the answers. The side files of the summary repeat the main one and are not trained again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from sftrun_data.conversations import Conversation, Provenance, Turn
from sftrun_data.exclusions import LeftOut, Note
from sftrun_data.readers import atif, terminus2_forms
from sftrun_data.readers.atif import Step, Trajectory
from sftrun_data.readers.base import Place
from sftrun_data.requests import Branches, ToolCallForm

MAIN = "trajectory.json"
_CONTINUATION = re.compile(r"^trajectory\.cont-(\d+)\.json$")
_QUESTIONS = re.compile(r"^trajectory\.summarization-\d+-questions\.json$")
_SIDE = re.compile(r"^trajectory\.(cont-\d+|summarization-\d+-\w+)\.json$")


@dataclass(frozen=True, slots=True)
class Terminus2:
    """Reads Terminus-2's trajectories."""

    scaffold: str = field(default="Terminus2")
    version: int = field(default=1)

    def inputs(self, place: Place) -> list[Path]:
        """Returns the trajectory, its continuations and the questions that follow a summary."""
        if place.file:
            return [place.file]
        main = place.folder / MAIN
        return [main, *_continuations(place.folder), *_matching(place.folder, _QUESTIONS)]

    def claims(self, place: Place) -> bool:
        """Whether the place holds an ATIF file of an agent called terminus…"""
        path = place.log(MAIN)
        if place.file and (_SIDE.match(path.name) or path.suffix != ".json"):
            return False
        return atif.agent_in(place.head(path)).startswith("terminus")

    def read(self, place: Place, *, form: ToolCallForm, branches: Branches) -> Iterator[Conversation]:  # noqa: ARG002
        """Yields one conversation a history; its histories share no trained turn. Raises LeftOut."""
        main = place.log(MAIN)
        part = 0
        files = [main] if place.file else [main, *_continuations(place.folder)]
        trajectories = [(path, atif.parse(place.read(path))) for path in files]
        for index, (path, trajectory) in enumerate(trajectories):
            notes = set(trajectory.notes)
            if trajectory.continued_in and index + 1 == len(trajectories):
                notes.add(Note.CONTINUATION_MISSING)
            for history in _histories(trajectory, place, notes):
                yield self._conversation(
                    trajectory,
                    history,
                    place=place,
                    provenance=place.provenance(path, reader=self, part=part),
                    form=form,
                    notes=frozenset(notes),
                )
                part += 1

    def _conversation(
        self,
        trajectory: Trajectory,
        history: list[Step],
        *,
        place: Place,
        provenance: Provenance,
        form: ToolCallForm,
        notes: frozenset[str],
    ) -> Conversation:
        parser = str(trajectory.agent_extra.get("parser") or "json")
        native = form == "Native"
        turns = [turn for step in history for turn in (_native(step) if native else _as_spoken(step, parser))]
        return Conversation(
            instance=place.instance,
            provenance=provenance,
            turns=tuple(turns),
            tools=(trajectory.tools or terminus2_forms.TOOLS) if native else (),
            agent=trajectory.agent or "terminus-2",
            model=trajectory.model,
            created=trajectory.created,
            finished=_finished(history),
            rewards=place.rewards,
            metadata={"parser": parser, "toolCallForm": form},
            notes=notes,
        )


def _histories(trajectory: Trajectory, place: Place, notes: set[str]) -> Iterator[list[Step]]:
    """Yields the steps of each history, divided where the context was summarised."""
    steps = list(trajectory.steps)
    task = next((step for step in steps if step.source == "user"), None)
    history: list[Step] = []
    divided = False
    for step, following in pairwise([*steps, None]):
        assert step is not None
        if step.source != "system" or not _side_trajectories(step):
            history.append(step)
            continue
        notes.add(Note.SIDE_TRAJECTORY_SKIPPED)
        if following is None:
            continue
        divided = True
        notes.add(Note.SPLIT_AT_SUMMARY)
        yield history
        history = ([task] if task else []) + _questions(step, trajectory, place)
    if history and (not divided or any(step.source == "agent" and not step.copied for step in history)):
        yield history


def _questions(step: Step, trajectory: Trajectory, place: Place) -> list[Step]:
    """Returns the two steps of the summary that stayed in the model's history: what it was told, what it
    asked."""
    for ref in _side_trajectories(step):
        side = _side_trajectory(ref, trajectory, place)
        if side is not None and side.agent.endswith("questions"):
            return [item for item in side.steps if not item.copied][:2]
    return []


def _side_trajectory(ref: dict[str, object], trajectory: Trajectory, place: Place) -> Trajectory | None:
    name, wanted = ref.get("trajectory_path"), ref.get("trajectory_id")
    try:
        if isinstance(name, str) and _QUESTIONS.match(name) and not place.file:
            return atif.parse(place.read(place.folder / name))
        for embedded in trajectory.embedded:
            if wanted and embedded.get("trajectory_id") == wanted:
                return atif.from_value(embedded)
    except LeftOut:
        return None  # the history then begins with the task and the answers
    return None


def _side_trajectories(step: Step) -> list[dict[str, object]]:
    return [dict(ref) for result in step.results for ref in result.side_trajectories]


def _as_spoken(step: Step, parser: str) -> Iterator[Turn]:
    if step.source != "agent":
        yield Turn(role=step.source, text=step.text)
        return
    if step.copied or terminus2_forms.is_verbatim(step):
        text = step.text
    else:
        text = terminus2_forms.spoken(terminus2_forms.answer_of(step), parser=parser)
    yield Turn(role="assistant", text=text, reasoning=step.reasoning, untrained=step.copied)
    yield from _observed(step)


def _native(step: Step) -> Iterator[Turn]:
    if step.source != "agent":
        yield Turn(role=step.source, text=step.text)
        return
    text, calls = step.text, step.calls
    if (
        not step.copied
        and terminus2_forms.is_verbatim(step)
        and (answer := terminus2_forms.parsed(step.text))
    ):
        text, calls = terminus2_forms.account(answer), terminus2_forms.calls_of(answer, step=step.number)
    yield Turn(role="assistant", text=text, reasoning=step.reasoning, calls=calls, untrained=step.copied)
    if calls:
        for result in step.results:
            yield Turn(role="tool", text=result.text, call_id=result.call_id)
    else:
        yield from _observed(step)


def _observed(step: Step) -> Iterator[Turn]:
    """The terminal's output comes to the model as a user's message."""
    if step.results:
        yield Turn(role="user", text="\n".join(result.text for result in step.results))


def _finished(history: list[Step]) -> bool:
    answers = [step for step in history if step.source == "agent"]
    if not answers:
        return False
    last = answers[-1]
    if terminus2_forms.is_verbatim(last):
        answer = terminus2_forms.parsed(last.text)
        return answer is not None and answer.complete
    return any(call.name == terminus2_forms.COMPLETE for call in last.calls)


def _continuations(folder: Path) -> list[Path]:
    return sorted(_matching(folder, _CONTINUATION), key=lambda path: int(_CONTINUATION.match(path.name)[1]))  # type: ignore[index]


def _matching(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if pattern.match(path.name))
    except OSError:
        return []
