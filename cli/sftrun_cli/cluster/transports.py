"""One request and its answer: credentials, deadlines, and what is tried again.

The connection pool, with TLS, client certificates and proxies, is the Kubernetes client's own. Every request
has a deadline. What only reads is tried again when the server is busy or an idle connection was cut; what
writes is sent once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal
from urllib.parse import urlencode

from sftrun_cli.cluster import refusals
from sftrun_cli.cluster.refusals import Call

PAUSES = (0.2, 0.6, 1.5)
"""Seconds before each further try of what only reads."""
Method = Literal["GET", "POST", "PATCH", "DELETE"]


class Transport:
    """One API server and one identity."""

    def __init__(
        self,
        configuration: Any,
        *,
        seconds: float,
        renew: Callable[[], None] | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Opens nothing yet.

        Args:
            configuration: A `kubernetes.client.Configuration`.
            seconds: Patience with connecting, and with one answer.
            renew: Asks for credentials again, into the configuration; called once after a 401.
            pause: Waits before another try.
        """
        self.seconds = seconds
        self._configuration, self._renew, self._pause = configuration, renew, pause
        self._pool = _pool(configuration)

    @property
    def server(self) -> str:
        """The API server's URL."""
        return str(self._configuration.host).rstrip("/")

    def close(self) -> None:
        """Closes every connection."""
        self._pool.clear()

    @contextmanager
    def answer(
        self,
        call: Call,
        path: str,
        *,
        method: Method = "GET",
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        seconds: float | None,
    ) -> Iterator[Any]:
        """Gives an answer that says yes, a urllib3 response, to be read while the block lasts.

        Raises:
            ClusterError: there is none, or one that says no; also from reading it in the block.
        """
        import urllib3

        try:
            response = self._answered(call, path, method=method, params=params, body=body, seconds=seconds)
            try:
                yield response
            finally:
                response.close()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._unreachable(error) from error

    def _answered(
        self,
        call: Call,
        path: str,
        *,
        method: Method,
        params: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        seconds: float | None,
    ) -> Any:
        import urllib3

        renewed = False
        pauses = iter(PAUSES if method == "GET" else ())
        while True:
            try:
                response = self._sent(path, method=method, params=params, body=body, seconds=seconds)
                content = response.read() if response.status >= 300 else b""
            except urllib3.exceptions.ProtocolError:
                if next(pauses, None) is None:
                    raise
                continue
            if response.status < 300:
                return response
            if response.status == 401 and self._renew is not None and not renewed:
                renewed = True
                self._renew()
                self._pool.clear()
                self._pool = _pool(self._configuration)
                continue
            said = refusals.of_answer(call, status=response.status, body=content)
            pause = next(pauses, None) if isinstance(said, refusals.BusyError) else None
            if pause is None:
                raise said
            self._pause(pause)

    def _sent(
        self,
        path: str,
        *,
        method: Method,
        params: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        seconds: float | None,
    ) -> Any:
        import urllib3

        headers = {"Accept": "application/json, */*", "User-Agent": "sftrun"}
        token = self._configuration.get_api_key_with_prefix("BearerToken")
        if token:
            headers["Authorization"] = token
        if body is not None:
            kind = "merge-patch+json" if method == "PATCH" else "json"
            headers["Content-Type"] = f"application/{kind}"
        return self._pool.request(
            method,
            self.server + path + (f"?{urlencode(params)}" if params else ""),
            headers=headers,
            body=json.dumps(body) if body is not None else None,
            timeout=urllib3.Timeout(connect=self.seconds, read=seconds),
            preload_content=False,
            redirect=False,
            retries=False,
        )

    def _unreachable(self, error: Exception) -> refusals.UnreachableError:
        return refusals.UnreachableError(
            f"the API server {self.server} {_why(error, self.seconds)}; see whether it is up and reachable "
            "from here (kubectl get --raw /readyz), or choose another context with --context"
        )


def _pool(configuration: Any) -> Any:
    from kubernetes.client.rest import RESTClientObject

    return RESTClientObject(configuration).pool_manager


def _why(error: Exception, seconds: float) -> str:
    """Returns what kept the answer away, in words."""
    from urllib3 import exceptions

    if isinstance(error, exceptions.SSLError):
        return f"shows a certificate that is not trusted ({error})"
    if isinstance(error, exceptions.NewConnectionError):  # a kind of time-out, by its class
        cause = error.__cause__
        return f"cannot be reached ({getattr(cause, 'strerror', None) or cause or error})"
    if isinstance(error, exceptions.TimeoutError):
        return f"did not answer in {seconds:g} s"
    return f"broke off ({type(error).__name__}: {error})"
