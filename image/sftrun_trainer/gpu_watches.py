"""How busy and how full the GPUs are while training runs, by NVIDIA's management library.

Sampled beside the training, in a thread of the supervisor: no step waits for it, and a driver that no longer
answers costs the figures, not the run. Without the library, a driver or a GPU there are none.
"""

from __future__ import annotations

import contextlib
import importlib
import statistics
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sftrun_trainer import gpus

EVERY_SECONDS = 5.0
WINDOW_SECONDS = 120.0
"""What the utilisation is the mean of: most evaluations and checkpoints are shorter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """All GPUs at one moment."""

    at: float
    utilization: float | None
    """Mean over the GPUs, 0..100; `None` where no GPU tells (parts of one do not)."""
    used: int
    """Bytes in use on the fullest GPU."""
    share: float
    """The same, of its memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What is told of the GPUs."""

    memory: int
    """The most bytes that were in use on one of them since training began."""
    memory_share: float
    """The same, of its memory, 0..1."""
    utilization: float | None
    """Mean over the GPUs and the last two minutes, 0..100."""


class Watch:
    """Samples from `start` to `stop`, in a thread of its own."""

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        visible: str | None = None,
        most: int | None = None,
        load: Callable[[str], Any] = importlib.import_module,
        every: float = EVERY_SECONDS,
    ) -> None:
        """`visible` is CUDA_VISIBLE_DEVICES, `most` how many of those there are used."""
        self._clock = clock
        self._visible = visible
        self._most = most
        self._load = load
        self._every = every
        self._guard = threading.Lock()
        self._samples: deque[Sample] = deque(maxlen=1000)
        self._peak: Sample | None = None
        self._ended = threading.Event()

    def start(self) -> None:
        """Begins to sample."""
        threading.Thread(target=self._watch, name="gpus", daemon=True).start()

    def stop(self) -> None:
        """Ends sampling; what was seen stays. Does not wait: the driver may not answer."""
        self._ended.set()

    def figures(self) -> Figures | None:
        """Returns what was seen; `None` without a sample, or when the last is long ago."""
        with self._guard:
            since = self._clock() - WINDOW_SECONDS
            recent = [sample for sample in self._samples if sample.at >= since]
            if self._peak is None or not recent:
                return None
            known = [sample.utilization for sample in recent if sample.utilization is not None]
            return Figures(
                memory=self._peak.used,
                memory_share=self._peak.share,
                utilization=statistics.fmean(known) if known else None,
            )

    def _watch(self) -> None:
        try:
            nvml = self._load(gpus.LIBRARY)
        except ImportError:
            return
        with contextlib.suppress(nvml.NVMLError):
            nvml.nvmlInit()
            try:
                while not self._ended.wait(self._every):
                    with contextlib.suppress(nvml.NVMLError):
                        self._take(look(nvml, at=self._clock(), visible=self._visible, most=self._most))
            finally:
                with contextlib.suppress(nvml.NVMLError):
                    nvml.nvmlShutdown()

    def _take(self, sample: Sample | None) -> None:
        if sample is None:
            return
        with self._guard:
            self._samples.append(sample)
            if self._peak is None or sample.used > self._peak.used:
                self._peak = sample


def look(nvml: Any, *, at: float, visible: str | None, most: int | None) -> Sample | None:
    """Returns the GPUs at this moment, `None` where there are none. Raises the library's errors."""
    devices = _chosen(nvml, visible)[:most]
    memories = [
        nvml.nvmlDeviceGetMemoryInfo(each)
        for device in devices
        for each in (list(gpus.instances(nvml, device)) or [device])
    ]
    if not memories:
        return None
    fullest = max(memories, key=lambda memory: memory.used)
    busy = [found for device in devices if (found := _utilization(nvml, device)) is not None]
    return Sample(
        at=at,
        utilization=statistics.fmean(busy) if busy else None,
        used=int(fullest.used),
        share=fullest.used / fullest.total if fullest.total else 0.0,
    )


def _utilization(nvml: Any, device: Any) -> float | None:
    try:
        return float(nvml.nvmlDeviceGetUtilizationRates(device).gpu)
    except nvml.NVMLError:  # a GPU that is divided does not tell
        return None


def _chosen(nvml: Any, visible: str | None) -> Sequence[Any]:
    """Returns the devices that CUDA will see, in its order; all where that cannot be told."""
    devices = [nvml.nvmlDeviceGetHandleByIndex(number) for number in range(nvml.nvmlDeviceGetCount())]
    if visible is None:
        return devices
    names = list(_names(nvml, devices))
    found = []
    for word in filter(None, (part.strip() for part in visible.split(","))):
        if word.isdigit():
            number = int(word)
            if number >= len(devices):
                break  # CUDA, too, reads no further
            found.append(devices[number])
        else:
            found += [device for device, name in zip(devices, names, strict=True) if name.startswith(word)]
    return found or devices


def _names(nvml: Any, devices: Sequence[Any]) -> Iterator[str]:
    for device in devices:
        name = nvml.nvmlDeviceGetUUID(device)
        yield name.decode() if isinstance(name, bytes) else str(name)


def of_run(environment: Mapping[str, str], *, processes: int, clock: Callable[[], float]) -> Watch:
    """Returns the watch of a run's GPUs: one a process, of those that it may see."""
    return Watch(clock=clock, visible=environment.get("CUDA_VISIBLE_DEVICES"), most=processes)
