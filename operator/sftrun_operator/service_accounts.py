"""Who a pod is for the API server: the files that the kubelet mounts into it.

Own and short, because the Kubernetes client, which reads them too, brings three hundred modules and a fifth
of the operator's memory. As client-go does it, the token is read again once a minute: the kubelet rotates it,
and a file that is unreadable for a moment does not end what works.
https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
READ_EVERY_SECONDS = 60.0


@dataclass(slots=True, kw_only=True)
class ServiceAccount:
    """A pod's identity, and where it finds the API server."""

    server: str
    """The base URL, without a trailing slash."""
    folder: Path = FOLDER
    clock: Callable[[], float] = time.monotonic
    _known: str = ""
    _read_at: float = field(default=float("-inf"))

    @property
    def ca_file(self) -> Path:
        """What the API server's certificate is checked against."""
        return self.folder / "ca.crt"

    async def token(self) -> str:
        """Returns the token of the moment. Raises OSError while there never was one."""
        now = self.clock()
        if not self._known or now - self._read_at >= READ_EVERY_SECONDS:
            try:
                self._known = self._read()
            except OSError:
                if not self._known:
                    raise
            self._read_at = now
        return self._known

    def _read(self) -> str:
        path = self.folder / "token"
        token = path.read_text(encoding="ascii", errors="replace").strip()
        if not token.isascii() or not token:
            raise OSError(f"{path} holds no token")
        return token


def find(environ: Mapping[str, str] | None = None, *, folder: Path = FOLDER) -> ServiceAccount | None:
    """Returns the service account of the pod that this is; `None` where it is no pod, or has none."""
    known = os.environ if environ is None else environ
    host, port = known.get("KUBERNETES_SERVICE_HOST"), known.get("KUBERNETES_SERVICE_PORT")
    if not (host and port and (folder / "token").exists()):
        return None
    return ServiceAccount(server=f"https://{f'[{host}]' if ':' in host else host}:{port}", folder=folder)
