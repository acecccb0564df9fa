"""Where the API server is and how we prove who we are, read once and used by our client and by kopf.

In a pod that is the service account, see `service_accounts`; elsewhere a kubeconfig, see `kubeconfigs`. The
requests are our own, see `kube`.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache

import aiohttp
import kopf
from yarl import URL

from sftrun_operator import service_accounts
from sftrun_operator.service_accounts import ServiceAccount

Token = Callable[[], Awaitable[str]]
"""Gives the bearer token of the moment, "" where there is none."""


class NoClusterError(Exception):
    """Neither a kubeconfig nor a service account says where the cluster is."""


async def _nothing() -> str:
    return ""


async def _nobody() -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One API server and one identity."""

    server: str
    """The base URL, without a trailing slash."""
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    verify: bool = True
    proxy: str | None = None
    token: Token = _nothing
    renew: Callable[[], Awaitable[None]] = _nobody
    """Asks a kubeconfig's credential plugin again, when its token has expired. In a pod there is none."""

    def ssl_context(self) -> ssl.SSLContext | bool:
        """Returns what aiohttp takes as `ssl`. Plain http (a `kubectl proxy`) needs none."""
        if self.server.startswith("http://"):
            return False
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.cert_file:
            context.load_cert_chain(self.cert_file, self.key_file)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def session(self, *, limit: int, timeout: aiohttp.ClientTimeout | None = None) -> aiohttp.ClientSession:
        """Returns a session for the running event loop, in which every request carries the token of its own
        moment: the kubelet rotates it, and a watch outlives it. Close it."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self.ssl_context(), limit=limit),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=timeout if timeout is not None else aiohttp.ClientTimeout(total=None),
            headers={"User-Agent": "sftrun-operator", "Accept": "application/json"},
            middlewares=(self._authorize,),
            proxy=self.proxy,
        )

    async def for_kopf(self) -> kopf.AiohttpSession:
        """Returns the same server and identity as kopf takes them; asked for again after a 401."""
        await self.renew()
        return kopf.AiohttpSession(server=self.server, aiohttp_session=self.session(limit=0))

    async def _authorize(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        token = await self.token()
        if token and request.url.origin() == _origin(self.server):
            request.headers["Authorization"] = f"Bearer {token}"
        return await handler(request)


@lru_cache(maxsize=4)
def _origin(server: str) -> URL:
    return URL(server).origin()


async def load(kubeconfig: str | None = None) -> Connection:
    """Returns the connection from `kubeconfig`, `KUBECONFIG`, the pod's service account or `~/.kube/config`,
    the first that is there.

    Raises:
        NoClusterError: None is there, or the one that is there cannot be read.
    """
    path = kubeconfig or os.environ.get("KUBECONFIG") or None
    if path is None and (account := service_accounts.find()):
        return await _of_pod(account)
    try:
        from sftrun_operator import kubeconfigs  # noqa: PLC0415 - no pod has its library, or needs it
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("kubernetes"):
            raise
        named = path or "there is no pod's service account, and a kubeconfig"
        raise NoClusterError(
            f"no cluster to talk to: {named} is read by the Kubernetes client, which is not installed; pip "
            "install 'sftrun[operator]' brings it, or run in a pod with a service account and no KUBECONFIG"
        ) from error
    try:
        return await kubeconfigs.load(path)
    except kubeconfigs.UNUSABLE as error:
        raise NoClusterError(
            f"no cluster to talk to: {error}. Set KUBECONFIG or --kubeconfig, "
            "or run in a pod with a service account"
        ) from error


async def _of_pod(account: ServiceAccount) -> Connection:
    connection = Connection(server=account.server, ca_file=str(account.ca_file), token=account.token)
    try:
        await connection.token()
        connection.ssl_context()
    except OSError as error:
        raise NoClusterError(f"no cluster to talk to: the pod's service account: {error}") from error
    return connection
