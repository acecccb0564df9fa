"""`kubectl sft doctor`: is the cluster fit?"""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from sftrun_cli.cluster.options import SECONDS, Context, Kubeconfig, Namespace, RequestTimeout

EXAMPLES = """\b
Examples:
  kubectl sft doctor
  kubectl sft doctor -n team-a --context big
  kubectl sft doctor -o json | jq '.findings[] | select(.result == "Fail")'

Pass, Warn (runs may wait, or a command lacks something), Fail (runs do not run), Unseen (you may not look).
Exit code 0: nothing fails; 1: something does; 3: the API server does not answer.
"""


class Form(enum.StrEnum):
    """What `-o` takes."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def doctor(
    *,
    output: Annotated[Form, typer.Option("--output", "-o", help="The format.")] = Form.TABLE,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    request_timeout: RequestTimeout = SECONDS,
) -> None:
    """Look whether the cluster is fit: CRD, operator, GPUs, storage, quota, Kueue, Pod Security, rights.

    Only what you may read is looked at; what you may not is said as such. Nothing is changed.
    """
    from sftrun_cli import consoles, forms, outputs, wrapping
    from sftrun_cli.cluster import connections
    from sftrun_cli.doctoring import examining, findings
    from sftrun_cli.exit_codes import ExitCode

    with connections.connect(
        namespace=namespace, context=context, kubeconfig=kubeconfig, seconds=request_timeout
    ) as cluster:
        found = list(examining.examine(cluster))
        server, place = cluster.server, cluster.namespace
    if output is Form.TABLE:
        for line in findings.lines(found):
            wrapping.show(consoles.results(), line, indent=9)
    else:
        whole = {"server": server, "namespace": place, "findings": [dict(each.as_object()) for each in found]}
        outputs.write(outputs.documents([whole], form=forms.Form(output.value)))
    if not examining.fit(found):
        raise typer.Exit(ExitCode.FAILED)
