"""The stages as a table: what is started for each, and when it counts as done.

The supervisor knows stages only through `Programs`, so that tests give it small programs of their own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from sftrun_api.models import JsonObject
from sftrun_api.reports import Stage
from sftrun_api.run_files import RunFile
from sftrun_api.statuses import Check, Outputs
from sftrun_trainer.calls import ChildCall
from sftrun_trainer.folders import OutputFolder
from sftrun_trainer.settings import Settings

WORK = {
    "Train": (Stage.PREPARE, Stage.REGISTER, Stage.TRAIN),
    "PrepareData": (Stage.PREPARE, Stage.REGISTER),
    "DryRun": (Stage.PREPARE, Stage.REGISTER),
}
"""The stages with a child, by `spec.mode`; Collect comes after them and has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What is started for a stage."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    """All of it."""
    stop_children: bool = False
    """SIGTERM goes to its direct children instead."""


class Programs(Protocol):
    """What the stages are made of."""

    def look(self, *, run: RunFile, settings: Settings, tell: Callable[[Check], None]) -> None:
        """Tells what is to be said of image and machine, at every start. Raises `Ending`."""

    def program(
        self, stage: Stage, *, call: ChildCall, run: RunFile, environment: Mapping[str, str]
    ) -> Program:
        """Returns what to start, given the environment of every child. Raises `Ending` and `OSError`."""

    def settle(
        self,
        stage: Stage,
        *,
        run: RunFile,
        folder: OutputFolder,
        earlier: Mapping[Stage, JsonObject],
        payload: JsonObject | None,
    ) -> JsonObject | None:
        """Returns the stage's result when it is really there, `None` when it is not.

        Asked after a child's end, with the payload that it sent (`None`: none), and of a marker's payload.
        `earlier` holds the payloads of the stages before. Raises `Ending` and `OSError`.
        """

    def outputs(self, *, run: RunFile, folder: OutputFolder) -> Outputs:
        """Returns what training has produced; figures of the curve are added by the supervisor."""

    def plot(self, *, run: RunFile, folder: OutputFolder, settings: Settings) -> str:
        """Draws the curves into the output folder; returns why that failed, empty where it did not."""


def module_argv(stage: Stage, call: ChildCall) -> tuple[str, ...]:
    """Returns the command line of a stage that is a module of ours."""
    return (sys.executable, "-m", f"sftrun_trainer.{stage.value.lower()}", *call.arguments())
