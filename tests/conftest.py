"""Clusters for tests, one of each kind a session, also when pytest-xdist spreads the session over workers.

`light_cluster` (marker `cluster`) is always one of our own: the scripted driver must not meet a real kubelet.
`cluster` (marker `e2e`) is the one that KUBECONFIG names, or our own with nodes. What a session started it
takes down at its end, unless E2E_KEEP is set; what was up before stays up. What a killed session left, the
next sweeps.

Property tests are the same in each run and have no deadline: a machine that is busy, or unlucky, must not
fail what has not changed. `pytest --hypothesis-profile=explore` looks for new examples.

A shell without job control starts what it puts into the background with SIGINT ignored, and so do all
processes that come of it. Tests that press Ctrl-C would wait in vain, so pytest takes the signal back.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from cluster import full, handles, light, processes, states, sweeps
from cluster.handles import ClusterHandle
from cluster.paths import FULL_NAME, RunFolder

_SLOW_IS_WELL = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("sftrun", _SLOW_IS_WELL, derandomize=True)
settings.register_profile("explore", _SLOW_IS_WELL, max_examples=2000)
settings.load_profile("sftrun")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _session_process() -> int:
    """Returns the pid of pytest itself, also in an xdist worker, whose parent it is."""
    return os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()


def _owner() -> tuple[int, int]:
    pid = _session_process()
    started = processes.start_ticks(pid)
    assert started is not None
    return pid, started


def _light_name() -> str:
    return f"tests-{_session_process()}"


@pytest.fixture(scope="session")
def light_cluster() -> ClusterHandle:
    """An API server with controller manager, without nodes; shared by all tests of the session."""
    sweeps.sweep()
    return handles.of_folder(light.up(_light_name(), owner=_owner()))


@pytest.fixture(scope="session")
def light_cluster_with_crds(light_cluster: ClusterHandle) -> ClusterHandle:
    """The light cluster with the SFTRun CRD applied from `crds/sftruns.yaml`."""
    light_cluster.install_crds()
    return light_cluster


@pytest.fixture
def light_namespace(light_cluster: ClusterHandle) -> Iterator[str]:
    """A namespace of the test's own in the light cluster."""
    name = light_cluster.create_namespace()
    yield name
    light_cluster.delete_namespace(name)


@pytest.fixture(scope="session")
def cluster() -> ClusterHandle:
    """A cluster with nodes: the one that KUBECONFIG names, or our own, started when it is not up."""
    sweeps.sweep()
    return handles.of_environment() or handles.of_folder(full.up(FULL_NAME, owner=_owner()))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Takes down what the session started: once, by pytest itself, after its workers have ended."""
    if hasattr(session.config, "workerinput"):
        return
    folder = RunFolder(name=_light_name())
    if folder.root.exists():
        light.down(folder)
    folder = RunFolder(name=FULL_NAME)
    state = states.read(folder)
    if state is not None and state.owner == _owner() and not os.environ.get("E2E_KEEP"):
        full.down(folder)
