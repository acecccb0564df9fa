"""The program: one typer application, the same under both of its names.

Every command is a function in a module of its own under `commands/`, added here by one line. This module and
those import nothing heavy at the top, so that `--help` and shell completion answer in a fraction of a second.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from sftrun_cli.commands import (
    clean,
    compare,
    convert,
    describe,
    doctor,
    import_,
    lint,
    logs,
    new,
    plan,
    plot,
    render,
    run,
    steer,
    watch,
)
from sftrun_cli.errors import CommandError
from sftrun_cli.exit_codes import ExitCode

app = typer.Typer(
    name="sftrun",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    rich_markup_mode=None,  # coloured boxes take a fifth of a second of imports
    help="Supervised fine-tuning of language models: on Kubernetes, or on this machine.",
    epilog="\b\nExit codes: "
    + ", ".join(f"{code.value} {code.name.lower()}" for code in ExitCode)
    + ".\nResults go to standard output, everything else to standard error.",
)
_COMMANDS: tuple[tuple[str, Callable[..., None], str, str], ...] = (
    ("new", new.new, new.EXAMPLES, "Write a first SFTRun, and say why."),
    ("lint", lint.lint, lint.EXAMPLES, "Judge SFTRuns without a cluster."),
    ("plan", plan.plan, plan.EXAMPLES, "Say what a run will come to."),
    ("render", render.render, render.EXAMPLES, "Print what the operator would make."),
    ("convert", convert.convert, convert.EXAMPLES, "Turn trajectories into training data."),
    ("import", import_.import_, import_.EXAMPLES, "Take over another system's file."),
    ("run", run.run, run.EXAMPLES, "Run an SFTRun on this machine."),
    ("watch", watch.watch, watch.EXAMPLES, "Watch a run on the cluster, or all."),
    ("describe", describe.describe, describe.EXAMPLES, "Curve, diagnosis, checks of a run."),
    ("logs", logs.logs, logs.EXAMPLES, "Print the log of a run."),
    ("plot", plot.plot, plot.EXAMPLES, "Draw loss curves of runs."),
    ("compare", compare.compare, compare.EXAMPLES, "Say how runs differ, and which is better."),
    ("suspend", steer.suspend, steer.SUSPEND_EXAMPLES, "Stop runs with a checkpoint."),
    ("resume", steer.resume, steer.RESUME_EXAMPLES, "Go on with suspended runs."),
    ("retry", steer.retry, steer.RETRY_EXAMPLES, "Try failed runs again."),
    ("delete", steer.delete, steer.DELETE_EXAMPLES, "Delete runs; their files stay."),
    ("clean", clean.clean, clean.EXAMPLES, "Free disk space in a workspace."),
    ("doctor", doctor.doctor, doctor.EXAMPLES, "Look whether a cluster is fit."),
)
"""Name, function, examples, and the line of the list, which fits sixty columns."""
for _name, _function, _examples, _line in _COMMANDS:
    app.command(_name, epilog=_examples, short_help=_line)(_function)


def _version(asked: bool) -> None:
    if asked:
        from importlib import metadata

        typer.echo(f"sftrun {metadata.version('sftrun')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Holds the options that stand before every command."""


def _harmless(message: str) -> str:
    """Returns a message of several lines without the characters that a terminal would obey."""
    return "".join(char if char.isprintable() or char == "\n" else f"\\u{ord(char):04x}" for char in message)


def main() -> None:
    """Runs the program as its command line says and ends with its exit code."""
    try:
        app(prog_name="kubectl sft" if Path(sys.argv[0]).name.startswith("kubectl") else "sftrun")
    except CommandError as error:
        sys.stderr.write(f"error: {_harmless(str(error))}\n")
        sys.exit(error.code)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(ExitCode.DONE)
