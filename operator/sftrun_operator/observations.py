"""What the shell hands to `plan`: the cluster as it was seen in one pass, reduced to what decisions need.

Plain frozen values, no client objects: a table row of a test is one literal. Times are epoch seconds.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sftrun_api.policies import OperatorPolicy
from sftrun_api.reports import Report
from sftrun_api.versions import RELEASES, Release


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionView:
    """A condition of a Job or a pod."""

    status: str
    reason: str = ""
    message: str = ""
    since: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A Job of ours, found by its deterministic name."""

    name: str
    uid: str
    owner_uid: str
    """The uid of the controlling SFTRun; another one's means that the name is taken."""
    attempt: int
    active: int = 0
    failed: int = 0
    succeeded: int = 0
    suspended: bool = False
    deleting: bool = False
    conditions: Mapping[str, ConditionView] = field(default_factory=dict)
    created_at: float = 0.0
    start_time: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerView:
    """The state of the trainer container."""

    state: Literal["waiting", "running", "terminated"]
    reason: str = ""
    message: str = ""
    """For a terminated container: the termination message, as the trainer wrote it (untrusted)."""
    exit_code: int | None = None
    started_at: float | None = None
    finished_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PodView:
    """A pod that carries our label with the run's name, whoever owned it."""

    name: str
    uid: str
    run_uid: str
    attempt: int
    job_uid: str = ""
    """The uid of the controlling Job; empty where there is none. Labels alone can be written by anyone."""
    role: str = "train"
    phase: str = "Pending"
    reason: str = ""
    message: str = ""
    ip: str | None = None
    node: str | None = None
    deleting: bool = False
    conditions: Mapping[str, ConditionView] = field(default_factory=dict)
    container: ContainerView | None = None
    created_at: float = 0.0

    @property
    def terminal(self) -> bool:
        """Whether no container of it will ever run again."""
        return self.phase in ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class WarningView:
    """A Warning event about the attempt's Job or pod: the only place where some causes are told."""

    kind: Literal["Job", "Pod"]
    name: str
    reason: str
    message: str
    last_seen: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyError:
    """A creation or deletion that the API server refused in an earlier pass: quota, a webhook, RBAC, an
    invalid manifest (HTTP 400, 403, 422). The shell goes on trying with back-off while the plan asks for it,
    and clears this when a later pass gets through."""

    verb: Literal["create", "delete"]
    kind: str
    name: str
    code: int
    reason: str
    """The API server's own reason, for example `Forbidden` or `Invalid`."""
    message: str
    """The API server's sentence, for example `exceeded quota: …`; at most 1,024 characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveAnswer:
    """What a pod last answered at `/curve`: parsed, bounded, and about this run."""

    attempt: int
    packed: bytes
    """The JSON text, compressed: a thousand runs' curves stay in memory until their attempts end."""

    @property
    def text(self) -> str:
        """The JSON text."""
        return zlib.decompress(self.packed).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressAnswer:
    """What polling the pod has given so far. `report` is the last good one, already parsed and bounded."""

    pod_uid: str
    report: Report | None = None
    received_at: float | None = None
    unreachable_since: float | None = None
    error: str = ""
    curve: CurveAnswer | None = None
    """Absent once it is kept in a ConfigMap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One SFTRun as the API server gave it. `spec` and `status` are raw: `plan` parses them and answers for
    what does not parse, so that a malformed object is a status and never a crash."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    generation: int
    created_at: float
    deleting: bool
    spec: Mapping[str, Any]
    status: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What exists for a run."""

    proven: bool
    """Whether Job and pods were read live in this pass; if not, absence means nothing."""
    job: JobView | None = None
    """The Job with the current attempt's name."""
    config_map_owner_uid: str | None = None
    """The controlling owner of the ConfigMap with the current attempt's name, `None` where there is none.
    Read live only: a pass from the cache leaves it `None`."""
    pods: tuple[PodView, ...] = ()
    """All pods with the run's name label, of any uid and attempt."""
    collect_job: JobView | None = None
    warnings: tuple[WarningView, ...] = ()
    """Newest first; read only in proven passes while no container runs."""
    answer: ProgressAnswer | None = None
    apply_error: ApplyError | None = None
    """Why what an earlier pass wanted to create or delete is not there: say so, and plan it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorConfig:
    """What the platform engineer set: flags of the process, from the chart's values."""

    trainer_image: str
    version: str
    run_as_user: int | None = 1000
    run_as_group: int | None = 1000
    fs_group: int | None = 1000
    releases: Mapping[str, Release] = field(default_factory=lambda: RELEASES)
    """What the trainer images of releases speak."""
    policy: OperatorPolicy = field(default_factory=OperatorPolicy)
    """From the policy's file, which is read again while the process runs; safe defaults where there is
    none."""
