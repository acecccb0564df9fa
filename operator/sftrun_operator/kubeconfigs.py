"""A kubeconfig, with client certificates, tokens or credential plugins: outside of a cluster.

`kubernetes.aio` reads it, which the operator's image does not have; whoever installs the package has it.
"""

from __future__ import annotations

from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import ConfigException, load_kube_config
from yaml import YAMLError

from sftrun_operator.connections import Connection

UNUSABLE = (ConfigException, OSError, YAMLError, AttributeError, KeyError, TypeError, ValueError)
"""What is raised for a kubeconfig that is empty, half-written or something else altogether."""


async def load(path: str | None) -> Connection:
    """Returns the connection of a kubeconfig's current context; `~/.kube/config` where no path is given.
    Raises UNUSABLE."""
    configuration = Configuration()
    loader = await load_kube_config(
        config_file=path, client_configuration=configuration, persist_config=False
    )

    async def token() -> str:
        scheme, _, value = str(await configuration.get_api_key_with_prefix("BearerToken") or "").partition(
            " "
        )
        return (value or scheme).strip()

    async def renew() -> None:
        await loader.load_and_set(configuration)

    return Connection(
        server=str(configuration.host).rstrip("/"),
        ca_file=configuration.ssl_ca_cert or None,
        cert_file=configuration.cert_file or None,
        key_file=configuration.key_file or None,
        verify=configuration.verify_ssl,
        proxy=configuration.proxy,
        token=token,
        renew=renew,
    )
