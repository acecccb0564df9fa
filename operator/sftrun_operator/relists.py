"""Makes the caches right again by a list of our own.

A watch that went deaf says nothing at all. So every few minutes, and before every start of the watch, all
kinds are listed in consistent pages: what the list does not hold is dropped, what it holds anew is taken in,
and both are looked at. A change that the list brought and the watch does not bring either means that the
watch is deaf; it is then started again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

from sftrun_api.names import LABEL_RUN
from sftrun_operator import kube, kube_errors, views
from sftrun_operator.caches import Caches, Kind, ListReader, News
from sftrun_operator.logs import LOGGER

LISTED_KINDS: tuple[tuple[Kind, kube.Resource, str], ...] = (
    ("SFTRun", kube.SFTRUNS, ""),
    ("Job", kube.JOBS, LABEL_RUN),
    ("Pod", kube.PODS, LABEL_RUN),
)
"""Kind, resource, label selector: the same for the watch and the lists."""
RELIST_EVERY_SECONDS = 300.0
DEAF_AFTER_SECONDS = 15.0
FIRST_RETRY_SECONDS = 0.5
LAST_RETRY_SECONDS = 15.0


class Relists:
    """Lists everything and compares."""

    def __init__(
        self,
        *,
        client: kube.Kube,
        caches: Caches,
        namespaces: Sequence[str],
        changed: Callable[[News], None],
        missed: Callable[[int], None],
    ) -> None:
        self._kube = client
        self._caches = caches
        self._scopes: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._changed = changed
        self._missed = missed
        self.last_success: float | None = None
        """When everything was last listed, on the event loop's clock."""
        self.last_answer: float | None = None
        """When that was, or a list was refused: a right or a CRD that was taken away is no fault of ours."""

    async def until_listed(self) -> None:
        """Lists everything before the watch starts, however long it takes until the API server answers."""
        delay = FIRST_RETRY_SECONDS
        said = ""
        while True:
            try:
                await self.relist()
            except kube_errors.KubeError as error:
                why = explain(error)
                if why != said:
                    LOGGER.warning("%s; trying again until it works", why)
                said = why
                await asyncio.sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load
                delay = min(delay * 2, LAST_RETRY_SECONDS)
            else:
                return

    async def relist(self) -> dict[Kind, int]:
        """Lists everything. Returns how many changes of each kind were news.

        Raises:
            KubeError: A list could not be read; what was read before it has been taken in.
        """
        changes: dict[Kind, int] = {}
        for kind, resource, selector in LISTED_KINDS:
            for scope in self._scopes:
                changes[kind] = changes.get(kind, 0) + await self._relist_one(kind, resource, selector, scope)
        self._caches.listed.set()
        self.last_success = self.last_answer = asyncio.get_running_loop().time()
        return changes

    async def _relist_one(self, kind: Kind, resource: kube.Resource, selector: str, scope: str | None) -> int:
        selectors = {"labelSelector": selector} if selector else {}
        reader = ListReader(kind, scope, knows=self._caches.knows)
        changes = 0
        async for page in self._kube.pages(resource, scope, **selectors):
            version = views.text(views.mapping(page, "metadata"), "resourceVersion")
            changes += sum(self._take(news) for news in reader.read(views.items(page, "items"), version))
        vanished = self._caches.sweep(reader.finish())
        for news in vanished:
            self._changed(news)
        return changes + len(vanished)

    def _take(self, news: News) -> bool:
        if not self._caches.take(news):
            return False
        self._changed(news)
        return True

    async def run(
        self, *, every: float, last_heard: Callable[[Kind], float], deaf: Callable[[], None]
    ) -> None:
        """Lists every so often until cancelled, and calls `deaf` when the watch misses what the list
        brings."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(every * random.uniform(0.8, 1.2))  # noqa: S311 - spreads load
            started = loop.time()
            try:
                changes = await self.relist()
            except kube_errors.KubeError as error:
                if isinstance(error, kube_errors.RefusedError | kube_errors.NotFoundError):
                    self.last_answer = loop.time()
                LOGGER.warning("relist failed: %s", error)
                continue
            if not any(changes.values()):
                continue
            await asyncio.sleep(DEAF_AFTER_SECONDS)
            silent = [kind for kind, count in changes.items() if count and last_heard(kind) < started]
            if silent:
                self._missed(sum(changes[kind] for kind in silent))
                LOGGER.warning(
                    "the watch says nothing of %s that changed; starting it again", ", ".join(silent)
                )
                deaf()


def explain(error: kube_errors.KubeError) -> str:
    """Returns what hinders the first list, with what to do about it."""
    if isinstance(error, kube_errors.NotFoundError):
        return "the cluster does not know SFTRuns: install the CRD (kubectl apply -f crds/sftruns.yaml)"
    if isinstance(error, kube_errors.RefusedError):
        return f"{error}: the operator's role lacks a right, see the chart's RBAC"
    return str(error)
