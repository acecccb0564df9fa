"""The command `sftrun-operator`.

What the operator may do in the cluster is `RULES`: the chart's role is made of it, and a test compares them.
It reads no Secret, and patches neither Jobs nor ConfigMaps.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import re
import signal
import socket
import sys
import uuid
from asyncio import sslproto
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sftrun_api.policies import OperatorPolicy, PolicyError
from sftrun_operator import connections, logs, policy_files, service_accounts
from sftrun_operator.elections import Seat
from sftrun_operator.health import AddressError, parse_address
from sftrun_operator.observations import OperatorConfig
from sftrun_operator.operators import Operator, Options
from sftrun_operator.passes import PlanFunction

MOST_WORKERS = 256
TLS_BUFFER_BYTES = 32 * 1024
"""What each TLS connection keeps for what it reads. asyncio's own 256 KB, times connections, would be a fifth
of the process; a TLS record has 16 KB at most, and reading in smaller pieces costs nothing that was seen."""
OWN_NAMESPACE = service_accounts.FOLDER / "namespace"

RULES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("sftrun.dev", "sftruns", ("get", "list", "watch")),
    ("sftrun.dev", "sftruns/status", ("patch",)),
    ("sftrun.dev", "sftruns/finalizers", ("update",)),
    ("batch", "jobs", ("get", "list", "watch", "create", "delete")),
    ("", "pods", ("list", "watch")),
    ("", "configmaps", ("get", "create")),
    ("", "events", ("create", "list")),
)
"""API group, resource, verbs: all that the operator asks of the API server, cluster-wide or a namespace.

`sftruns/finalizers` is no address that anything could be sent to. The admission plugin
OwnerReferencesPermissionEnforcement, which is on in OpenShift, asks for it before it lets an object name an
SFTRun as the owner whose deletion waits for it.
"""

ELECTION_RULES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("coordination.k8s.io", "leases", ("get", "create", "update")),
)
"""What it asks for besides with --leader-elect, in its own namespace only."""

EXAMPLES = """examples:
  all namespaces, from a pod with the chart's service account:
    sftrun-operator --trainer-image ghcr.io/acme/sftrun-trainer:0.1.0

  two namespaces, from a laptop:
    sftrun-operator --trainer-image trainer:dev -n team-a -n team-b --kubeconfig ~/.kube/config

  two replicas, of which one works:
    sftrun-operator --trainer-image trainer:0.1.0 --leader-elect

  a cluster that assigns uids itself:
    sftrun-operator --trainer-image trainer:0.1.0 --run-as-user none --run-as-group none --fs-group none

exit status: 0 after SIGTERM or SIGINT, 1 when there is no cluster to talk to, 2 for wrong options or a policy
that cannot be read.
"""


def parser() -> argparse.ArgumentParser:
    """Returns the options with their help."""
    made = argparse.ArgumentParser(
        prog="sftrun-operator",
        description="Turns SFTRuns into Jobs and tells the truth about them.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--trainer-image", required=True, help="image of runs that name none")
    made.add_argument(
        "-n",
        "--namespace",
        action="append",
        type=namespace,
        default=[],
        metavar="NAME",
        help="serve this namespace, repeatable; all if absent",
    )
    for name, what in (("run-as-user", "uid"), ("run-as-group", "gid"), ("fs-group", "group of volumes")):
        made.add_argument(
            f"--{name}", type=identity, default=1000, metavar="ID",
            help=f"{what} of training pods whose spec has none; `none`: the cluster assigns it (1000)",
        )  # fmt: skip
    made.add_argument(
        "--policy", type=Path, metavar="FILE",
        help="what runs may ask for (an OperatorPolicy); read again when it changes (safe defaults)",
    )  # fmt: skip
    made.add_argument(
        "--liveness", type=address, default="0.0.0.0:8080", metavar="HOST:PORT",
        help="serve /healthz, /readyz and /metrics here (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--leader-elect", action="store_true", help="work only while holding a Lease: for several replicas"
    )
    made.add_argument(
        "--lease-name", type=lease, default="sftrun-operator", metavar="NAME", help="(%(default)s)"
    )
    made.add_argument(
        "--lease-namespace", type=namespace, metavar="NAME", help="the Lease's namespace (the pod's own)"
    )
    made.add_argument(
        "--workers",
        type=workers,
        default=str(Options().num_workers),
        metavar="N",
        help="looks at a time (default: %(default)s)",
    )
    made.add_argument(
        "--kubeconfig", metavar="FILE", help="instead of KUBECONFIG or the pod's service account"
    )
    made.add_argument("--log-format", choices=("text", "json"), default="text")
    made.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")
    made.add_argument("--version", action="version", version=f"%(prog)s {own_version()}")
    return made


def identity(text: str) -> int | None:
    """Returns a uid or gid; `none` means that the cluster assigns it."""
    if text.lower() == "none":
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) < 2**31:
        raise argparse.ArgumentTypeError(f"{text!r} is no id: write a number from 1 to 2147483647, or none")
    return int(text)


def namespace(text: str) -> str:
    """Returns the name of a namespace; patterns are not served."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no namespace: write one name, and repeat -n for more")
    return text


def lease(text: str) -> str:
    """Returns the name of a Lease."""
    if len(text) > 253 or not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no name of a Lease: use lower-case letters, digits, - and ."
        )
    return text


def workers(text: str) -> int:
    """Returns a number of workers."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST_WORKERS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number of workers: write one from 1 to {MOST_WORKERS}"
        )
    return int(text)


def address(text: str) -> str:
    """Returns an address to listen on."""
    try:
        parse_address(text)
    except AddressError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def own_version() -> str:
    """Returns the installed version; from a checkout that is not installed, a development one."""
    try:
        return version("sftrun")
    except PackageNotFoundError:
        return "0.0.0+dev"


def own_plan() -> PlanFunction:
    """Returns the plan that ships with the operator. Loaded here: `--help` needs none of it."""
    from sftrun_operator.plans import plan  # noqa: PLC0415

    return plan


def main(argv: Sequence[str] | None = None, *, plan: PlanFunction | None = None) -> int:
    """Runs the operator until SIGTERM. Returns the exit status."""
    options = parser().parse_args(argv)
    logs.configure(kind=options.log_format, level=options.log_level.upper())
    try:
        loaded = policy_files.load(options.policy) if options.policy is not None else None
    except PolicyError as error:
        logs.LOGGER.error("%s", error)
        return 2
    settle_in()
    try:
        asyncio.run(_run(options, loaded, plan=plan if plan is not None else own_plan()))
    except connections.NoClusterError as error:
        logs.LOGGER.error("%s", error)
        return 1
    except OSError as error:
        logs.LOGGER.error("cannot listen on %s: %s; choose another --liveness", options.liveness, error)
        return 1
    return 0


def settle_in() -> None:
    """Sets what a process that lives long and holds many connections wants otherwise than Python does it."""
    sslproto.SSLProtocol.max_size = TLS_BUFFER_BYTES
    gc.collect()
    gc.freeze()  # what was imported stays: nobody looks through it again


def seat(options: argparse.Namespace) -> Seat | None:
    """Returns the Lease to compete for, if one is asked for.

    Raises:
        connections.NoClusterError: Its namespace is not given, and this is no pod to take it from.
    """
    if not options.leader_elect:
        return None
    own = OWN_NAMESPACE.read_text().strip() if OWN_NAMESPACE.exists() else ""
    if not (options.lease_namespace or own):
        raise connections.NoClusterError(
            "no namespace for the Lease: outside a pod --lease-namespace is needed"
        )
    identity = f"{socket.gethostname()}_{uuid.uuid4()}"
    return Seat(namespace=options.lease_namespace or own, name=options.lease_name, identity=identity)


async def _run(
    options: argparse.Namespace, loaded: policy_files.Loaded | None, *, plan: PlanFunction
) -> None:
    operator = Operator(
        connection=await connections.load(options.kubeconfig),
        plan=plan,
        config=OperatorConfig(
            trainer_image=options.trainer_image,
            version=own_version(),
            run_as_user=options.run_as_user,
            run_as_group=options.run_as_group,
            fs_group=options.fs_group,
            policy=loaded.policy if loaded is not None else OperatorPolicy(),
        ),
        options=Options(
            namespaces=tuple(dict.fromkeys(options.namespace)),
            liveness=options.liveness,
            num_workers=options.workers,
            seat=seat(options),
            policy_file=(options.policy, loaded) if loaded is not None else None,
        ),
    )
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(each, operator.stop.set)
    await operator.run()


if __name__ == "__main__":
    sys.exit(main())
