"""`sftrun render`: exactly the ConfigMap and Job that the operator would create."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sftrun_cli.cluster.options import SECONDS, Context, Kubeconfig, RequestTimeout
from sftrun_cli.forms import Form

if TYPE_CHECKING:
    from sftrun_api.policies import OperatorPolicy
    from sftrun_cli.cluster.clients import Client
    from sftrun_cli.documents import Document
    from sftrun_operator.observations import OperatorConfig

EXAMPLES = """\b
Examples:
  sftrun render run.yaml                       ConfigMap and Job, as YAML
  sftrun render run.yaml --only llamafactory   what LLaMA-Factory is told
  sftrun render run.yaml --only job -o json | jq .spec.template
  kubectl get sftrun x -o yaml | sftrun render -
  sftrun render run.yaml --diff                against the current attempt on the cluster

What depends on the model's files or the number of samples (rope, data sets, steps between checkpoints)
is settled in the pod, and shown in the run's status.effective.

Exit codes of --diff, as kubectl diff's: 0 no difference, 1 differences, 2 and 3 when it cannot be told.
"""


class Part(enum.StrEnum):
    """What `--only` takes."""

    CONFIG_MAP = "configmap"
    JOB = "job"
    RUN = "run"
    LLAMA_FACTORY = "llamafactory"
    DEEPSPEED = "deepspeed"


def render(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file with an SFTRun; - is standard input.")],
    *,
    only: Annotated[
        Part | None,
        typer.Option(help="Print one part: an object, or one of the files that the pod is told, as it is."),
    ] = None,
    output: Annotated[Form, typer.Option("--output", "-o", help="The format of the objects.")] = Form.YAML,
    name: Annotated[
        str | None, typer.Option(help="Of several SFTRuns in the file, the one so called.")
    ] = None,
    diff: Annotated[
        bool, typer.Option("--diff", help="Show how it differs from the current attempt on the cluster.")
    ] = False,
    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace",
            "-n",
            help="The namespace, where the file names none. Absent: default, or the context's.",
        ),
    ] = None,
    trainer_image: Annotated[
        str | None,
        typer.Option(help="The operator's --trainer-image. Absent: its own (--diff), or this version's."),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(help="The operator's --policy: refuse what it denies. Absent: all is allowed."),
    ] = None,
    run_as_user: Annotated[
        str | None,
        typer.Option(help="The operator's --run-as-user; none: left out. Absent: its own, or 1000."),
    ] = None,
    run_as_group: Annotated[str | None, typer.Option(help="The operator's --run-as-group; likewise.")] = None,
    fs_group: Annotated[str | None, typer.Option(help="The operator's --fs-group; likewise.")] = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    request_timeout: RequestTimeout = SECONDS,
) -> None:
    """Print exactly the ConfigMap and Job that the operator would create.

    Without --diff nothing is asked of a cluster. The names hold the first five digits of the object's uid,
    which the API server gives: a file without one gets zeros.
    """
    from sftrun_cli import runs_in_files

    document = runs_in_files.one_run(file, name=name)
    asked = _Settings(
        trainer_image=trainer_image,
        policy=policy,
        ids={"run-as-user": run_as_user, "run-as-group": run_as_group, "fs-group": fs_group},
    )
    if not diff:
        _print(document, asked, namespace=namespace or "default", only=only, output=output)
        return
    if only not in (None, Part.CONFIG_MAP, Part.JOB):
        raise typer.BadParameter("with --diff: configmap or job", param_hint="--only")
    from sftrun_cli.cluster import connections

    place = namespace or runs_in_files.metadata(document).get("namespace")
    with connections.connect(
        namespace=place, context=context, kubeconfig=kubeconfig, seconds=request_timeout
    ) as cluster:
        _compare(document, asked, cluster=cluster, only=only)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    """The operator's settings as the command line gives them."""

    trainer_image: str | None
    policy: Path | None
    ids: Mapping[str, str | None]

    def config(self, flags: Mapping[str, str] | None = None) -> OperatorConfig:
        """Returns them, with those of the operator on the cluster for what was not given."""
        from sftrun_cli import versions
        from sftrun_operator.observations import OperatorConfig

        theirs = flags or {}
        ids = {
            flag: identity(given if given is not None else theirs.get(flag, "1000"), option=f"--{flag}")
            for flag, given in self.ids.items()
        }
        return OperatorConfig(
            trainer_image=self.trainer_image or theirs.get("trainer-image") or versions.trainer_image(),
            version=versions.own_version(),
            run_as_user=ids["run-as-user"],
            run_as_group=ids["run-as-group"],
            fs_group=ids["fs-group"],
            policy=_policy(self.policy),
        )


_KINDS = {Part.CONFIG_MAP: "ConfigMap", Part.JOB: "Job"}


def _print(document: Document, asked: _Settings, *, namespace: str, only: Part | None, output: Form) -> None:
    from sftrun_api import names
    from sftrun_cli import consoles, outputs, renderings

    rendering = renderings.render(document, namespace=namespace, config=asked.config())
    texts = {
        Part.RUN: names.RUN_FILE,
        Part.LLAMA_FACTORY: names.LLAMAFACTORY_FILE,
        Part.DEEPSPEED: names.DEEPSPEED_FILE,
    }
    if only in texts:
        outputs.write(rendering.config[texts[only]])
        return
    if rendering.suspended:
        consoles.remark("suspend: true, so nothing of this is created until it is taken back")
    if not rendering.uid_known:
        consoles.remark("the file has no uid: its first five digits in the names are zeros here")
    wanted = [each for each in rendering.created if only is None or each["kind"] == _KINDS[only]]
    outputs.write(outputs.documents(wanted, form=output))


def _compare(document: Document, asked: _Settings, *, cluster: Client, only: Part | None) -> None:
    """Shows the difference. Raises `typer.Exit` with 1 where there is one."""
    from sftrun_cli import consoles, differences, live_attempts, renderings, runs_in_files
    from sftrun_cli.cluster import resources
    from sftrun_cli.cluster.refusals import ClusterError
    from sftrun_cli.errors import CommandError
    from sftrun_cli.exit_codes import ExitCode

    live = live_attempts.read(cluster, runs_in_files.name_of(document))
    try:
        rendering = renderings.render(
            document,
            namespace=cluster.namespace,
            config=asked.config(live.flags),
            uid=live.uid,
            pinned=live.pinned,
        )
    except CommandError as error:
        raise CommandError(str(error), code=ExitCode.USAGE) from error
    consoles.remark(
        f"attempt {live.attempt} of the run on the cluster"
        if live.uid
        else "the run is not on the cluster: all is new"
    )
    lines: list[str] = []
    for wanted in rendering.created:
        if only is not None and wanted["kind"] != _KINDS[only]:
            continue
        name, kind = wanted["metadata"]["name"], wanted["kind"]
        resource = resources.CONFIG_MAPS if kind == "ConfigMap" else resources.JOBS
        try:
            found = cluster.find(resource, name) if live.uid else None
        except ClusterError as error:
            raise CommandError(str(error), code=ExitCode.CLUSTER) from error
        lines += differences.difference(kind, name, live=found, wanted=wanted)
    for line in differences.coloured(lines):
        consoles.results().print(line)
    if lines:
        raise typer.Exit(ExitCode.FAILED)


def _policy(path: Path | None) -> OperatorPolicy:
    """Returns the policy to judge by. Raises `CommandError`."""
    from sftrun_api.policies import EVERYTHING, PolicyError
    from sftrun_cli.errors import CommandError
    from sftrun_operator import policy_files

    if path is None:
        return EVERYTHING
    try:
        return policy_files.load(path).policy
    except PolicyError as error:
        raise CommandError(str(error)) from error


def identity(text: str, *, option: str) -> int | None:
    """Returns a uid or gid; `none` means that the cluster assigns it."""
    if text.lower() == "none":
        return None
    if text.isascii() and text.isdigit() and 1 <= int(text) < 2**31:
        return int(text)
    raise typer.BadParameter(
        f"{text!r} is no id: write a number from 1 to 2147483647, or none", param_hint=option
    )
