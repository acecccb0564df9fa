"""The trainer as a process: started in a session of its own, watched over its progress server, stopped by
SIGTERM as the kubelet would.

It holds the other end of a pipe of ours as its standard input: when we are killed, the pipe ends, and it
writes a checkpoint and ends instead of training on unseen."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from sftrun_api.names import ENV_POD_NAME, ENV_POD_UID, HUGGING_FACE_TOKEN_FILE, WANDB_KEY_FILE
from sftrun_api.reports import PROGRESS_BYTES, Report
from sftrun_api.specs import SFTRunSpec
from sftrun_cli.errors import CommandError
from sftrun_cli.local.attempts import Attempt

HOST = "127.0.0.1"
POLL_SECONDS = 1.0
MOST_REPORT = 4 * 1024 * 1024
_SECRETS = (
    ("WANDB_API_KEY", WANDB_KEY_FILE, "wandb_api_key_secret_ref"),
    ("HF_TOKEN", HUGGING_FACE_TOKEN_FILE, "hugging_face_token_secret_ref"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainer:
    """A trainer that runs."""

    process: subprocess.Popen[bytes]
    attempt: Attempt
    port: int

    def wait(self, seconds: float) -> int | None:
        """Waits for its end, at most so long; returns its exit code, `None` while it runs."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> None:
        """Asks it to write a checkpoint and end; a second time means at once."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it without a checkpoint; its children end with it."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    def progress(self) -> Report | None:
        """Returns what its progress server says, `None` where it says nothing sound."""
        return _fetched(f"http://{HOST}:{self.port}/progress")

    def release(self) -> None:
        """Fetches the last curve: until somebody has, a finished trainer waits for it."""
        with contextlib.suppress(OSError, ValueError):
            urllib.request.urlopen(f"http://{HOST}:{self.port}/curve", timeout=2).read(PROGRESS_BYTES)

    def last_report(self) -> Report | None:
        """Returns the whole report that it left, or the short one of its last words."""
        for path in (self.attempt.report, self.attempt.last_words):
            report = _read(path)
            if report is not None and report.run == self.attempt.run_file.run:
                return report
        return None


def start(attempt: Attempt, *, command: list[str], environment: Mapping[str, str]) -> Trainer:
    """Starts the trainer. Raises CommandError where it cannot be started."""
    port = _free_port()
    secrets = _credentials(attempt, environment)
    arguments = [
        *command, "--config-dir", str(attempt.folder), "--termination-log", str(attempt.last_words),
        "--host", HOST, "--port", str(port), "--credentials-dir", str(secrets), "--stop-with-stdin",
    ]  # fmt: skip
    own = {variable.name: variable.value for variable in attempt.run_file.spec.infrastructure.env}
    pod = f"local-{attempt.run_file.run.uid[:8]}-{attempt.run_file.run.attempt}"
    try:
        with attempt.log.open("wb") as log:
            process = subprocess.Popen(
                arguments,
                env={**environment, **own, ENV_POD_UID: pod, ENV_POD_NAME: pod},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C is ours to hand on: the terminal would send it to every rank.
                start_new_session=True,
            )
    except OSError as error:
        raise CommandError(
            f"the trainer cannot be started: {command[0]}: {error.strerror or error}"
        ) from error
    return Trainer(process=process, attempt=attempt, port=port)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _credentials(attempt: Attempt, environment: Mapping[str, str]) -> Path:
    """Puts the secrets that the run refers to where a pod would have them, for this user's eyes only."""
    folder = attempt.folder / "credentials"
    folder.mkdir(mode=0o700)
    for variable, file, field in _SECRETS:
        if getattr(attempt.run_file.spec.credentials, field) is None:
            continue
        value = environment.get(variable)
        if not value:
            what = SFTRunSpec.model_fields["credentials"].alias or "credentials"
            raise CommandError(
                f"{what}: the run refers to a Secret; set {variable} in the environment instead"
            )
        descriptor = os.open(folder / file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(value)
    return folder


def forget_credentials(attempt: Attempt) -> None:
    """Removes the secrets' copies."""
    folder = attempt.folder / "credentials"
    if folder.is_dir():
        for path in folder.iterdir():
            path.unlink(missing_ok=True)
        folder.rmdir()


def _fetched(url: str) -> Report | None:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own address
            return Report.model_validate_json(answer.read(PROGRESS_BYTES + 1))
    except (OSError, ValueError, ValidationError, urllib.error.URLError):
        return None


def _read(path: Path) -> Report | None:
    try:
        if path.stat().st_size > MOST_REPORT:
            return None
        return Report.model_validate_json(path.read_bytes())
    except (OSError, ValueError, ValidationError):
        return None
