"""A way to the API server that a test can cut: connections are handed on until it is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import yaml


class Relay:
    """Hands TCP connections on to the API server of a kubeconfig."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._tasks: set[asyncio.Task[None]] = set()
        self._cut = False
        self.port = 0

    def cut(self) -> None:
        """Breaks what is open, and answers nobody from now on."""
        self._cut = True
        for task in self._tasks:
            task.cancel()

    def mend(self) -> None:
        """Hands on again."""
        self._cut = False

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hands on one connection to its end."""
        if self._cut:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            there, back = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            self._tasks.discard(task)
            return
        try:
            await asyncio.gather(_pump(reader, back), _pump(there, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            for each in (writer, back):
                each.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65536):
        writer.write(chunk)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()


@asynccontextmanager
async def relayed(kubeconfig: Path, *, folder: Path) -> AsyncIterator[tuple[Relay, Path]]:
    """Gives a relay, and a kubeconfig that leads through it."""
    document = yaml.safe_load(await asyncio.to_thread(kubeconfig.read_text))
    cluster = document["clusters"][0]["cluster"]
    target = urlsplit(cluster["server"])
    assert target.hostname is not None and target.port is not None
    relay = Relay(target.hostname, target.port)
    server = await asyncio.start_server(relay.take, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    cluster["server"] = f"https://127.0.0.1:{relay.port}"
    path = folder / "relayed"
    await asyncio.to_thread(path.write_text, yaml.safe_dump(document))
    try:
        yield relay, path
    finally:
        server.close()
        relay.cut()
