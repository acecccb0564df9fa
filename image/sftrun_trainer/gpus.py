"""The memory of the GPUs that the pod was given, by NVIDIA's management library: no CUDA, no torch.

The operator may not read nodes, so the pod is the first that sees them. Where there is no driver, or no GPU,
nobody knows, which is no mistake.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from typing import Any

LIBRARY = "pynvml"


def memory(*, load: Callable[[str], Any] = importlib.import_module) -> int | None:
    """Returns the bytes of the smallest visible GPU, or MIG instance; `None` where none can be seen."""
    try:
        nvml = load(LIBRARY)
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return None
    try:
        sizes = [size for size in _sizes(nvml) if size > 0]
    except nvml.NVMLError:
        return None
    finally:
        with contextlib.suppress(nvml.NVMLError):
            nvml.nvmlShutdown()
    return min(sizes, default=None)


def _sizes(nvml: Any) -> Iterator[int]:
    for number in range(nvml.nvmlDeviceGetCount()):
        device = nvml.nvmlDeviceGetHandleByIndex(number)
        for each in list(instances(nvml, device)) or [device]:
            yield int(nvml.nvmlDeviceGetMemoryInfo(each).total)


def instances(nvml: Any, device: Any) -> Iterator[Any]:
    """Yields the MIG instances of a device: the device's own memory is then not what the pod may use."""
    try:
        current, _ = nvml.nvmlDeviceGetMigMode(device)
        if current != nvml.NVML_DEVICE_MIG_ENABLE:
            return
        count = nvml.nvmlDeviceGetMaxMigDeviceCount(device)
    except nvml.NVMLError:  # older GPUs know no MIG
        return
    for number in range(count):
        with contextlib.suppress(nvml.NVMLError):  # not every slot holds one
            yield nvml.nvmlDeviceGetMigDeviceHandleByIndex(device, number)
