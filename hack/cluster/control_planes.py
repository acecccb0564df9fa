"""The control plane's command lines, as values: the same for a light cluster and for a full one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from cluster import kubeconfigs, programs
from cluster.certificates import Authority, KeyPair, make_service_account_key
from cluster.paths import RunFolder

SERVICE_RANGE = "10.96.0.0/16"
KUBERNETES_SERVICE = "10.96.0.1"
ISSUER = "https://kubernetes.default.svc.cluster.local"

AUDITED = "sftrun-audited"
"""Users of this group have their reads written down too."""

_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "userGroups": [AUDITED]},
        {"level": "None", "verbs": ["get", "list", "watch"]},
        {"level": "Metadata"},
    ],
}
"""Every write with its user, verb and object; reads would be most of the log and few count them."""


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Where the control plane listens. `server` is the address that clients and pods use."""

    server: str
    api_port: int
    etcd_port: int
    etcd_peer_port: int

    @property
    def url(self) -> str:
        return f"https://{self.server}:{self.api_port}"

    @property
    def etcd_url(self) -> str:
        return f"http://127.0.0.1:{self.etcd_port}"


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Files that the control plane's programs are given."""

    authority: Authority
    server: KeyPair
    service_account_key: Path

    @property
    def ca(self) -> Path:
        return self.authority.files.certificate


def prepare(folder: RunFolder, addresses: Addresses) -> Credentials:
    """Makes certificates, the audit policy and the administrator's kubeconfig. Again changes nothing."""
    authority = Authority(folder.pki)
    hosts = [
        addresses.server,
        "127.0.0.1",
        KUBERNETES_SERVICE,
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ]
    credentials = Credentials(
        authority=authority,
        server=authority.issue("apiserver", user="kube-apiserver", hosts=hosts),
        service_account_key=make_service_account_key(folder.pki / "service-accounts.key"),
    )
    (folder.root / "audit-policy.json").write_text(json.dumps(_AUDIT_POLICY))
    administrator = authority.issue("administrator", user="administrator", groups=["system:masters"])
    kubeconfigs.write(folder.kubeconfig, server=addresses.url, authority=credentials.ca, client=administrator)
    return credentials


def client_kubeconfig(
    folder: RunFolder, addresses: Addresses, *, user: str, groups: tuple[str, ...] = ()
) -> Path:
    """Returns a kubeconfig under `pki/` with which the API server sees `user` in `groups`."""
    authority = Authority(folder.pki)
    name = f"user-{user.replace(':', '-').replace('/', '-')}"
    client = authority.issue(name, user=user, groups=groups)
    return kubeconfigs.write(
        folder.pki / f"{name}.kubeconfig",
        server=addresses.url,
        authority=authority.files.certificate,
        client=client,
    )


def etcd_command(folder: RunFolder, addresses: Addresses) -> list[str]:
    """Returns etcd's command line. Without fsync: a power cut may take a cluster that is for tests."""
    peer = f"http://127.0.0.1:{addresses.etcd_peer_port}"
    return [
        str(programs.binary("etcd")),
        f"--data-dir={folder.etcd_data}",
        f"--listen-client-urls={addresses.etcd_url}",
        f"--advertise-client-urls={addresses.etcd_url}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--quota-backend-bytes=8589934592",
        "--auto-compaction-mode=periodic",
        "--auto-compaction-retention=30m",
        "--log-level=warn",
    ]


def api_server_command(
    folder: RunFolder,
    addresses: Addresses,
    credentials: Credentials,
    *,
    with_nodes: bool,
    admission: tuple[str, ...] = (),
) -> list[str]:
    """Returns the API server's command line, with further `admission` plugins.

    Without nodes nothing can reach the `kubernetes` Service, and a loopback address must not become its
    endpoint.
    """
    pki = folder.pki
    command = [
        str(programs.binary("kube-apiserver")),
        f"--etcd-servers={addresses.etcd_url}",
        f"--bind-address={'0.0.0.0' if with_nodes else '127.0.0.1'}",
        f"--advertise-address={addresses.server}",
        f"--secure-port={addresses.api_port}",
        f"--tls-cert-file={credentials.server.certificate}",
        f"--tls-private-key-file={credentials.server.key}",
        f"--client-ca-file={credentials.ca}",
        f"--cert-dir={pki / 'apiserver'}",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={credentials.service_account_key}",
        f"--service-account-signing-key-file={credentials.service_account_key}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--authorization-mode=Node,RBAC",
        f"--enable-admission-plugins={','.join(('NodeRestriction', *admission))}",
        "--allow-privileged=true",
        f"--audit-policy-file={folder.root / 'audit-policy.json'}",
        f"--audit-log-path={folder.audit_log}",
        "--profiling=false",
        "--shutdown-delay-duration=0s",
    ]
    if not with_nodes:
        return [*command, "--endpoint-reconciler-type=none"]
    kubelet_client = credentials.authority.issue(
        "kubelet-client", user="kube-apiserver-kubelet-client", groups=["system:masters"]
    )
    return [
        *command,
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-certificate-authority={credentials.ca}",
        f"--kubelet-client-certificate={kubelet_client.certificate}",
        f"--kubelet-client-key={kubelet_client.key}",
    ]


def controller_manager_command(
    folder: RunFolder, addresses: Addresses, credentials: Credentials, *, with_nodes: bool, brisk: bool = True
) -> list[str]:
    """Returns the controller manager's command line.

    Without nodes nobody renews a node's lease, so what acts on silent nodes is off. A `brisk` one may call
    more often than the default of 20 times a second, at which many Jobs wait minutes for their pods.
    """
    kubeconfig = component_kubeconfig(
        folder, addresses, credentials, name="controller-manager", user="system:kube-controller-manager"
    )
    controllers = "*" if with_nodes else "*,-node-lifecycle-controller,-taint-eviction-controller"
    authority = credentials.authority.files
    return [
        str(programs.binary("kube-controller-manager")),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--controllers={controllers}",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={credentials.service_account_key}",
        f"--root-ca-file={credentials.ca}",
        f"--cluster-signing-cert-file={authority.certificate}",
        f"--cluster-signing-key-file={authority.key}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        "--secure-port=0",
        "--profiling=false",
        *(("--kube-api-qps=300", "--kube-api-burst=600", "--concurrent-job-syncs=10") if brisk else ()),
    ]


def scheduler_command(folder: RunFolder, addresses: Addresses, credentials: Credentials) -> list[str]:
    """Returns the scheduler's command line."""
    kubeconfig = component_kubeconfig(
        folder, addresses, credentials, name="scheduler", user="system:kube-scheduler"
    )
    return [
        str(programs.binary("kube-scheduler")),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        "--secure-port=0",
        "--profiling=false",
    ]


def component_kubeconfig(
    folder: RunFolder,
    addresses: Addresses,
    credentials: Credentials,
    *,
    name: str,
    user: str,
    groups: tuple[str, ...] = (),
) -> Path:
    """Returns a kubeconfig for one of the cluster's own programs."""
    client = credentials.authority.issue(name, user=user, groups=groups)
    return kubeconfigs.write(
        folder.pki / f"{name}.kubeconfig", server=addresses.url, authority=credentials.ca, client=client
    )
