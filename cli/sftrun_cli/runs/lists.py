"""All runs of a namespace, or of all, kept up to date: listed page by page once, then watched.

Of each object only its row is kept. A lost connection, a server that forgot where the watch was, and one that
is busy are all lived through.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from sftrun_cli.cluster import refusals, resources
from sftrun_cli.cluster.clients import Client, JsonObject
from sftrun_cli.runs import tables
from sftrun_cli.runs.tables import Row
from sftrun_cli.runs.views import View
from sftrun_cli.runs.watching import PASSING, PAUSES


class RunList:
    """Follows the runs in a thread of its own from `start` to `stop`."""

    def __init__(
        self,
        cluster: Client,
        *,
        everywhere: bool = False,
        labels: str = "",
        pauses: tuple[float, ...] = PAUSES,
    ) -> None:
        self._cluster, self._everywhere, self._labels, self._pauses = cluster, everywhere, labels, pauses
        self._guard = threading.Lock()
        self._rows: dict[str, Row] = {}
        self._lost = ""
        self._error: refusals.ClusterError | None = None
        self._stopped = threading.Event()
        self.changed = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="runs", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Ends it; a request under way is left behind."""
        self._stopped.set()

    def seen(self) -> tuple[dict[str, Row], str]:
        """Returns the rows by namespace and name, and why the cluster does not answer now.

        Raises:
            ClusterError: the cluster says no, and always will.
        """
        with self._guard:
            if self._error is not None:
                raise self._error
            return dict(self._rows), self._lost

    def _follow(self) -> None:
        failed, version = 0, ""
        while not self._stopped.is_set():
            try:
                version = version or self._list()
                self._say("")
                failed = 0
                version = self._watch(version)
            except refusals.ExpiredError:
                version = ""
            except PASSING as error:
                if not self._rows and not failed:
                    self._end(error)
                    return
                wait = self._pauses[min(failed, len(self._pauses) - 1)]
                failed += 1
                self._say(f"{error}; trying again in {wait:.0f} s")
                self._stopped.wait(wait)
            except refusals.ClusterError as error:
                self._end(error)
                return

    def _list(self) -> str:
        fresh: dict[str, Row] = {}
        version = ""
        for page in self._cluster.pages(resources.SFTRUNS, everywhere=self._everywhere, labels=self._labels):
            for item in page.get("items") or []:
                _take(fresh, item)
            version = str((page.get("metadata") or {}).get("resourceVersion") or "")
        with self._guard:
            self._rows = fresh
        self.changed.set()
        return version

    def _watch(self, version: str) -> str:
        for event in self._cluster.watch(
            resources.SFTRUNS, since=version, everywhere=self._everywhere, labels=self._labels
        ):
            item: JsonObject = event.get("object") or {}
            version = str((item.get("metadata") or {}).get("resourceVersion") or version)
            if event.get("type") == "DELETED":
                self._change(lambda rows, item=item: rows.pop(_key(item), None))  # type: ignore[misc]
            elif event.get("type") in ("ADDED", "MODIFIED"):
                self._change(lambda rows, item=item: _take(rows, item))  # type: ignore[misc]
            if self._stopped.is_set():
                break
        return version

    def _change(self, how: Callable[[dict[str, Row]], object]) -> None:
        with self._guard:
            how(self._rows)
        self.changed.set()

    def _say(self, lost: str) -> None:
        with self._guard:
            if lost == self._lost:
                return
            self._lost = lost
        self.changed.set()

    def _end(self, error: refusals.ClusterError) -> None:
        with self._guard:
            self._error = error
        self.changed.set()


def _key(item: JsonObject) -> str:
    metadata = item.get("metadata") or {}
    return f"{metadata.get('namespace')}/{metadata.get('name')}"


def _take(rows: dict[str, Row], item: JsonObject) -> None:
    rows[_key(item)] = tables.row_of(View(item))
