"""A stand-in for a Weights & Biases server: as much of its protocol as the real client speaks.

GraphQL for who the key is of, what the server can do, and the run itself; the file stream for everything that
is logged. It keeps what it was sent, and fails as it is told to.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "0123456789abcdef0123456789abcdef01234567"
ENTITY = "team"


@dataclass
class Wandb:
    """A running server."""

    port: int = 0
    status: int = 200
    """What every request is answered with, once `after` of them were answered well."""
    after: int = 0
    hangs: threading.Event = field(default_factory=threading.Event)
    """While set, no request is answered."""
    requests: list[str] = field(default_factory=list)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Runs by name, as they were upserted last."""
    lines: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """The history of each run, as streamed."""
    completed: set[str] = field(default_factory=set)
    guard: threading.Lock = field(default_factory=threading.Lock)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, path: str, body: bytes, headers: Any) -> tuple[int, dict[str, Any]]:
        self.requests.append(path)
        if self.hangs.is_set():
            self.released.wait(300)
        if self.status != 200 and len(self.requests) > self.after:
            return self.status, {"errors": [{"message": "as the test wants it"}]}
        given = headers.get("Authorization", "")
        known = given.startswith("Basic ") and base64.b64decode(given[6:]).decode() == f"api:{KEY}"
        if path.startswith("/sdk/"):
            return 200, {}  # what the client tells of itself
        if not known:
            return 401, {"errors": [{"message": "user is not logged in"}]}
        value = json.loads(body) if body.startswith(b"{") else {}
        if path == "/graphql":
            self.requests[-1] = f"{path} {' '.join(value['query'].split())[:60]}"
            return 200, {"data": self.data(value["query"], value.get("variables") or {})}
        if path.endswith("/file_stream"):
            self.take(path.split("/")[-2], value)
        return 200, {}

    def data(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Returns what a GraphQL query asks for, by the names that stand in it."""
        nobody: dict[str, Any] = {"edges": []}
        viewer = {
            "id": "VXNlcjox", "entity": ENTITY, "username": ENTITY, "name": ENTITY, "flags": "{}",
            "email": "a@b.test", "admin": False, "deletedAt": None, "accountType": "",
            "teams": nobody, "apiKeys": nobody,
        }  # fmt: skip
        data: dict[str, Any] = {"viewer": viewer, "serverInfo": {"features": [], "cliVersionInfo": None}}
        if "upsertBucket" in query:
            with self.guard:
                name = variables["name"]
                new = name not in self.runs
                self.runs[name] = self.runs.get(name, {}) | {
                    k: v for k, v in variables.items() if v is not None
                }
            data["upsertBucket"] = {"bucket": self.bucket(name, variables), "inserted": new}
        if "model(" in query or "project(" in query:
            name = variables.get("name") or variables.get("run") or ""
            known = name in self.runs
            bucket = self.bucket(name, self.runs[name]) if known else None
            project = {"id": "p", "name": "p", "entity": {"name": ENTITY}, "bucket": bucket, "run": bucket}
            data["model"] = data["project"] = project
        if "createRunFiles" in query:
            data["createRunFiles"] = {"runID": "r", "uploadHeaders": [], "files": []}
        return data

    def bucket(self, name: str, values: dict[str, Any]) -> dict[str, Any]:
        history = self.lines.get(name, [])
        project = {"id": "p", "name": values.get("project") or "p", "entity": {"id": "e", "name": ENTITY}}
        return {
            "id": "r", "name": name, "displayName": values.get("displayName") or name, "description": None,
            "config": values.get("config") or "{}", "sweepName": None, "project": project,
            "historyLineCount": len(history), "eventsLineCount": 0, "logLineCount": 0,
            "history": "{}", "historyTail": json.dumps([json.dumps(line) for line in history[-1:]]),
            "events": "{}", "eventsTail": "[]", "summaryMetrics": json.dumps(history[-1] if history else {}),
            "tags": values.get("tags") or [], "wandbConfig": json.dumps({"t": 1}), "storageId": "s",
            "files": {"edges": []}, "historyKeys": None, "state": "running",
        }  # fmt: skip

    def take(self, name: str, value: dict[str, Any]) -> None:
        with self.guard:
            part = (value.get("files") or {}).get("wandb-history.jsonl")
            if part:
                lines = self.lines.setdefault(name, [])
                del lines[part["offset"] :]
                lines += [json.loads(line) for line in part["content"]]
            if value.get("complete"):
                self.completed.add(name)


@contextmanager
def serving(**values: Any) -> Iterator[Wandb]:
    """A server for as long as the block lasts."""
    wandb = Wandb(**values)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, value = wandb.answer(self.path, body, self.headers)
            content = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(content)

        do_GET = do_PUT = do_POST

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    wandb.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield wandb
    finally:
        wandb.released.set()
        server.shutdown()
        server.server_close()
