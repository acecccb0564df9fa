"""The pure parts of the cluster: names, addresses, command lines, images, sentences for what is wrong."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster import (
    api_health,
    certificates,
    control_planes,
    handles,
    images,
    kubeconfigs,
    machines,
    networks,
    node_configs,
    pod_statuses,
    ports,
    processes,
    programs,
    progress_servers,
    reports,
    states,
    volumes,
    waits,
)
from cluster.control_planes import Addresses
from cluster.errors import ClusterError, ComponentFailed, UnsuitableMachine
from cluster.images import Image
from cluster.networks import Network
from cluster.paths import GO_MODULES, NAME_PATTERN, RunFolder
from cluster.states import State

ADDRESSES = Addresses(server="127.0.0.1", api_port=1, etcd_port=2, etcd_peer_port=3)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFTRUN_CLUSTER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a" * 41, "../x", "a/b", "a.b", "ä", "a\n"])
def test_bad_cluster_name_is_refused(name: str) -> None:
    with pytest.raises(ClusterError, match="is not usable: write 1 to 40 of"):
        RunFolder(name=name)


@given(st.from_regex(NAME_PATTERN, fullmatch=True))
def test_every_usable_name_makes_a_folder_below_the_cache(name: str) -> None:
    assert RunFolder(name=name).root.parent.name == "run"


def test_clusters_of_two_checkouts_share_no_label(monkeypatch: pytest.MonkeyPatch) -> None:
    first = RunFolder(name="full").label
    monkeypatch.setenv("SFTRUN_CLUSTER_CACHE", "/elsewhere")
    assert RunFolder(name="full").label != first


@pytest.mark.parametrize(
    ("machine", "message"),
    [
        ({"platform": "darwin"}, "nodes need Linux and this is darwin: set KUBECONFIG"),
        ({"user": 1000}, "nodes need root.*use sudo, or set KUBECONFIG"),
        ({"user": 0, "which": lambda name: None}, "ip, nsenter.*run `apt-get install runc"),
        ({"user": 0, "cni": Path("/nowhere")}, "/nowhere/ptp.*missing"),
    ],
)
def test_unsuitable_machine_says_what_to_do(machine: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsuitableMachine, match=message):
        machines.require_nodes_possible(**machine)


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, None),
        ({"KUBECONFIG": ""}, None),
        ({"KUBECONFIG": __file__}, (Path(__file__), None)),
        ({"KUBECONFIG": __file__, "REGISTRY": "r.example:5000"}, (Path(__file__), "r.example:5000")),
    ],
)
def test_kubeconfig_in_the_environment_names_the_cluster(
    environment: dict[str, str], found: tuple[Path, str | None] | None
) -> None:
    handle = handles.of_environment(environment)
    assert (handle and (handle.kubeconfig, handle.registry)) == found


def test_kubeconfig_that_is_no_file_is_refused() -> None:
    with pytest.raises(ClusterError, match="KUBECONFIG=/no/file is no file: correct it, or unset it"):
        handles.of_environment({"KUBECONFIG": "/no/file"})


def test_foreign_cluster_signs_no_certificates_and_sees_no_folders(tmp_path: Path) -> None:
    handle = handles.ClusterHandle(kubeconfig=tmp_path)
    with pytest.raises(ClusterError, match="unset KUBECONFIG"):
        handle.user_kubeconfig("someone")
    with pytest.raises(ClusterError, match="create a claim in your cluster"):
        volumes.create(handle, "work", namespace="default", path=tmp_path)


@given(st.integers(0, networks.NUM_SLOTS - 1), st.integers(0, networks.NUM_SLOTS - 1))
def test_clusters_side_by_side_share_no_address(first: int, second: int) -> None:
    def addresses(slot: int) -> set[str]:
        network = Network(label="c", slot=slot, num_nodes=2)
        of_nodes = [value for node in network.nodes for value in (node.address, node.pods)]
        return {network.address, network.pod_range, network.host_device, *of_nodes}

    assert (first == second) or not addresses(first) & addresses(second)


def test_host_is_touched_by_one_device_and_routes_on_it_only() -> None:
    network = Network(label="c", slot=3, num_nodes=2)
    on_host = [line for line in networks.commands(network) if line[1] != "-n" and line[1] != "netns"]
    assert on_host == [
        ["ip", "link", "add", "sft3", "type", "veth", "peer", "name", "host", "netns", "sftrun-c-control"],
        ["ip", "address", "add", "10.213.3.254/24", "dev", "sft3"],
        ["ip", "link", "set", "sft3", "up"],
        *(
            f"ip link add node{number} netns sftrun-c-control type veth peer name eth0 netns "
            f"sftrun-c-node-{number}".split()
            if kind == "link"
            else f"ip route add 10.214.{48 + number}.0/24 via 10.213.3.{10 + number} dev sft3".split()
            for number in (1, 2)
            for kind in ("link", "route")
        ),
    ]


def test_routes_of_the_machine_are_read_from_what_ip_says() -> None:
    text = """default via 192.0.2.1 dev eth0
0.0.0.0/1 via 10.8.0.1 dev tun0
10.213.0.0/24 dev sft0 proto kernel scope link src 10.213.0.254
broadcast 192.0.2.255 dev eth0 table local
unreachable 10.214.0.0/16 metric 9"""
    assert {str(network) for network in networks.routed(text)} == {
        "10.213.0.0/24",
        "192.0.2.255/32",
        "10.214.0.0/16",
    }


def test_image_is_a_valid_archive_and_the_same_each_time(tmp_path: Path) -> None:
    image = Image(files={"/bin/a": b"program"}, links={"/bin/b": "a"}, folders=("/tmp",), command=("a",))
    for name in ("one.tar", "two.tar"):
        images.write_archive(image, tmp_path / name, name="test/a:1")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as archive:
        members = {entry.name: archive.extractfile(entry).read() for entry in archive}  # type: ignore[union-attr]
    [described] = json.loads(members["index.json"])["manifests"]
    manifest = members[f"blobs/sha256/{described['digest'].removeprefix('sha256:')}"]
    assert images.digest(manifest) == described["digest"]
    assert described["size"] == len(manifest)
    [layer] = json.loads(manifest)["layers"]
    content = members[f"blobs/sha256/{layer['digest'].removeprefix('sha256:')}"]
    with tarfile.open(fileobj=io.BytesIO(content)) as files:
        found = {entry.name: (entry.mode, entry.linkname) for entry in files}
    assert found == {"bin": (0o755, ""), "tmp": (0o1777, ""), "bin/a": (0o755, ""), "bin/b": (0o777, "a")}


def test_programs_are_pinned_and_their_folder_changes_with_the_pins() -> None:
    for program in programs.PROGRAMS.values():
        folder = GO_MODULES / program.module
        assert program.module == "pause" or (folder / "go.sum").stat().st_size > 0
    assert len({programs.binary(name) for name in programs.PROGRAMS}) == len(programs.PROGRAMS)


def test_the_baseline_is_built_by_name_alone() -> None:
    assert set(programs.ORDINARY) | set(programs.BASELINE) == set(programs.PROGRAMS)
    assert not set(programs.BASELINE) & {*programs.ORDINARY, *programs.FULL, *programs.LIGHT}


def test_jobset_is_the_version_that_kubeflow_trainer_asks_for() -> None:
    def jobset_of(module: str) -> list[str]:
        lines = (GO_MODULES / module / "go.mod").read_text().splitlines()
        return [line.split()[1] for line in lines if line.strip().startswith("sigs.k8s.io/jobset v")]

    assert jobset_of("jobset") == jobset_of("kubeflow-trainer") != []


@pytest.mark.parametrize(
    ("program", "version"),
    [
        ("kubelet", programs.KUBERNETES_VERSION),
        ("containerd", programs.CONTAINERD_VERSION),
        ("helm", programs.HELM_VERSION),
    ],
)
def test_version_that_is_shown_is_the_one_that_is_pinned(program: str, version: str) -> None:
    module = programs.PROGRAMS[program].module
    assert f" {version}" in (GO_MODULES / module / "go.mod").read_text()


def test_without_go_the_sentence_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        UnsuitableMachine, match=r"install the version that .*go\.mod names, or set KUBECONFIG"
    ):
        programs.ensure(["etcd"])


def test_process_that_ends_at_once_is_reported_with_its_words(tmp_path: Path) -> None:
    """Whether that is seen by the start or by the wait depends on who is faster."""
    with pytest.raises(ComponentFailed, match=r"(?s)(ended at once|wonders: it ended before that).*sad"):
        process = processes.start(
            "p", ["sh", "-c", "echo sad; exit 1"], records=tmp_path / "records", logs=tmp_path
        )
        processes.wait_until("wonders", lambda: False, seconds=5, process=process, logs=tmp_path)


def test_process_that_ignores_sigterm_is_killed_and_forgotten(tmp_path: Path) -> None:
    command = ["sh", "-c", "trap '' TERM; echo ready; while true; do sleep 1; done"]
    process = processes.start("p", command, records=tmp_path, logs=tmp_path)
    waits.until(lambda: "ready" in processes.log_tail(tmp_path, "p"), what="the trap to be set", seconds=10)
    processes.stop(process, records=tmp_path, seconds=0.2)
    assert not process.alive
    assert processes.recorded(tmp_path) == ()
    processes.stop(process, records=tmp_path)


def test_stranger_with_a_recorded_pid_is_left_alone(tmp_path: Path) -> None:
    mine = processes.start("p", ["sleep", "60"], records=tmp_path, logs=tmp_path)
    stranger = processes.Process(name="p", pid=mine.pid, started=mine.started - 1)
    processes.stop(stranger, records=tmp_path / "other")
    assert mine.alive
    processes.stop(mine, records=tmp_path)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"pid": 1}', '{"name": "p", "pid": 1, "started": 1, "x": 1}']
)
def test_damaged_record_is_passed_over(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.json").write_text(text)
    assert processes.recorded(tmp_path) == ()


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[]", '{"mode": "light"}', '{"mode": 1, "owner": 1, "x": 1}']
)
def test_damaged_state_is_no_state(text: str) -> None:
    folder = RunFolder(name="c")
    folder.root.mkdir(parents=True)
    folder.state.write_text(text)
    assert states.read(folder) is None
    lines, whole = reports.all_clusters()
    assert lines == ["c: left by a crash; `cluster down --name c` removes it"]
    assert not whole


def test_state_is_read_as_written() -> None:
    folder = RunFolder(name="c")
    state = State(mode="light", addresses=ADDRESSES, owner=(5, 6))
    states.write(folder, state)
    assert states.read(folder) == state
    assert states.ports_in_use() == {1, 2, 3}


def test_chosen_ports_are_free_and_nobody_elses() -> None:
    taken = set(range(ports.FIRST, ports.LAST - 50))
    chosen = ports.choose(3, taken=taken)
    assert len(set(chosen)) == 3
    assert not taken & set(chosen)


def test_kubeconfig_works_with_its_own_certificates(tmp_path: Path) -> None:
    authority = certificates.Authority(tmp_path)
    client = authority.issue("client", user="someone", groups=["a", "b"])
    file = kubeconfigs.write(
        tmp_path / "k", server="https://127.0.0.1:1", authority=authority.files.certificate, client=client
    )
    assert api_health.client_tls(file)[0] == "https://127.0.0.1:1"
    assert file.stat().st_mode & 0o077 == 0
    assert authority.issue("client", user="someone") == client, "issued once"
    assert not api_health.ready(file)


@pytest.mark.parametrize("text", ["", "{}", '{"clusters": []}', "apiVersion: v1"])
def test_kubeconfig_of_others_is_refused_by_what_needs_ours(tmp_path: Path, text: str) -> None:
    (tmp_path / "k").write_text(text)
    with pytest.raises(ValueError, match=r"no inline certificates|Expecting value"):
        api_health.client_tls(tmp_path / "k")


def test_control_plane_listens_on_loopback_without_nodes() -> None:
    folder = RunFolder(name="c")
    credentials = control_planes.prepare(folder, ADDRESSES)
    light = control_planes.api_server_command(folder, ADDRESSES, credentials, with_nodes=False)
    assert "--bind-address=127.0.0.1" in light
    assert not [flag for flag in light if flag.startswith("--kubelet")]
    full = control_planes.api_server_command(folder, ADDRESSES, credentials, with_nodes=True)
    assert f"--kubelet-certificate-authority={credentials.ca}" in full
    assert control_planes.prepare(folder, ADDRESSES).server == credentials.server


def test_node_writes_nothing_outside_its_own_folders() -> None:
    network = Network(label="c", slot=0, num_nodes=1)
    files = node_configs.files(
        network,
        network.nodes[0],
        name="node-1",
        cgroup="/c",
        runc="/usr/sbin/runc",
        registry="10.213.0.1:5000",
    )
    kubelet = json.loads(files["kubelet.json"])
    assert kubelet["cgroupRoot"] == "/c"
    assert kubelet["podLogsDir"].startswith("/var/log/")
    assert "certs.d/10.213.0.1:5000/hosts.toml" in files
    assert json.loads(files["cni/10-pods.conflist"])["plugins"][0]["ipam"]["ranges"] == [
        [{"subnet": "10.214.1.0/24"}]
    ]


POD: dict[str, Any] = {"spec": {"containers": [{"name": "trainer", "image": "i"}]}}


@given(st.text(max_size=3000))
def test_termination_message_is_cut_to_what_a_kubelet_keeps(message: str) -> None:
    status = pod_statuses.terminated(POD, exit_code=1, reason="", message=message, started="s", now="n")
    kept = status["containerStatuses"][0]["state"]["terminated"].get("message", "")
    assert message.startswith(kept)
    assert len(kept.encode()) <= 4096


@pytest.mark.parametrize(
    ("value", "body"),
    [
        (b"\x00", b"\x00"),
        ("text", b"text"),
        ({"a": 1}, b'{"a":1}'),
        (progress_servers.NOT_FOUND, b"not found\n"),
    ],
)
def test_answer_of_a_value(value: Any, body: bytes) -> None:
    assert progress_servers.answer_of(value).body == body


def test_claim_and_volume_are_made_for_each_other() -> None:
    volume, claim = volumes.objects(name="work", namespace="ns", path=Path("/data"), size="1Gi")
    assert volume["spec"]["claimRef"]["name"] == claim["metadata"]["name"]
    assert claim["spec"]["volumeName"] == volume["metadata"]["name"]
    assert claim["spec"]["storageClassName"] == "", "no provisioner takes it"
