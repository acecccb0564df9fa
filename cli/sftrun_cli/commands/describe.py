"""`kubectl sft describe`: of a run, what kubectl cannot show."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from sftrun_cli.cluster.completions import run_names
from sftrun_cli.cluster.options import SECONDS, Context, Kubeconfig, Namespace, RequestTimeout

if TYPE_CHECKING:
    from sftrun_cli.cluster.clients import Client
    from sftrun_cli.runs.descriptions import Attempt
    from sftrun_cli.runs.sources import CurveReader
    from sftrun_cli.runs.views import View

EXAMPLES = """\b
Examples:
  kubectl sft describe qwen3-8b-swe
  kubectl sft describe x --all-checks
  kubectl sft describe x -o json | jq .diagnosis

Spec, conditions and events are kubectl's: kubectl describe sftrun NAME.
"""
CURVE_HEIGHT = 12


class Form(enum.StrEnum):
    """What `-o` takes."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"


def describe(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The run.", autocompletion=run_names)],
    *,
    all_checks: Annotated[
        bool, typer.Option("--all-checks", help="Show the checks that passed too.")
    ] = False,
    output: Annotated[Form, typer.Option("--output", "-o", help="The format.")] = Form.TEXT,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    request_timeout: RequestTimeout = SECONDS,
) -> None:
    """Say of a run what kubectl cannot: curve, diagnosis, checks, data, attempts, outputs, next command."""
    import time

    from sftrun_cli import consoles, forms, outputs
    from sftrun_cli.cluster import connections, resources
    from sftrun_cli.plots import Series, terminals
    from sftrun_cli.runs import descriptions
    from sftrun_cli.runs.sources import CurveReader
    from sftrun_cli.runs.views import View

    with connections.connect(
        namespace=namespace, context=context, kubeconfig=kubeconfig, seconds=request_timeout
    ) as cluster:
        run = View(cluster.get(resources.SFTRUNS, name))
        reader = CurveReader(cluster)
        found = reader.read(run)
        attempts = _attempts(cluster, run, reader)
    if output is not Form.TEXT:
        whole = descriptions.as_object(run, attempts=attempts, losses=found.curve.losses)
        outputs.write(outputs.documents([whole], form=forms.Form(output.value)))
        return
    console = consoles.screen()

    def section(title: str, lines: Iterable[str]) -> None:
        told = list(lines)
        if told:
            console.print(f"\n{title}", style="bold", markup=False)
        for line in told:
            console.print(f"  {consoles.printable(line)}", markup=False)

    for line in descriptions.head(run, now=time.time()):
        console.print(consoles.printable(line), markup=False)
    section("Diagnosis", descriptions.diagnosis(run))
    section("Checks", descriptions.check_lines(run, whole=all_checks))
    section("Data", descriptions.data(run))
    section("Attempts", descriptions.attempts(attempts))
    section("Outputs", descriptions.outputs(run))
    series = Series(name=name, curve=found.curve)
    if series.has_something:
        console.print("\nCurve", style="bold", markup=False)
        colour = console.is_terminal and not console.no_color
        drawn = terminals.drawn([series], width=min(console.width, 100), height=CURVE_HEIGHT, colour=colour)
        outputs.write(drawn)
    if found.note:
        consoles.remark(found.note)
    section("Next", [descriptions.next_command(run)])


def _attempts(cluster: Client, run: View, reader: CurveReader) -> tuple[Attempt, ...]:
    from sftrun_api.names import LABEL_ATTEMPT
    from sftrun_cli.runs import pods
    from sftrun_cli.runs.descriptions import Attempt

    there = pods.of_run(cluster, run)
    kept = reader.kept(run)
    return tuple(
        Attempt(
            number=number,
            last_step=kept[number].losses[-1][0] if number in kept and kept[number].losses else None,
            pods=tuple(
                f"{pod['metadata']['name']} {pods.phase(pod)}"
                for pod in there
                if pods.label(pod, LABEL_ATTEMPT) == str(number)
            ),
            current=number == run.attempt,
        )
        for number in range(1, run.attempt + 1)
    )
