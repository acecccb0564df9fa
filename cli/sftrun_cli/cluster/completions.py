"""Names of runs for the shell's completion. It must never fail, and never keep anybody waiting."""

from __future__ import annotations

import itertools

import typer

SECONDS = 2.0
MOST = 500


def run_names(context: typer.Context, incomplete: str) -> list[str]:
    """Returns the names of the runs that begin so, in the namespace that the words before have chosen."""
    from sftrun_cli.cluster import connections, resources
    from sftrun_cli.errors import CommandError

    chosen = {key: context.params.get(key) for key in ("namespace", "context", "kubeconfig")}
    given = context.params.get("names") or ()
    try:
        with connections.connect(**chosen, seconds=SECONDS) as cluster:
            found = itertools.islice(cluster.items(resources.SFTRUNS), MOST)
            names = [str(each["metadata"]["name"]) for each in found]
    except CommandError:
        return []
    return [name for name in names if name.startswith(incomplete) and name not in given]
