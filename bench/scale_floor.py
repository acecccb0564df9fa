"""The least that anybody in Python pays for a thousand runs: a client that thinks nothing.

It watches runs, Jobs and pods as the operator does, and sends for each new run what the operator sends (the
status, the ConfigMap, the Job and the event, byte for byte but for names), from templates that were rendered
once. No cache, no plan, no check, no second look. What the operator takes beyond this is its own doing; what
this takes is the API server's, Python's and TLS'.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "hack")]

import orjson  # noqa: E402
from tests.cluster.operator_harness import IMAGE, manifest  # noqa: E402

from sftrun_api.names import LABEL_RUN, attempt_name  # noqa: E402
from sftrun_api.policies import EVERYTHING  # noqa: E402
from sftrun_operator import connections, kube, views  # noqa: E402
from sftrun_operator.apply import event_manifest  # noqa: E402
from sftrun_operator.connections import Connection  # noqa: E402
from sftrun_operator.decisions import EventNote  # noqa: E402
from sftrun_operator.kube import Resource  # noqa: E402
from sftrun_operator.observations import Observed, OperatorConfig  # noqa: E402
from sftrun_operator.plans import plan  # noqa: E402

NAME, UID, VERSION = "the-name-of-a-run", "00000000-0000-4000-8000-000000000000", "the-version"
WATCHED = ((kube.SFTRUNS, ""), (kube.JOBS, LABEL_RUN), (kube.PODS, LABEL_RUN))


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One write of every run's beginning."""

    method: str
    path: str
    body: bytes
    media: str = "application/json"

    def of(self, run: dict[str, Any]) -> Request:
        """Returns the write as it is for `run`."""
        known = run["metadata"]
        words = (
            (attempt_name(NAME, UID, 1), attempt_name(known["name"], known["uid"], 1)),
            (UID, known["uid"]),
            (NAME, known["name"]),
            (VERSION, known["resourceVersion"]),
        )
        path, body = self.path, self.body
        for template, word in words:
            path, body = path.replace(template, word), body.replace(template.encode(), word.encode())
        return replace(self, path=path, body=body)


def templates(namespace: str) -> tuple[Request, ...]:
    """Returns what the operator writes when it accepts an ordinary run."""
    made = manifest(NAME)
    made["metadata"] |= {"uid": UID, "resourceVersion": VERSION, "namespace": namespace, "generation": 1}
    run = views.run_view(made)
    config = OperatorConfig(trainer_image=IMAGE, version="0", policy=EVERYTHING)
    first = plan(run, Observed(proven=True), now=1.8e9, config=config)
    assert first.status_patch is not None
    status = {"metadata": {"uid": UID, "resourceVersion": VERSION}, "status": first.status_patch}
    note = next(iter(first.events), EventNote(type="Normal", reason="Accepted", message="accepted"))
    told = event_manifest(note, run=run, now=1.8e9)
    told["metadata"]["name"] = f"{NAME}.1"
    return (
        Request(
            method="PATCH",
            path=kube.SFTRUNS.path(namespace, NAME, subresource="status"),
            body=orjson.dumps(status),
            media="application/merge-patch+json",
        ),
        *(_creation(kube.RESOURCES[each["kind"]], namespace, each) for each in first.create),
        _creation(kube.EVENTS, namespace, told),
    )


def _creation(resource: Resource, namespace: str, body: dict[str, Any]) -> Request:
    return Request(method="POST", path=resource.path(namespace), body=orjson.dumps(body))


class Floor:
    """The client."""

    def __init__(self, connection: Connection, namespace: str, *, num_workers: int) -> None:
        self._server = connection.server
        self._namespace = namespace
        self._num_workers = num_workers
        self._session = connection.session(limit=kube.MAX_CONNECTIONS)
        self._requests = templates(namespace)
        self._waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def serve(self) -> None:
        """Serves until it is cancelled."""
        async with self._session, asyncio.TaskGroup() as group:
            for resource, selector in WATCHED:
                group.create_task(self._follow(resource, selector))
            for _ in range(self._num_workers):
                group.create_task(self._work())

    async def _follow(self, resource: Resource, selector: str) -> None:
        async for event in self._events(resource, selector):
            if resource is kube.SFTRUNS and event["type"] == "ADDED":
                self._waiting.put_nowait(event["object"])

    async def _events(self, resource: Resource, selector: str) -> AsyncIterator[dict[str, Any]]:
        url = self._server + resource.path(self._namespace)
        params = {"watch": "true", "labelSelector": selector}
        while True:
            async with self._session.get(url, params=params, read_bufsize=2**20) as response:
                if response.status == 429:  # a CRD that has just been installed is not served yet
                    await asyncio.sleep(0.2)
                    continue
                response.raise_for_status()
                print(f"watching {resource.plural}", flush=True)
                while line := await response.content.readline():
                    event = orjson.loads(line)
                    params["resourceVersion"] = event["object"]["metadata"]["resourceVersion"]
                    yield event

    async def _work(self) -> None:
        while True:
            run = await self._waiting.get()
            for template in self._requests:
                request = template.of(run)
                async with self._session.request(
                    request.method,
                    self._server + request.path,
                    data=request.body,
                    headers={"Content-Type": request.media},
                ) as response:
                    answer = await response.read()
                    if response.status >= 300:
                        raise RuntimeError(f"{request.method} {request.path}: {answer[:400]!r}")
                    orjson.loads(answer)


async def main() -> None:
    """Serves one namespace until it is killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--workers", type=int, required=True, help="as the operator's")
    options = parser.parse_args()
    connection = await connections.load(options.kubeconfig)
    await Floor(connection, options.namespace, num_workers=options.workers).serve()


if __name__ == "__main__":
    asyncio.run(main())
