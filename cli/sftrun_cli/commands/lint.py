"""`sftrun lint`: every rule that needs no cluster, with the place of every mistake."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

EXAMPLES = """\b
Examples:
  sftrun lint run.yaml
  sftrun lint runs/*.yaml --strict             warnings fail too, for CI
  sftrun lint run.yaml -o sarif > lint.sarif   for code scanners
  kubectl get sftrun x -o yaml | sftrun lint -

Exit code 1: there is an error (with --strict: or a warning). Exit code 2: a file cannot be read.
Advice never fails a lint; every rule stands in docs/rules.md.
"""


class Form(enum.StrEnum):
    """What `-o` takes."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


def lint(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Files with SFTRuns; - is standard input.")
    ],
    *,
    output: Annotated[
        Form, typer.Option("--output", "-o", help="text: file:line:column, one a line.")
    ] = Form.TEXT,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail too.")] = False,
    advice: Annotated[bool, typer.Option(help="Also say which values others found better.")] = True,
) -> None:
    """Judge SFTRuns as the API server and the operator would, without a cluster.

    All mistakes of all files and documents are told at once, each with its line and what to do. Objects of
    other kinds are passed over.
    """
    from rich.text import Text

    from sftrun_cli import consoles, outputs, versions, wrapping
    from sftrun_cli.exit_codes import ExitCode
    from sftrun_cli.lints import Level, formats
    from sftrun_cli.lints import lint as judge

    report = judge(files, advice=advice)
    if output is Form.TEXT:
        console = consoles.results()
        styles = {Level.ERROR: "bold red", Level.WARNING: "yellow", Level.ADVICE: "dim"}
        for remark in report.remarks:
            wrapping.show(console, Text(formats.line(remark), style=styles[remark.level]))
        consoles.remarks().print(formats.summary(report), markup=False)
    elif output is Form.JSON:
        outputs.write(formats.as_json(report))
    else:
        outputs.write(formats.as_sarif(report, version=versions.own_version()))
    if report.unreadable:
        raise typer.Exit(ExitCode.USAGE)
    if report.count(Level.ERROR) or (strict and report.count(Level.WARNING)):
        raise typer.Exit(ExitCode.FAILED)
