"""`kubectl sft suspend`, `resume`, `retry` and `delete`: all four say first what they come to, ask, act and
may wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from sftrun_cli.cluster.completions import run_names
from sftrun_cli.cluster.options import SECONDS, Context, Kubeconfig, Namespace, RequestTimeout
from sftrun_cli.forms import ListForm

_CODES = """
Exit code 0: done, or so already; 1: refused, failed, or not there in time; 2: nobody can be asked and
--yes was not said; 3: the cluster cannot be asked."""
SUSPEND_EXAMPLES = f"""\b
Examples:
  kubectl sft suspend qwen3-8b-swe                 says what it comes to, and asks
  kubectl sft suspend a b --yes --wait             until no pod is left
  kubectl sft suspend -l team=nlp --dry-run        only says it
{_CODES}
"""
RESUME_EXAMPLES = f"""\b
Examples:
  kubectl sft resume qwen3-8b-swe
  kubectl sft resume -l team=nlp --yes
{_CODES}
"""
RETRY_EXAMPLES = f"""\b
Examples:
  kubectl sft retry qwen3-8b-swe                   another attempt of a run that failed
  kubectl sft retry qwen3-8b-swe --yes --wait
{_CODES}
"""
DELETE_EXAMPLES = f"""\b
Examples:
  kubectl sft delete qwen3-8b-swe                  the object; its files stay
  kubectl sft delete a b --yes --wait              until their pods are gone
  kubectl sft delete -l sweep=7 --dry-run
{_CODES}
"""
PATIENCE = 1200.0

Names = Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="Runs.", autocompletion=run_names)]
Selector = Annotated[
    str, typer.Option("--selector", "-l", help="Instead of names: a label selector, as kubectl's.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what it comes to, and do nothing.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until it is so, and tell what happens.")]
Timeout = Annotated[float, typer.Option(min=1, help="Seconds that --wait waits.")]
Output = Annotated[
    ListForm, typer.Option("--output", "-o", help="table: a line a run; yaml, json: the objects.")
]


def _command(verb: str, *, says: str) -> Callable[..., None]:
    """Returns the function of one verb; all four take the same options."""

    def steer(
        names: Names = None,
        *,
        selector: Selector = "",
        yes: Yes = False,
        dry_run: DryRun = False,
        wait: Wait = False,
        timeout: Timeout = PATIENCE,
        output: Output = ListForm.TABLE,
        namespace: Namespace = None,
        context: Context = None,
        kubeconfig: Kubeconfig = None,
        request_timeout: RequestTimeout = SECONDS,
    ) -> None:
        from sftrun_cli.cluster import connections
        from sftrun_cli.steering import acting
        from sftrun_cli.steering.verdicts import Verb

        options = acting.Options(
            names=tuple(names or ()),
            selector=selector,
            yes=yes,
            dry_run=dry_run,
            wait=wait,
            patience=timeout,
            form=output,
        )
        with connections.connect(
            namespace=namespace, context=context, kubeconfig=kubeconfig, seconds=request_timeout
        ) as cluster:
            acting.act(cluster, Verb(verb), options)

    steer.__name__ = verb
    steer.__doc__ = says
    return steer


suspend = _command(
    "suspend",
    says="""Stop runs with a checkpoint and free their GPUs; resume goes on.

    Says first what it comes to: what is kept, from which checkpoint it would go on, how many steps would be
    done again.
    """,
)
resume = _command(
    "resume",
    says="""Go on with suspended runs from their last checkpoint.

    Says first from which checkpoint, how many steps are done again and how many GPUs are asked for.
    """,
)
retry = _command(
    "retry",
    says="""Start another attempt of failed runs (spec.restartRequest).

    Says first why each failed and from where it would go on. A run that has succeeded, is suspended or is
    still at work is not restarted; why, and what to do instead, is said.
    """,
)
delete = _command(
    "delete",
    says="""Delete runs; their files stay.

    Says first what ends, what is gone and what is kept. kubectl sft clean removes files.
    """,
)
