"""Small programs in place of the real stages, so that every way in which a child can end is one line of a
test.

A test's script says for each stage which actions of `fake_child` its child does, one after another.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import select
import signal
import sys
import time
import traceback
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from cluster import ports
from sftrun_api.reasons import Reason
from sftrun_api.reports import Report, Stage
from sftrun_api.run_files import RunFile
from sftrun_api.statuses import Artifacts, Check, Outputs
from sftrun_trainer import commands, endings, folders, locks, progress_server, seals, stages, wakes
from sftrun_trainer.calls import ChildCall
from sftrun_trainer.folders import OutputFolder
from sftrun_trainer.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
CHILD = Path(__file__).with_name("fake_child.py")
QUICK = locks.Timing(beat_every=0.1, takeover_after=120.0, fence_after=90.0, settle=0.05, look_every=0.02)
"""Quick but for the takeover: on a busy machine the beats of a pod that lives come late."""
IMPATIENT = {"lock_timing": {"takeover_after": 1.0}}
"""For a pod whose predecessor does not live: it need not be given time."""
PATIENCE = 60.0

Script = Mapping[str, list[list[Any]]]


@dataclasses.dataclass(frozen=True)
class FakePrograms:
    """Children that follow a script."""

    script: Path

    def look(self, *, run: RunFile, settings: Settings, tell: Callable[[Check], None]) -> None:
        if settings.environment.get("FAKE_GPUS") == "missing":
            raise endings.retry(Reason.GPU_MISSING, details="a test")
        if settings.environment.get("FAKE_GPUS"):
            tell(Check(group="GPU", name="devices", result="Pass", message=settings.environment["FAKE_GPUS"]))

    def program(
        self, stage: Stage, *, call: ChildCall, run: RunFile, environment: Mapping[str, str]
    ) -> stages.Program:
        argv = (sys.executable, "-S", str(CHILD), str(self.script), stage.value, *call.arguments())
        return stages.Program(argv=argv, environment=environment)

    def settle(
        self,
        stage: Stage,
        *,
        run: RunFile,
        folder: OutputFolder,
        earlier: Any,
        payload: dict[str, Any] | None,
    ) -> dict[str, Any] | None:
        if payload and payload.get("broken"):
            raise endings.fail(Reason.WEIGHTS_MISSING, path=folder.root)
        return payload

    def outputs(self, *, run: RunFile, folder: OutputFolder) -> Outputs:
        return Outputs(model_path=str(folder.root), artifacts=Artifacts(report=str(folder.report)))

    def plot(self, *, run: RunFile, folder: OutputFolder, settings: Settings) -> str:
        if settings.environment.get("FAKE_PLOT"):
            return settings.environment["FAKE_PLOT"]
        (folder.root / folders.PLOTS[0]).write_bytes(b"a picture")
        return ""


def run_file(
    workspace: Path,
    *,
    name: str = "quick",
    uid: str = "0b7d3a52-uid",
    attempt: int = 1,
    output: str = "quick",
    spec_hash: str = "hash-1",
    **spec: Any,
) -> RunFile:
    """Returns a run file; further arguments replace sections of the spec."""
    training = {"template": "qwen3", **spec.pop("training", {})}
    value = {
        "run": {"namespace": "team", "name": name, "uid": uid, "attempt": attempt},
        "spec": {
            "sources": [{"harborJob": {"path": "jobs/one"}}],
            "model": {"path": "models/tiny"},
            "training": training,
            "workspace": {"persistentVolumeClaim": {"claimName": "claim"}},
            **spec,
        },
        "specHash": spec_hash,
        "image": "trainer:1",
        "resolved": {
            "workspace": str(workspace),
            "outputDir": str(workspace / "artifacts" / "model" / output),
            "modelPath": str(workspace / "models" / "tiny"),
            "datasetName": name,
            "runName": name,
            "gpusPerNode": 0,
            "processesPerNode": 2,
            "learningRate": 1e-5,
            "warmupRatio": 0.1,
            "globalBatchSize": 8,
            "gradientCheckpointing": "Standard",
            "enableLigerKernel": False,
            "preprocessingNumWorkers": 1,
        },
    }
    return RunFile.model_validate(value)


HAPPY: Script = {
    "Prepare": [
        ["event", {"kind": "progress", "done": 1, "total": 2}],
        [
            "result",
            {"dataset": {"name": "quick", "converted": 2, "excluded": [{"reason": "LowReward", "count": 1}]}},
        ],
    ],
    "Register": [
        ["event", {"kind": "check", "group": "Model", "name": "template", "result": "Pass"}],
        ["result", {"effective": {"totalSteps": 4}, "trainingDigest": "digest-1"}],
    ],
    "Train": [["steps", 1, 4, 4], ["checkpoint", 4], ["result", {"totalSteps": 4}]],
}


class Forked:
    """A process of its own, forked from the test's: importing everything again would take most of the
    time."""

    def __init__(self, body: Callable[[], int], *, output: Path) -> None:
        self.returncode: int | None = None
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self._become(body, output)

    def _become(self, body: Callable[[], int], output: Path) -> NoReturn:
        code = 99
        try:
            descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            for standard in (1, 2):
                os.dup2(descriptor, standard)
            sys.stdout = sys.stderr = open(1, "w", closefd=False, buffering=1)  # noqa: SIM115
            signal.setitimer(signal.ITIMER_REAL, 0)  # pytest's own time limit
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            code = body()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, seconds: float) -> int:
        wait_until(lambda: self.poll() is not None, what="the process goes on", seconds=seconds)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@dataclasses.dataclass
class Pod:
    """A supervisor process of a test, with what it leaves behind."""

    process: Forked
    run: RunFile
    termination_log: Path
    output: Path
    log: Path

    @property
    def folder(self) -> Path:
        return Path(self.run.resolved.output_dir)

    @property
    def state(self) -> Path:
        return self.folder / ".sftrun"

    def wait(self) -> int:
        return self.process.wait(PATIENCE)

    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def report(self) -> Report:
        return Report.model_validate_json(self.termination_log.read_bytes())

    def did(self) -> list[str]:
        """The children that ran, in order, each with what its script's marks say."""
        return self.log.read_text().split() if self.log.exists() else []

    def until(self, condition: Callable[[], object], what: str = "") -> None:
        wait_until(condition, what=what or self.text)

    def did_so_far(self, word: str) -> None:
        wait_until(lambda: word in self.did(), what=lambda: f"{word} in {self.did()}; {self.text()}")

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)


def wait_until(condition: Callable[[], object], *, what: Any = "", seconds: float = PATIENCE) -> None:
    """Waits for a condition; fails with words when it never comes true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"never came true: {what() if callable(what) else what}")
        select.select([], [], [], 0.01)


class Cluster:
    """Starts supervisors in one workspace and ends them all with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workspace = folder / "workspace"
        self.workspace.mkdir()
        self._pods: list[Pod] = []

    def start(
        self,
        script: Script | None = None,
        *,
        run: RunFile | None = None,
        pod_uid: str = "pod-1",
        port: int = -1,
        options: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        group: Path | None = None,
        uid: int | None = None,
    ) -> Pod:
        """Starts one; `options` replace fields of the settings, stages missing in `script` are happy.

        `group` is a file of a memory cgroup that the supervisor puts itself into; `uid` needs root.
        """
        run = run or run_file(self.workspace)
        base = self.folder / f"start-{len(self._pods)}"
        base.mkdir()
        (base / "script.json").write_text(json.dumps({**HAPPY, **(script or {})}))
        (base / "run.json").write_text(json.dumps(run.to_json_object()))
        (base / "options.json").write_text(json.dumps(dict(options or {})))
        log = self.folder / "did.log"
        output = base / "output.log"
        arguments = [
            *("--run-file", str(base / "run.json"), "--termination-log", str(base / "termination")),
            *("--port", str(port), "--host", "127.0.0.1"),
            *("--credentials-dir", str(self.folder / "credentials")),
        ]
        own = {
            "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("crds", "image", ".")),
            "SFTRUN_POD_UID": pod_uid,
            "SFTRUN_POD_NAME": f"{pod_uid}-name",
            "FAKE_LOG": str(log),
            **(environment or {}),
        }
        output.touch()
        process = Forked(
            lambda: supervise(base, arguments, environment=own, group=group, uid=uid), output=output
        )
        pod = Pod(process=process, run=run, termination_log=base / "termination", output=output, log=log)
        self._pods.append(pod)
        return pod

    def finish(self, *args: Any, **kwargs: Any) -> tuple[int, Pod]:
        """Starts one and waits for its end; returns its exit code."""
        pod = self.start(*args, **kwargs)
        return pod.wait(), pod

    def close(self) -> None:
        for pod in self._pods:
            if pod.process.poll() is None:
                pod.process.kill()
            pod.process.wait(PATIENCE)


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """A workspace for one test."""
    opened = Cluster(folder)
    try:
        yield opened
    finally:
        opened.close()


def free_port() -> int:
    """Returns a port that no outgoing connection takes before it is used."""
    (port,) = ports.choose(1, taken=())
    return port


def read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def fetch(port: int, path: str) -> tuple[int, bytes]:
    """Returns status and body of a GET on loopback."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


FILE_EVENTS = frozenset({"open", "os.rename", "os.link", "os.mkdir", "os.remove", "os.truncate", "os.utime"})


def at_touches(
    points: Callable[[int, str], bool], *, below: Path, do: Callable[[str, str, bool], None]
) -> None:
    """Has something done before the n-th time that this process touches a file below a folder.

    `do` is given the event, the path, and whether something is to be written. Python itself tells of the
    touches, by its audit events; what `do` raises, the touch raises.
    """
    prefix, count = str(below), 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event in FILE_EVENTS and str(arguments[0]).startswith(prefix):
            count += 1
            if points(count, str(arguments[0])):
                writes = event != "open" or bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
                do(event, str(arguments[0]), writes)

    sys.addaudithook(hook)


def _strike(base: Path, environment: Mapping[str, str]) -> None:
    """Installs what a test wants to happen to the supervisor.

    `TELL`: touches are told; `DIE_AT=point`; `FAIL_AT=point:errno`; `FAIL_FROM=name:errno`: from the first
    touch of a file so named, all that writes; `SYNC_FAILS=errno`: no checkpoint comes to the volume.
    """
    workspace = Path(json.loads((base / "run.json").read_text())["resolved"]["workspace"])

    def tell(event: str, path: str, writes: bool) -> None:
        descriptor = os.open(base / "touches", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, f"{event} {path}\n".encode())
        os.close(descriptor)

    def die(event: str, path: str, writes: bool) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def fail(event: str, path: str, writes: bool) -> None:
        if writes or "FAIL_AT" in environment:
            raise OSError(number, os.strerror(number), path)

    whole = seals.sync

    def sync(path: Path) -> None:
        if "checkpoint-" in str(path):
            number = int(environment["SYNC_FAILS"])
            raise OSError(number, os.strerror(number))
        whole(path)

    if "TELL" in environment:
        at_touches(lambda count, path: True, below=workspace, do=tell)
    if "DIE_AT" in environment:
        point = int(environment["DIE_AT"])
        at_touches(lambda count, path: count == point, below=workspace, do=die)
    if "FAIL_AT" in environment:
        point, number = map(int, environment["FAIL_AT"].split(":"))
        at_touches(lambda count, path: count == point, below=workspace, do=fail)
    if "FAIL_FROM" in environment:
        name, _, last = environment["FAIL_FROM"].partition(":")
        number = int(last)
        begun = False

        def follows(_: int, path: str) -> bool:
            nonlocal begun
            begun = begun or name in path
            return begun

        at_touches(follows, below=workspace, do=fail)
    if "SYNC_FAILS" in environment:
        seals.sync = sync


def supervise_afresh(
    base: Path, arguments: list[str], *, environment: Mapping[str, str], group: Path
) -> NoReturn:
    """Becomes a supervisor in a memory cgroup, with nothing of the tests' memory: forked, it would seem to be
    larger than its child, and be what the kernel ends."""
    group.write_text(str(os.getpid()))
    code = (
        "import json, pathlib, sys\n"
        "base, arguments, environment, sys.path = json.loads(sys.argv[1])\n"
        "from tests.image import supervisor_fakes as fakes\n"
        "told = {'environment': environment, 'group': None, 'uid': None}\n"
        "sys.exit(fakes.supervise(pathlib.Path(base), arguments, **told))\n"
    )
    path = [str(ROOT / part) for part in ("crds", "image", "hack", ".")] + sys.path
    given = json.dumps([str(base), arguments, dict(environment), path])
    os.execv(sys.executable, [sys.executable, "-c", code, given])


def supervise(
    base: Path, arguments: list[str], *, environment: Mapping[str, str], group: Path | None, uid: int | None
) -> int:
    """What runs in a pod of a test: the supervisor's own `run`, with quick times and fake programs."""
    if group is not None:
        supervise_afresh(base, arguments, environment=environment, group=group)
    if uid is not None:
        base.chmod(0o777)
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    values = commands.parse(arguments, {**os.environ, **environment})
    options = json.loads((base / "options.json").read_text())
    progress_server.SECONDS_A_REQUEST = options.pop("seconds_a_request", PATIENCE)
    timing = dataclasses.replace(QUICK, **options.pop("lock_timing", {}))
    quick: dict[str, Any] = {"look_every": 0.02, "linger": 2.0, "linger_for_curve": 0.2, "grace_margin": 0.1}
    values = dataclasses.replace(values, lock_timing=timing, **{**quick, **options})
    _strike(base, environment)
    wake = wakes.Wakes()
    wake.catch_signals()
    return commands.run(settings=values, stage_programs=FakePrograms(base / "script.json"), wake=wake)
