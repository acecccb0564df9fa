"""From the words of a log to a reason, and whether another try can help: one table.

Its order is its meaning, because the first row that matches wins. Causes stand before their consequences: a
token outside the vocabulary trips an assertion on the GPU, the GPU then refuses everything, the other ranks
complain about the connection, and torchrun kills them. What is final is what a user has to change (data,
model, image, a size in the spec); what machines do to a run is tried again, and `starts` sees to it that it
is not tried for ever. Each row is held by lines that programs really printed
(`tests/image/test_signatures.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sftrun_api.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One row."""

    pattern: re.Pattern[str]
    reason: Reason
    final: bool
    details: str
    """What it means and what to do; `{0}` is the match's first group. Empty: the log's line says it."""


def _row(pattern: str, reason: Reason, *, final: bool, details: str = "") -> Signature:
    return Signature(pattern=re.compile(pattern), reason=reason, final=final, details=details)


_DATA_ON_THE_GPU = (
    _row(
        r"Assertion `[^\n]{0,40}(?:srcIndex < srcSelectDimSize|index >= -?sizes|t >= 0 && t < n_classes|"
        r"ind >=? ?0 && ind < |idx_dim < )[^\n]{0,80}` failed|CUDA error: device-side assert triggered",
        Reason.TRAINING_FAILED,
        final=True,
        details="a token lies outside the model's vocabulary, or a sequence is longer than its positions: "
        "see that model and tokenizer belong together, resize_vocab in training.extraArgs, and cutoffLen",
    ),
)

_MEMORY = (
    _row(
        r"(?:CUDA|HIP) out of memory|torch\.(?:cuda\.)?OutOfMemoryError|CUDA error: out of memory|"
        r"CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED|(?i:Cuda failure)[^\n]{0,8} 'out of memory'|"
        r"CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate",
        Reason.GPU_OUT_OF_MEMORY,
        final=False,
    ),
    _row(
        r"DefaultCPUAllocator: (?:can't allocate|not enough) memory|Cannot allocate memory|std::bad_alloc|"
        r"(?m:^(?:\[rank\d+\]: ?)?MemoryError\b)",
        Reason.OUT_OF_MEMORY,
        final=False,
    ),
    _row(
        r"/dev/shm\b[^\n]*No space left on device|No space left on device[^\n]*/dev/shm|"  # noqa: S108
        r"Error while creating shared memory segment|Call to posix_fallocate failed|"
        r"unable to (?:write to file|allocate shared memory)[^\n]*</?torch_|"
        r"DataLoader worker \(pid[^\n]*killed by signal: Bus error|insufficient shared memory",
        Reason.SHARED_MEMORY_FULL,
        final=True,
    ),
)

_DISK = (
    _row(
        r"No space left on device|\[Errno 28\]|Disk quota exceeded|\[Errno 122\]|os error (?:28|122)\)",
        Reason.WORKSPACE_FULL,
        final=False,
    ),
    _row(
        r"Read-only file system|\[Errno 30\]|os error 30\)",
        Reason.WORKSPACE_FAILED,
        final=True,
        details="a folder that must be written is read-only",
    ),
    _row(
        r"File too large|\[Errno 27\]|os error 27\)",
        Reason.WORKSPACE_FAILED,
        final=True,
        details="the volume, or a limit of this process, allows no file of that size",
    ),
    _row(
        r"Input/output error|\[Errno 5\]|Stale file handle|\[Errno 116\]|Remote I/O error|\[Errno 121\]|"
        r"Transport endpoint is not connected|\[Errno 107\]|Structure needs cleaning|\[Errno 117\]",
        Reason.WORKSPACE_FAILED,
        final=False,
        details="the volume did not answer as it should",
    ),
    _row(
        r"PytorchStreamWriter failed writing|inline_container\.cc[^\n]*unexpected pos",
        Reason.WORKSPACE_FULL,
        final=False,
    ),
)

_DATA = (
    _row(
        r"Undefined dataset ([^\n]{1,100})",
        Reason.BAD_DATA,
        final=True,
        details="data set {0} is not in dataset_info.json",
    ),
    _row(
        r"Cannot open [^\n]{1,200}dataset_info\.json",
        Reason.BAD_DATA,
        final=True,
        details="the registration dataset_info.json cannot be read",
    ),
    _row(
        r"Expected object or value|pyarrow\.lib\.ArrowInvalid: JSON parse error|"
        r"An error occurred while generating the dataset",
        Reason.BAD_DATA,
        final=True,
        details="the data set's file is corrupt",
    ),
    _row(
        r"corresponds to no data|Cannot find valid samples|num_samples should be a positive integer",
        Reason.BAD_DATA,
        final=True,
        details="no sample was left: see dataset.excluded, sources[].conversion and training.cutoffLen",
    ),
    _row(
        r"KeyError: '(conversations|messages|instruction|prompt|chosen|rejected)'",
        Reason.BAD_DATA,
        final=True,
        details="there is no column {0}: name it in the source's columns",
    ),
)

_ARGUMENTS = (
    _row(
        r"Some keys are not used by the HfArgumentParser: ([^\n]{1,200})",
        Reason.TRAINING_FAILED,
        final=True,
        details="LLaMA-Factory does not know {0}: see training.extraArgs",
    ),
    _row(
        r"Template (\S{1,100}) does not exist",
        Reason.TRAINING_FAILED,
        final=True,
        details="training.template {0} is not one of LLaMA-Factory's",
    ),
    _row(
        r"Unknown task: ?([^\n]{1,60})",
        Reason.TRAINING_FAILED,
        final=True,
        details="training.stage is unknown to LLaMA-Factory: {0}",
    ),
    _row(
        r"'[<>]=?' not supported between instances of 'str' and '(?:int|float)'",
        Reason.TRAINING_FAILED,
        final=True,
        details="a number was given as text: see training.extraArgs",
    ),
    _row(
        r"jinja2\.exceptions\.TemplateError|Conversation roles must alternate|"
        r"tokenizer\.chat_template is not set",
        Reason.TRAINING_FAILED,
        final=True,
        details="the model's own chat template refuses a conversation: see training.template",
    ),
    _row(
        r"Current loss scale already at minimum",
        Reason.NON_FINITE_LOSS,
        final=True,
    ),
)

_MODEL = (
    _row(
        r"SafetensorError: Error while deserializing|safetensors[^\n]{0,40}(?:HeaderTooLarge|"
        r"MetadataIncompleteBuffer|InvalidHeader)|_pickle\.UnpicklingError",
        Reason.BAD_MODEL,
        final=True,
        details="a file of weights is cut short, or not what its name says",
    ),
    _row(
        r"Repo id must be in the form|does not appear to have a file named|"
        r"is not a local folder and is not a valid model identifier|Can't load tokenizer for",
        Reason.MISSING_MODEL,
        final=True,
    ),
    _row(
        r"401 Client Error|403 Client Error|GatedRepoError|Access to model [^\n]{1,100} is restricted",
        Reason.HUB_FAILED,
        final=True,
        details="the hub refused: the token must be allowed to read it",
    ),
    _row(
        r"RepositoryNotFoundError|RevisionNotFoundError",
        Reason.HUB_FAILED,
        final=True,
        details="the hub does not have it",
    ),
    _row(
        r"429 Client Error|Too Many Requests",
        Reason.HUB_FAILED,
        final=False,
        details="the hub is asked too often from here",
    ),
    _row(
        r"LocalEntryNotFoundError|MaxRetryError|ConnectionError|ReadTimeout|50[0234] Server Error|"
        r"We couldn't connect to 'https?:|Temporary failure in name resolution",
        Reason.HUB_FAILED,
        final=False,
        details="the server could not be reached",
    ),
    _row(
        r"Can't find a valid checkpoint|DP world size of \d+ but the current world size is \d+|"
        r"Error\(s\) in loading state_dict|PytorchStreamReader failed (?:reading|locating)",
        Reason.CANNOT_RESUME,
        final=True,
        details="the checkpoint is incomplete, or was written with other settings or numbers of processes",
    ),
)

_IMAGE_AND_DRIVER = (
    _row(
        r"CUDA driver version is insufficient|Found no NVIDIA driver|No CUDA GPUs are available|"
        r"CUDA unknown error|NVIDIA driver on your system is too old|libcuda\.so\.1: cannot open shared|"
        r"Unexpected error from cudaGetDeviceCount|Failed to initialize NVML|"
        r"CUDA error: (?:invalid device ordinal|system not yet initialized|no CUDA-capable device|"
        r"(?:all )?CUDA-capable device)",
        Reason.GPU_MISSING,
        final=False,
    ),
    _row(
        r"no kernel image is available for execution|Torch not compiled with CUDA enabled|"
        r"PTX was compiled with an unsupported toolchain",
        Reason.IMAGE_INCOMPLETE,
        final=True,
        details="its torch was not built for this kind of GPU",
    ),
    _row(
        r"CUDA error: (?:an illegal (?:memory access|instruction)|uncorrectable ECC|"
        r"unspecified launch failure|misaligned|unknown error|hardware stack error|"
        r"Invalid access of peer GPU memory)|(?i:Cuda failure)[^\n]{0,8} 'unknown error'|"
        r"uncorrectable (?:ECC|NVLink) error|"
        r"(?:GPU has |NVRM: )fallen off the bus|GPU is lost|\bXid\b[^\n]{0,24}\d|"
        r"CUBLAS_STATUS_(?:EXECUTION_FAILED|INTERNAL_ERROR|MAPPING_ERROR|NOT_INITIALIZED)|"
        r"CUDNN_STATUS_(?:EXECUTION_FAILED|INTERNAL_ERROR|MAPPING_ERROR|NOT_INITIALIZED)",
        Reason.GPU_FAULT,
        final=False,
    ),
    _row(
        r"Failed to find C compiler|fatal error: Python\.h|Ninja is required",
        Reason.IMAGE_INCOMPLETE,
        final=True,
        details="a compiler or headers that Triton or DeepSpeed needs",
    ),
    _row(
        r"ModuleNotFoundError: No module named '([^']{1,80})'|ImportError: ([^\n]{1,120})",
        Reason.IMAGE_INCOMPLETE,
        final=True,
        details="{0}",
    ),
)

_PROCESSES = (
    _row(
        r"Signal 9 \(SIGKILL\)|exitcode *: -9\b|return code = -9\b|"
        r"DataLoader worker \(pid[^\n]*killed by signal: Killed",
        Reason.KILLED,
        final=False,
    ),
    _row(
        r"Signal 7 \(SIGBUS\)|exitcode *: -7\b",
        Reason.SHARED_MEMORY_FULL,
        final=False,
        details="a process died of a bus error",
    ),
    _row(
        r"Watchdog caught collective operation timeout|watchdog got stuck for \d+ seconds|NCCL error|"
        r"nccl(?:System|Internal|Remote|UnhandledCuda)Error|Connection (?:closed|reset) by peer|"
        r"Timed out waiting \d+ms for (?:recv|send)|Address already in use|EADDRINUSE|"
        r"Broken pipe|recvValue failed|DistNetworkError|DistStoreError",
        Reason.COMMUNICATION_FAILED,
        final=False,
    ),
    _row(
        r"(Signal (?:6 \(SIGABRT|11 \(SIGSEGV|4 \(SIGILL|8 \(SIGFPE)\)|exitcode *: -(?:11|6|4|8)\b)",
        Reason.CRASHED,
        final=False,
        details="the death of a process ({0})",
    ),
    _row(
        r"Too many open files|\[Errno 24\]",
        Reason.CRASHED,
        final=False,
        details="too many open files; lower training.dataloaderNumWorkers",
    ),
)

TABLE = (
    *_DATA_ON_THE_GPU,
    *_MEMORY,
    *_DISK,
    *_DATA,
    *_ARGUMENTS,
    *_MODEL,
    *_IMAGE_AND_DRIVER,
    *_PROCESSES,
)  # fmt: skip
