"""Names that operator and trainer must agree on: objects, labels, ports, and where things lie in the pod."""

from __future__ import annotations

from pathlib import PurePosixPath

LABEL_RUN = "sftrun.dev/run"
"""On every object that we create: the run's name. Pods of a deleted and re-created run share it."""
LABEL_RUN_UID = "sftrun.dev/run-uid"
LABEL_ATTEMPT = "sftrun.dev/attempt"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY = "sftrun-operator"
LABEL_ROLE = "sftrun.dev/role"
"""`train` on the attempt's Job and pod, `collect` on the helper that reads a lost report."""
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"

CONTAINER = "trainer"
PROGRESS_PORT = 8080

CONFIG_DIR = PurePosixPath("/etc/sftrun")
"""Where the attempt's ConfigMap is mounted."""
RUN_FILE = "run.json"
LLAMAFACTORY_FILE = "llamafactory.yaml"
DEEPSPEED_FILE = "deepspeed.json"

CREDENTIALS_DIR = PurePosixPath("/etc/sftrun-credentials")
"""Where Secrets are mounted by reference, one file each; the supervisor reads them for its child alone."""
WANDB_KEY_FILE = "wandb-api-key"
HUGGING_FACE_TOKEN_FILE = "hugging-face-token"  # noqa: S105 - a file's name

ENV_POD_UID = "SFTRUN_POD_UID"
ENV_POD_NAME = "SFTRUN_POD_NAME"
ENV_NODE_NAME = "SFTRUN_NODE_NAME"
"""From the downward API."""
ENV_REVISION = "SFTRUN_REVISION"
"""The git commit that the image was built from; set in the image. There are no other variables of ours."""

CURVE_FILE = "curve.json"
"""Key of the ConfigMap that keeps an attempt's curve: the trainer's answer to `/curve`."""

SAID = "sftrun: "
"""How the supervisor's own lines begin in the log of its container."""

TERMINATION_LOG = PurePosixPath("/dev/termination-log")
TERMINATION_MESSAGE_BYTES = 4096


def stage_begins(stage: str) -> str:
    """Returns what the supervisor says before the output of a stage: logs are told apart by it."""
    return f"stage {stage} begins"


def attempt_name(run: str, uid: str, attempt: int) -> str:
    """Returns the name of an attempt's Job and ConfigMap: `<run>-<first 5 of uid>-<attempt>`.

    The uid keeps delete-and-apply from ever meeting its predecessor's objects.
    """
    return f"{run}-{uid[:5]}-{attempt}"


def curve_name(run: str, uid: str, attempt: int) -> str:
    """Returns the name of the ConfigMap that keeps an attempt's curve."""
    return f"{attempt_name(run, uid, attempt)}-curve"
