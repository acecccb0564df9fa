"""One life of kopf: its thread, its event loop, its one login, its settings.

kopf takes over the signals of the main thread, and its clean-up cancels every task of its event loop that is
younger than itself, whoever started it. Here both are its own to take.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import kopf

from sftrun_operator import kube
from sftrun_operator.connections import Connection
from sftrun_operator.logs import LOGGER
from sftrun_operator.relists import LISTED_KINDS

T = TypeVar("T")
STOP_SECONDS = 1.5
SWEEPS = 10
SWEEP_SECONDS = 0.3


class UnauthorizedError(Exception):
    """The API server answered 401 in the middle of a watch."""


class Logins:
    """Lets kopf log in once a session. Asked again (after a 401) it closes the connection under its other
    watches and may fall silent for good (ran), so the session ends instead."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._num_logins = 0
        self._sessions: list[kopf.AiohttpSession] = []
        self._again = asyncio.Event()

    async def login(self, **_: Any) -> kopf.AiohttpSession:
        """Returns server and identity; kopf's login handler."""
        self._num_logins += 1
        if self._num_logins > 1:
            self._again.set()
        self._sessions.append(await self._connection.for_kopf())
        return self._sessions[-1]

    async def close(self) -> None:
        """Closes the connections under the watches."""
        for each in self._sessions:
            await each.aiohttp_session.close()

    async def rejected(self) -> None:
        """Waits until kopf asks again."""
        await self._again.wait()
        raise UnauthorizedError("401: the API server no longer accepts the credentials; reading them again")


class Session:
    """One life of kopf, in a thread with an event loop of its own."""

    def __init__(self, work: Callable[[Session], Coroutine[Any, Any, None]]) -> None:
        self._work = work
        self._ours = asyncio.get_running_loop()
        self._theirs: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._ended: asyncio.Future[str] = self._ours.create_future()
        self._stopping = threading.Event()
        self._told: deque[tuple[Callable[[Any], None], Any]] = deque()
        self._woken = False
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)

    def start(self) -> None:
        """Lets kopf begin."""
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Waits for the thread, but not for long: it is a daemon and says nothing any more."""
        self._thread.join(seconds)

    async def wait(self) -> str:
        """Waits for the end, and returns how it came."""
        return await self._ended

    def stop(self) -> None:
        """Ends kopf, and hears nothing more from it. What it does not end in time is left to itself."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        if self._theirs is not None and self._task is not None:
            with contextlib.suppress(RuntimeError):  # its loop is closed already
                self._theirs.call_soon_threadsafe(self._task.cancel)
        self._ours.call_later(STOP_SECONDS, self._end, "stopped")

    def tell(self, hear: Callable[[T], None], news: T) -> None:
        """Hands news over to our event loop, which is woken once for all that is told until it listens."""
        if self._stopping.is_set():
            return
        self._told.append((hear, news))
        if not self._woken:
            self._woken = True
            self._ours.call_soon_threadsafe(self._listen)

    def _listen(self) -> None:
        self._woken = False  # before the last look: what comes behind it wakes again
        while self._told:
            hear, news = self._told.popleft()
            self._ours.call_soon(hear, news)

    def _run(self) -> None:
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(_told_elsewhere)
        try:
            loop.run_until_complete(self._begin())
            outcome = "kopf returned"
        except BaseException as error:  # the thread's end is news, whatever it is
            outcome = f"{type(error).__name__}: {error}".replace("\n", " ")[:400]
        self._stopping.set()
        with contextlib.suppress(RuntimeError):  # our own loop is closed: nobody listens
            self._ours.call_soon_threadsafe(self._end, outcome)
        loop.run_until_complete(_sweep())
        loop.close()

    async def _begin(self) -> None:
        self._task, self._theirs = asyncio.current_task(), asyncio.get_running_loop()
        if not self._stopping.is_set():
            await self._work(self)

    def _end(self, outcome: str) -> None:
        if not self._ended.done():
            self._ended.set_result(outcome)


async def _sweep() -> None:
    """Cancels what kopf left running, again and again: its watches swallow a cancellation now and then (ran),
    and `asyncio.run` would wait for them forever."""
    for _ in range(SWEEPS):
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if not left:
            return
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=SWEEP_SECONDS)


def _told_elsewhere(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    LOGGER.debug("kopf, while it ended: %s", context.get("message"))


def kopf_settings() -> kopf.OperatorSettings:
    """Returns kopf's settings for a watch that writes nothing and comes back fast."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True  # needs no right to list namespaces and CRDs
    settings.process.ultimate_exiting_timeout = None  # it would SIGKILL us
    settings.execution.max_workers = 1
    settings.queueing.exit_timeout = 0.2
    settings.watching.server_timeout = 290
    settings.watching.client_timeout = 330
    settings.watching.connect_timeout = 5
    settings.watching.inactivity_timeout = 70
    settings.watching.chunk_size = kube.PAGE_SIZE
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.networking.error_backoffs = (0.2, 0.5, 1, 2, 2, 2, 2, 2)
    for _, resource, selector in LISTED_KINDS:
        if selector:
            group = (
                resource.prefix.removeprefix("/apis/").split("/")[0] if "/apis/" in resource.prefix else ""
            )
            settings.watching.label_selectors[group, resource.plural] = selector
    return settings
