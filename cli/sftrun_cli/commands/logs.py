"""`kubectl sft logs`: the log of the right pod, also when it is gone."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from sftrun_cli.cluster.completions import run_names
from sftrun_cli.cluster.options import SECONDS, Context, Kubeconfig, Namespace, RequestTimeout

if TYPE_CHECKING:
    from sftrun_cli.cluster.clients import Client
    from sftrun_cli.runs.views import View

EXAMPLES = """\b
Examples:
  kubectl sft logs qwen3-8b-swe -f              of the pod that there is, and of those that follow it
  kubectl sft logs x --attempt 1 --stage train  what training said in the first attempt
  kubectl sft logs x --rank 3 --tail 50         what rank 3 complained of
  kubectl sft logs x --previous                 of the pod before the newest one of the attempt

After the pod is gone the log is read from the archive in the workspace: by a short-lived pod of the
trainer's image, made with your own rights (create, get and delete pods, get pods/log); it says so first.
"""


class Stage(enum.StrEnum):
    """What `--stage` takes."""

    SUPERVISOR = "supervisor"
    PREPARE = "prepare"
    REGISTER = "register"
    TRAIN = "train"


def logs(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The run.", autocompletion=run_names)],
    *,
    attempt: Annotated[int | None, typer.Option(min=1, help="Absent: the current one.")] = None,
    stage: Annotated[Stage | None, typer.Option(help="Only what was printed while it ran.")] = None,
    rank: Annotated[
        int | None,
        typer.Option(min=0, help="Only lines that torch marks with this rank; unmarked ones are 0's."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on while the run goes on.")] = False,
    tail: Annotated[int | None, typer.Option(min=0, help="Only so many lines of the end.")] = None,
    previous: Annotated[
        bool, typer.Option("--previous", "-p", help="Of the attempt's pod before the newest.")
    ] = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    request_timeout: RequestTimeout = SECONDS,
) -> None:
    """Print the log of a run: of its pod while it is there, of the archive afterwards."""
    from sftrun_cli import consoles, outputs
    from sftrun_cli.cluster import connections, resources
    from sftrun_cli.errors import CommandError
    from sftrun_cli.runs import log_lines, pods
    from sftrun_cli.runs.logs import Follower
    from sftrun_cli.runs.views import View

    if follow and previous:
        raise typer.BadParameter("a pod that is gone prints nothing more; leave out --follow or --previous")
    with connections.connect(
        namespace=namespace, context=context, kubeconfig=kubeconfig, seconds=request_timeout
    ) as cluster:
        run = View(cluster.get(resources.SFTRUNS, name))
        chosen = attempt or run.attempt
        if chosen > run.attempt or not chosen:
            raise CommandError(_no_such_attempt(run, attempt))
        found = pods.of_run(cluster, run, attempt=chosen)
        pod = (found[-2] if len(found) > 1 else None) if previous else pods.newest(found)
        filtered = stage is not None or rank is not None
        taken = None if filtered else tail
        if pod is None:
            lines = _archived(
                cluster,
                run,
                attempt=chosen,
                stage=stage,
                tail=tail if rank is None else None,
                previous=previous,
            )
            stage = None
        elif follow:
            follower = Follower(cluster, run, attempt=attempt, told=consoles.remark)
            lines = follower.lines(pod, tail=taken)
        else:
            consoles.remark(f"the log of pod {pod['metadata']['name']}, attempt {chosen}")
            lines = pods.log_lines(cluster, pod, tail=taken)
        if stage is not None:
            lines = log_lines.of_stage(lines, stage.value)
        if rank is not None:
            lines = log_lines.of_rank(lines, rank)
        for line in _last(lines, tail) if filtered and not follow else lines:
            outputs.write(consoles.harmless(line) + "\n")


def _last(lines: Iterator[str], most: int | None) -> Iterator[str]:
    import collections

    return lines if most is None else iter(collections.deque(lines, maxlen=most))


def _archived(
    cluster: Client, run: View, *, attempt: int, stage: Stage | None, tail: int | None, previous: bool
) -> Iterator[str]:
    """Yields the lines of the archive. Raises CommandError."""
    from sftrun_cli import consoles
    from sftrun_cli.cluster import helper_pods, resources
    from sftrun_cli.errors import CommandError
    from sftrun_cli.runs import log_archives

    job = cluster.find(resources.JOBS, run.text("status", "jobName") or "-", namespace=run.namespace)
    asked = stage.value if stage is not None else None
    pod = helper_pods.manifest(
        helper_pods.place_of(dict(run.object), job=job),
        purpose="logs",
        command=log_archives.command(run, attempt=attempt, stage=asked, tail=tail, previous=previous),
    )
    consoles.remark(f"the pod of attempt {attempt} is gone, so its log is read in the workspace")
    consoles.remark(helper_pods.announcement(pod))
    with helper_pods.running(cluster, pod, told=consoles.remark) as helper:
        shown = ""
        for file, line in log_archives.parted(helper.lines()):
            if file != shown:
                shown = file
                consoles.remark(file)
            yield line
        try:
            helper.expect_success()
        except CommandError as error:
            if f"exit code {log_archives.NONE_CODE}" in str(error):
                where = ", ".join(log_archives.folders(run, attempt=attempt))
                raise CommandError(f"there is no log of attempt {attempt}; looked in {where}") from error
            raise


def _no_such_attempt(run: View, attempt: int | None) -> str:
    if not run.attempt:
        return f"SFTRun {run.name} has had no attempt yet, so there is no log: {run.message}"
    return f"SFTRun {run.name} has had {run.attempt} attempts; there is no attempt {attempt}"
