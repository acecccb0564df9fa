"""One child process of a stage: started in a session of its own, its output and events taken in, ended when
need be.

This module knows processes and time, nothing of what the stages do.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sftrun_trainer import births, events, heartbeats, logs, oom, processes, stalls, wakes

How = Literal["Ended", "Stopped", "Killed", "Stalled", "Abandoned"]
DRAIN_SECONDS = 5.0
"""How long output may still come after the child has ended (a grandchild that holds the pipe)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildEnding:
    """How a child ended."""

    how: How
    """`Ended` by itself; `Stopped` or `Killed` after a stop was asked for; `Stalled`; `Abandoned`: `watch`
    said so."""
    returncode: int
    """Negative: the signal that ended it."""
    out_of_memory: bool
    """Whether the kernel killed something for want of memory meanwhile."""
    tail: str
    stacks: str = ""
    """Where each process of a stalled stage was, a line each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to start, and how to treat it."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    events: Path
    stop_children: bool = False
    """SIGTERM goes to the direct children instead: torchrun would give its ranks 30 s and then kill them."""
    grace: float = 600.0
    """Seconds between SIGTERM and SIGKILL."""
    look_every: float = 0.2
    cwd: Path | None = None
    hide: Callable[[bytes], bytes] = bytes
    """Takes secrets out of a line of events before anybody reads it."""


class Child:
    """A running child."""

    def __init__(self, *, order: Order, log: logs.Log, wake: wakes.Wakes) -> None:
        self._order = order
        self._log = log
        self._wakes = wake
        self._mark = secrets.token_hex(8)
        self._num_kills = oom.num_kills()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", births.__file__, str(os.getpid()), *order.argv],
            env={**order.environment, processes.MARK: self._mark},
            cwd=order.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._pump = threading.Thread(target=self._drain, name="log", daemon=True)
        self._waiter = threading.Thread(target=self._await, name="child", daemon=True)
        self._pump.start()
        self._waiter.start()

    @property
    def pid(self) -> int:
        """The child's pid."""
        return self._process.pid

    def run(
        self,
        *,
        beats: heartbeats.Heartbeats,
        take: Callable[[events.Event], None],
        abandon: Callable[[], bool] = lambda: False,
    ) -> ChildEnding:
        """Waits for the child's end, hands its events on, and ends it when it must end.

        A stop request forwards SIGTERM and waits `grace` seconds; a second one, a stall, or `abandon`
        (asked on every look) kills. Whatever the child has started is gone when this returns or raises.
        """
        try:
            return self._run(beats=beats, take=take, abandon=abandon)
        except BaseException:
            self._kill()
            raise

    def _run(
        self,
        *,
        beats: heartbeats.Heartbeats,
        take: Callable[[events.Event], None],
        abandon: Callable[[], bool],
    ) -> ChildEnding:
        reader = events.EventReader(self._order.events, hide=self._order.hide)
        how: How = "Ended"
        kill_at: float | None = None
        stacks = ""
        while self._waiter.is_alive():
            self._wakes.wait(self._order.look_every)
            self._take(reader.read(), beats=beats, take=take)
            if self._wakes.stopping and kill_at is None:
                how, kill_at = "Stopped", beats.clock() + self._order.grace
                self._terminate()
            elif kill_at is not None and (beats.clock() >= kill_at or self._wakes.stop_requests > 1):
                # Whoever is killed for another cause and takes its time to end was not asked to stop.
                how = "Killed" if how == "Stopped" else how
                kill_at = beats.clock() + self._order.grace
                self._kill()
            elif kill_at is None and abandon():
                how, kill_at = "Abandoned", beats.clock()
                self._kill()
            elif kill_at is None and beats.stalled():
                how, kill_at = "Stalled", beats.clock()
                self._log.note(
                    f"sftrun: no sign of life for {beats.silent_for:.0f} s; stacks of all processes follow"
                )
                stacks = stalls.dump(self._mark, log=self._log)
                self._kill()
        processes.kill_marked(self._mark)
        self._pump.join(timeout=DRAIN_SECONDS)
        self._take(reader.read(), beats=beats, take=take)
        returncode = self._process.wait()
        processes.reap_orphans()
        kills = oom.num_kills()
        return ChildEnding(
            how=how,
            returncode=returncode,
            out_of_memory=kills is not None and self._num_kills is not None and kills > self._num_kills,
            tail=self._log.tail(),
            stacks=stacks,
        )

    def _take(
        self,
        found: Iterator[events.Event],
        *,
        beats: heartbeats.Heartbeats,
        take: Callable[[events.Event], None],
    ) -> None:
        for event in found:
            if isinstance(event, events.Step):
                beats.stepped()
            else:
                beats.beat()
            take(event)
        beats.printed(self._log.num_bytes)

    def _terminate(self) -> None:
        targets = processes.children_of(self.pid) if self._order.stop_children else ()
        for pid in targets:
            processes.send(pid, signal.SIGTERM)
        if not targets:
            self._signal_group(signal.SIGTERM)

    def _kill(self) -> None:
        self._signal_group(signal.SIGKILL)
        processes.kill_marked(self._mark)

    def _signal_group(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            processes.send(self.pid, number)

    def _drain(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        while chunk := os.read(stream.fileno(), 65_536):
            self._log.feed(chunk)

    def _await(self) -> None:
        self._process.wait()
        self._wakes.wake()
