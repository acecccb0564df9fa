"""kopf as the watch: it lists and watches, and everything it says goes into our caches and our queue.

kopf ends on several answers of an API server (an ERROR event other than 410, a 410 on a request, a 5xx that
lasts), takes over the process' signals, and, when it ends, cancels every task of its event loop that was
started after it, whoever started it. So it lives in a thread with a loop of its own, where all that is its to
take, and is started again with back-off when it ends. Nothing but to watch is asked of it: no finalizers, no
annotations, no writes at all, no index, no timers.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import kopf

from sftrun_api import API_GROUP, API_VERSION, PLURAL
from sftrun_operator import kopf_news
from sftrun_operator.caches import Kind, Knows, Listing, ListReader, News, news_of
from sftrun_operator.connections import Connection
from sftrun_operator.kopf_sessions import STOP_SECONDS, Logins, Session, kopf_settings
from sftrun_operator.logs import LOGGER
from sftrun_operator.relists import LISTED_KINDS

STEADY_SECONDS = 60.0
"""A watch that held this long starts over with the shortest back-off."""
FIRST_BACKOFF_SECONDS = 0.5
LAST_BACKOFF_SECONDS = 15.0
KINDS: dict[str, Kind] = {resource.plural: kind for kind, resource, _ in LISTED_KINDS}


class _Taker:
    """Hands over to our event loop what one session of kopf says."""

    def __init__(
        self,
        session: Session,
        *,
        heard: Callable[[Collection[News]], None],
        listed: Callable[[Listing], None],
        knows: Knows,
    ) -> None:
        self._session = session
        self._heard = heard
        self._listed = listed
        self._knows = knows

    def begin(self, plural: str, namespace: str | None) -> _KopfList:
        return _KopfList(self, ListReader(KINDS[plural], namespace, knows=self._knows))

    def changed(self, plural: str, obj: Mapping[str, Any], *, gone: bool) -> None:
        self.tell([news_of(KINDS[plural], obj, gone=gone)])

    def tell(self, several: Collection[News]) -> None:
        self._session.tell(self._heard, several)

    def tell_end(self, listing: Listing) -> None:
        self._session.tell(self._listed, listing)


class _KopfList:
    """Hands over what one list of kopf's says."""

    def __init__(self, taker: _Taker, reader: ListReader) -> None:
        self._taker = taker
        self._reader = reader

    def page(self, objects: Collection[Any], version: str) -> None:
        if several := self._reader.read(objects, version):
            self._taker.tell(several)

    def end(self) -> None:
        self._taker.tell_end(self._reader.finish())


class Watch:
    """Keeps kopf going until it is told to stop."""

    def __init__(
        self,
        *,
        connection: Connection,
        namespaces: Sequence[str],
        heard: Callable[[News], None],
        listed: Callable[[Listing], None],
        knows: Knows,
        restarted: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._namespaces = tuple(namespaces)
        self._heard = heard
        self._listed = listed
        self._knows = knows
        self._restarted = restarted
        self._session: Session | None = None
        self.last_heard: dict[Kind, float] = {}
        """When news of a kind last came, on the event loop's clock."""

    async def run(self, *, prepare: Callable[[], Any]) -> None:
        """Watches until cancelled. `prepare` is awaited before every start: it makes the caches right
        again."""
        loop = asyncio.get_running_loop()
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            await prepare()
            started = loop.time()
            ended = await self._watch_once()
            if loop.time() - started > STEADY_SECONDS:
                backoff = FIRST_BACKOFF_SECONDS
            delay = backoff * random.uniform(0.5, 1.5)  # noqa: S311 - spreads load
            backoff = min(backoff * 2, LAST_BACKOFF_SECONDS)
            LOGGER.warning("the watch ended (%s); starting it again in %.1f s", ended, delay)
            self._restarted()
            await asyncio.sleep(delay)

    def restart(self) -> None:
        """Ends the present watch, so that a new one is started."""
        if self._session is not None:
            self._session.stop()

    async def _watch_once(self) -> str:
        """Runs kopf once. Returns how it ended."""
        session = Session(self._kopf)
        self._session = session
        session.start()
        try:
            return await session.wait()
        finally:
            self._session = None
            session.stop()
            await asyncio.to_thread(session.join, STOP_SECONDS)

    async def _kopf(self, session: Session) -> None:
        """Runs kopf's tasks until the first of them ends, which none does unless something broke.

        Not `kopf.operator`: when one watch breaks, that waits five seconds for the others, deaf meanwhile.
        What is left is cancelled with the session's event loop.
        """
        logins = Logins(self._connection)
        settings = kopf_settings()
        kopf_news.divert(
            settings, _Taker(session, heard=self._hear, listed=self._hear_end, knows=self._knows)
        )
        tasks = await kopf.spawn_tasks(
            registry=_registry(logins),
            settings=settings,
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            standalone=True,
        )
        tasks = [*tasks, asyncio.create_task(logins.rejected())]
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.gather(*ended)
        finally:
            await logins.close()

    def _hear(self, several: Collection[News]) -> None:
        for news in several:
            self.last_heard[news.kind] = asyncio.get_running_loop().time()
            self._heard(news)

    def _hear_end(self, listing: Listing) -> None:
        self.last_heard[listing.kind] = asyncio.get_running_loop().time()
        self._listed(listing)


def _registry(logins: Logins) -> kopf.OperatorRegistry:
    """Returns what kopf is asked for: it watches what has a handler, whether or not that is ever called."""
    registry = kopf.OperatorRegistry()

    async def taken_elsewhere(**_: Any) -> None:
        pass

    kopf.on.login(registry=registry)(logins.login)
    kopf.on.event(API_GROUP, API_VERSION, PLURAL, registry=registry)(taken_elsewhere)
    kopf.on.event("batch", "v1", "jobs", registry=registry)(taken_elsewhere)
    kopf.on.event("", "v1", "pods", registry=registry)(taken_elsewhere)
    return registry
