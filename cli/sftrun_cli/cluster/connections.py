"""Which cluster, as whom, in which namespace: decided as kubectl does.

`--kubeconfig`, then KUBECONFIG (several files are merged), then `~/.kube/config`, then the service account of
the pod that we run in. Reading it, with credential plug-ins, token files and proxies, is the Kubernetes
client's; the requests are `clients`'.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sftrun_cli.cluster.options import SECONDS
from sftrun_cli.cluster.refusals import ClusterError

if TYPE_CHECKING:
    from sftrun_cli.cluster.clients import Client

OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
DEFAULT_NAMESPACE = "default"


def connect(
    *,
    namespace: str | None = None,
    context: str | None = None,
    kubeconfig: Path | None = None,
    seconds: float = SECONDS,
) -> Client:
    """Returns a client; close it, or use it as a context manager. Asks nothing of the cluster yet.

    Args:
        namespace: What the user chose; absent: the context's, or `default`.
        context: The kubeconfig's context; absent: the current one.
        kubeconfig: The file; absent: as kubectl finds it.
        seconds: Patience with one answer.

    Raises:
        ClusterError: there is no kubeconfig, or it cannot be used; says what to do.
    """
    import urllib3
    import yaml
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException

    from sftrun_cli.cluster.clients import Client
    from sftrun_cli.cluster.transports import Transport

    configuration: Any = Configuration()
    try:
        found, renew = _load(configuration, context=context, kubeconfig=kubeconfig)
    except (
        ConfigException,
        yaml.YAMLError,
        OSError,
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:
        raise ClusterError(f"{_named(kubeconfig)} cannot be used: {error}") from error
    if not configuration.verify_ssl:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    transport = Transport(configuration, seconds=seconds, renew=renew)
    return Client(transport, namespace=namespace or found or DEFAULT_NAMESPACE)


def _load(configuration: Any, *, context: str | None, kubeconfig: Path | None) -> tuple[str | None, Any]:
    """Fills the configuration. Returns the namespace that it names, and what asks for credentials again."""
    from kubernetes.config import ConfigException, load_incluster_config
    from kubernetes.config.kube_config import KubeConfigLoader, KubeConfigMerger

    if kubeconfig is not None and not kubeconfig.expanduser().is_file():
        raise ClusterError(f"--kubeconfig {kubeconfig}: there is no such file")
    paths = str(kubeconfig) if kubeconfig is not None else os.environ.get("KUBECONFIG") or "~/.kube/config"
    merged = KubeConfigMerger(paths)
    if merged.config is None:
        try:
            load_incluster_config(client_configuration=configuration)
        except ConfigException as error:
            raise ClusterError(
                f"no cluster to talk to: {_named(kubeconfig)} is not there, and this is no pod with a "
                "service account; name a kubeconfig with --kubeconfig or KUBECONFIG"
            ) from error
        return (OWN_NAMESPACE.read_text().strip() if OWN_NAMESPACE.is_file() else None), None
    known = [each["name"] for each in merged.config.value.get("contexts") or [] if "name" in each]
    chosen = context or merged.config.value.get("current-context")
    if chosen not in known:
        what = f"there is no context {chosen}" if chosen else "no current context is set"
        raise ClusterError(
            f"{_named(kubeconfig)}: {what}; choose one with --context: {', '.join(known) or 'there is none'}"
        )
    loader = KubeConfigLoader(config_dict=merged.config, active_context=chosen, config_base_path=None)
    loader.load_and_set(configuration)
    named = loader.current_context["context"].get("namespace")
    return named, lambda: loader.load_and_set(configuration)


def _named(kubeconfig: Path | None) -> str:
    if kubeconfig is not None:
        return f"kubeconfig {kubeconfig}"
    given = os.environ.get("KUBECONFIG")
    return f"KUBECONFIG={given}" if given else "~/.kube/config"
