"""Every reason that a condition, a failure or an event carries, each with its message, in one table.

A reason is for programs and never changes its spelling; the message is for people: what happened, which
field, object or file, and what to do. Operator and trainer take both from here, so that one cause reads the
same wherever it was noticed.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from string import Formatter

MESSAGE_LENGTH = 1024
"""The most that a message of a condition or a failure may have (`statuses`)."""


class Reason(StrEnum):
    """One CamelCase word; its value is its text in conditions, failures and events."""

    # Acceptance.
    ACCEPTED = "Accepted"
    INVALID_SPEC = "InvalidSpec"
    POLICY_DENIED = "PolicyDenied"
    UNSUPPORTED_IMAGE = "UnsupportedImage"

    # The ordinary course of a run.
    QUEUED = "Queued"
    WAITING_FOR_POD = "WaitingForPod"
    STARTING = "Starting"
    PREPARING = "Preparing"
    TRAINING = "Training"
    COLLECTING_RESULT = "CollectingResult"
    DATA_READY = "DataReady"
    DATA_NOT_READY = "DataNotReady"
    PROGRESS_ANSWERED = "ProgressAnswered"
    NO_POD = "NoPod"
    HEALTHY = "Healthy"
    NOT_RUNNING = "NotRunning"
    SUSPENDING = "Suspending"
    SUSPENDED = "Suspended"
    NOT_SUSPENDED = "NotSuspended"
    RESTARTED = "Restarted"
    RESTART_REFUSED = "RestartRefused"
    COMPLETED = "Completed"
    STOPPED_EARLY = "StoppedEarly"
    NOT_FINISHED = "NotFinished"
    RETRYING = "Retrying"

    # What heals once the cause is gone: Pending, never Failed.
    VOLUME_CLAIM_MISSING = "VolumeClaimMissing"
    VOLUME_BUSY = "VolumeBusy"
    SECRET_MISSING = "SecretMissing"  # noqa: S105 - a word for people
    CONFIG_MAP_MISSING = "ConfigMapMissing"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    POD_FORBIDDEN = "PodForbidden"
    OBJECT_INVALID = "ObjectInvalid"
    QUOTA_EXCEEDED = "QuotaExceeded"
    UNSCHEDULABLE = "Unschedulable"
    PREVIOUS_POD_TERMINATING = "PreviousPodTerminating"
    NAME_TAKEN = "NameTaken"
    NODE_LOST = "NodeLost"
    JOB_DELETED = "JobDeleted"

    # Health.
    PROGRESS_UNREACHABLE = "ProgressUnreachable"
    REPORT_VERSION_UNSUPPORTED = "ReportVersionUnsupported"
    REPORT_NOT_OURS = "ReportNotOurs"
    STALLED = "Stalled"
    NON_FINITE_LOSS = "NonFiniteLoss"
    DIVERGED = "Diverged"

    # Ends that another try may avoid, until the tries are used up.
    OUT_OF_MEMORY = "OutOfMemory"
    GPU_OUT_OF_MEMORY = "GPUOutOfMemory"
    CRASHED = "Crashed"
    HUB_FAILED = "HubFailed"
    SOURCE_CHANGING = "SourceChanging"
    WORKSPACE_FULL = "WorkspaceFull"
    WORKSPACE_FAILED = "WorkspaceFailed"
    SHARED_MEMORY_FULL = "SharedMemoryFull"
    GPU_FAULT = "GPUFault"
    GPU_MISSING = "GPUMissing"
    COMMUNICATION_FAILED = "CommunicationFailed"
    KILLED = "Killed"
    LOCK_LOST = "LockLost"

    # Ends.
    NO_PROGRESS = "NoProgress"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    START_TIMEOUT = "StartTimeout"
    RETRIES_EXHAUSTED = "RetriesExhausted"
    RESULT_LOST = "ResultLost"
    JOB_FAILED = "JobFailed"
    MISSING_JOB_FOLDER = "MissingJobFolder"
    EMPTY_JOB = "EmptyJob"
    UNREADABLE_SOURCE = "UnreadableSource"
    NO_TRAJECTORIES_LEFT = "NoTrajectoriesLeft"
    BAD_DATA = "BadData"
    BAD_REQUEST = "BadRequest"
    UNKNOWN_FORMAT = "UnknownFormat"
    LENGTH_OVERFLOW = "LengthOverflow"
    MISSING_MODEL = "MissingModel"
    BAD_MODEL = "BadModel"
    TEMPLATE_MISMATCH = "TemplateMismatch"
    CUTOFF_TOO_LONG = "CutoffTooLong"
    OUTPUT_FOLDER_TAKEN = "OutputFolderTaken"
    OUTPUT_FOLDER_NOT_EMPTY = "OutputFolderNotEmpty"
    CANNOT_RESUME = "CannotResume"
    NOT_WRITABLE = "NotWritable"
    TRAINING_FAILED = "TrainingFailed"
    WEIGHTS_MISSING = "WeightsMissing"
    PREFLIGHT_FAILED = "PreflightFailed"
    BAD_RUN_FILE = "BadRunFile"
    IMAGE_INCOMPLETE = "ImageIncomplete"
    CREDENTIAL_MISSING = "CredentialMissing"


HEALING = frozenset(
    {
        Reason.VOLUME_CLAIM_MISSING,
        Reason.VOLUME_BUSY,
        Reason.SECRET_MISSING,
        Reason.CONFIG_MAP_MISSING,
        Reason.IMAGE_PULL_FAILED,
        Reason.POD_FORBIDDEN,
        Reason.OBJECT_INVALID,
        Reason.QUOTA_EXCEEDED,
        Reason.UNSCHEDULABLE,
        Reason.PREVIOUS_POD_TERMINATING,
        Reason.NAME_TAKEN,
        Reason.NODE_LOST,
        Reason.JOB_DELETED,
    }
)
"""Reasons for which a run waits: it goes on by itself once the cause is gone."""


MESSAGES: Mapping[Reason, str] = {
    Reason.ACCEPTED: "the spec is accepted and fixed; image {image}",
    Reason.INVALID_SPEC: "{details}",
    Reason.POLICY_DENIED: "rule {rule} of the operator's policy does not allow this: {details}",
    Reason.UNSUPPORTED_IMAGE: (
        "infrastructure.image {image}: {details}; choose an image of this operator's version"
    ),
    Reason.QUEUED: "the Job is suspended until Kueue admits it from queue {queue}",
    Reason.WAITING_FOR_POD: "Job {job} is created and its pod is awaited",
    Reason.STARTING: "pod {pod} is starting on node {node}",
    Reason.PREPARING: "pod {pod} prepares the data",
    Reason.TRAINING: "pod {pod} trains",
    Reason.COLLECTING_RESULT: "training has ended; its result is being collected",
    Reason.DATA_READY: "{converted} records are ready for training",
    Reason.DATA_NOT_READY: "the data is not prepared yet",
    Reason.PROGRESS_ANSWERED: "pod {pod} answers on its progress port",
    Reason.NO_POD: "no trainer is running",
    Reason.HEALTHY: "nothing unusual is seen",
    Reason.NOT_RUNNING: "no pod of this run is running",
    Reason.SUSPENDING: (
        "the pod writes its checkpoint and ends; no new one starts before that, nor while spec.suspend is "
        "true"
    ),
    Reason.SUSPENDED: "no pod is left and nothing is reserved; set spec.suspend to false to go on",
    Reason.NOT_SUSPENDED: "the run is not suspended",
    Reason.RESTARTED: "restartRequest {request}: the run starts again as attempt {attempt}",
    Reason.RESTART_REFUSED: (
        "restartRequest {request} is not acted on: the run has succeeded; create a run with another name "
        "to train again"
    ),
    Reason.COMPLETED: "the run has succeeded after {steps} steps; the model is in {path}",
    Reason.STOPPED_EARLY: (
        "the validation loss no longer fell, so training ended early after {steps} steps; the model is "
        "in {path}"
    ),
    Reason.NOT_FINISHED: "the run has not finished",
    Reason.RETRYING: "pod {pod} ended and another one follows: {cause}",
    Reason.VOLUME_CLAIM_MISSING: (
        "claim {claim} does not exist in this namespace or is not bound; create it, and the run goes on "
        "by itself"
    ),
    Reason.VOLUME_BUSY: (
        "a volume cannot be mounted because another node uses it: {details}; end the pod that uses it, "
        "or use a ReadWriteMany claim"
    ),
    Reason.SECRET_MISSING: (
        "Secret or key {secret} does not exist in this namespace; create it, and the run goes on by itself"
    ),
    Reason.CONFIG_MAP_MISSING: (
        "ConfigMap or key {config_map} does not exist in this namespace; create it, and the run goes on "
        "by itself"
    ),
    Reason.IMAGE_PULL_FAILED: (
        "image {image} cannot be pulled: {details}; push it, or suspend the run and correct "
        "infrastructure.image, or correct the Secrets in imagePullSecrets"
    ),
    Reason.POD_FORBIDDEN: (
        "the API server refuses the pod: {details}; allow it in this namespace, and the run goes on by itself"
    ),
    Reason.OBJECT_INVALID: (
        "the API server calls what the spec asks for invalid: {details}; suspend the run and correct the "
        "field if it may change then (tolerations, nodeAffinity, nodeSelector, queueName, "
        "priorityClassName, image), else create a run with another name"
    ),
    Reason.QUOTA_EXCEEDED: (
        "a quota of this namespace does not allow the pod: {details}; it starts when enough is free"
    ),
    Reason.UNSCHEDULABLE: "no node can take the pod now: {details}; it starts when one can",
    Reason.PREVIOUS_POD_TERMINATING: (
        "pod {pod} of an earlier run or attempt {state}; the run starts when it is gone"
    ),
    Reason.NAME_TAKEN: (
        "{kind} {name} exists and belongs to somebody else; delete it, and the run goes on by itself"
    ),
    Reason.JOB_DELETED: (
        "somebody has deleted the Job of attempt {attempt}, as those before it; find out who deletes Jobs "
        "in this namespace: the run goes on by itself, with one attempt a minute"
    ),
    Reason.PROGRESS_UNREACHABLE: (
        "pod {pod} does not answer on port {port} ({details}); training goes on unseen: allow the "
        "operator to reach it in NetworkPolicies and the service mesh"
    ),
    Reason.REPORT_VERSION_UNSUPPORTED: (
        "pod {pod} speaks report version {told}, which this operator does not read (it reads {ours}); "
        "training goes on unseen, and its end is judged by the Job and the files"
    ),
    Reason.REPORT_NOT_OURS: (
        "what pod {pod} answers is passed over: {details}; look at what else listens on its progress port"
    ),
    Reason.STALLED: (
        "no sign of life in stage {stage} for {seconds} s; look at the pod's log for a hanging "
        "collective or file system, or raise lifecycle.stallTimeoutSeconds if the stage is really that "
        "slow"
    ),
    Reason.NON_FINITE_LOSS: (
        "the loss is not a number since step {step}; lower training.learningRate, use precision bf16, or "
        "look for broken samples; the last checkpoint is kept"
    ),
    Reason.DIVERGED: (
        "the loss rose to {loss} at step {step}; lower training.learningRate or warm up longer; the last "
        "checkpoint is kept"
    ),
    Reason.OUT_OF_MEMORY: (
        "the container ran out of memory ({limit}) in stage {stage} at step {step}; raise "
        "infrastructure.resources.limits.memory, or lower training.preprocessingNumWorkers or "
        "sharedMemory"
    ),
    Reason.GPU_OUT_OF_MEMORY: (
        "a GPU ran out of memory in stage {stage} at step {step}; lower training.perDeviceTrainBatchSize "
        "or cutoffLen, set deepspeed.offloadOptimizer: CPU, or use finetuningType: lora"
    ),
    Reason.NODE_LOST: (
        "node {node} no longer answers, so nobody knows whether pod {pod} still writes, and no other one is "
        "started beside it; if the node is off, delete its Node object or taint it with "
        "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute, and the run goes on by itself"
    ),
    Reason.CRASHED: "stage {stage} ended with {details}; see the failure's log tail",
    Reason.HUB_FAILED: (
        "{name} could not be fetched from the hub: {details}; check the name, the revision and "
        "credentials.huggingFaceTokenSecretRef"
    ),
    Reason.SOURCE_CHANGING: "{path} changes while it is read; start the run when it is written completely",
    Reason.WORKSPACE_FULL: "no space is left for {path}; free some, or use a larger claim",
    Reason.WORKSPACE_FAILED: "{path} could not be written: {details}; check the volume",
    Reason.SHARED_MEMORY_FULL: (
        "the shared memory is full in stage {stage} ({details}); raise infrastructure.sharedMemory, or "
        "lower training.dataloaderNumWorkers"
    ),
    Reason.GPU_FAULT: (
        "a GPU reported a fault ({details}); if it comes back on the same node, drain that node"
    ),
    Reason.GPU_MISSING: (
        "no usable GPU is in the pod ({details}); check infrastructure.gpuResourceName, runtimeClassName "
        "and the node's driver"
    ),
    Reason.COMMUNICATION_FAILED: (
        "the training processes lost each other ({details}); often one of them died first: look at the "
        "pod's log; else raise infrastructure.sharedMemory"
    ),
    Reason.KILLED: (
        "a process of stage {stage} was killed with SIGKILL at step {step}, mostly for want of memory; "
        "raise infrastructure.resources.limits.memory, or lower training.preprocessingNumWorkers and "
        "dataloaderNumWorkers"
    ),
    Reason.LOCK_LOST: "{details} This pod has ended itself, so that only one writes there",
    Reason.NO_PROGRESS: (
        "{starts} starts in a row ended without a newer checkpoint, the last with {cause}; remove the "
        "cause and raise spec.restartRequest"
    ),
    Reason.DEADLINE_EXCEEDED: (
        "the attempt took longer than lifecycle.activeDeadlineSeconds ({seconds} s); raise it and "
        "spec.restartRequest to go on from the last checkpoint"
    ),
    Reason.START_TIMEOUT: (
        "pod {pod} held node {node} for {seconds} s (lifecycle.startTimeoutSeconds) without starting "
        "({details}); remove the cause and raise spec.restartRequest"
    ),
    Reason.RETRIES_EXHAUSTED: (
        "{retries} retries are used up (lifecycle.maxRetries), the last with {cause}; remove the cause "
        "and raise spec.restartRequest"
    ),
    Reason.RESULT_LOST: (
        "the Job is complete but no result could be read ({details}); look for sftrun-report.json in the "
        "output folder, or raise spec.restartRequest: stages that are done are not done again"
    ),
    Reason.JOB_FAILED: "Job {job} failed: {details}",
    Reason.MISSING_JOB_FOLDER: (
        "{path} does not exist; correct the path of source {source} or put the data on the claim"
    ),
    Reason.EMPTY_JOB: "{path} holds no trial and no log; correct the path of source {source}",
    Reason.UNREADABLE_SOURCE: (
        "{path} cannot be read ({details}); give uid {uid}, gid {gid} the right to read, or set "
        "infrastructure.securityContext"
    ),
    Reason.NO_TRAJECTORIES_LEFT: (
        "{read} trajectories were read and all left out ({details}); loosen the conversion of the sources"
    ),
    Reason.BAD_DATA: "no trajectory in {path} can be read ({details}); write the data again",
    Reason.BAD_REQUEST: "{details}",
    Reason.UNKNOWN_FORMAT: "{path}: {details}; name the scaffold or the format of source {source}",
    Reason.LENGTH_OVERFLOW: (
        "{count} samples are longer than training.cutoffLen {cutoff}; raise it, or set dataset.overlong "
        "to CutAtTurn or Drop"
    ),
    Reason.MISSING_MODEL: (
        "model {path} does not exist or is not complete ({details}); correct spec.model or put the model "
        "there"
    ),
    Reason.BAD_MODEL: (
        "model {path} cannot be loaded: {details}; put its files there again, whole and of one version"
    ),
    Reason.TEMPLATE_MISMATCH: (
        "training.template {template} does not fit the model in {path}: {details}; choose the model's "
        "own template"
    ),
    Reason.CUTOFF_TOO_LONG: (
        "training.cutoffLen {cutoff} is above the model's native length {native}; lower it or set "
        "ropeScaling: auto"
    ),
    Reason.OUTPUT_FOLDER_TAKEN: (
        "{path} is in use by run {owner}; choose another training.outputDir or wait for that run's end"
    ),
    Reason.OUTPUT_FOLDER_NOT_EMPTY: (
        "{path} already holds {found}; choose another training.outputDir, or set existingOutput to "
        "Resume or Overwrite"
    ),
    Reason.CANNOT_RESUME: (
        "{path} cannot be resumed: {details}; choose another training.outputDir or set existingOutput: "
        "Overwrite"
    ),
    Reason.NOT_WRITABLE: (
        "{path} is not writable for uid {uid}, gid {gid} (it has owner {owner}, mode {mode}); change the "
        "folder, or set infrastructure.securityContext to its owner"
    ),
    Reason.TRAINING_FAILED: "training ended with an error that another try cannot help: {details}",
    Reason.WEIGHTS_MISSING: (
        "training ended but {path} holds no loadable weights; see the log, and free space on the claim "
        "if it is full"
    ),
    Reason.PREFLIGHT_FAILED: "{count} checks failed before training: {details}",
    Reason.BAD_RUN_FILE: (
        "the run file cannot be read by this image ({details}); use an image of the operator's version"
    ),
    Reason.IMAGE_INCOMPLETE: (
        "the image lacks what training needs ({details}); use the trainer image of the operator's version"
    ),
    Reason.CREDENTIAL_MISSING: (
        "{path} is not there or empty; {field} must name a Secret and a key that hold the value"
    ),
}
"""The message of every reason; `{…}` is filled in by `explain`."""


class _Given(dict[str, object]):
    """Values of a template; what nobody knew is said to be unknown rather than ending a pass."""

    def __missing__(self, key: str) -> str:
        return "unknown"


def explain(reason: Reason, **values: object) -> str:
    """Returns the reason's message with its values filled in, cut to what a status may hold.

    A value is taken as it is: braces in it have no meaning. A value that is missing, `None` or empty reads
    `unknown`.
    """
    given = _Given({key: value for key, value in values.items() if value not in (None, "")})
    message = MESSAGES[reason].format_map(given)
    return message if len(message) <= MESSAGE_LENGTH else message[: MESSAGE_LENGTH - 1] + "…"


def placeholders(reason: Reason) -> frozenset[str]:
    """Returns the names of the values that the reason's message wants."""
    return frozenset(name for _, name, _, _ in Formatter().parse(MESSAGES[reason]) if name)
