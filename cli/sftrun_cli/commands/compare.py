"""`kubectl sft compare`: what differs in runs, what came out, and which is better."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from sftrun_cli.cluster.completions import run_names
from sftrun_cli.cluster.options import SECONDS, Context, Kubeconfig, Namespace, RequestTimeout

EXAMPLES = """\b
Examples:
  kubectl sft compare baseline higher-rate
  kubectl sft compare a b c                     each against a
  kubectl sft compare a b -o json | jq '.verdicts[0].better'

The verdict is by the evaluation loss where both runs have one, and by the final training loss: a tenth of
the run's last steps, at most 20. The noise is worked out from how much neighbouring steps (or evaluations)
differ; below twice the noise no run is called better. Another seed scatters more than that.
"""


class Form(enum.StrEnum):
    """What `-o` takes."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def compare(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Two runs or more.", autocompletion=run_names)
    ],
    *,
    output: Annotated[Form, typer.Option("--output", "-o", help="The format.")] = Form.TABLE,
    curves: Annotated[bool, typer.Option(help="Also draw the curves.")] = True,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    request_timeout: RequestTimeout = SECONDS,
) -> None:
    """Compare runs: the parameters that differ, losses, speed, GPU-hours, and which is better.

    The first one is what the others are held against.
    """
    import time

    from sftrun_cli import consoles, forms, outputs
    from sftrun_cli.cluster import connections, resources
    from sftrun_cli.comparisons import differences, results, tables, verdicts
    from sftrun_cli.plots import Series, terminals
    from sftrun_cli.runs.sources import CurveReader
    from sftrun_cli.runs.views import View

    chosen = list(dict.fromkeys(names))
    if len(chosen) < 2:
        raise typer.BadParameter("name two runs or more", param_hint="NAME...")
    with connections.connect(
        namespace=namespace, context=context, kubeconfig=kubeconfig, seconds=request_timeout
    ) as cluster:
        runs = [View(cluster.get(resources.SFTRUNS, name)) for name in chosen]
        read = [CurveReader(cluster).read(run) for run in runs]
    for run, found in zip(runs, read, strict=True):
        if found.note:
            consoles.remark(f"{run.name}: {found.note}")
    now = time.time()
    made = [results.result_of(run, found.curve, now=now) for run, found in zip(runs, read, strict=True)]
    differ = differences.differences(runs)
    said = [each for other in made[1:] for each in verdicts.verdicts(made[0], other)]
    if output is not Form.TABLE:
        whole = tables.as_object(made, differ, said)
        outputs.write(outputs.documents([whole], form=forms.Form(output.value)))
        return
    console = consoles.screen()
    console.print(tables.differences(differ, made) if differ else "the runs do not differ in any parameter")
    console.print()
    console.print(tables.figures(made))
    console.print()
    for each in said:
        console.print(consoles.printable(each.sentence), style="bold", markup=False)
    if not said:
        console.print("there is no loss yet to compare", markup=False)
    if fields := tables.incomparable(differ):
        shown = ", ".join(fields[:4]) + (" and more" if len(fields) > 4 else "")
        consoles.remark(
            f"the runs learn from different texts or models ({shown}): their losses hardly compare"
        )
    if any(each.curve.thinned for each in made):
        consoles.remark("a long curve is thinned, its extremes kept: the noise of its steps is overestimated")
    shown_curves = [Series(name=each.name, curve=each.curve) for each in made]
    if curves and any(each.has_something for each in shown_curves):
        console.print()
        colour = console.is_terminal and not console.no_color
        outputs.write(terminals.drawn(shown_curves, width=console.width, colour=colour))
