"""ATIF of agents that call tools themselves: what Harbor exports for scaffolds whose own logs are not at
hand.

Better than nothing, and second best: Harbor's runners drop reasoning and overwrite results of parallel
calls, so a
request log or the scaffold's own session files go first.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from sftrun_data.conversations import Conversation, Role, Turn
from sftrun_data.exclusions import LeftOut, Note
from sftrun_data.raw_conversations import RawConversation
from sftrun_data.readers import atif, raw_atif
from sftrun_data.readers.atif import Step, Trajectory
from sftrun_data.readers.base import Place, Reader
from sftrun_data.tools import Definition

FILE = "trajectory.json"
_BESIDE = re.compile(r"^trajectory\.[\w.-]+\.json$")
"""Names of files beside it; a name in a log that is none of these is not followed."""
_SUMMARY = re.compile(r"^trajectory\.summarization-")
"""Repeat the main one: how a context was summarised."""


def path_of(place: Place) -> Path:
    """Returns where the trajectory lies."""
    return place.log(FILE)


def is_of(place: Place, agents: Collection[str]) -> bool:
    """Whether the place holds an ATIF file of an agent that is called so."""
    path = path_of(place)
    return path.name.endswith(".json") and atif.agent_in(place.head(path)) in agents


def paths_of(place: Place) -> list[Path]:
    """Returns the files that `conversations` may open: the trajectory and what may lie beside it."""
    main = path_of(place)
    if place.file:
        return [main]
    beside = [path for path in place.walk(depth=1) if _BESIDE.match(path.name)]
    return [main, *(path for path in beside if path != main)]


def conversations(place: Place, *, reader: Reader) -> Iterator[Conversation | RawConversation]:
    """Yields the trajectory of a place and its continuations, then those of its sub-agents: embedded, or in
    files beside it. Raises LeftOut for the first; others that cannot be read are passed over with a note."""
    main = path_of(place)
    data = place.read(main)
    if raw := raw_atif.parse(data):
        frame = Conversation(
            instance=place.instance,
            provenance=place.provenance(main, reader=reader, part=0),
            turns=(),
            tools=raw.tools,
            agent=raw.agent or reader.scaffold,
            model=raw.model,
            created=raw.created,
            rewards=place.rewards,
        )
        yield RawConversation(frame, raw.turns, raw.searched)
        return
    definitions: dict[str, tuple[Definition, ...]] = {}
    for part, (path, trajectory, notes) in enumerate(_trajectories(place, data)):
        said = set(trajectory.notes) | notes
        # A continuation may leave out what its first file said of the same agent's tools.
        definitions.setdefault(trajectory.agent, trajectory.tools)
        yield Conversation(
            instance=place.instance,
            provenance=place.provenance(path, reader=reader, part=part),
            turns=tuple(turn for step in trajectory.steps for turn in _step(step, said)),
            tools=trajectory.tools or definitions[trajectory.agent],
            agent=trajectory.agent or reader.scaffold,
            model=trajectory.model,
            created=trajectory.created,
            rewards=place.rewards,
            notes=frozenset(said),
        )


def _trajectories(place: Place, data: bytes) -> Iterator[tuple[Path, Trajectory, set[str]]]:
    """Yields trajectories, each once, with the file that holds it and what its own notes do not say."""
    main = path_of(place)
    waiting = [(main, atif.parse(data))]
    known = {main.name}
    while waiting:
        path, trajectory = waiting.pop(0)
        notes: set[str] = set()
        for name in _named_by(trajectory):
            if name in known or not _BESIDE.match(name):
                continue
            known.add(name)
            if _SUMMARY.match(name):
                notes.add(Note.SIDE_TRAJECTORY_SKIPPED)
                continue
            try:
                waiting.append((path.parent / name, atif.parse(place.read(path.parent / name))))
            except LeftOut:
                missed = name == trajectory.continued_in
                notes.add(Note.CONTINUATION_MISSING if missed else Note.SIDE_TRAJECTORY_SKIPPED)
        embedded = [item for item in map(_embedded, trajectory.embedded) if item is not None]
        waiting += [(path, item) for item in embedded]
        yield path, trajectory, notes


def _named_by(trajectory: Trajectory) -> Iterator[str]:
    """Yields the files that a trajectory names: where it goes on, and its sub-agents'."""
    if trajectory.continued_in:
        yield trajectory.continued_in
    for step in trajectory.steps:
        for result in step.results:
            for ref in result.side_trajectories:
                if isinstance(ref.get("trajectory_path"), str):
                    yield ref["trajectory_path"]


def main_of(place: Place, path: Path) -> tuple[Turn, ...]:
    """Returns the turns of a trajectory, without its sub-agents'. Raises LeftOut."""
    return tuple(turn for step in atif.parse(place.read(path)).steps for turn in _step(step, set()))


def _embedded(value: Mapping[str, Any]) -> Trajectory | None:
    try:
        return atif.from_value(value)
    except LeftOut:
        return None


def _step(step: Step, notes: set[str]) -> Iterator[Turn]:
    if step.source != "agent":
        yield Turn(role=step.source, text=step.text)
        return
    if not step.by_model:
        notes.add(Note.SYSTEM_STEP_DROPPED)
        return
    yield Turn(role="assistant", text=step.text, reasoning=step.reasoning, calls=step.calls)
    for result in step.results:
        role: Role = "tool" if step.calls else "user"
        yield Turn(role=role, text=result.text, call_id=result.call_id if step.calls else "")
