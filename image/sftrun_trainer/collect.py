"""`python -m sftrun_trainer.collect`: reads a report that got lost from the claim, and says it again.

For a Job that is Complete while its pod, and with it the termination message, is gone. The report must be
this run's: the folder may have been given to another one since.

Or for a Job whose trainer speaks another report version: then the operator sends an image of its own, which
judges by the files. The Job is Complete, which a trainer of any version says of a run that is done; with
weights that can be loaded it is a success.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from sftrun_api.exit_codes import ExitCode
from sftrun_api.names import CONFIG_DIR, RUN_FILE, TERMINATION_LOG
from sftrun_api.reports import REPORT_VERSION, Outcome, Report, Stage
from sftrun_api.run_files import RunFile, RunIdentity
from sftrun_trainer import files, folders, results, shortenings
from sftrun_trainer.sayings import say


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the report of the run file's run to the termination log; returns the exit code."""
    parser = argparse.ArgumentParser(prog="sftrun-collect", description=__doc__)
    parser.add_argument("--run-file", type=Path, default=Path(CONFIG_DIR) / RUN_FILE)
    parser.add_argument("--termination-log", type=Path, default=Path(TERMINATION_LOG))
    values = parser.parse_args(arguments)
    try:
        run = RunFile.model_validate_json(values.run_file.read_bytes())
        report = read(run)
        values.termination_log.write_bytes(shortenings.shorten(report))
    except (OSError, ValidationError, LookupError) as error:
        say(f"no report: {error}")
        # The claim may be slow to mount or to answer; a report of another run will not become ours.
        return int(ExitCode.RETRY if isinstance(error, OSError) else ExitCode.FINAL)
    return int(ExitCode.DONE)


def read(run: RunFile) -> Report:
    """Returns the run's report. Raises `OSError`, and `LookupError` where there is none of this run."""
    path = folders.of_run(run).report
    value = files.read_json(path)
    if value is None:
        raise LookupError(f"{path} is not there or not readable as JSON")
    told = value.get("formatVersion", REPORT_VERSION)
    try:
        # Whose it is reads the same in every version.
        owner = RunIdentity.model_validate(value.get("run"))
        report = Report.model_validate(value) if told == REPORT_VERSION else None
    except ValidationError as error:
        raise LookupError(f"{path} is no report: {error}") from error
    if owner.uid != run.run.uid:
        raise LookupError(f"{path} belongs to {owner.namespace}/{owner.name} (uid {owner.uid})")
    return report if report is not None else of_files(run, told=told)


def of_files(run: RunFile, *, told: object) -> Report:
    """Returns what the files say of a run whose Job is Complete and whose report is of another version.

    Raises:
        LookupError: There are no weights that could be loaded.
    """
    found = None
    if run.spec.mode == "Train":
        found = results.outputs(run)
        if found.model_path is None:
            raise LookupError(
                f"the report is of version {told}, and {run.resolved.output_dir} holds no loadable weights"
            )
    return Report(
        run=run.run,
        pod_uid="",
        stage=Stage.COLLECT,
        outcome=Outcome.SUCCEEDED,
        outputs=found,
        message=f"the run has succeeded; its report, of version {told}, was not read",
    )


if __name__ == "__main__":
    sys.exit(main())
