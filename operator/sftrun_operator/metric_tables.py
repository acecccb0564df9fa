"""Every figure that the operator shows, said once: `metrics` makes them from these rows, and docs/metrics.md
is written from them.

No label has a value for each run. Ten thousand runs would be ten thousand series a metric, most of them of
runs that ended long ago, and the operator would have to keep each of them for as long as it lives. What one
run does is asked of its pod, whose series end with it; what all runs do together is asked here. Label values
are members of the tables below, or come from a small closed set (verbs, HTTP codes, kinds).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from sftrun_api.reasons import Reason
from sftrun_api.statuses import Phase

Type = Literal["counter", "gauge", "histogram"]

NEW = "New"
OTHER = "Other"
PHASES: tuple[str, ...] = (NEW, *get_args(Phase), OTHER)
"""`New`: nobody has written a status yet. `Other`: a phase of a newer operator."""
REASONS = frozenset(str(reason) for reason in Reason)
USES = ("useful", "preparing", "waiting", "lost")
"""What GPUs that a pod holds are held for; see `gpu_times`."""
RESULTS = ("ok", "conflict", "refused", "error", "unavailable", "timeout")
"""How a look at a run ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One metric. `name` is without the `_total` that a counter's samples end in."""

    name: str
    type: Type
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def shown(self) -> str:
        """The name to ask Prometheus for."""
        return f"{self.name}_total" if self.type == "counter" else self.name


_SHORT = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 60.0)
_STARTS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
_LONG = (15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 21_600.0, 86_400.0)

# Runs, all together. Shown by the leader alone, so that a sum over replicas counts nothing twice.
RUNS = Row(name="sftrun_runs", type="gauge", labels=("phase",), meaning="SFTRuns, by phase.")
RUN_GPUS = Row(
    name="sftrun_run_gpus",
    type="gauge",
    labels=("phase",),
    meaning="GPUs that the SFTRuns in a phase ask for, whether or not they have them.",
)
GPU_SECONDS = Row(
    name="sftrun_gpu_seconds",
    type="counter",
    labels=("use",),
    meaning="GPU-seconds that pods held on nodes, by what they were held for.",
)
ENDED = Row(
    name="sftrun_runs_ended",
    type="counter",
    labels=("phase", "reason"),
    meaning="Ends of SFTRuns: Succeeded, Failed or Rejected, and why. Other: a reason of nobody we know.",
)
ATTEMPTS = Row(
    name="sftrun_run_attempts", type="counter", meaning="Attempts begun; more than runs means restarts."
)
APPLY_TO_JOB = Row(
    name="sftrun_run_apply_to_job_seconds",
    type="histogram",
    buckets=_STARTS,
    meaning="From first hearing of a new SFTRun to its Job being there.",
)
APPLY_TO_FIRST_STEP = Row(
    name="sftrun_run_apply_to_first_step_seconds",
    type="histogram",
    buckets=_LONG,
    meaning="From the creation of an SFTRun to the first training step that its pod told of, queues "
    "included; runs that were restarted before it are left out.",
)

# The operator's own work.
RECONCILES = Row(
    name="sftrun_operator_reconciles",
    type="counter",
    labels=("result",),
    meaning="Looks at a run, by how they ended.",
)
RECONCILE_SECONDS = Row(
    name="sftrun_operator_reconcile_seconds",
    type="histogram",
    buckets=_SHORT,
    meaning="Duration of one look at a run, calls to the API server included.",
)
QUEUE_DEPTH = Row(name="sftrun_operator_queue_depth", type="gauge", meaning="Runs that wait to be looked at.")
QUEUE_OLDEST = Row(
    name="sftrun_operator_queue_oldest_seconds", type="gauge", meaning="How long the next run has waited."
)
WORKING = Row(name="sftrun_operator_working", type="gauge", meaning="Runs that are being looked at.")
API_REQUESTS = Row(
    name="sftrun_operator_api_requests",
    type="counter",
    labels=("verb", "resource", "code"),
    meaning="Requests to the API server, kopf's watches apart; code is the HTTP code, or unreachable.",
)
API_SECONDS = Row(
    name="sftrun_operator_api_request_seconds",
    type="histogram",
    labels=("verb",),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 10.0),
    meaning="Duration of requests to the API server.",
)
API_SILENT = Row(
    name="sftrun_operator_api_silent_seconds",
    type="gauge",
    meaning="Since the API server's last answer; it is asked every ten seconds at least.",
)
WATCH_AGE = Row(
    name="sftrun_operator_watch_age_seconds",
    type="gauge",
    labels=("kind",),
    meaning="Since the watch last told of an object of the kind, or the start; long where nothing happens.",
)
WATCH_RESTARTS = Row(
    name="sftrun_operator_watch_restarts",
    type="counter",
    meaning="Times that the watch ended and was started again.",
)
LIST_AGE = Row(
    name="sftrun_operator_list_age_seconds",
    type="gauge",
    meaning="Since everything was last listed, or the start; each list proves the watch or restarts it.",
)
MISSED = Row(
    name="sftrun_operator_missed_changes",
    type="counter",
    meaning="Changes that a list found and the watch did not tell of.",
)
POLLS = Row(
    name="sftrun_operator_progress_polls",
    type="counter",
    labels=("result",),
    meaning="Progress polls of pods: ok, unreachable, bad (no report), no curve.",
)
POLLED_PODS = Row(name="sftrun_operator_polled_pods", type="gauge", meaning="Pods whose progress is polled.")
CACHED = Row(
    name="sftrun_operator_cached_objects",
    type="gauge",
    labels=("kind",),
    meaning="Objects in the operator's memory.",
)
LEADING = Row(
    name="sftrun_operator_leading", type="gauge", meaning="1 while this process is the one that works."
)
POLICY_CURRENT = Row(
    name="sftrun_operator_policy_current",
    type="gauge",
    meaning="1 while runs are judged by the policy's file as it stands, 0 while it holds a mistake.",
)
CRD_CURRENT = Row(
    name="sftrun_operator_crd_current",
    type="gauge",
    meaning="1 while the CRD that is served has every field of this operator's, 0 while it drops some.",
)
BUILD_INFO = Row(
    name="sftrun_operator_build_info", type="gauge", labels=("version",), meaning="1; the operator's version."
)

ROWS: tuple[Row, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Row))
"""All of the above, in this order."""
