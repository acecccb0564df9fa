"""`python -m sftrun_trainer`: the main process of the pod.

It also runs without Kubernetes: then the flags say where its messages go, and the pod's uid is a word of
its own.
"""

from __future__ import annotations

import argparse
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from sftrun_api.exit_codes import ExitCode
from sftrun_api.names import CONFIG_DIR, ENV_POD_NAME, ENV_POD_UID, PROGRESS_PORT, RUN_FILE, TERMINATION_LOG
from sftrun_api.run_files import RunFile, RunIdentity
from sftrun_trainer import programs, reporting, sayings, shortenings, stages, supervisors, wakes
from sftrun_trainer.settings import Settings

STANDARD_INPUT = 0


def parse(arguments: Sequence[str] | None, environment: Mapping[str, str]) -> Settings:
    """Returns the settings from the command line."""
    parser = argparse.ArgumentParser(prog="sftrun-trainer", description=__doc__)
    parser.add_argument("--config-dir", type=Path, default=Path(CONFIG_DIR), help="where the run file lies")
    parser.add_argument(
        "--run-file", type=Path, help="the run file itself (absent: run.json in --config-dir)"
    )
    parser.add_argument(
        "--termination-log",
        type=Path,
        default=Path(TERMINATION_LOG),
        help="where the termination message goes; its folder must exist",
    )
    parser.add_argument("--port", type=int, default=PROGRESS_PORT, help="of the progress server; -1: none")
    parser.add_argument("--host", help="the address that the progress server listens on (absent: all)")
    parser.add_argument("--credentials-dir", type=Path, help="where the secrets' files lie")
    parser.add_argument(
        "--stop-with-stdin",
        action="store_true",
        help="stop, as at SIGTERM, when standard input ends: whoever started us is gone",
    )
    values = parser.parse_args(arguments)
    settings = Settings(
        run_file=(values.run_file or values.config_dir / RUN_FILE).absolute(),
        termination_log=values.termination_log,
        port=values.port if values.port >= 0 else None,
        host=values.host,
        environment=dict(environment),
        tied_to=STANDARD_INPUT if values.stop_with_stdin else None,
    )
    if values.credentials_dir is not None:
        settings = settings.with_credentials(values.credentials_dir)
    return settings


def main(arguments: Sequence[str] | None, *, wake: wakes.Wakes) -> int:
    """Runs the supervisor as the command line says; returns the exit code."""
    settings = parse(arguments, os.environ)
    return run(settings=settings, stage_programs=programs.LlamaFactoryPrograms(), wake=wake)


def run(*, settings: Settings, stage_programs: stages.Programs, wake: wakes.Wakes) -> int:
    """Runs the supervisor; returns the exit code. Never raises."""
    environment = settings.environment
    pod_uid = environment.get(ENV_POD_UID) or f"local-{uuid.uuid4()}"
    pod_name = environment.get(ENV_POD_NAME, "")
    try:
        run_file = RunFile.model_validate_json(settings.run_file.read_bytes())
    except (OSError, ValidationError) as error:
        return _without_run_file(settings=settings, pod_uid=pod_uid, error=error)
    if settings.tied_to is not None:
        wake.stop_at_end_of(settings.tied_to)
    supervisor = supervisors.Supervisor(
        run=run_file,
        settings=settings,
        programs=stage_programs,
        wake=wake,
        pod_uid=pod_uid,
        pod_name=pod_name,
    )
    return supervisor.run()


def _without_run_file(*, settings: Settings, pod_uid: str, error: OSError | ValidationError) -> int:
    """Says that the run file is bad, without knowing whose it is."""
    unknown = RunIdentity(namespace="", name="", uid="", attempt=1)
    account = reporting.Account(run=unknown, pod_uid=pod_uid, pod_name="", now=settings.now)
    details = f"{settings.run_file}: {error}"
    account.end(supervisors.of_bad_run_file(details[:600]))
    sayings.say(f"the run file is bad: {details}")
    supervisors.write_termination_message(settings.termination_log, shortenings.shorten(account.report()))
    return int(ExitCode.FINAL)
