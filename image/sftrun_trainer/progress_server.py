"""The progress server: best effort, read only, small answers. The run goes on whether or not anybody listens.

| path | what |
|---|---|
| `/progress` | the report as JSON |
| `/curve` | the loss curve as JSON, at most 64 KiB |
| `/metrics` | the same figures for Prometheus |
| `/healthz` | `ok` while the supervisor lives |

Who asks with a query (`/curve?look`) only looks on: the end waits for the operator to have fetched the last
answers, and must not take a person who watches for it.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sftrun_api.reports import PROGRESS_BYTES, Report
from sftrun_trainer import expositions, shortenings

SECONDS_A_REQUEST = 5.0
MOST_REQUESTS = 16
REFUSED = "only GET"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What the server asks for each answer."""

    report: Callable[[], Report]
    curve: Callable[[], bytes]
    checkpoint: Callable[[], expositions.SavedCheckpoint | None] = lambda: None


class ProgressServer:
    """Serves in threads of its own from `start` to `stop`."""

    def __init__(self, *, sources: Sources, port: int, host: str | None = None) -> None:
        """Binds the port (0: any). Raises `OSError` when it is taken."""
        self._sources = sources
        self.asked = threading.Event()
        """Somebody has asked for progress or the curve at least once."""
        self.final_progress_fetched = threading.Event()
        self.final_curve_fetched = threading.Event()
        self._server = _bind(host, port, self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, name="progress", daemon=True)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begins to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stops answering and frees the port."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Returns status, content type and body for a path."""
        match path.partition("?")[0]:
            case "/progress":
                return (
                    200,
                    "application/json",
                    shortenings.shorten(self._sources.report(), limit=PROGRESS_BYTES),
                )
            case "/curve":
                return 200, "application/json", self._sources.curve()
            case "/metrics":
                text = expositions.exposition(self._sources.report(), self._sources.checkpoint())
                return 200, "text/plain; version=0.0.4; charset=utf-8", text
            case "/healthz":
                return 200, "text/plain; charset=utf-8", b"ok\n"
        return 404, "text/plain; charset=utf-8", b"ask for /progress, /curve, /metrics or /healthz\n"

    def note(self, path: str, *, final: bool) -> None:
        """Notes what was fetched; `final`: the report had its outcome already when the answer was made."""
        fetched = {"/progress": self.final_progress_fetched, "/curve": self.final_curve_fetched}.get(path)
        if fetched is not None:
            self.asked.set()
            if final:
                fetched.set()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            server_version = "sftrun"
            sys_version = ""
            timeout = SECONDS_A_REQUEST

            def do_GET(self) -> None:
                with contextlib.suppress(OSError):
                    final = server._sources.report().outcome is not None
                    status, kind, body = server.answer(self.path)
                    self.send_response(status)
                    self.send_header("Content-Type", kind)
                    self.send_header("Content-Length", str(len(body)))
                    self.send_header("Cache-Control", "no-store")
                    self.end_headers()
                    self.wfile.write(body)
                    server.note(self.path, final=final)

            def send_error(self, code: int, *_: str | None, **__: str | None) -> None:
                """Says no, in words that repeat nothing of what was sent."""
                with contextlib.suppress(OSError):
                    self.send_response(code, REFUSED)
                    self.send_header("Content-Length", "0")
                    self.send_header("Connection", "close")
                    self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Says nothing: a line a poll would bury the training's own output."""

        return Handler


def _bind(host: str | None, port: int, handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    """Listens on IPv6 and IPv4 where there is both, else on IPv4."""

    slots = threading.BoundedSemaphore(MOST_REQUESTS)

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        # The base class lets five wait: further ones would try again a second later at the earliest.
        request_queue_size = 128
        address_family = socket.AF_INET6 if host is None and socket.has_dualstack_ipv6() else socket.AF_INET

        def server_bind(self) -> None:
            if self.address_family == socket.AF_INET6:
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            # The base class asks a name server for the host's name here, which may take seconds.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(self.server_address)
            self.server_address = self.socket.getsockname()
            self.server_name, self.server_port = "sftrun", int(self.server_address[1])

        def process_request(self, request: Any, client_address: Any) -> None:
            # More at once than anybody who means well: turned away, so that they cost no thread.
            if slots.acquire(blocking=False):
                super().process_request(request, client_address)
            else:
                self.shutdown_request(request)

        def process_request_thread(self, request: Any, client_address: Any) -> None:
            try:
                super().process_request_thread(request, client_address)
            finally:
                slots.release()

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that went away is no news."""

    return Server((host or "", port), handler)
