"""The scripted driver with a real API server and Job controller: each row is something a kubelet does."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from cluster import handles, light, processes, waits
from cluster.driver import Driver
from cluster.errors import ClusterError
from cluster.handles import ClusterHandle
from cluster.paths import RunFolder
from cluster.progress_servers import Answer
from cluster.scripts import (
    MANUAL,
    Disrupt,
    End,
    Fail,
    Hold,
    Run,
    Say,
    Script,
    Unschedulable,
    Waiting,
    parse,
    play,
)

pytestmark = pytest.mark.cluster
JsonObject = dict[str, Any]


def job(name: str, *, grace: int = 30, backoff_limit: int = 3) -> JsonObject:
    """A Job as the operator makes it: one pod, exit-code contract, replacement only after the end."""
    on_exit = {"containerName": "trainer", "operator": "In"}
    disruption = {"type": "DisruptionTarget", "status": "True"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "backoffLimit": backoff_limit,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [
                    {"action": "FailJob", "onExitCodes": {**on_exit, "values": [64]}},
                    {"action": "Ignore", "onExitCodes": {**on_exit, "values": [75]}},
                    {"action": "Ignore", "onPodConditions": [disruption]},
                ]
            },
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": grace,
                    "containers": [{"name": "trainer", "image": "none", "terminationMessagePath": "/dev/t"}],
                },
            },
        },
    }


async def until(found: Callable[[], Any]) -> Any:
    """Waits without stopping the driver, which lives on this event loop."""
    return await asyncio.to_thread(waits.until, found, what="what the script says", seconds=60)


@pytest.fixture
async def driver(light_cluster: ClusterHandle, light_namespace: str) -> AsyncIterator[Driver]:
    async with Driver(light_cluster.kubeconfig, namespace=light_namespace) as driver:
        yield driver


def job_condition(cluster: ClusterHandle, namespace: str, name: str) -> Callable[[], str]:
    def finished() -> str:
        status = (cluster.get("job", name, namespace=namespace) or {}).get("status", {})
        kinds = [item["type"] for item in status.get("conditions", []) if item["status"] == "True"]
        return next((kind for kind in kinds if kind in ("Complete", "Failed")), "")

    return finished


@pytest.mark.parametrize(
    ("steps", "finished", "num_pods"),
    [
        pytest.param((Run(), End()), "Complete", 1, id="done"),
        pytest.param((Run(), End(exit_code=64, message="bad data")), "Failed", 1, id="final exit code"),
        pytest.param((Waiting(), Run(), End(exit_code=1)), "Failed", 1, id="no more retries"),
    ],
)
async def test_job_ends_as_scripted(
    light_cluster: ClusterHandle,
    light_namespace: str,
    driver: Driver,
    steps: tuple[Any, ...],
    finished: str,
    num_pods: int,
) -> None:
    driver.use(play(*steps))
    light_cluster.apply(job("j", backoff_limit=0), namespace=light_namespace)
    assert await until(job_condition(light_cluster, light_namespace, "j")) == finished
    assert len(light_cluster.list("pods", namespace=light_namespace, selector="app=j")) == num_pods


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param(
            play(Unschedulable(message="0/1 nodes")),
            {"phase": "Pending", "PodScheduled": "Unschedulable"},
            id="unschedulable",
        ),
        pytest.param(
            play(Waiting(reason="ImagePullBackOff", message="no such image")),
            {"phase": "Pending", "waiting": "ImagePullBackOff"},
            id="image",
        ),
        pytest.param(play(Run()), {"phase": "Running"}, id="runs"),
        pytest.param(
            play(Run(), Disrupt(), Hold()),
            {"phase": "Running", "DisruptionTarget": "EvictionByEvictionAPI"},
            id="disrupted",
        ),
        pytest.param(
            play(Run(), End(exit_code=137, reason="OOMKilled")),
            {"phase": "Failed", "terminated": "OOMKilled", "exitCode": 137},
            id="out of memory",
        ),
        pytest.param(
            play(Run(), End(message="x" * 5000)),
            {"phase": "Succeeded", "message": "x" * 4096},
            id="termination message",
        ),
        pytest.param(play(Run(), Fail()), {"phase": "Failed", "reason": "Evicted"}, id="evicted"),
    ],
)
async def test_pod_shows_what_the_script_says(
    light_cluster: ClusterHandle,
    light_namespace: str,
    driver: Driver,
    script: Script,
    expected: JsonObject,
) -> None:
    driver.use(script)
    light_cluster.apply(job("j"), namespace=light_namespace)
    name = (await driver.pod(labels={"app": "j"})).name

    def shown() -> bool:
        pod = light_cluster.get("pod", name, namespace=light_namespace)
        return pod is not None and expected.items() <= summary(pod["status"]).items()

    await until(shown)


def summary(status: JsonObject) -> JsonObject:
    """The parts of a pod's status that the table speaks of."""
    found = {"phase": status["phase"], "reason": status.get("reason")}
    found |= {item["type"]: item.get("reason") for item in status.get("conditions", [])}
    for container in status.get("containerStatuses", []):
        [(kind, state)] = container["state"].items()
        found |= {
            kind: state.get("reason"),
            "exitCode": state.get("exitCode"),
            "message": state.get("message"),
        }
    return found


async def test_deleted_pod_is_held_until_released_and_replaced_only_after_its_end(
    light_cluster: ClusterHandle, light_namespace: str, driver: Driver
) -> None:
    driver.use(play(Run(), on_delete=(Hold(), End(exit_code=75))))
    light_cluster.apply(job("j"), namespace=light_namespace)
    first = await driver.pod(labels={"app": "j"})
    await until(lambda: first.address)
    light_cluster.kubectl("delete", "pod", first.name, "--wait=false", namespace=light_namespace)
    await first.deleted.wait()
    assert len(driver.pods()) == 1
    assert not first.ended
    first.release()
    await asyncio.wait_for(first.gone.wait(), 60)
    second = await driver.pod(where=lambda pod: pod.uid != first.uid)
    assert second.name != first.name
    status = light_cluster.get("job", "j", namespace=light_namespace)
    assert status is not None
    assert status["status"].get("failed", 0) == 0, "75 is not counted"


async def test_pod_that_ignores_sigterm_is_killed_when_its_grace_is_over(
    light_cluster: ClusterHandle, light_namespace: str, driver: Driver
) -> None:
    driver.use(play(Run(), on_delete=(Hold(),)))
    light_cluster.apply(job("j", grace=1), namespace=light_namespace)
    pod = await driver.pod()
    await until(lambda: pod.address)
    light_cluster.kubectl(
        "delete", "job", "j", "--cascade=foreground", "--wait=false", namespace=light_namespace
    )
    await asyncio.wait_for(pod.gone.wait(), 60)
    assert pod.manifest["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137


async def test_test_does_everything_itself(
    light_cluster: ClusterHandle, light_namespace: str, driver: Driver
) -> None:
    driver.use(MANUAL)
    light_cluster.apply(job("j"), namespace=light_namespace)
    pod = await driver.pod()
    await pod.wait("ContainerCreating")
    await pod.run({"stage": "Train"})
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{pod.address}:8080/progress") as answer,
    ):
        assert await answer.json() == {"stage": "Train"}
    await pod.end(0)
    assert await until(job_condition(light_cluster, light_namespace, "j")) == "Complete"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param({"a": 1}, (200, b'{"a":1}'), id="report"),
        pytest.param(b"\x00\xff garbage", (200, b"\x00\xff garbage"), id="garbage"),
        pytest.param(Answer(status=500, body=b"no"), (500, b"no"), id="error"),
        pytest.param(
            Answer(status=302, headers={"Location": "http://127.0.0.1:1/"}), (302, b""), id="redirect"
        ),
        pytest.param(Answer(body=b"y" * 1024, repeat=300), (200, b"y" * 307_200), id="huge"),
        pytest.param(Answer(body=b"slow", delay=0.3), (200, b"slow"), id="slow"),
        pytest.param(Answer(hang_up=True), aiohttp.ServerDisconnectedError, id="hangs up"),
    ],
)
async def test_progress_port_answers_well_or_badly(
    light_cluster: ClusterHandle, light_namespace: str, driver: Driver, answer: Any, expected: Any
) -> None:
    driver.use(play(Run(answer={"first": 1}), Say(answer=answer)))
    light_cluster.apply(job("j"), namespace=light_namespace)
    pod = await driver.pod()
    await until(pod.played.is_set)
    url = f"http://{pod.address}:8080/progress"
    async with aiohttp.ClientSession() as session:
        if isinstance(expected, type):
            with pytest.raises(expected):
                await session.get(url)
            return
        async with session.get(url, allow_redirects=False) as response:
            assert (response.status, await response.read()) == expected
        async with session.get(f"http://{pod.address}:8080/other") as response:
            assert response.status == 404
    assert pod.num_requests == 2


async def test_driver_lives_through_a_restart_of_the_api_server() -> None:
    folder = RunFolder(name=f"restarts-{os.getpid()}")
    try:
        cluster = handles.of_folder(await asyncio.to_thread(light.up, folder.name))
        async with Driver(cluster.kubeconfig, script=play(Run(), Hold(), End())) as driver:
            await asyncio.to_thread(cluster.apply, job("before"))
            pod = await driver.pod(labels={"app": "before"})
            await until(lambda: pod.address)
            server = processes.find(folder.processes, "kube-apiserver")
            assert server is not None
            os.kill(server.pid, signal.SIGKILL)
            await until(lambda: not server.alive)
            pod.release()
            await asyncio.to_thread(light.up, folder.name)
            assert await until(job_condition(cluster, "default", "before")) == "Complete"
            await asyncio.to_thread(cluster.apply, job("after"))
            await driver.pod(labels={"app": "after"})
    finally:
        await asyncio.to_thread(light.down, folder)


async def test_pods_have_addresses_of_their_own(
    light_cluster: ClusterHandle, light_namespace: str, driver: Driver
) -> None:
    light_cluster.apply(*(job(f"j{number}") for number in range(20)), namespace=light_namespace)
    pods = [await driver.pod(labels={"app": f"j{number}"}) for number in range(20)]
    await until(lambda: all(pod.address for pod in pods))
    assert len({pod.address for pod in pods}) == 20


async def test_missing_pod_names_those_that_are_there(driver: Driver) -> None:
    with pytest.raises(ClusterError, match="there are: none"):
        await driver.pod(name="nobody", seconds=0.1)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "a script is an object"),
        ({"stepz": []}, "a script is an object"),
        ({"steps": {}}, "`steps` of a script is a list"),
        ({"steps": [{"do": "Dance"}]}, r"steps\[0\].*one of Unschedulable"),
        ({"steps": [{"do": "End", "code": 1}]}, r"End has no 'code'; it has exit_code"),
        ({"steps": [{"do": "Pause"}]}, r"steps\[0\]: Pause .*seconds"),
        ({"steps": ["Run"]}, r"`do` must be one of"),
    ],
)
def test_bad_script_says_what_is_wrong(document: object, message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        parse(document)


def test_script_is_read_from_json() -> None:
    text = '{"steps": [{"do": "Run"}, {"do": "End", "exit_code": 64}], "onDelete": [{"do": "Hold"}]}'
    assert parse(json.loads(text)) == play(Run(), End(exit_code=64), on_delete=(Hold(),))
