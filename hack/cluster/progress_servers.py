"""What a pod answers at its progress port: a report, or the rubbish that a hostile or broken one would send.

Each pod has an address of its own in 127/8, so the operator's poller finds it by pod IP as it does in a
cluster. One handler serves them all and knows the pod by the address that was called.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import orjson
from aiohttp import web

from cluster.errors import ClusterError
from sftrun_api.models import Model
from sftrun_api.names import PROGRESS_PORT


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One HTTP answer.

    Attributes:
        body: The bytes; sent in pieces of 64 KiB.
        repeat: How often the body is sent: a huge answer needs no huge value.
        delay: Seconds before the first byte of the answer.
        pause: Seconds between pieces: a slow answer.
        hang_up: Close the connection without any answer.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    repeat: int = 1
    delay: float = 0.0
    pause: float = 0.0
    hang_up: bool = False


NOT_FOUND = Answer(status=404, body=b"not found\n")


def answer_of(value: Answer | Model | Mapping[str, Any] | bytes | str) -> Answer:
    """Returns the answer for a value: a report as the trainer's JSON, bytes and text as they are."""
    match value:
        case Answer():
            return value
        case Model():
            return Answer(
                body=orjson.dumps(value.to_json_object()), headers={"Content-Type": "application/json"}
            )
        case bytes():
            return Answer(body=value)
        case str():
            return Answer(body=value.encode())
    return Answer(body=orjson.dumps(dict(value)), headers={"Content-Type": "application/json"})


class ProgressServers:
    """The progress ports of many pods."""

    def __init__(self, *, port: int = PROGRESS_PORT) -> None:
        self._port = port
        self._answers: dict[str, dict[str, Answer]] = {}
        self._sites: dict[str, web.TCPSite] = {}
        self._requests: Counter[tuple[str, str]] = Counter()
        self._answered: Counter[tuple[str, str]] = Counter()
        self._answered_at: dict[str, float] = {}
        self._addresses = _addresses()
        server = web.Server(self._handle, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)

    async def open(self) -> None:
        """Makes it ready to listen."""
        await self._runner.setup()

    async def close(self) -> None:
        """Closes every port and connection."""
        await self._runner.cleanup()

    async def listen(self) -> str:
        """Opens the port of one more pod and returns its address.

        Raises:
            ClusterError: the port is not to be had at any of a thousand addresses.
        """
        for address in itertools.islice(self._addresses, 1000):
            site = web.TCPSite(self._runner, address, self._port)
            try:
                await site.start()
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                await site.stop()
                continue
            self._sites[address] = site
            return address
        raise ClusterError(
            f"port {self._port} is taken at a thousand loopback addresses: "
            f"stop what listens on 0.0.0.0:{self._port}"
        )

    async def leave(self, address: str) -> None:
        """Closes a pod's port. Unknown addresses are no error."""
        self._answers.pop(address, None)
        if site := self._sites.pop(address, None):
            await site.stop()

    def set_answer(self, address: str, path: str, answer: Answer) -> None:
        """Says what a pod answers from now on; other paths get 404."""
        self._answers.setdefault(address, {})[path] = answer

    def num_requests(self, address: str) -> int:
        """Returns how often that pod was asked, whatever the path."""
        return sum(count for (where, _), count in self._requests.items() if where == address)

    def num_answered(self, address: str, path: str) -> int:
        """Returns how often who asked for the path still listened when the answer was sent."""
        return self._answered[address, path]

    def answered_at(self, address: str) -> float | None:
        """Returns when who asked for anything last had the whole answer, by the loop's clock; None: never."""
        return self._answered_at.get(address)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.transport is None:  # whoever asked is gone
            return web.Response()
        address = request.transport.get_extra_info("sockname")[0]
        self._requests[address, request.path] += 1
        try:
            response = await _send(request, self._answers.get(address, {}).get(request.path, NOT_FOUND))
        except ConnectionError:  # whoever asked is gone
            return web.Response()
        if request.transport is not None and not request.transport.is_closing():
            self._answered[address, request.path] += 1
            self._answered_at[address] = asyncio.get_running_loop().time()
        return response


async def _send(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    await asyncio.sleep(answer.delay)
    if answer.hang_up and request.transport is not None:
        request.transport.abort()
        return web.Response()
    if answer.repeat == 1 and not answer.pause:
        whole = web.Response(status=answer.status, body=answer.body, headers=answer.headers)
        await whole.prepare(request)
        await whole.write_eof()
        return whole
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    await response.prepare(request)
    for _ in range(answer.repeat):
        for start in range(0, len(answer.body), 65_536):
            await response.write(answer.body[start : start + 65_536])
            await asyncio.sleep(answer.pause)
    await response.write_eof()
    return response


def _addresses() -> itertools.chain[str]:
    """Yields addresses in 127/8, starting where the pid says: drivers side by side seldom try the same."""
    start = 65_536 + os.getpid() * 4_099 % 8_000_000
    numbers = itertools.chain(range(start, 16_000_000), range(65_536, start))
    return itertools.chain(
        f"127.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}" for number in numbers if number & 255
    )
