"""An API server of a few canned answers, to inject what a real one does not do on demand."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True, kw_only=True)
class Canned:
    """One answer."""

    status: int = 200
    body: Any = field(default_factory=dict)
    delay: float = 0.0
    hang_up: bool = False
    cut_short: bool = False
    """Sent as a stream that breaks off."""


@dataclass(kw_only=True)
class Server:
    """What is answered by path (without its query), one by one, the last for ever; what was asked."""

    url: str
    answers: dict[str, list[Canned]]
    asked: list[str] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)

    def kubeconfig(self, folder: Path, **user: Any) -> Path:
        """Writes a kubeconfig with the namespace `team`."""
        path = folder / "kubeconfig"
        path.write_text(yaml.safe_dump(config(self.url, **user)))
        return path

    def next(self, path: str) -> Canned:
        left = self.answers.get(path, [not_found()])
        return left.pop(0) if len(left) > 1 else left[0]


def config(url: str, *, namespace: str = "team", **user: Any) -> dict[str, Any]:
    """Returns a kubeconfig with the contexts `here` and `other`."""
    contexts = [
        {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": namespace}},
        {"name": "other", "context": {"cluster": "c", "user": "u"}},
    ]
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": contexts,
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": user or {"token": "secret"}}],
    }


def status(code: int, message: str, **details: Any) -> Canned:
    """Returns an API server's `Status`."""
    body = {"kind": "Status", "code": code, "message": message, "details": details}
    return Canned(status=code, body=body)


def page(names: Iterable[str], *, token: str = "") -> Canned:
    """Returns one answer of a list; with `token` there is more."""
    items = [{"metadata": {"name": name}} for name in names]
    return Canned(body={"metadata": {"continue": token, "resourceVersion": "7"}, "items": items})


def not_found() -> Canned:
    return Canned(status=404, body="404 page not found")


@contextmanager
def serving(**answers: list[Canned] | Canned) -> Iterator[Server]:
    """Serves until the end of the block. Keys are paths, given with `**{...}`."""
    listed = {path: given if isinstance(given, list) else [given] for path, given in answers.items()}
    made = Server(url="", answers=listed)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            made.asked.append(f"{self.command} {self.path}")
            made.tokens.append(self.headers.get("Authorization"))
            length = int(self.headers.get("Content-Length") or 0)
            self.rfile.read(length)
            answer = made.next(self.path.partition("?")[0])
            time.sleep(answer.delay)
            if answer.hang_up:
                self.close_connection = True
                return
            body = answer.body.encode() if isinstance(answer.body, str) else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            if answer.cut_short:
                self.send_header("Transfer-Encoding", "chunked")
                body = b"%x\r\n%s\r\n" % (len(body), body)
            else:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = answer.cut_short

        do_POST = do_PATCH = do_DELETE = do_GET

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
