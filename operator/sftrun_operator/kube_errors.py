"""What can go wrong between us and the API server.

KubeError
├── UnreachableError    no answer: refused, cut off, timed out; a write may or may not have happened
│   ├── NotLeadingError      it was not even sent: this process is not the leader (any more)
│   └── SlowError            it was sent, and no answer came in time
└── ApiError            an answer that says no
    ├── NotFoundError        404
    ├── ConflictError        409: another resourceVersion or uid
    ├── AlreadyExistsError   409: the name is taken
    ├── RefusedError         403: asking again changes nothing until someone changes something
    │   └── InvalidError         400, 422: until someone changes the object, or the CRD
    └── BusyError            401, 429 and 5xx: asking again later helps
"""

from __future__ import annotations

from typing import Any

import orjson

MESSAGE_CHARACTERS = 1024


class KubeError(Exception):
    """The API server did not do what it was asked."""


class UnreachableError(KubeError):
    """No answer came."""


class NotLeadingError(UnreachableError):
    """Nothing was sent, because another operator may be the leader by now."""


class SlowError(UnreachableError):
    """No answer came in time: the API server is away, or was asked for much."""


class ApiError(KubeError):
    """The API server answered with an error `Status`."""

    def __init__(
        self, *, call: str, code: int, reason: str, message: str, retry_after: float | None = None
    ) -> None:
        super().__init__(f"{call}: {code} {reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        """Seconds that the server asks us to wait, where it says so."""


class NotFoundError(ApiError):
    """404."""


class ConflictError(ApiError):
    """409, the object is not the one that we saw."""


class AlreadyExistsError(ApiError):
    """409, an object of that name exists."""


class RefusedError(ApiError):
    """403, and what is invalid."""


class InvalidError(RefusedError):
    """400, 422."""


class BusyError(ApiError):
    """401 (a token is being rotated), 429, 5xx."""


def from_response(*, call: str, code: int, body: bytes, retry_after: str | None = None) -> ApiError:
    """Returns the error that an answer of `code` stands for. The body is a `Status`, or a proxy's page."""
    try:
        status: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        status = {}
    if not isinstance(status, dict):
        status = {}
    message = str(status.get("message") or body[:256].decode("utf-8", "replace"))[:MESSAGE_CHARACTERS]
    reason = str(status.get("reason") or "Unknown")
    seconds = float(retry_after) if retry_after and retry_after.isdigit() else None
    return _class_of(code, reason)(call=call, code=code, reason=reason, message=message, retry_after=seconds)


def _class_of(code: int, reason: str) -> type[ApiError]:
    if code == 409:
        return AlreadyExistsError if reason == "AlreadyExists" else ConflictError
    if code in (401, 429) or code >= 500:
        return BusyError
    return {404: NotFoundError, 400: InvalidError, 403: RefusedError, 422: InvalidError}.get(code, ApiError)
