"""`python -m sftrun_operator.installation_checks`: whether what was installed works. What `helm test` runs.

Three questions: does the API server serve SFTRuns with every field of this version, does every replica say
that runs are looked after, and does one of them lead. Addresses come from the API server: no DNS is needed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import aiohttp

from sftrun_operator import connections, kube, kube_errors, served_schemas, views
from sftrun_operator.kube import Kube

TRY_EVERY_SECONDS = 2.0
ANSWER_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One answer."""

    good: bool
    text: str

    def __str__(self) -> str:
        return f"{'ok  ' if self.good else 'FAIL'} {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What was installed. Without a selector only the CRD is looked at."""

    namespace: str
    selector: str = ""
    lease: str = ""
    port: int = 8080


async def look(client: Kube, what: Installation) -> list[Line]:
    """Returns every answer."""
    found = [line async for line in _crd(client)]
    if what.selector:
        found += [line async for line in _replicas(client, what)]
    if what.lease:
        found += [line async for line in _leader(client, what)]
    return found


async def _crd(client: Kube) -> AsyncIterator[Line]:
    try:
        lacking = served_schemas.missing(await client.schema())
    except kube_errors.NotFoundError:
        yield Line(good=False, text="SFTRuns are not served: apply the CRD, crds/sftruns.yaml")
        return
    except kube_errors.KubeError as error:
        yield Line(good=False, text=f"the API server: {error}")
        return
    good = "SFTRuns are served, with every field of this version"
    yield Line(good=not lacking, text=served_schemas.told(lacking) if lacking else good)


async def _replicas(client: Kube, what: Installation) -> AsyncIterator[Line]:
    try:
        listed = await client.list(kube.PODS, what.namespace, labelSelector=what.selector)
    except kube_errors.KubeError as error:
        yield Line(good=False, text=f"the operator's pods: {error}")
        return
    pods = [views.pod_view(item) for item in views.items(listed, "items")]
    living = [pod for pod in pods if not pod.terminal and not pod.deleting]
    if not living:
        yield Line(good=False, text=f"no pod of the operator in {what.namespace} ({what.selector})")
    for pod in living:
        trouble = await _trouble(pod.ip, port=what.port)
        yield Line(good=not trouble, text=f"{pod.name} {trouble or 'answers: runs are looked after'}")


async def _trouble(ip: str | None, *, port: int) -> str:
    """Returns what is wrong with one replica, empty when nothing is."""
    if not ip:
        return "has no address yet"
    host = f"[{ip}]" if ":" in ip else ip
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"http://{host}:{port}/readyz") as answer,
        ):
            text = (await answer.content.read(512)).decode("utf-8", "replace").strip()
            return "" if answer.status == 200 else f"is not ready: {text}"
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return f"does not answer on port {port} ({error or type(error).__name__}); look at NetworkPolicies"


async def _leader(client: Kube, what: Installation) -> AsyncIterator[Line]:
    try:
        lease = await client.get(kube.LEASES, what.namespace, what.lease)
    except kube_errors.KubeError as error:
        yield Line(good=False, text=f"the Lease: {error}")
        return
    holder = views.text(views.mapping(lease or {}, "spec"), "holderIdentity")
    yield Line(good=bool(holder), text=f"{holder.partition('_')[0] or 'nobody'} leads")


async def until_good(
    client: Kube, what: Installation, *, seconds: float, clock: Callable[[], float] = time.monotonic
) -> list[Line]:
    """Returns the answers as soon as all of them are good, or the last ones after `seconds`."""
    deadline = clock() + seconds
    while True:
        lines = await look(client, what)
        if all(line.good for line in lines) or clock() >= deadline:
            return lines
        await asyncio.sleep(TRY_EVERY_SECONDS)


def parser() -> argparse.ArgumentParser:
    """Returns the options."""
    made = argparse.ArgumentParser(prog="sftrun-installation-checks", description=__doc__)
    made.add_argument("--namespace", required=True, help="the operator's")
    made.add_argument("--selector", default="", help="labels of the operator's pods; absent: not asked")
    made.add_argument("--lease", default="", help="the Lease of its election; absent: not asked")
    made.add_argument("--port", type=int, default=8080, help="where the operator serves health (8080)")
    made.add_argument("--seconds", type=float, default=60.0, help="how long to wait for it to work (60)")
    made.add_argument("--kubeconfig", metavar="FILE")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a line an answer. Returns 0 when all of them are good, 1 otherwise."""
    options = parser().parse_args(argv)
    what = Installation(
        namespace=options.namespace, selector=options.selector, lease=options.lease, port=options.port
    )

    async def asked() -> list[Line]:
        connection = await connections.load(options.kubeconfig)
        async with Kube(connection, told=lambda *_: None) as client:
            return await until_good(client, what, seconds=options.seconds)

    try:
        lines = asyncio.run(asked())
    except connections.NoClusterError as error:
        lines = [Line(good=False, text=str(error))]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0 if all(line.good for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
