"""`kubectl sft watch`: a run, or all of them, while they go on."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated

import typer

from sftrun_cli.cluster.completions import run_names
from sftrun_cli.cluster.options import (
    SECONDS,
    AllNamespaces,
    Context,
    Kubeconfig,
    Namespace,
    RequestTimeout,
)

if TYPE_CHECKING:
    from sftrun_cli.cluster.clients import Client

EXAMPLES = """\b
Examples:
  kubectl sft watch                      all runs of the namespace, as a table that updates
  kubectl sft watch -A -l team=nlp       of all namespaces, those with a label
  kubectl sft watch qwen3-8b-swe         one run: stage, losses, GPUs, events, log
  kubectl sft watch x && make serve      in a script: waits for the end of x
  kubectl sft watch x -o json | jq -c .status.phase

Exit code with NAME: 0 when the run has succeeded; 1 when it has failed, was rejected or deleted; 130 after
Ctrl-C, which leaves the run alone. Suspended is no end. A connection that is lost is said and tried again.
Piped, it prints a line a change.
"""


class Form(enum.StrEnum):
    """What `-o` takes."""

    TEXT = "text"
    JSON = "json"


def watch(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="The run. Absent: all of them.", autocompletion=run_names),
    ] = None,
    *,
    namespace: Namespace = None,
    all_namespaces: AllNamespaces = False,
    labels: Annotated[
        str | None, typer.Option("--selector", "-l", help="Only runs with these labels, as kubectl has it.")
    ] = None,
    output: Annotated[
        Form, typer.Option("--output", "-o", help="json: with NAME, the object at each change, one a line.")
    ] = Form.TEXT,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    request_timeout: RequestTimeout = SECONDS,
) -> None:
    """Watch a run on the cluster until it ends, or all runs.

    Losses, GPU figures and the curve come from the run's pod where you may reach it (get of pods/proxy),
    else from the status, which follows within half a minute.
    """
    from sftrun_cli.cluster import connections

    if name is not None and (all_namespaces or labels):
        raise typer.BadParameter("-A and -l are for all runs; leave out NAME, or them")
    if name is None and output is Form.JSON:
        raise typer.BadParameter("json is for one run; name it, or use kubectl get sftruns -w -o json")
    with connections.connect(
        namespace=namespace, context=context, kubeconfig=kubeconfig, seconds=request_timeout
    ) as cluster:
        if name is None:
            _all(cluster, everywhere=all_namespaces, labels=labels or "")
        else:
            _one(cluster, name, form=output)


def _one(cluster: Client, name: str, *, form: Form) -> None:
    from sftrun_cli import consoles
    from sftrun_cli.exit_codes import ExitCode
    from sftrun_cli.runs import screens
    from sftrun_cli.runs.watching import Watcher

    console = consoles.screen()
    live = form is Form.TEXT and console.is_terminal and not console.is_dumb_terminal
    watcher = Watcher(cluster=cluster, name=name, full=live)
    if form is Form.JSON:
        phase = screens.json_lines(watcher.scenes())
    elif live:
        phase = screens.pictures_of(watcher.scenes(), console)
    else:
        phase = screens.lines(watcher.scenes(), consoles.results())
    if phase != "Succeeded":
        raise typer.Exit(ExitCode.FAILED)


def _all(cluster: Client, *, everywhere: bool, labels: str) -> None:
    from sftrun_cli import consoles
    from sftrun_cli.runs import screens
    from sftrun_cli.runs.lists import RunList

    console = consoles.screen()
    runs = RunList(cluster, everywhere=everywhere, labels=labels)
    runs.start()
    try:
        if console.is_terminal and not console.is_dumb_terminal:
            screens.table(runs, console, namespaces=everywhere)
        else:
            screens.table_lines(runs, consoles.results(), namespaces=everywhere)
    finally:
        runs.stop()
