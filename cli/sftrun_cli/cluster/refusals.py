"""What can go wrong between a command and the API server, each with a sentence for the person.

ClusterError (a CommandError, exit code 3)
├── UnreachableError     no answer: refused, cut off, timed out, a certificate that is not trusted
├── UnauthorizedError    401: the cluster does not know who asks
├── ForbiddenError       403: it knows, and says no
├── MissingKindError     404: the cluster has no such resource
├── MissingError         404: it has the resource, but no object of that name (exit code 1)
├── ConflictError        409: the object has changed meanwhile, or the name is taken (exit code 1)
├── RefusedError         400, 422: the request is not valid, or an admission policy says no (exit code 1)
├── ExpiredError         410: a list or a watch must begin anew
└── BusyError            429 and 5xx: asking again later helps
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sftrun_cli.cluster.resources import Resource
from sftrun_cli.errors import CommandError
from sftrun_cli.exit_codes import ExitCode

MESSAGE_CHARACTERS = 1024


class ClusterError(CommandError):
    """The cluster did not do what it was asked."""

    def __init__(self, message: str, *, code: ExitCode = ExitCode.CLUSTER) -> None:
        super().__init__(message, code=code)


class UnreachableError(ClusterError):
    """No answer came."""


class UnauthorizedError(ClusterError):
    """401."""


class ForbiddenError(ClusterError):
    """403."""


class MissingKindError(ClusterError):
    """404 for a resource."""


class MissingError(ClusterError):
    """404 for an object."""


class ConflictError(ClusterError):
    """409."""


class RefusedError(ClusterError):
    """400, 405, 422."""


class ExpiredError(ClusterError):
    """410."""

    def __init__(self, message: str, *, token: str = "") -> None:
        super().__init__(message)
        self.token = token
        """Goes on with the list where it was, though not as of the same moment; empty where there is none."""


class BusyError(ClusterError):
    """429, 5xx."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What was asked, for the sentence."""

    verb: str
    resource: Resource
    namespace: str | None = None
    name: str | None = None
    subresource: str = ""
    server: str = ""

    @property
    def words(self) -> str:
        """Returns it as `kubectl auth can-i` takes it: `get pods/log`."""
        what = self.resource.plural + (f"/{self.subresource}" if self.subresource else "")
        return f"{self.verb} {what}"

    @property
    def where(self) -> str:
        """Returns the place: `in namespace x`."""
        if not self.resource.namespaced:
            return "in the cluster"
        return f"in namespace {self.namespace}" if self.namespace is not None else "in all namespaces"


def of_answer(call: Call, *, status: int, body: bytes) -> ClusterError:
    """Returns the error that an answer stands for. The body is a `Status`, or a proxy's page."""
    answer = _status(body)
    message = str(answer.get("message") or body[:256].decode("utf-8", "replace")).strip()[:MESSAGE_CHARACTERS]
    match status:
        case 401:
            error: ClusterError = UnauthorizedError(
                f"the API server {call.server} does not accept your credentials (401); log in again, or "
                "choose another context with --context"
            )
        case 403:
            error = _forbidden(call, message)
        case 404:
            error = _missing(call, answer)
        case 409:
            error = ConflictError(message, code=ExitCode.FAILED)
        case 410:
            token = str((answer.get("metadata") or {}).get("continue") or "")
            error = ExpiredError(f"{call.words}: {message}", token=token)
        case 400 | 405 | 413 | 415 | 422:
            error = RefusedError(message, code=ExitCode.FAILED)
        case _:
            error = BusyError(
                f"the API server {call.server} is not able to {call.words} now ({status}): {message}"
            )
    return error


def _forbidden(call: Call, message: str) -> ClusterError:
    scope = f" -n {call.namespace}" if call.namespace is not None else " -A" * call.resource.namespaced
    group = f".{call.resource.group}" if call.resource.group else ""
    what = f"{call.resource.plural}{group}" + (f"/{call.subresource}" if call.subresource else "")
    if _is_forbidden_by_rights(message):
        return ForbiddenError(
            f"no permission to {call.words} {call.where}: ask for a role that allows it "
            f"(kubectl auth can-i {call.verb} {what}{scope})"
        )
    return ForbiddenError(f"the cluster does not let you {call.words} {call.where}: {message}")


def _is_forbidden_by_rights(message: str) -> bool:
    """Whether it is RBAC that says no, not a quota, Pod Security or another admission."""
    return " cannot " in message and " in API group " in message


def _missing(call: Call, answer: dict[str, Any]) -> ClusterError:
    details = answer.get("details")
    if call.name is not None and isinstance(details, dict) and details.get("name"):
        return MissingError(
            f"there is no {call.resource.kind} {call.name} {call.where}; see which there are with "
            f"kubectl get {call.resource.plural}"
            + (f" -n {call.namespace}" if call.namespace is not None and call.resource.namespaced else ""),
            code=ExitCode.FAILED,
        )
    return MissingKindError(f"the cluster {call.server} has no {call.resource.plural}")


def _status(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
