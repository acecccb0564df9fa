"""`sftrun clean PATH` and `kubectl sft clean`: disk space back, and nothing lost that somebody needs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sftrun_cli.cluster.completions import run_names
from sftrun_cli.cluster.options import SECONDS, Context, Kubeconfig, Namespace, RequestTimeout
from sftrun_cli.forms import ListForm

if TYPE_CHECKING:
    from sftrun_cli.cleaning.results import Result
    from sftrun_workspace.values import Wish

EXAMPLES = """\b
Examples:
  sftrun clean /mnt/workspace                                 shows what could go, and its size
  sftrun clean /mnt/workspace --checkpoints --older-than 7d --yes
  kubectl sft clean --claim training                          the same through a short-lived pod
  kubectl sft clean --run qwen3-8b-swe --checkpoints --yes    one run's

Never removed: what a live run works in (its lock, its claim.json, or the cluster says so), the last and the
best checkpoint, what a run of the cluster names, folders that no run of ours made. Links are not followed.
The workspace is not changed without --yes, and --yes wants to be told what.
Exit code 0: done; 1: something could not be removed or looked into; 2: not told what; 3: no cluster.
"""


def clean(
    path: Annotated[
        Path | None, typer.Argument(metavar="PATH", help="A workspace mounted here. Absent: a cluster's.")
    ] = None,
    *,
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="Checkpoints that later ones have superseded.")
    ] = False,
    archives: Annotated[
        bool, typer.Option("--archives", help="Archives of attempts: logs, curves. The index stays.")
    ] = False,
    caches: Annotated[
        bool, typer.Option("--caches", help="Tokenised sets, compiled kernels, dry runs: made again.")
    ] = False,
    hub: Annotated[
        bool, typer.Option("--hub", help="What was fetched from the hub: fetched again when needed.")
    ] = False,
    older_than: Annotated[
        str, typer.Option(help="Only what nobody has changed for so long: 36h, 7d.")
    ] = "0s",
    run: Annotated[
        str | None, typer.Option(help="Only what belongs to this run.", autocompletion=run_names)
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove it.")] = False,
    claim: Annotated[str | None, typer.Option(help="The cluster's claim. Absent: that of --run.")] = None,
    image: Annotated[
        str | None, typer.Option(help="The trainer's image for the pod. Absent: the run's own.")
    ] = None,
    output: Annotated[
        ListForm, typer.Option("--output", "-o", help="name: paths alone; yaml, json: the whole account.")
    ] = ListForm.TABLE,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    request_timeout: RequestTimeout = SECONDS,
) -> None:
    """Show, and with --yes remove, what of a workspace nobody needs: checkpoints, archives, caches.

    Without a category all are shown. A cluster's workspace is reached by a pod of the trainer's image on the
    claim, made with your own rights, without a GPU, and deleted at the end; it is said before it is made.
    """
    from sftrun_cli.cleaning import ages
    from sftrun_workspace.values import Category, Wish

    asked = {
        Category.CHECKPOINTS: checkpoints,
        Category.ARCHIVES: archives,
        Category.CACHES: caches,
        Category.HUB: hub,
    }
    categories = frozenset(category for category, wanted in asked.items() if wanted)
    if yes and not categories:
        raise typer.BadParameter(
            "say what is to go: --checkpoints, --archives, --caches, --hub", param_hint="--yes"
        )
    try:
        age = ages.seconds(older_than)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--older-than") from error
    wish = Wish(categories=categories or frozenset(Category), older_than=age, run=run)
    if path is not None:
        if claim is not None or image is not None:
            raise typer.BadParameter("with PATH no cluster is asked", param_hint="--claim, --image")
        _tell(_mounted(path, wish, yes=yes), form=output)
        return
    from sftrun_cli.cleaning import clusters
    from sftrun_cli.cluster import connections

    with connections.connect(
        namespace=namespace, context=context, kubeconfig=kubeconfig, seconds=request_timeout
    ) as cluster:
        result = clusters.clean(cluster, wish, run=run, claim=claim, image=image, yes=yes)
    _tell(result, form=output)


def _mounted(path: Path, wish: Wish, *, yes: bool) -> Result:
    from sftrun_cli.cleaning.results import Result
    from sftrun_cli.errors import CommandError
    from sftrun_cli.exit_codes import ExitCode
    from sftrun_workspace import listings, plans, removals

    try:
        plan = plans.plan(listings.read(path), wish, now=time.time())
        removed = tuple(removals.remove(path, plan, wish)) if yes else None
    except OSError as error:
        raise CommandError(
            f"{path}: {error.strerror or error}; name the folder that a run's claim holds",
            code=ExitCode.USAGE,
        ) from error
    return Result(where=str(path), plan=plan, removed=removed)


def _tell(result: Result, *, form: ListForm) -> None:
    from rich.text import Text

    from sftrun_cli import consoles, outputs, wrapping
    from sftrun_cli.cleaning import results
    from sftrun_cli.exit_codes import ExitCode
    from sftrun_cli.forms import Form

    items = result.plan.items if result.removed is None else result.gone
    if form is ListForm.TABLE:
        for line in results.lines(items):
            wrapping.show(consoles.results(), line, indent=12)
    elif form is ListForm.NAME:
        outputs.write("".join(f"{each.extent.path}\n" for each in items))
    else:
        outputs.write(outputs.documents([result.as_object()], form=Form(form.value)))
    console = consoles.remarks()
    for sentence in results.summary(result):
        wrapping.show(console, Text(consoles.printable(sentence), style="dim"))
    for each in result.failed:
        told = consoles.printable(f"error: {each.item.extent.path} stays: {each.error}")
        wrapping.show(console, Text(told, style="bold red"))
    if result.removed is None and items:
        flags = " ".join(f"--{category.value}" for category in sorted({each.category for each in items}))
        wrapping.show(console, Text(f"nothing was removed; {flags} --yes removes it"))
    if result.failed or result.plan.unreadable:
        raise typer.Exit(ExitCode.FAILED)
