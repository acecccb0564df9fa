"""Stands for `python -m sftrun_trainer` in tests: says what FAKE_TRAINER in the environment tells.

Its last words are a Report, as the real one's; a stop is answered with exit code 75.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Event, Thread
from types import FrameType
from typing import Any


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("-m", dest="module")
    for name in ("--config-dir", "--termination-log", "--host", "--port", "--credentials-dir"):
        parser.add_argument(name)
    parser.add_argument("--stop-with-stdin", action="store_true")
    options = parser.parse_args()
    script = json.loads(os.environ["FAKE_TRAINER"])
    run = json.loads(Path(options.config_dir, "run.json").read_text())
    (Path(options.config_dir) / "seen.json").write_text(
        json.dumps(
            {
                "environment": {key: os.environ.get(key) for key in ("SFTRUN_POD_UID", "MINE")},
                "credentials": {
                    path.name: [path.read_text(), oct(path.stat().st_mode & 0o777)]
                    for path in Path(options.credentials_dir).iterdir()
                },
            }
        )
    )
    report = {"run": run["run"], "podUid": "p", "stage": "Train", "message": "", **script.get("report", {})}
    if script.get("waits"):
        return wait(report, options)
    if "report" in script:
        Path(options.termination_log).write_text(json.dumps(report))
    print("what the trainer says")
    return int(script["exit"])


def stop_with_stdin(stopped: Event) -> None:
    while os.read(0, 4096):
        continue
    stopped.set()


def wait(report: dict[str, Any], options: argparse.Namespace) -> int:
    stopped = Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()

    signal.signal(signal.SIGTERM, stop)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(report).encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer((options.host, int(options.port)), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    if options.stop_with_stdin:
        Thread(target=stop_with_stdin, args=(stopped,), daemon=True).start()
    while not stopped.wait(60):
        pass
    Path(options.termination_log).write_text(
        json.dumps(report | {"outcome": "Stopped", "message": "stopped"})
    )
    return 75


if __name__ == "__main__":
    sys.exit(main())
