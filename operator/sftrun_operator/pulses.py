"""Whether the API server answers us, whatever we have to ask it.

Liveness must tell two troubles apart. When the API server is away, a restart helps nobody, and a hundred
operators that restart together hurt it when it comes back. When it answers and our lists and watches bring
nothing all the same, this process is what is broken. So somebody has to ask a plain question now and then.

And while it is away nobody should press it: pods go on telling their progress, every run has something to
write, and each has a back-off of its own. So those who failed wait together, as long again as the outage has
lasted, and are called when somebody is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable

from sftrun_operator import kube, kube_errors
from sftrun_operator.kube import Kube, Watcher

ASK_EVERY_SECONDS = 10.0
SILENT_SECONDS = 3.5 * ASK_EVERY_SECONDS
"""Three questions without an answer."""
STORELESS = frozenset({kube.OPENAPI.plural})
FIRST_LULL_SECONDS = 0.25
LAST_LULL_SECONDS = 60.0
"""Long, because it keeps nobody waiting: the plain question is asked every ten seconds, and its answer ends
all lulls."""


class Pulse:
    """Notes every answer of the API server, and asks whether it is ready when nothing else was asked."""

    def __init__(
        self, *, told: Watcher, clock: Callable[[], float], silent_after: float = SILENT_SECONDS
    ) -> None:
        self._told = told
        self._clock = clock
        self._silent_after = silent_after
        self._began_at = clock()
        self._answered_at: float | None = None
        self._failing_since: float | None = None
        self._answered = asyncio.Event()

    def told(self, verb: str, resource: str, code: str, seconds: float) -> None:
        """Takes note of one request and passes it on; for `Kube`. A server that says 5xx is no help yet, and
        one that only answers what needs no store proves nothing."""
        if resource in STORELESS:
            pass
        elif code.isdigit() and int(code) < 500:
            self._answered_at = self._clock()
            self._failing_since = None
            self._answered.set()
        elif self._failing_since is None:
            self._failing_since = self._clock()
            self._answered.clear()
        self._told(verb, resource, code, seconds)  # type: ignore[arg-type]

    @property
    def silent_seconds(self) -> float:
        """How long the API server has not answered, from the start on."""
        since = self._began_at if self._answered_at is None else self._answered_at
        return self._clock() - since

    @property
    def answers(self) -> bool:
        """Whether the API server has answered lately."""
        return self._answered_at is not None and self.silent_seconds < self._silent_after

    async def run(self, client: Kube) -> None:
        """Asks until cancelled, when nothing else was answered since the last look."""
        every = self._silent_after / 3.5
        while True:
            await asyncio.sleep(every * random.uniform(0.9, 1.1))  # noqa: S311 - spreads load
            if self._answered_at is not None and self.silent_seconds < every:
                continue
            try:
                await client.ready()
            except kube_errors.KubeError:
                continue  # `told` has seen it

    async def lull(self, *, scout: bool = True) -> None:
        """Waits, while the API server fails, as long again as it has failed already, or until it answers. Who
        is no scout waits until somebody was answered: how hard the server is pressed does not depend on how
        many could press it."""
        if self._failing_since is None:
            return
        if not scout:
            await self._answered.wait()
            return
        lasted = self._clock() - self._failing_since
        delay = min(max(lasted, FIRST_LULL_SECONDS), LAST_LULL_SECONDS)
        with contextlib.suppress(TimeoutError):
            jitter = random.uniform(0.5, 1.5)  # noqa: S311 - spreads load
            await asyncio.wait_for(self._answered.wait(), delay * jitter)
