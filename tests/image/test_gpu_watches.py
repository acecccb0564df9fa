"""The GPUs while training runs: what a driver that answers, errs, or hangs comes to in the progress."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.image.supervisor_fakes import run_file, wait_until

from sftrun_api import diagnoses
from sftrun_api.reports import Stage
from sftrun_api.run_files import RunIdentity
from sftrun_trainer import diagnosing, events, expositions, gpu_watches, reporting, steps

GIB = 1 << 30


class NvmlError(Exception):
    pass


@dataclasses.dataclass
class Gpu:
    used: int = 10
    total: int = 80
    busy: float | None = 50
    uuid: str = "GPU-a"
    instances: tuple[Gpu, ...] = ()


def nvml(*devices: Gpu, calls: list[str] | None = None, **changes: Any) -> Any:
    """Returns a library that knows these GPUs; sizes in GiB."""

    def busy(device: Gpu) -> Any:
        if device.busy is None:
            raise NvmlError("Not Supported")
        return SimpleNamespace(gpu=device.busy)

    def instance(device: Gpu, number: int) -> Gpu:
        if number >= len(device.instances):
            raise NvmlError("Not Found")
        return device.instances[number]

    values = {
        "NVMLError": NvmlError,
        "NVML_DEVICE_MIG_ENABLE": 1,
        "nvmlInit": lambda: (calls if calls is not None else []).append("init"),
        "nvmlShutdown": lambda: (calls if calls is not None else []).append("shutdown"),
        "nvmlDeviceGetCount": lambda: len(devices),
        "nvmlDeviceGetHandleByIndex": lambda number: devices[number],
        "nvmlDeviceGetUUID": lambda device: device.uuid,
        "nvmlDeviceGetMemoryInfo": lambda device: SimpleNamespace(
            used=device.used * GIB, total=device.total * GIB
        ),
        "nvmlDeviceGetUtilizationRates": busy,
        "nvmlDeviceGetMigMode": lambda device: (1 if device.instances else 0, 0),
        "nvmlDeviceGetMaxMigDeviceCount": lambda device: 7,
        "nvmlDeviceGetMigDeviceHandleByIndex": instance,
    }
    return SimpleNamespace(**{**values, **changes})


FOUR = [Gpu(used=10 * n, busy=20 * n, uuid=f"GPU-{name}") for n, name in enumerate("abcd", start=1)]


@pytest.mark.parametrize(
    ("devices", "visible", "most", "used", "utilization"),
    [
        (FOUR, None, None, 40, 50),
        (FOUR, None, 2, 20, 30),
        (FOUR, "3,0", None, 40, 50),
        (FOUR, "1", None, 20, 40),
        (FOUR, "GPU-b,GPU-c", None, 30, 50),
        (FOUR, "1,9,2", None, 20, 40),
        (FOUR, "", None, 40, 50),
        ([Gpu(busy=None), Gpu(busy=80)], None, None, 10, 80),
        ([Gpu(busy=None)], None, None, 10, None),
        # Divided in two: the parts' memory, and no utilisation.
        ([Gpu(busy=None, instances=(Gpu(used=3, total=20), Gpu(used=5, total=20)))], None, None, 5, None),
    ],
)  # fmt: skip
def test_what_is_looked_at(
    devices: list[Gpu], visible: str | None, most: int | None, used: int, utilization: float | None
) -> None:
    sample = gpu_watches.look(nvml(*devices), at=1.0, visible=visible, most=most)
    assert sample is not None
    assert (sample.used, sample.utilization) == (used * GIB, utilization)


def test_no_gpu_is_no_sample() -> None:
    assert gpu_watches.look(nvml(), at=1.0, visible=None, most=None) is None


def watched(library: Any, *, until: Any, clock: Any = lambda: 1.0) -> gpu_watches.Watch:
    watch = gpu_watches.Watch(clock=clock, load=lambda _: library, every=0.001)
    watch.start()
    wait_until(lambda: until(watch))
    watch.stop()
    return watch


def test_the_peak_stays_and_the_mean_is_of_the_last_minutes() -> None:
    gpu, times = Gpu(used=60, busy=100), [0.0]
    watch = watched(nvml(gpu), until=lambda found: found.figures() is not None, clock=lambda: times[0])
    figures = watch.figures()
    assert figures == gpu_watches.Figures(memory=60 * GIB, memory_share=0.75, utilization=100)
    times[0] = gpu_watches.WINDOW_SECONDS + 1
    assert watch.figures() is None  # nothing has been heard of them for long
    watch._take(gpu_watches.Sample(at=times[0], utilization=10, used=5 * GIB, share=0.1))
    assert watch.figures() == gpu_watches.Figures(memory=60 * GIB, memory_share=0.75, utilization=10)


def test_an_error_passes_and_the_library_is_given_back() -> None:
    calls: list[str] = []
    counts: Iterator[int | NvmlError] = iter([NvmlError("lost"), 1, 1])

    def count() -> int:
        found = next(counts, 1)
        if isinstance(found, Exception):
            raise found
        return found

    watch = watched(
        nvml(Gpu(), calls=calls, nvmlDeviceGetCount=count), until=lambda found: found.figures() is not None
    )
    wait_until(lambda: calls == ["init", "shutdown"])
    assert watch.figures() is not None


@pytest.mark.parametrize("what", ["no library", "no driver", "hangs"])
def test_without_a_driver_there_are_no_figures(what: str) -> None:
    asked, forever = threading.Event(), threading.Event()

    def load(_: str) -> Any:
        asked.set()
        if what == "no library":
            raise ImportError("pynvml")
        return nvml(nvmlInit=init)

    def init() -> None:
        if what == "hangs":
            forever.wait(60)
        raise NvmlError("Driver Not Loaded")

    watch = gpu_watches.Watch(clock=lambda: 1.0, load=load, every=0.001)
    watch.start()
    assert asked.wait(60)
    watch.stop()
    assert watch.figures() is None
    forever.set()


def account(figures: gpu_watches.Figures | None) -> reporting.Account:
    run = RunIdentity(namespace="team", name="quick", uid="u", attempt=1)
    made = reporting.Account(run=run, pod_uid="p", pod_name="n", now=lambda: 1.0, gpus=lambda: figures)
    made.enter(Stage.TRAIN)
    record = steps.step_record(step=3, loss=2.0, seconds=1.0)
    made.take(events.Step(record=record, total_steps=9, gpu_memory_gi_b=7.0))
    return made


def test_progress_metrics_and_diagnosis_tell_of_them() -> None:
    made = account(gpu_watches.Figures(memory=20 * GIB, memory_share=0.25, utilization=30.0))
    progress = made.report().progress
    assert progress is not None and (progress.gpu_memory_gi_b, progress.gpu_utilization) == (20.0, 30.0)
    text = expositions.exposition(made.report()).decode()
    assert 'sftrun_trainer_gpu_utilization_ratio{attempt="1",run="quick"} 0.3' in text
    (memory,) = (line for line in text.splitlines() if line.startswith("sftrun_trainer_gpu_memory_bytes{"))
    assert float(memory.split()[-1]) == 20 * GIB
    situation = made.situation()
    assert (situation.gpu_utilization, situation.gpu_memory_used) == (30.0, 0.25)


def test_low_use_with_a_small_batch_becomes_a_diagnosis() -> None:
    run = run_file(Path("/w"), training={"perDeviceTrainBatchSize": 1})
    situation = account(gpu_watches.Figures(memory=20 * GIB, memory_share=0.25, utilization=30.0)).situation()
    found = diagnoses.diagnose(
        diagnosing.curve_of(steps.Curve(), situation), diagnosing.facts_of(run, (), situation)
    )
    assert [each.rule for each in found] == ["LowGPUUse"]


def test_without_them_the_trainers_own_word_stands() -> None:
    progress = account(None).report().progress
    assert progress is not None and (progress.gpu_memory_gi_b, progress.gpu_utilization) == (7.0, None)
