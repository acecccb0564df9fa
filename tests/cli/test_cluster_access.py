"""The way to the cluster: which one, as whom, what goes wrong and in which words."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from tests.cli import api_servers
from tests.cli.api_servers import Canned, page, serving, status
from typer.main import get_command

from sftrun_cli.cluster import connections, refusals, transports
from sftrun_cli.cluster.clients import Client
from sftrun_cli.cluster.completions import run_names
from sftrun_cli.cluster.resources import JOBS, NODES, PODS, SFTRUNS
from sftrun_cli.exit_codes import ExitCode
from sftrun_cli.main import app

RUNS = "/apis/sftrun.dev/v1alpha1/namespaces/team/sftruns"


@pytest.fixture(autouse=True)
def no_kubeconfig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(transports, "PAUSES", (0.0, 0.0, 0.0))


def client(server: api_servers.Server, folder: Path, **user: Any) -> Client:
    return connections.connect(kubeconfig=server.kubeconfig(folder, **user), seconds=5)


PATHS = [
    (SFTRUNS.path("a b", "x"), "/apis/sftrun.dev/v1alpha1/namespaces/a%20b/sftruns/x"),
    (SFTRUNS.path(None), "/apis/sftrun.dev/v1alpha1/sftruns"),
    (PODS.path("n", "x", subresource="log"), "/api/v1/namespaces/n/pods/x/log"),
    (NODES.path("n", "x"), "/api/v1/nodes/x"),
    (JOBS.path("n"), "/apis/batch/v1/namespaces/n/jobs"),
]


@pytest.mark.parametrize(("path", "expected"), PATHS)
def test_paths_are_the_apis(path: str, expected: str) -> None:
    assert path == expected


NAMESPACES = [
    ({}, "team"),
    ({"namespace": "mine"}, "mine"),
    ({"context": "other"}, "default"),
]


@pytest.mark.parametrize(("chosen", "expected"), NAMESPACES)
def test_the_namespace_is_the_users_or_the_contexts(
    chosen: dict[str, str], expected: str, tmp_path: Path
) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(api_servers.config("http://127.0.0.1:1")))
    assert connections.connect(kubeconfig=file, **chosen).namespace == expected  # type: ignore[arg-type]


def test_several_files_of_kubeconfig_are_merged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = api_servers.config("http://127.0.0.1:1")
    (tmp_path / "a").write_text(yaml.safe_dump(whole | {"users": []}))
    (tmp_path / "b").write_text(yaml.safe_dump({"users": whole["users"]}))
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'a'}:{tmp_path / 'missing'}:{tmp_path / 'b'}")
    assert connections.connect().server == "http://127.0.0.1:1"


BROKEN = [
    ("", "is empty"),
    ("[", "cannot be used"),
    ("current-context: x\ncontexts: []\n", "there is no context x"),
    (
        "contexts: [{name: a, context: {cluster: c}}]\n",
        "no current context is set; choose one with --context: a",
    ),
    ("current-context: a\ncontexts: [{name: a, context: {cluster: c}}]\nclusters: []\n", "cannot be used"),
]


@pytest.mark.parametrize(("text", "words"), BROKEN)
def test_a_kubeconfig_that_cannot_be_used_is_named(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(text)
    with pytest.raises(refusals.ClusterError, match="kubeconfig") as raised:
        connections.connect(kubeconfig=file)
    assert words in str(raised.value) and raised.value.code is ExitCode.CLUSTER


def test_no_cluster_at_all_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(refusals.ClusterError, match=r"no cluster to talk to: ~/\.kube/config.*--kubeconfig"):
        connections.connect()
    with pytest.raises(refusals.ClusterError, match="there is no such file"):
        connections.connect(kubeconfig=tmp_path / "none")


RIGHTS = (
    'sftruns.sftrun.dev "x" is forbidden: User "u" cannot get resource "sftruns" in API group "sftrun.dev"'
)
SAID = [
    (status(404, "not found", name="x"), refusals.MissingError, "there is no SFTRun x in namespace team", 1),
    (status(403, RIGHTS), refusals.ForbiddenError, "kubectl auth can-i get sftruns.sftrun.dev -n team", 3),
    (status(403, "violates PodSecurity"), refusals.ForbiddenError, "violates PodSecurity", 3),
    (status(401, "Unauthorized"), refusals.UnauthorizedError, "log in again", 3),
    (status(409, "the object has been modified"), refusals.ConflictError, "has been modified", 1),
    (status(422, "spec.x: Invalid value"), refusals.RefusedError, "spec.x", 1),
    (Canned(status=200, body="<html>"), refusals.BusyError, "is no JSON", 3),
    (Canned(status=502, body="<html>bad gateway"), refusals.BusyError, r"\(502\)", 3),
]


@pytest.mark.parametrize(("answer", "kind", "words", "code"), SAID)
def test_every_refusal_has_its_sentence(
    answer: Canned, kind: type[Exception], words: str, code: int, tmp_path: Path
) -> None:
    with (
        serving(**{f"{RUNS}/x": answer}) as server,
        client(server, tmp_path) as cluster,
        pytest.raises(kind, match=words) as raised,
    ):
        cluster.get(SFTRUNS, "x")
    assert getattr(raised.value, "code", None) == code


GROUP = {"versions": [{"version": "v2"}]}
MISSING: list[tuple[dict[str, Canned], str]] = [
    ({}, "install the chart"),
    ({"/version": Canned(body={"gitVersion": "v1.28.3+k3s1"})}, "at 1.28 it is too old"),
    ({"/apis/sftrun.dev": Canned(body=GROUP)}, "it serves v2; use the sftrun of that version"),
]


@pytest.mark.parametrize(("more", "words"), MISSING)
def test_a_missing_resource_is_explained(more: dict[str, Canned], words: str, tmp_path: Path) -> None:
    answers: dict[str, Any] = {"/version": Canned(body={"gitVersion": "v1.34.1"})} | more
    with (
        serving(**answers) as server,
        client(server, tmp_path) as cluster,
        pytest.raises(refusals.MissingKindError, match=words),
    ):
        cluster.get(SFTRUNS, "x")


def test_a_dead_server_and_a_slow_one_are_told_apart(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        file = tmp_path / "kubeconfig"
        file.write_text(yaml.safe_dump(api_servers.config(f"http://127.0.0.1:{taken.getsockname()[1]}")))
        with pytest.raises(refusals.UnreachableError, match=r"cannot be reached \(Connection refused\)"):
            connections.connect(kubeconfig=file).get(SFTRUNS, "x")
        taken.listen(1)
        with pytest.raises(refusals.UnreachableError, match=r"did not answer in 0\.2 s"):
            connections.connect(kubeconfig=file, seconds=0.2).get(SFTRUNS, "x")


def test_reading_is_tried_again_and_writing_is_not(tmp_path: Path) -> None:
    busy = [status(503, "leader changed"), Canned(hang_up=True), Canned(body={"a": 1})]
    answers: dict[str, Any] = {f"{RUNS}/x": busy, RUNS: status(503, "no")}
    with serving(**answers) as server:
        with client(server, tmp_path) as cluster:
            assert cluster.get(SFTRUNS, "x") == {"a": 1}
            with pytest.raises(refusals.BusyError):
                cluster.create(SFTRUNS, {})
        assert [line.split()[0] for line in server.asked] == ["GET", "GET", "GET", "POST"]


def test_credentials_are_asked_for_again_once(tmp_path: Path) -> None:
    """A plug-in's token has been revoked: the next one it gives is used."""
    counter = tmp_path / "count"
    plugin = tmp_path / "plugin"
    plugin.write_text(
        f"""#!/bin/sh
echo x >> {counter}
printf '{{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",'
printf ' "status": {{"token": "t%s"}}}}' "$(wc -l < {counter} | tr -d ' ')"
"""
    )
    plugin.chmod(0o755)
    user: dict[str, Any] = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": str(plugin),
            "interactiveMode": "Never",
        }
    }
    answers = {f"{RUNS}/x": [status(401, "Unauthorized"), Canned(body={"a": 1})]}
    with serving(**answers) as server, client(server, tmp_path, **user) as cluster:
        assert cluster.get(SFTRUNS, "x") == {"a": 1}
        assert server.tokens == ["Bearer t1", "Bearer t2"]


def test_a_list_comes_in_pages_and_survives_that_the_server_forgets_it(tmp_path: Path) -> None:
    expired = Canned(status=410, body={"code": 410, "message": "old", "metadata": {"continue": "fresh"}})
    with (
        serving(**{RUNS: [page("ab", token="more"), expired, page("c")]}) as server,
        client(server, tmp_path) as cluster,
    ):
        found = list(cluster.items(SFTRUNS, page_size=2, labels="a=b"))
        assert [each["metadata"]["name"] for each in found] == ["a", "b", "c"]
        assert found[0]["apiVersion"] == "sftrun.dev/v1alpha1" and found[0]["kind"] == "SFTRun"
        queries = [line.partition("?")[2] for line in server.asked]
        assert queries[0] == "labelSelector=a%3Db&limit=2"
        assert queries[1:] == [f"{queries[0]}&continue=more", f"{queries[0]}&continue=fresh"]


def test_a_page_is_asked_for_when_the_one_before_is_used_up(tmp_path: Path) -> None:
    with (
        serving(**{RUNS: [page("ab", token="more"), page("c")]}) as server,
        client(server, tmp_path) as cluster,
    ):
        found = cluster.items(SFTRUNS)
        next(found)
        next(found)
        assert len(server.asked) == 1
        assert next(found)["metadata"]["name"] == "c"


def test_a_watch_gives_events_and_says_when_it_is_too_old(tmp_path: Path) -> None:
    lines = (
        '{"type": "ADDED", "object": {"a": 1}}\n'
        '{"type": "ERROR", "object": {"code": 410, "message": "too old"}}\n'
    )
    with serving(**{RUNS: Canned(body=lines)}) as server, client(server, tmp_path) as cluster:
        events = cluster.watch(SFTRUNS, since="5")
        assert next(events)["object"] == {"a": 1}
        with pytest.raises(refusals.ExpiredError):
            next(events)
        assert "resourceVersion=5" in server.asked[0] and "watch=1" in server.asked[0]


def test_deleting_what_is_gone_is_no_error(tmp_path: Path) -> None:
    answers = {f"{RUNS}/x": [Canned(body={}), status(404, "gone", name="x")]}
    with serving(**answers) as server, client(server, tmp_path) as cluster:
        assert [cluster.delete(SFTRUNS, "x", uid="u") for _ in range(2)] == [True, False]


def test_the_shell_is_told_the_names_of_runs_and_never_of_a_failure(tmp_path: Path) -> None:
    def completed(kubeconfig: Path, incomplete: str) -> list[str]:
        context = typer.Context(get_command(app), resilient_parsing=True)
        context.params = {"kubeconfig": kubeconfig, "names": ["ab"]}
        return run_names(context, incomplete)

    listed = page([])
    listed.body["items"] = [{"metadata": {"name": name}} for name in ("aa", "ab", "b")]
    with serving(**{RUNS: listed}) as server:
        assert completed(server.kubeconfig(tmp_path), "a") == ["aa"]
    assert completed(server.kubeconfig(tmp_path), "a") == []
