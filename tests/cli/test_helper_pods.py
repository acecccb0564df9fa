"""The short-lived pod on a run's workspace: what it is, and that it never stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.cli.api_servers import Canned, Server, serving, status
from tests.operator import plan_factories

from sftrun_api.names import LABEL_RUN
from sftrun_cli.cluster import connections, helper_pods, refusals
from sftrun_cli.errors import CommandError

PODS = "/api/v1/namespaces/team/pods"
UID = "abcde123-0000-4000-8000-000000000001"


def run(**change: Any) -> dict[str, Any]:
    return {
        "apiVersion": "sftrun.dev/v1alpha1",
        "kind": "SFTRun",
        "metadata": {"name": "x", "namespace": "team", "uid": UID},
        "spec": plan_factories.spec(**change),
        "status": {"image": "trainer:9"},
    }


def pod(**rest: Any) -> dict[str, Any]:
    place = helper_pods.place_of(run(), job=rest.pop("job", None))
    return helper_pods.manifest(place, purpose="logs", command=["true"], suffix="s", **rest)


def test_it_is_small_restricted_and_reads_only() -> None:
    made = pod()
    (container,) = made["spec"]["containers"]
    assert container["image"] == "trainer:9"
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "512Mi"}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["volumeMounts"] == [{"name": "workspace", "mountPath": "/workspace", "readOnly": True}]
    assert made["spec"]["automountServiceAccountToken"] is False
    assert made["spec"]["securityContext"]["runAsUser"] == helper_pods.DEFAULT_ID
    assert made["metadata"]["ownerReferences"][0]["uid"] == UID
    assert "readOnly" not in pod(writes=True)["spec"]["containers"][0]["volumeMounts"][0]


def test_the_operator_does_not_take_it_for_a_runs_pod() -> None:
    assert LABEL_RUN not in pod()["metadata"]["labels"]


def test_it_runs_as_whom_the_job_ran() -> None:
    """What the operator was told (an id of the cluster's own, or none at all) only its Jobs show."""
    job = {"spec": {"template": {"spec": {"securityContext": {"runAsUser": 7}}}}}
    security = pod(job=job)["spec"]["securityContext"]
    assert (security["runAsUser"], security["runAsNonRoot"], "runAsGroup" in security) == (7, True, False)


def test_a_run_that_never_started_has_no_place() -> None:
    with pytest.raises(CommandError, match="was never started"):
        helper_pods.place_of(run() | {"status": {}})


def test_what_is_made_is_said_first() -> None:
    assert helper_pods.announcement(pod()) == (
        "making the pod team/sftrun-logs-s with your rights: image trainer:9, no GPU, claim training for "
        "reading only; it is deleted at the end"
    )


CREATED = Canned(body={"metadata": {"uid": "pod-uid"}})
NO_NODE = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}
WAITS = Canned(body={"status": {"phase": "Pending", "conditions": [NO_NODE]}})
DONE = Canned(body={"status": {"phase": "Succeeded"}})
ENDED = {"state": {"terminated": {"exitCode": 3, "message": "no such file\n"}}}
FAILED = Canned(body={"status": {"phase": "Failed", "containerStatuses": [ENDED]}})


def use(server: Server, folder: Path, told: list[str], **rest: Any) -> list[str]:
    with (
        connections.connect(kubeconfig=server.kubeconfig(folder)) as cluster,
        helper_pods.running(cluster, pod(), told=told.append, pause=lambda _: None, **rest) as helper,
    ):
        lines = list(helper.lines())
        helper.expect_success(pause=lambda _: None)
    return lines


def answers(**change: Any) -> dict[str, Any]:
    found = {"looks": [WAITS, WAITS, DONE], "create": CREATED} | change
    name = f"{PODS}/sftrun-logs-s"
    return {PODS: found["create"], name: found["looks"], f"{name}/log": Canned(body="one\ntwo\n")}


def test_its_lines_are_given_and_it_is_deleted(tmp_path: Path) -> None:
    told: list[str] = []
    with serving(**answers()) as server:
        assert use(server, tmp_path, told) == ["one", "two"]
        assert server.asked[-1].startswith(f"DELETE {PODS}/sftrun-logs-s")
    assert told == ["the pod sftrun-logs-s waits: 0/1 nodes are available"]


REFUSED = status(403, 'pods is forbidden: User "u" cannot create resource "pods" in API group ""')
ENDS = [
    (answers(looks=FAILED), {}, CommandError, "exit code 3: no such file", True),
    (answers(looks=WAITS), {"seconds": 0.0}, CommandError, "did not start in 0 s: 0/1 nodes", True),
    (
        answers(create=REFUSED),
        {},
        refusals.ForbiddenError,
        "no permission to create pods in namespace team",
        False,
    ),
]


@pytest.mark.parametrize(("given", "rest", "kind", "words", "made"), ENDS)
def test_a_failure_is_told_and_nothing_stays(
    given: dict[str, Any], rest: dict[str, Any], kind: type[Exception], words: str, made: bool, tmp_path: Path
) -> None:
    with serving(**given) as server:
        with pytest.raises(kind, match=words):
            use(server, tmp_path, [], **rest)
        assert any(line.startswith("DELETE") for line in server.asked) is made


def test_what_cannot_be_deleted_is_said(tmp_path: Path) -> None:
    told: list[str] = []
    looks = [DONE, DONE, status(403, "no")]
    with serving(**answers(looks=looks)) as server:
        use(server, tmp_path, told)
    assert "is left behind" in told[0]
