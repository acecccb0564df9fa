"""What a run's end means, told from lines that programs really printed.

Each case is named after the public issue in which its lines stand as they were printed (paths and addresses
shortened), or after the source file that prints them.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sftrun_api.exit_codes import ExitCode
from sftrun_api.reports import Stage
from sftrun_trainer import endings, logs, signature_rows, signatures, verdicts
from sftrun_trainer.children import ChildEnding

RETRY, FINAL = ExitCode.RETRY, ExitCode.FINAL

TORCHRUN = """\
[2023-10-13 17:40:02,544] torch.distributed.elastic.multiprocessing.api: [ERROR] failed (exitcode: {code}) \
local_rank: 0 (pid: 62498) of binary: /opt/venv/bin/python
Traceback (most recent call last):
  File "/opt/venv/lib/python3.11/site-packages/torch/distributed/launcher/api.py", line 250, in launch_agent
    raise ChildFailedError(
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
============================================================
sftrun_trainer.worker FAILED
------------------------------------------------------------
Root Cause (first observed failure):
[0]:
  rank      : 0 (local_rank: 0)
  exitcode  : {code} (pid: 62498)
  error_file: <N/A>
  traceback : {why}
============================================================
"""
"""meta-llama/llama#856, pytorch/pytorch#121209: the same at every end, so it must never hide the cause."""

PLAIN = "To enable traceback see: https://pytorch.org/docs/stable/elastic/errors.html"

GPU_MEMORY = {
    "hiyouga/LlamaFactory#182": (
        "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 50.00 MiB (GPU 0; 31.75 GiB "
        "total capacity; 5.22 GiB already allocated; 44.69 MiB free; 5.22 GiB reserved in total by PyTorch) "
        "If reserved memory is >> allocated memory try setting max_split_size_mb to avoid fragmentation."
    ),
    "lllyasviel/FramePack#369": (
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 30.29 GiB. GPU 0 has a total capacity "
        "of 10.74 GiB of which 3.69 GiB is free. Including non-PyTorch memory, this process has 6.68 GiB "
        "memory in use."
    ),
    "PKU-YuanGroup/Open-Sora-Plan#386": (
        "ins-7df6eojsifuykig9:3018451:3018451 [0] enqueue.cc:1085 NCCL WARN Cuda failure 'out of memory'\n"
        "torch.distributed.DistBackendError: NCCL error in: ../torch/csrc/distributed/c10d/"
        "ProcessGroupNCCL.cpp:1333, unhandled cuda error, NCCL version 2.14.3\n"
        "ncclUnhandledCudaError: Call to CUDA function failed."
    ),
    "QwenLM/Qwen#120": (
        "RuntimeError: CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"
    ),
}
GPU_FAULTS = {
    "tloen/alpaca-lora#123": (
        "RuntimeError: CUDA error: uncorrectable ECC error encountered\n"
        "Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions."
    ),
    "NVIDIA/semantic-segmentation#33": (
        "RuntimeError: cuda runtime error (39) : uncorrectable ECC error encountered at "
        "/pytorch/aten/src/THC/THCCachingHostAllocator.cpp:265"
    ),
    "kohya-ss/sd-scripts#1434": (
        "[E ProcessGroupNCCL.cpp:916] [Rank 1] NCCL watchdog thread terminated with exception: CUDA error: "
        "uncorrectable ECC error encountered"
    ),
    "tdrussell/qlora-pipe#51": (
        "[rank1]:[E107 10:50:18.780482185 ProcessGroupNCCL.cpp:1504] [PG 0 (default_pg) Rank 1] Process "
        "group watchdog thread terminated with exception: CUDA error: an illegal memory access was "
        "encountered"
    ),
    "NVIDIA/open-gpu-kernel-modules#1151": ("NVRM: Xid (PCI:0000:06:00): 79, GPU has fallen off the bus."),
    "NVIDIA/NVSentinel#155": (
        "[ 1843.308145] NVRM: The NVIDIA GPU 0000:b3:00.0\n"
        "               NVRM: (PCI ID: 10de:26b5) installed in this system has\n"
        "               NVRM: fallen off the bus and is not responding to commands."
    ),
    "leptonai/gpud#604": "XID 79(GPU has fallen off the bus) detected on PCI:0000:ae:00",
    "isl-org/DPT#4": (
        "RuntimeError: CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx( handle, opa, "
        "opb, m, n, k, &falpha, a, CUDA_R_16F, lda, b, CUDA_R_16F, ldb, &fbeta, c, CUDA_R_16F, ldc, "
        "CUDA_R_32F, CUBLAS_GEMM_DFALT_TENSOR_OP)`"
    ),
    "gpgpu-sim/pytorch-gpgpu-sim#11": "RuntimeError: CuDNN error: CUDNN_STATUS_MAPPING_ERROR",
    "alisson-anjos/diffusion-pipe-ui#10": (
        "bd73ab638b22:502:568 [0] include/alloc.h:112 NCCL WARN Cuda failure 999 'unknown error'"
    ),
}
GPU_MISSING = {
    "serend1p1ty/SeqNet#36": (
        "RuntimeError: The NVIDIA driver on your system is too old (found version 11040). Please update your "
        "GPU driver by downloading and installing a new version"
    ),
    "PKU-YuanGroup/Video-LLaVA#22": (
        "RuntimeError: Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before "
        "calling NumCudaDevices() that might have already set an error? Error 804: forward compatibility was "
        "attempted on non supported HW"
    ),
    "yhlleo/DeepSegmentor#31": (
        "RuntimeError: Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before "
        "calling NumCudaDevices() that might have already set an error? Error 803: system has unsupported "
        "display driver / cuda driver combination"
    ),
    "cvat-ai/cvat#406": (
        "ImportError: libcuda.so.1: cannot open shared object file: No such file or directory"
    ),
    "NVIDIA/nvidia-docker#1730": "Failed to initialize NVML: Unknown Error",
    "torch/cuda/__init__.py": (
        "RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and "
        "installed a driver from http://www.nvidia.com/Download/index.aspx"
    ),
}
IMAGE = {
    "vllm-project/vllm#5547": (
        "[rank0]: RuntimeError: CUDA error: no kernel image is available for execution on the device\n"
        "[rank0]: CUDA kernel errors might be asynchronously reported at some other API call"
    ),
    "torch/cuda/__init__.py": "AssertionError: Torch not compiled with CUDA enabled",
    "instructlab/instructlab#2209": (
        "ImportError: libcudnn.so.9: cannot open shared object file: No such file or directory"
    ),
}
USERS = {
    "lm-sys/FastChat#2113": (
        "../aten/src/ATen/native/cuda/Indexing.cu:1146: indexSelectLargeIndex: block: [640,0,0], thread: "
        "[127,0,0] Assertion `srcIndex < srcSelectDimSize` failed.\n"
        "RuntimeError: CUDA error: device-side assert triggered"
    ),
    "huggingface/alignment-handbook#93": (
        "jinja2.exceptions.TemplateError: Conversation roles must alternate user/assistant/user/assistant/..."
    ),
}
COMMUNICATION = {
    "hkproj/pytorch-transformer-distributed#1": (
        "torch.distributed.DistBackendError: NCCL error in: ../torch/csrc/distributed/c10d/"
        "ProcessGroupNCCL.cpp:1333, unhandled system error (run with NCCL_DEBUG=INFO for details), NCCL "
        "version 2.18.6\n"
        "ncclSystemError: System call (e.g. socket, malloc) or external library call failed or device "
        "error.\nLast error:\n"
        "socketStartConnect: Connect to 192.0.2.14<52822> failed : No route to host"
    ),
    "hiyouga/LlamaFactory#7396": (
        "[rank0]:[E321 02:07:08.408271257 ProcessGroupNCCL.cpp:607] [Rank 0] Watchdog caught collective "
        "operation timeout: WorkNCCL(SeqNum=1580, OpType=ALLREDUCE, NumelIn=466119168, NumelOut=466119168, "
        "Timeout(ms)=600000) ran for 600060 milliseconds before timing out."
    ),
    "OFA-Sys/OFA#271": (
        "[E ProcessGroupNCCL.cpp:737] [Rank 1] Watchdog caught collective operation timeout: "
        "WorkNCCL(SeqNum=469508, OpType=ALLREDUCE, Timeout(ms)=1800000) ran for 1802212 milliseconds before "
        "timing out."
    ),
    "hiyouga/LlamaFactory#6849": (
        "[rank5]:[E207 19:37:09.983600771 ProcessGroupNCCL.cpp:1895] [PG ID 0 PG GUID 0(default_pg) Rank 5] "
        "Process group watchdog thread terminated with exception: NCCL error: remote process exited or there "
        "was a network error, NCCL version 2.21.5\n"
        "ncclRemoteError: A call failed possibly due to a network error or a remote process exiting "
        "prematurely.\n"
        "Last error:\n"
        "socketProgressOpt: Call to recv from 192.0.2.53<49901> failed : Broken pipe"
    ),
    "Intellindust-AI-Lab/DEIM#105": (
        "[rank1]:[F ProcessGroupNCCL.cpp:1169] [PG 0 Rank 1] [PG 0 Rank 1] ProcessGroupNCCL's watchdog got "
        "stuck for 600 seconds without making progress in monitoring enqueued collectives."
    ),
    "deepspeedai/DeepSpeed#3916": (
        "RuntimeError: The server socket has failed to listen on any local network address. The server "
        "socket has failed to bind to [::]:29600 (errno: 98 - Address already in use)."
    ),
    "NVIDIA/nccl#1410": (
        "[rank7]: ncclUnhandledCudaError: Call to CUDA function failed.\n"
        "[rank7]: Last error:\n"
        "[rank7]: Cuda failure 1 'invalid argument'"
    ),
}
SHARED_MEMORY = {
    "hkchengrex/STCN#132": (
        "RuntimeError: DataLoader worker (pid 46794) is killed by signal: Bus error. It is possible that "
        "dataloader's workers are out of shared memory. Please try to raise your shared memory limit."
    ),
    "msr-fiddle/pipedream#28": (
        "ERROR: Unexpected bus error encountered in worker. This might be caused by insufficient shared "
        "memory (shm)."
    ),
    "pytorch/ci-infra#490": (
        "g4sfw:202016:202235 [0] misc/shmutils.cc:88 NCCL WARN Error: failed to extend /dev/shm/nccl-WU88OE "
        "to 9637892 bytes, error: No space left on device (28)"
    ),
    "NVIDIA/nccl#525": (
        "[3] include/shm.h:28 NCCL WARN Call to posix_fallocate failed : No space left on device\n"
        "[3] NCCL INFO include/shm.h:41 -> 2\n"
        "[3] include/shm.h:48 NCCL WARN Error while creating shared memory segment "
        "nccl-shm-recv-1462445a6f01cbfc-1-2-3 (size 9637888)"
    ),
}
HOST_MEMORY = {
    "c10/core/impl/alloc_cpu.cpp": (
        "RuntimeError: [enforce fail at alloc_cpu.cpp:116] . DefaultCPUAllocator: can't allocate memory: you "
        "tried to allocate 536870912 bytes. Error code 12 (Cannot allocate memory)"
    ),
    "libstdc++": "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc",
}
KILLED = {
    "hiyouga/LlamaFactory#163": (
        "ERROR:torch.distributed.elastic.multiprocessing.api:failed (exitcode: -9) local_rank: 4 "
        "(pid: 364592) of binary: /opt/venv/bin/python"
    ),
    "deepspeedai/DeepSpeed#3232": (
        "[2023-04-14 13:11:27,885] [ERROR] [launch.py:434:sigkill_handler] ['/usr/bin/python3', '-u', "
        "'main.py', '--local_rank=0'] exits with return code = -9"
    ),
}
DISK_FULL = {
    "hiyouga/LlamaFactory#1223": (
        "RuntimeError: [enforce fail at inline_container.cc:445] . PytorchStreamWriter failed writing file "
        "data/176: file write failed"
    ),
    "torch/serialization.py": (
        "RuntimeError: [enforce fail at inline_container.cc:603] . unexpected pos 41600 vs 41494"
    ),
    "safetensors": (
        "safetensors_rust.SafetensorError: Error while serializing: IoError(Os { code: 28, kind: "
        'StorageFull, message: "No space left on device" })'
    ),
}
DISK_FAULTY = {
    "facebookresearch/mmf#870": (
        "    zip_file.write_record(name, storage.data_ptr(), num_bytes)\n"
        "OSError: [Errno 5] Input/output error\n"
        "During handling of the above exception, another exception occurred:\n"
        "RuntimeError: [enforce fail at inline_container.cc:300] . unexpected pos 640 vs 534"
    ),
    "pytorch/pytorch#10577": "RuntimeError: write(): fd 29 failed with Input/output error",
    "naifu#35": "[rank3]: OSError: [Errno 5] Input/output error: '/app/naifu555'",
}
MODEL_BROKEN = {
    "1230young/bizgen#15": (
        "safetensors_rust.SafetensorError: Error while deserializing header: HeaderTooLarge"
    ),
    "Gourieff/ComfyUI-ReActor#80": (
        "safetensors_rust.SafetensorError: Error while deserializing header: MetadataIncompleteBuffer"
    ),
}
CHECKPOINT_BROKEN = {
    "open-mmlab/mmdetection#4835": (
        "RuntimeError: [enforce fail at inline_container.cc:144] . PytorchStreamReader failed reading zip "
        "archive: failed finding central directory"
    ),
    "hiyouga/LlamaFactory#6208": (
        "RuntimeError: PytorchStreamReader failed reading zip archive: not a ZIP archive"
    ),
}
OVERFLOW = {
    "hiyouga/LlamaFactory#315": (
        "Exception: Current loss scale already at minimum - cannot decrease scale anymore. Exiting run."
    ),
}
HUB_BUSY = {
    "LetheSec/HuggingFace-Download-Accelerator#13": (
        "huggingface_hub.utils._errors.HfHubHTTPError: 429 Client Error: Too Many Requests"
    ),
    "huggingface/huggingface_hub#2060": (
        "huggingface_hub.utils._errors.HfHubHTTPError: 503 Server Error: Service Temporarily Unavailable for "
        "url: https://huggingface.co/timm/vit_large/resolve/main/model.safetensors"
    ),
    "huggingface/huggingface_hub#1643": (
        "OSError: We couldn't connect to 'https://huggingface.co/' to load this model and it looks like "
        "org/model is not the path to a directory conaining a config.json file."
    ),
}
CRASHES = {
    "torch/distributed/elastic, SIGSEGV": "Signal 11 (SIGSEGV) received by PID 62498",
    "torch/distributed/elastic, SIGABRT": "Signal 6 (SIGABRT) received by PID 62498",
}

Group = tuple[dict[str, str], str, ExitCode, str]
GROUPS: tuple[Group, ...] = (
    (GPU_MEMORY, "GPUOutOfMemory", RETRY, "perDeviceTrainBatchSize"),
    (GPU_FAULTS, "GPUFault", RETRY, "drain that node"),
    (GPU_MISSING, "GPUMissing", RETRY, "the node's driver"),
    (IMAGE, "ImageIncomplete", FINAL, "trainer image"),
    (USERS, "TrainingFailed", FINAL, "training."),
    (COMMUNICATION, "CommunicationFailed", RETRY, "sharedMemory"),
    (SHARED_MEMORY, "SharedMemoryFull", FINAL, "infrastructure.sharedMemory"),
    (HOST_MEMORY, "OutOfMemory", RETRY, "resources.limits.memory"),
    (KILLED, "Killed", RETRY, "resources.limits.memory"),
    (DISK_FULL, "WorkspaceFull", RETRY, "free some"),
    (DISK_FAULTY, "WorkspaceFailed", RETRY, "check the volume"),
    (MODEL_BROKEN, "BadModel", FINAL, "/w/models/m"),
    (CHECKPOINT_BROKEN, "CannotResume", FINAL, "existingOutput"),
    (OVERFLOW, "NonFiniteLoss", FINAL, "bf16"),
    (HUB_BUSY, "HubFailed", RETRY, "/w/models/m"),
    (CRASHES, "Crashed", RETRY, "the death of a process"),
)
CASES = [
    pytest.param(text, reason, code, remedy, id=f"{reason}, {issue}")
    for lines, reason, code, remedy in GROUPS
    for issue, text in lines.items()
]


def judged(text: str) -> endings.Ending:
    """Returns the verdict on a training whose log ends so."""
    return verdicts.judge(
        stage=Stage.TRAIN,
        step=7,
        ending=ChildEnding(how="Ended", returncode=1, out_of_memory=False, tail=text),
        failure=None,
        silent_for=0.0,
        folder=Path("/w/out"),
        model="/w/models/m",
        memory_limit=1 << 34,
    )


@pytest.mark.parametrize(("text", "reason", "code", "remedy"), CASES)
def test_a_log_as_it_was_printed(text: str, reason: str, code: ExitCode, remedy: str) -> None:
    noise = "  1%|          | 10/1752 [00:29<1:22:01,  2.83s/it]\n"
    wrapped = TORCHRUN.format(code=1, why=PLAIN)
    ending = judged(f"{noise}[rank0]: Traceback (most recent call last):\n{text}\n{wrapped}")
    assert (ending.reason, endings.EXIT_CODES[ending.outcome]) == (reason, code)
    assert remedy in ending.message
    assert not re.search(r"unknown(?! error)", ending.message)
    assert ending.log_tail is not None and text.splitlines()[-1][:60] in ending.log_tail


@pytest.mark.parametrize(
    ("code", "why", "reason"),
    [
        (-9, "Signal 9 (SIGKILL) received by PID 62498", "Killed"),
        (-7, "Signal 7 (SIGBUS) received by PID 62498", "SharedMemoryFull"),
        (-11, "Signal 11 (SIGSEGV) received by PID 62498", "Crashed"),
        (-6, "Signal 6 (SIGABRT) received by PID 62498", "Crashed"),
        (1, PLAIN, "Crashed"),
    ],
)
def test_a_rank_that_said_nothing_is_told_by_torchrun(code: int, why: str, reason: str) -> None:
    ending = judged(TORCHRUN.format(code=code, why=why))
    assert (ending.reason, endings.EXIT_CODES[ending.outcome]) == (reason, RETRY)


@pytest.mark.parametrize(
    ("cause", "consequence"),
    [
        (GPU_MEMORY["lllyasviel/FramePack#369"], COMMUNICATION["hiyouga/LlamaFactory#6849"]),
        (GPU_FAULTS["tloen/alpaca-lora#123"], COMMUNICATION["hiyouga/LlamaFactory#7396"]),
        (USERS["lm-sys/FastChat#2113"], GPU_FAULTS["isl-org/DPT#4"]),
        (KILLED["hiyouga/LlamaFactory#163"], COMMUNICATION["hiyouga/LlamaFactory#6849"]),
        (SHARED_MEMORY["pytorch/ci-infra#490"], COMMUNICATION["NVIDIA/nccl#1410"]),
        (HOST_MEMORY["libstdc++"], CRASHES["torch/distributed/elastic, SIGABRT"]),
        (DISK_FULL["safetensors"], COMMUNICATION["hiyouga/LlamaFactory#6849"]),
    ],
)
def test_the_cause_is_told_whatever_order_the_lines_came_in(cause: str, consequence: str) -> None:
    alone = judged(cause).reason
    assert judged(f"{cause}\n{consequence}\n").reason == alone
    assert judged(f"{consequence}\n{cause}\n").reason == alone


def test_what_a_sample_of_the_data_says_is_no_symptom() -> None:
    """LLaMA-Factory shows a sample of the data, and logs of agents are full of other programs' errors."""
    shown = logs.as_sample("inputs:\nModuleNotFoundError: No module named 'torch'\n" + "x" * 900 + "\n")
    for sample in (shown, shown[200:]):  # its beginning may be out of sight
        ending = judged(f"{sample}{TORCHRUN.format(code=-9, why='Signal 9 (SIGKILL) received by PID 7')}")
        assert ending.reason == "Killed"
        assert "ModuleNotFoundError" not in (ending.log_tail or "")
        assert "xxx" not in (ending.log_tail or "")
    after = judged(f"{shown}\n{IMAGE['instructlab/instructlab#2209']}\n")
    assert after.reason == "ImageIncomplete"


def test_every_row_is_held_by_a_line() -> None:
    """A row that no line reaches is one that nobody would miss, or one that stands behind another."""
    from tests.image.test_supervisor_messages import LOG_LINES

    printed = [text for lines, *_ in GROUPS for text in lines.values()] + [line for line, *_ in LOG_LINES]
    printed += MORE_LINES
    reached = {_row_of(text) for text in printed}
    missing = [row.pattern.pattern[:60] for row in signature_rows.TABLE if id(row) not in reached]
    assert missing == []


MORE_LINES = [
    "huggingface_hub.errors.RepositoryNotFoundError: 404 Client Error.",
    "OSError: [Errno 27] File too large: '/w/out/checkpoint-4/model.safetensors'",
    "Signal 7 (SIGBUS) received by PID 12",
    "RuntimeError: Too many open files. Communication with the workers is no longer possible.",
]


def _row_of(text: str) -> int | None:
    return next((id(row) for row in signature_rows.TABLE if row.pattern.search(text)), None)


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet="CUDA error: Xid(0)-/'\n`", max_size=3000))
def test_any_text_is_judged_in_no_time(text: str) -> None:
    signatures.find(text)
