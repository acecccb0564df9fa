"""`kubectl sft plot`: the loss curves of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sftrun_cli.cluster.completions import run_names
from sftrun_cli.cluster.options import SECONDS, Context, Kubeconfig, Namespace, RequestTimeout

EXAMPLES = """\b
Examples:
  kubectl sft plot qwen3-8b-swe                  in the terminal
  kubectl sft plot a b c                         overlaid, each with its letter
  kubectl sft plot a b --out curves.svg          also .png, .html (loads nothing), .csv

Pictures need matplotlib: pip install 'sftrun[plots]'. Dotted lines mark where another pod went on.
While a run goes on its curve comes from its pod, where you may reach it (get of pods/proxy); afterwards
from the ConfigMaps that keep it. Long curves are thinned, their extremes kept; steps.jsonl has all.
"""


def plot(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="The runs.", autocompletion=run_names)
    ],
    *,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write a file instead: .png, .svg, .html or .csv.")
    ] = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    request_timeout: RequestTimeout = SECONDS,
) -> None:
    """Draw the loss curves of one or several runs: training, evaluation, and where they were resumed."""
    from sftrun_cli import consoles, outputs
    from sftrun_cli.cluster import connections, resources
    from sftrun_cli.errors import CommandError
    from sftrun_cli.plots import Series, files, terminals
    from sftrun_cli.runs.sources import CurveReader
    from sftrun_cli.runs.views import View

    if out is not None:
        files.content([], path=out) if out.suffix.lower() not in files.FORMS else None
    shown: list[Series] = []
    with connections.connect(
        namespace=namespace, context=context, kubeconfig=kubeconfig, seconds=request_timeout
    ) as cluster:
        for name in dict.fromkeys(names):
            run = View(cluster.get(resources.SFTRUNS, name))
            found = CurveReader(cluster).read(run)
            if found.note:
                consoles.remark(f"{name}: {found.note}")
            shown.append(Series(name=name, curve=found.curve))
    shown = [each for each in shown if each.has_something]
    if not shown:
        raise CommandError("there is nothing to draw yet")
    if out is None:
        console = consoles.screen()
        colour = console.is_terminal and not console.no_color
        outputs.write(terminals.drawn(shown, width=console.width, colour=colour))
        return
    written = files.content(shown, path=out)
    try:
        out.write_bytes(written)
    except OSError as error:
        raise CommandError(f"--out {out}: {error.strerror}") from error
    consoles.remark(f"wrote {out}")
