"""Where the API server is and who we are for it: a pod's files, a kubeconfig, or words for people."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sftrun_operator import connections, service_accounts
from sftrun_operator.service_accounts import ServiceAccount

POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}


@pytest.fixture
def account(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("first\n")
    return tmp_path


@pytest.mark.parametrize(
    ("environ", "server"),
    [
        (POD, "https://10.0.0.1:443"),
        (POD | {"KUBERNETES_SERVICE_HOST": "fd00::1"}, "https://[fd00::1]:443"),
        (POD | {"KUBERNETES_SERVICE_HOST": ""}, None),
        (POD | {"KUBERNETES_SERVICE_PORT": ""}, None),
        ({}, None),
    ],
)
def test_a_pod_is_told_where_the_server_is(
    environ: dict[str, str], server: str | None, account: Path
) -> None:
    found = service_accounts.find(environ, folder=account)
    assert (found.server if found else None) == server


def test_a_pod_without_a_token_has_no_service_account(tmp_path: Path) -> None:
    assert service_accounts.find(POD, folder=tmp_path) is None


async def test_the_token_is_read_again_once_a_minute(account: Path) -> None:
    now = 0.0
    found = ServiceAccount(server="", folder=account, clock=lambda: now)
    assert await found.token() == "first"
    (account / "token").write_text("second")
    now = service_accounts.READ_EVERY_SECONDS - 1
    assert await found.token() == "first"
    now = service_accounts.READ_EVERY_SECONDS
    assert await found.token() == "second"


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe", "tökén".encode()])
async def test_what_is_no_token_takes_none_away_and_is_none(content: bytes | None, account: Path) -> None:
    now = 0.0
    found = ServiceAccount(server="", folder=account, clock=lambda: now)
    never = ServiceAccount(server="", folder=account)
    assert await found.token() == "first"
    if content is None:
        (account / "token").unlink()
    else:
        (account / "token").write_bytes(content)
    now = 10 * service_accounts.READ_EVERY_SECONDS
    assert await found.token() == "first"
    with pytest.raises(OSError, match="token"):
        await never.token()


@pytest.mark.parametrize(("token", "authority"), [("", ""), ("t", None), ("t", "no certificate")])
async def test_a_broken_service_account_is_told(
    token: str, authority: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(token)
    if authority is not None:
        (tmp_path / "ca.crt").write_text(authority)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(service_accounts, "find", lambda: ServiceAccount(server="https://a", folder=tmp_path))
    with pytest.raises(connections.NoClusterError, match="the pod's service account"):
        await connections.load()


async def test_a_kubeconfig_gives_server_and_token(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(
        yaml.safe_dump(
            {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": {"server": "https://a:1/", "proxy-url": "http://p"}}],
                "users": [{"name": "u", "user": {"token": "secret"}}],
            }
        )
    )
    found = await connections.load(str(path))
    assert (found.server, found.proxy, await found.token()) == ("https://a:1", "http://p", "secret")


def without_kubernetes(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the operator as in its image, which does not have the Kubernetes client."""
    code = (
        "import sys; sys.modules['kubernetes'] = None; "
        "from sftrun_operator.main import main; sys.exit(main())"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def test_the_operator_starts_without_the_kubernetes_client() -> None:
    done = without_kubernetes("--help")
    assert done.returncode == 0, done.stderr
    assert "--trainer-image" in done.stdout


def test_without_the_kubernetes_client_a_kubeconfig_is_refused_in_words(tmp_path: Path) -> None:
    done = without_kubernetes("--trainer-image", "i", "--kubeconfig", str(tmp_path / "config"))
    assert done.returncode == 1
    assert "config is read by the Kubernetes client, which is not installed" in done.stderr
    assert "pip install 'sftrun[operator]'" in done.stderr
    assert "Traceback" not in done.stderr
