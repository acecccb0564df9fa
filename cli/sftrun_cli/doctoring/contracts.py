"""The API server and the CRD: there, served, and the one that this program speaks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sftrun_api import API_GROUP, API_VERSION, PLURAL
from sftrun_cli.cluster.discoveries import OLDEST, minor
from sftrun_cli.doctoring.findings import Finding, Result
from sftrun_cli.doctoring.looks import Answer, condition, map_of

NAME = f"{PLURAL}.{API_GROUP}"
INSTALL = "kubectl apply -f crds/sftruns.yaml, or upgrade the chart with its CRD (docs/install.md)"


def api_server(version: str) -> Finding:
    """Judges the API server's version."""
    number = minor(version)
    if number is not None and number < OLDEST:
        return Finding(
            name="API server",
            result=Result.FAIL,
            message=f"Kubernetes {version} is older than 1.31, the oldest that keeps every rule of the CRD",
            remedy="upgrade the cluster, or choose another with --context",
        )
    return Finding(name="API server", result=Result.PASS, message=f"Kubernetes {version}")


def crd(answer: Answer, *, served: tuple[str, ...], schema: dict[str, Any]) -> Iterator[Finding]:
    """Judges the CRD.

    Args:
        answer: The CRD's object, where the user may see it.
        served: The versions of our API group that the API server serves to everybody.
        schema: The schema that this program speaks.
    """
    if not served:
        yield Finding(
            name="CRD",
            result=Result.FAIL,
            message=f"the cluster has no {NAME}",
            remedy="install the chart, which brings it (docs/install.md)",
        )
        return
    if API_VERSION not in served:
        yield Finding(
            name="CRD",
            result=Result.FAIL,
            message=f"{NAME} is served as {', '.join(served)}, and this program speaks {API_VERSION}",
            remedy="use the sftrun of that version, or upgrade the chart with its CRD",
        )
        return
    if answer.one is None:
        why = f"; whether it is this version's cannot be seen: {answer.unseen}" if answer.unseen else ""
        yield Finding(name="CRD", result=Result.PASS, message=f"{NAME} {API_VERSION} is served{why}")
        return
    established = condition(answer.one, "Established")
    if established.get("status") != "True":
        yield Finding(
            name="CRD",
            result=Result.FAIL,
            message=f"{NAME} is not established: {established.get('message') or 'no reason given'}",
            remedy=f"kubectl describe crd {NAME}",
        )
    elif _schema_of(answer.one) != schema:
        yield Finding(
            name="CRD",
            result=Result.WARN,
            message=f"{NAME} {API_VERSION} is another version's than this program's",
            remedy=INSTALL,
        )
    else:
        yield Finding(name="CRD", result=Result.PASS, message=f"{NAME} {API_VERSION}, this program's own")


def _schema_of(found: dict[str, Any]) -> Any:
    versions = map_of(found.get("spec")).get("versions") or []
    of_ours = [each for each in versions if map_of(each).get("name") == API_VERSION]
    return map_of(map_of(of_ours[0]).get("schema")).get("openAPIV3Schema") if of_ours else None
