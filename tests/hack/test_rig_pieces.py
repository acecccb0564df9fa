"""The parts of demo and rig that decide something, without a cluster."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from cluster import handles
from cluster.paths import cache_folder
from demo import curves, live, machines
from rig import apis, claims, commands, images, pods
from rig.errors import CommandFailed, TimedOut

RUNNING = {
    "phase": "Training",
    "display": {"progress": "41%", "loss": "0.41", "eta": "53m", "gpus": 8},
    "message": "step 10 of 24, loss 0.41",
}


@pytest.mark.parametrize(
    ("status", "row"),
    [
        ({}, ("", "", "", "", "")),
        ({"phase": "Pending", "message": "waiting"}, ("Pending", "", "", "", "waiting")),
        (RUNNING, ("Training", "41%", "0.41", "53m", "step 10 of 24, loss 0.41")),
    ],
)
def test_live_row(status: dict[str, Any], row: tuple[str, ...]) -> None:
    assert live.row(status) == row


@pytest.mark.parametrize("losses", [[(1, 7.5)], [(1, 7.5), (2, 6.0)], [(n, 1 / n) for n in range(1, 5000)]])
def test_curve_fits_a_terminal(losses: list[tuple[int, float]]) -> None:
    lines = curves.drawn(losses, colour=False).splitlines()
    assert len(lines) <= curves.HEIGHT
    assert all(len(line) <= curves.WIDTH and "\x1b" not in line for line in lines)


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"KUBECONFIG": "x"}, "REGISTRY"),
        ({"KUBECONFIG": "x", "REGISTRY": ""}, "REGISTRY"),
    ],
)
def test_cluster_of_ones_own_needs_a_registry(environment: dict[str, str], says: str) -> None:
    with pytest.raises(machines.UnsuitableMachine, match=says):
        machines.check(environment)


def test_cluster_of_ones_own_needs_nothing_of_this_machine() -> None:
    machines.check({"KUBECONFIG": "x", "REGISTRY": "registry.example/team"})


def test_the_demo_s_own_cluster_in_the_environment_is_no_cluster_of_ones_own() -> None:
    left_by_a_look_around = {"KUBECONFIG": str(cache_folder() / "full" / "kubeconfig")}
    suitable = machines.Machine(system="Linux", machine="x86_64", uid=0, go="/go")
    machines.check(left_by_a_look_around, machine=suitable)
    assert handles.of_environment(left_by_a_look_around) is None


def test_a_cache_behind_a_link_is_ours_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv("SFTRUN_CLUSTER_CACHE", str(tmp_path / "link"))
    assert handles.foreign_kubeconfig({"KUBECONFIG": str(tmp_path / "link" / "kubeconfig")}) == ""


@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        ([], "has is 0"),
        ([("amd64", "4"), ("amd64", None)], "has is 4"),
        ([("arm64", "8")], "has is 0"),
        ([("amd64", "8", True)], "has is 0"),
    ],
)
def test_a_cluster_without_the_gpus_is_told_before_anything_is_built(
    nodes: list[tuple[Any, ...]], says: str
) -> None:
    with pytest.raises(machines.UnsuitableMachine, match=says):
        machines.check_nodes(node(*each) for each in nodes)


def test_a_node_with_the_gpus_will_do() -> None:
    machines.check_nodes([node("amd64", None), node("amd64", "8")])


def node(architecture: str, gpus: str | None, cordoned: bool = False) -> dict[str, Any]:
    allocatable = {"cpu": "8"} | ({"nvidia.com/gpu": gpus} if gpus else {})
    spec = {"unschedulable": True} if cordoned else {}
    return {"spec": spec, "status": {"nodeInfo": {"architecture": architecture}, "allocatable": allocatable}}


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"system": "Darwin"}, "not Linux"),
        ({"machine": "aarch64"}, "not x86_64"),
        ({"uid": 1000}, "only root"),
        ({"go": None}, "Go is not installed"),
    ],
)
def test_unsuitable_machine_is_told_what_to_do(facts: dict[str, Any], says: str) -> None:
    machine = machines.Machine(**{"system": "Linux", "machine": "x86_64", "uid": 0, "go": "/go", **facts})
    with pytest.raises(machines.UnsuitableMachine, match=says) as error:
        machines.check({}, machine=machine)
    assert "KUBECONFIG" in str(error.value)


def test_suitable_machine() -> None:
    machines.check({}, machine=machines.Machine(system="Linux", machine="x86_64", uid=0, go="/go"))


def test_tag_follows_the_inputs_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a node would go on with an image of other code, or every run would build anew."""
    code = tmp_path / "crds" / "sftrun_api" / "a.py"
    code.parent.mkdir(parents=True)
    code.write_text("1")
    for name in images.ALWAYS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    monkeypatch.setattr(images, "REPOSITORY", tmp_path)
    first = images.tag_of("operator")
    (code.parent / "__pycache__").mkdir()
    (code.parent / "__pycache__" / "a.pyc").write_text("compiled")
    (tmp_path / "README.md").write_text("unrelated")
    assert images.tag_of("operator") == first
    code.write_text("2")
    second = images.tag_of("operator")
    code.rename(code.with_name("b.py"))
    assert len({first, second, images.tag_of("operator")}) == 3


def test_packed_folder_belongs_to_the_keeper(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_text("x")
    (tmp_path / "a" / "b").chmod(0o600)
    with tarfile.open(fileobj=io.BytesIO(claims.packed(tmp_path))) as archive:
        entries = {entry.name: (entry.uid, entry.gid, entry.mode) for entry in archive}
    assert entries["a/b"] == (pods.UID, pods.UID, 0o644)
    assert entries["a"] == (pods.UID, pods.UID, 0o755)


def test_failed_command_shows_its_last_words() -> None:
    with pytest.raises(CommandFailed, match="the reason"):
        commands.run(["sh", "-c", "echo noise; echo the reason >&2; exit 3"])


def test_missing_program_names_the_remedy() -> None:
    with pytest.raises(CommandFailed, match="make setup"):
        commands.run(["sftrun-no-such-program"])


def test_waiting_ends_with_what_was_seen() -> None:
    with pytest.raises(TimedOut, match="the moon"):
        apis.wait_for(lambda: None, what="never", timeout=0, seen=lambda: "the moon")


@pytest.mark.parametrize("answer", [0, "", [], {}])
def test_waiting_takes_empty_answers(answer: object) -> None:
    assert apis.wait_for(lambda: answer, what="now", timeout=0) == answer


@pytest.mark.parametrize(
    ("name", "own", "address", "plain"),
    [
        ("registry.example/team", False, "registry.example/team", False),
        ("registry.example/team/", False, "registry.example/team", False),
        ("http://localhost:5001", False, "localhost:5001", True),
        ("10.1.0.1:5000", True, "10.1.0.1:5000", True),
    ],
)
def test_a_registry_says_in_its_name_that_it_has_no_tls(
    name: str, own: bool, address: str, plain: bool
) -> None:
    registry = images.Registry.of(name, own=own)
    assert (registry.address, registry.plain_http, registry.own) == (address, plain, own)
