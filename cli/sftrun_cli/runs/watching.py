"""Looking at a run again and again until it ends, through lost connections and restarts of the API server.

One thread: ask, draw, wait. What the picture needs beside the object (curve, events, log) is asked for less
often and may be missing; only the object itself must be had.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

from sftrun_cli.cluster import refusals, resources
from sftrun_cli.cluster.clients import Client
from sftrun_cli.errors import CommandError
from sftrun_cli.runs import pods, sources
from sftrun_cli.runs.curves import Curve, Point
from sftrun_cli.runs.pictures import Scene
from sftrun_cli.runs.views import View

T = TypeVar("T")
LOOK_SECONDS = 2.0
CURVE_SECONDS = 6.0
EVENTS_SECONDS = 10.0
PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds before each further try to reach the cluster; the last for ever."""
LOG_LINES = 8
PASSING = (refusals.UnreachableError, refusals.BusyError)
"""What heals by itself."""


@dataclass(kw_only=True)
class Watcher:
    """Looks at one run."""

    cluster: Client
    name: str
    full: bool
    """Also fetch curve, events and log: for a picture."""
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    _curves: sources.CurveReader = field(init=False)
    _scene: Scene | None = None
    _due: dict[str, float] = field(default_factory=dict)
    _silenced: set[str] = field(default_factory=set)
    _notes: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._curves = sources.CurveReader(self.cluster)

    def scenes(self) -> Iterator[Scene]:
        """Yields what is to be shown, until the run has ended.

        Raises:
            CommandError: there is no such run, it was deleted, or the cluster says no.
        """
        failed = 0
        while True:
            try:
                self._scene = self._look()
            except PASSING as error:
                if self._scene is None:
                    raise
                wait = PAUSES[min(failed, len(PAUSES) - 1)]
                failed += 1
                yield replace(self._scene, lost=f"{error}; trying again in {wait:.0f} s")
                self.pause(wait)
                continue
            except refusals.MissingError as error:
                if self._scene is None:
                    raise
                raise CommandError(f"SFTRun {self.name} was deleted") from error
            failed = 0
            yield self._scene
            if self._scene.run.ended:
                return
            self.pause(LOOK_SECONDS)

    def _look(self) -> Scene:
        run = View(self.cluster.get(resources.SFTRUNS, self.name))
        before = self._scene
        if before is not None and before.run.uid != run.uid:
            raise CommandError(f"SFTRun {self.name} was deleted and created anew")
        scene = Scene(run=run) if before is None else replace(before, run=run, lost="")
        return self._completed(scene) if self.full else scene

    def _completed(self, scene: Scene) -> Scene:
        run = scene.run
        if run.ended:  # the last look is whole, and what the pod did not say no longer matters
            self._due.clear()
            self._notes.pop("figures", None)
        if run.phase in ("Preparing", "Training"):
            live = self._extra("figures", lambda: sources.live(self.cluster, run), every=0)
            scene = replace(scene, run=live or run)
        if run.attempt and (run.ended or run.phase in ("Training", "Collecting", "Suspended")):
            found = self._extra(
                "curve", lambda: self._curves.read(run), every=CURVE_SECONDS * (not run.ended)
            )
            if found is not None and found.curve.points:
                scene = replace(scene, curve=found.curve)
        scene = replace(scene, curve=self._with_seen(scene))
        events = self._extra("events", lambda: sources.events(self.cluster, run), every=EVENTS_SECONDS)
        log = self._extra("log", lambda: self._log(run), every=0)
        return replace(
            scene,
            events=events if events is not None else scene.events,
            log=log if log is not None else scene.log,
            notes=tuple(self._notes.values()),
        )

    def _with_seen(self, scene: Scene) -> Curve:
        """Returns the curve, with the losses that were seen since where the pod's own cannot be had."""
        step, loss = scene.run.progress("step"), scene.run.progress("loss")
        known = scene.curve.points
        if step is None or loss is None or (known and known[-1].step >= step):
            return scene.curve
        point = Point(step=int(step), loss=loss)
        return replace(scene.curve, points=(*known, point), num_steps=scene.curve.num_steps + 1)

    def _log(self, run: View) -> tuple[str, ...]:
        found = pods.newest(pods.of_run(self.cluster, run, attempt=run.attempt))
        if found is None or pods.phase(found) == "Pending":
            return ()
        return tuple(pods.log_tail(self.cluster, found, lines=LOG_LINES))

    def _extra(self, what: str, ask: Callable[[], T], *, every: float) -> T | None:
        """Returns what was asked for; `None` where it is not due, or not to be had: then it is said once and,
        where the rights are missing, never asked for again."""
        now = self.clock()
        if what in self._silenced or now < self._due.get(what, 0.0):
            return None
        self._due[what] = now + every
        try:
            found = ask()
        except refusals.ForbiddenError as error:
            self._silenced.add(what)
            self._notes[what] = sources.why_not_asked(error) if what == "figures" else str(error)
            return None
        except refusals.ClusterError as error:
            if what == "figures":
                self._notes[what] = sources.why_not_asked(error)
            self._due[what] = now + EVENTS_SECONDS
            return None
        self._notes.pop(what, None)
        return found
