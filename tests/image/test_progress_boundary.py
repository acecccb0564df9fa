"""The progress server gives little, repeats nothing and takes nothing, whatever it is sent."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from sftrun_api.reports import PROGRESS_BYTES, Report, Stage
from sftrun_api.run_files import RunIdentity
from sftrun_api.statuses import Check
from sftrun_trainer.progress_server import ProgressServer, Sources

CANARY = "canary4f1b"
LONG = Report(
    run=RunIdentity(namespace="team", name="x", uid="u", attempt=1),
    pod_uid="p",
    pod_name="x-1",
    stage=Stage.TRAIN,
    checks=tuple(
        Check(group="Model", name=str(number), result="Warn", message="m" * 500) for number in range(64)
    ),
    log_tail="line\n" * 4000,
)


@pytest.fixture
def port() -> Iterator[int]:
    server = ProgressServer(
        sources=Sources(report=lambda: LONG, curve=lambda: b"{}"), port=0, host="127.0.0.1"
    )
    server.start()
    yield server.port
    server.stop()


def sent(port: int, request: bytes) -> tuple[bytes, bytes]:
    """Returns head and body of the answer to raw bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        answer = b""
        with contextlib.suppress(OSError):  # what it does not read it does not wait for
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while chunk := connection.recv(65536):
                answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


def asked(method: str, path: str, *, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: {CANARY}\r\nX-Word: {CANARY}\r\nCookie: {CANARY}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "HEAD", CANARY])
def test_only_get_is_answered(port: int, method: str) -> None:
    head, body = sent(port, asked(method, f"/progress?{CANARY}", body=CANARY.encode()))
    assert head.startswith(b"HTTP/1.0 501 only GET")
    assert body == b""
    assert CANARY.encode() not in head


@pytest.mark.parametrize("path", ["/progress", "/curve", "/metrics", "/healthz", "/other", "//", "/../etc"])
def test_answers_are_small_and_repeat_nothing(port: int, path: str) -> None:
    head, body = sent(port, asked("GET", f"{path}?{CANARY}"))
    names = {line.partition(b":")[0] for line in head.split(b"\r\n")[1:]}
    assert names <= {b"Server", b"Date", b"Content-Type", b"Content-Length", b"Cache-Control"}
    assert CANARY.encode() not in head + body
    assert len(body) <= PROGRESS_BYTES
    assert b"log_tail" not in body


LOOKS = [("/curve", True), ("/progress", True), ("/curve?look", False), ("/progress?look", False)]


@pytest.mark.parametrize(("path", "counts"), LOOKS)
def test_who_only_looks_on_does_not_end_the_wait_for_the_operator(path: str, counts: bool) -> None:
    server = ProgressServer(
        sources=Sources(report=lambda: LONG, curve=lambda: b"{}"), port=0, host="127.0.0.1"
    )
    server.start()
    server.note(path, final=True)
    server.stop()
    fetched = server.final_curve_fetched if "curve" in path else server.final_progress_fetched
    assert (server.asked.is_set(), fetched.is_set()) == (counts, counts)


MALFORMED = {
    "nothing": b"",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "a long line": b"GET /" + CANARY.encode() * 10_000 + b" HTTP/1.1\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\n" + b"X-Word: canary4f1b\r\n" * 500 + b"\r\n",
    "an old version": b"GET /progress HTTP/canary4f1b\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_requests_learn_nothing_and_harm_nobody(port: int, name: str) -> None:
    head, body = sent(port, MALFORMED[name])
    assert CANARY.encode() not in head + body
    assert body == b""
    assert sent(port, asked("GET", "/healthz"))[1] == b"ok\n"
