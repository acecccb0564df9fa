"""The command line: `cluster up`, `down`, `status`, `load-image`, `volume` and what helps them."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from cluster import driver, full, handles, light, programs, registries, reports, scripts, states, volumes
from cluster.errors import ClusterError
from cluster.paths import FULL_NAME, LIGHT_NAME, RunFolder, run_folders


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. Returns the exit code: 0, or 1 with a sentence on standard error."""
    options = _parser().parse_args(arguments)
    try:
        result: int = options.run(options)
    except ClusterError as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cluster", description="A real Kubernetes on this machine.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start a cluster, or what is missing of it")
    up.add_argument("--light", action="store_true", help="no nodes: API server and controller manager only")
    up.add_argument("--name", help=f"its name (default: {FULL_NAME}, with --light {LIGHT_NAME})")
    up.add_argument("--nodes", type=int, help="1 or 2 (default: what it has, else 1)")
    up.set_defaults(run=_up)
    down = commands.add_parser("down", help="stop a cluster and remove its files")
    down.add_argument("--light", action="store_true", help=f"the one named {LIGHT_NAME}")
    down.add_argument("--name")
    down.add_argument("--all", action="store_true", help="every cluster that was started here")
    down.add_argument("--purge", action="store_true", help="remove its images as well")
    down.set_defaults(run=_down)
    kubeconfig = commands.add_parser("kubeconfig", help="print the path of the administrator's kubeconfig")
    kubeconfig.add_argument("--light", action="store_true")
    kubeconfig.add_argument("--name")
    kubeconfig.set_defaults(run=_kubeconfig)
    status = commands.add_parser("status", help="say what is up; exit code 1 when a part of it is not")
    status.set_defaults(run=_status)
    load = commands.add_parser(
        "load-image", help="push an image of the build store (hack/images) for the nodes"
    )
    load.add_argument("image", help="its name in the build store, for example localhost/sftrun-trainer:abc")
    load.add_argument("reference", help="repository[:tag] to push it as, without the registry")
    load.add_argument("--name")
    load.set_defaults(run=_load_image, light=False)
    volume = commands.add_parser("volume", help="bind a claim to a folder of this machine")
    volume.add_argument("claim", help="the claim's name")
    volume.add_argument("--path", type=Path, required=True, help="the folder; made when it is missing")
    volume.add_argument("--namespace", default="default")
    volume.add_argument("--uid", type=int, default=1000, help="its owner (default: 1000)")
    volume.add_argument("--gid", type=int, default=1000, help="its group (default: 1000)")
    volume.add_argument("--mode", type=_octal, default=0o770, help="its mode (default: 0770)")
    volume.add_argument("--size", default="100Gi")
    volume.add_argument("--name", help="of the cluster")
    volume.set_defaults(run=_volume, light=False)
    drive = commands.add_parser(
        "drive", help="play scheduler and kubelet in a light cluster until interrupted"
    )
    drive.add_argument("--script", type=Path, help="JSON: what becomes of each pod (default: it runs)")
    drive.add_argument("--namespace", help="the only one whose pods are driven (default: all)")
    drive.add_argument("--name")
    drive.set_defaults(run=_drive, light=True)
    build = commands.add_parser(
        "build", help="build programs (by default all that clusters and checks need) and print where they lie"
    )
    build.add_argument("programs", nargs="*", metavar="PROGRAM", help=", ".join(programs.PROGRAMS))
    build.set_defaults(run=_build)
    return parser


def _name(options: argparse.Namespace) -> str:
    return options.name or (LIGHT_NAME if options.light else FULL_NAME)


def _up(options: argparse.Namespace) -> int:
    name = _name(options)
    folder = light.up(name) if options.light else full.up(name, num_nodes=options.nodes)
    print(folder.kubeconfig)
    return 0


def _down(options: argparse.Namespace) -> int:
    folders = run_folders() if options.all else (RunFolder(name=_name(options)),)
    for folder in folders:
        full.down(folder, purge=options.purge)
    return 0


def _kubeconfig(options: argparse.Namespace) -> int:
    folder = RunFolder(name=_name(options))
    states.require(folder)
    print(folder.kubeconfig)
    return 0


def _status(_: argparse.Namespace) -> int:
    lines, whole = reports.all_clusters()
    print("\n".join(lines))
    return 0 if whole else 1


def _load_image(options: argparse.Namespace) -> int:
    registry = handles.of_folder(RunFolder(name=_name(options))).registry
    if registry is None:
        raise ClusterError("a light cluster has no nodes to load images for: use one with nodes")
    print(registries.push_built(options.image, registry=registry, name=options.reference))
    return 0


def _volume(options: argparse.Namespace) -> int:
    volumes.create(
        handles.of_folder(RunFolder(name=_name(options))),
        options.claim,
        namespace=options.namespace,
        path=options.path,
        uid=options.uid,
        gid=options.gid,
        mode=options.mode,
        size=options.size,
    )
    return 0


def _drive(options: argparse.Namespace) -> int:
    folder = RunFolder(name=_name(options))
    if states.require(folder).mode != "light":
        raise ClusterError(f"cluster {folder.name!r} has kubelets of its own: drive a light one")
    script = scripts.RUNS if options.script is None else scripts.read(options.script)
    asyncio.run(driver.drive(folder.kubeconfig, namespace=options.namespace, script=script))
    return 0


def _octal(text: str) -> int:
    """Reads a mode as chmod does; argparse turns the ValueError into its own message."""
    return int(text, 8)


def _build(options: argparse.Namespace) -> int:
    unknown = sorted(set(options.programs) - set(programs.PROGRAMS))
    if unknown:
        raise ClusterError(f"unknown program {unknown[0]!r}: known are {', '.join(programs.PROGRAMS)}")
    names = options.programs or list(programs.ORDINARY)
    programs.ensure(names)
    for name in names:
        print(programs.binary(name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
