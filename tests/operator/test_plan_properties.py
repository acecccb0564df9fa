"""`plan` is total, pure, idempotent and frugal, whatever object, status, surroundings and report it is
given."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.operator.plan_factories import (
    CONFIG,
    NOW,
    SPEC,
    UID,
    accepted,
    after,
    answer,
    merged,
    report,
    run,
    running,
    said,
    settled,
    success,
)

from sftrun_api.reports import Report, Stage
from sftrun_api.statuses import SFTRunStatus
from sftrun_operator.decisions import Plan
from sftrun_operator.observations import (
    ApplyError,
    ConditionView,
    ContainerView,
    JobView,
    Observed,
    PodView,
    ProgressAnswer,
    Run,
    WarningView,
)
from sftrun_operator.plans import plan

GENTLE = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
times = st.floats(min_value=-1e12, max_value=1e12) | st.sampled_from(
    [0.0, NOW - 5000, NOW - 100, NOW, NOW + 50]
)
words = st.sampled_from(
    [
        "",
        "OOMKilled",
        "ErrImagePull",
        "BackoffLimitExceeded",
        'secret "x" not found',
        'persistentvolumeclaim "x" not found',
        "exceeded quota: x",
        said(success()),
        said(report(stage=Stage.PREPARE)),
        "{",
        "\ud800\x00",
    ]
) | st.text(max_size=30)


def _paths(value: Any, at: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [at] if at else []
    if isinstance(value, dict):
        for key, item in value.items():
            found += _paths(item, (*at, key))
    return found


FULL = merged(
    SPEC,
    {
        "suspend": False,
        "restartRequest": 1,
        "mode": "Train",
        "mixing": {"strategy": "concat"},
        "dataset": {"name": "d", "overlong": "Drop", "validation": {"fraction": 0.1}},
        "training": {
            "extraArgs": {"neftune_noise_alpha": 5},
            "lrSchedulerArgs": {"a": 1},
            "save": {"steps": 5},
        },
        "deepspeed": {"zeroStage": 3, "config": {"zero_optimization": {"stage": 3}}},
        "infrastructure": {"resources": {"limits": {"memory": "8Gi"}}, "sharedMemory": "1Gi", "env": []},
        "volumes": [],
        "lifecycle": {"maxRetries": 1, "activeDeadlineSeconds": 60, "startTimeoutSeconds": 60},
        "tracking": {"wandb": {"mode": "Offline"}},
        "credentials": {},
    },
)


@st.composite
def specs(draw: st.DrawFn) -> Any:
    """A good spec with up to three places that hold anything."""
    spec: Any = copy.deepcopy(FULL)
    for _ in range(draw(st.integers(0, 3))):
        *parents, last = draw(st.sampled_from(_paths(FULL)))
        place = spec
        for key in parents:
            place = place.get(key) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place[last] = draw(anything)
    return spec


conditions = st.dictionaries(
    st.sampled_from(["Complete", "Failed", "FailureTarget", "PodScheduled", "Ready", "x"]),
    st.builds(
        ConditionView, status=st.sampled_from(["True", "False", ""]), reason=words, message=words, since=times
    ),
    max_size=3,
)
jobs = st.builds(
    JobView,
    name=st.sampled_from(["swe-abcde-1", "x" * 300]),
    uid=st.sampled_from(["job-1", ""]),
    owner_uid=st.sampled_from([UID, UID, "other"]),
    attempt=st.integers(0, 3),
    failed=st.integers(0, 9),
    suspended=st.booleans(),
    deleting=st.booleans(),
    conditions=conditions,
    created_at=times,
    start_time=st.none() | times,
)
containers = st.builds(
    ContainerView,
    state=st.sampled_from(["waiting", "running", "terminated"]),
    reason=words,
    message=words,
    exit_code=st.none() | st.integers(-(2**40), 2**40) | st.sampled_from([0, 1, 64, 75, 137]),
    started_at=st.none() | times,
    finished_at=st.none() | times,
)
pods = st.builds(
    PodView,
    name=st.sampled_from(["swe-abcde-1-pod1", "swe-abcde-1-pod2", "p" * 300]),
    uid=st.sampled_from(["pod-1", "pod-2"]),
    run_uid=st.sampled_from([UID, UID, "other"]),
    attempt=st.integers(0, 3),
    job_uid=st.sampled_from(["", "job-1", "other"]),
    role=st.sampled_from(["train", "train", "collect", "?"]),
    phase=st.sampled_from(["Pending", "Running", "Succeeded", "Failed", "Unknown", "?"]),
    reason=words,
    message=words,
    node=st.sampled_from([None, "node-1"]),
    deleting=st.booleans(),
    conditions=conditions,
    container=st.none() | containers,
    created_at=times,
)


@st.composite
def reports(draw: st.DrawFn) -> Report:
    """A report that parses, with values at and beyond what a status takes."""
    stage = draw(st.sampled_from(list(Stage)))
    base = draw(st.sampled_from([report(stage=stage), success(), report(attempt=2), report(pod_uid="x")]))
    effective = draw(st.dictionaries(st.text(max_size=80), anything, max_size=4))
    return base.model_copy(update={"effective": effective, "message": draw(words)})


observations = st.builds(
    Observed,
    proven=st.booleans(),
    job=st.none() | jobs,
    config_map_owner_uid=st.sampled_from([None, UID, "other"]),
    pods=st.lists(pods, max_size=3).map(tuple),
    collect_job=st.none() | jobs,
    warnings=st.lists(
        st.builds(
            WarningView,
            kind=st.sampled_from(["Job", "Pod"]),
            name=st.sampled_from(["swe-abcde-1", "swe-abcde-1-pod1"]),
            reason=st.sampled_from(["FailedCreate", "FailedMount", "x"]),
            message=words,
            last_seen=times,
        ),
        max_size=2,
    ).map(tuple),
    answer=st.none()
    | st.builds(
        ProgressAnswer,
        pod_uid=st.sampled_from(["pod-1", "pod-2"]),
        report=st.none() | reports(),
        unreachable_since=st.none() | times,
        error=words,
    ),
    apply_error=st.none()
    | st.builds(
        ApplyError,
        verb=st.sampled_from(["create", "delete"]),
        kind=st.just("Job"),
        name=words,
        code=st.just(403),
        reason=words,
        message=words,
    ),
)

STATUS_KEYS = sorted((field.alias or name) for name, field in SFTRunStatus.model_fields.items())
CONDITION_TYPES = ("Accepted", "Running", "Suspended", "Succeeded", "Failed", "Healthy", "Future")
statuses = st.dictionaries(st.sampled_from(STATUS_KEYS) | st.text(max_size=8), anything, max_size=4).flatmap(
    lambda junk: st.builds(
        lambda listed, attempt: {"conditions": listed, "attempt": attempt, "specHash": "x"} | junk,
        st.lists(
            st.fixed_dictionaries(
                {
                    "type": st.sampled_from(CONDITION_TYPES),
                    "status": st.sampled_from(["True", "False", "Unknown"]),
                    "reason": words,
                    "lastTransitionTime": st.sampled_from(["2027-01-15T08:00:00Z", "yesterday"]),
                }
            ),
            max_size=5,
        ),
        st.integers(0, 3),
    )
)


@st.composite
def lived_statuses(draw: st.DrawFn) -> Any:
    """A status as passes over random surroundings leave it: what `plan` itself may meet."""
    status: Any = {}
    for _ in range(draw(st.integers(0, 3))):
        the_run = _run(
            FULL | {"suspend": draw(st.booleans()), "restartRequest": draw(st.integers(0, 2))}, status
        )
        status = after(the_run, plan(the_run, draw(observations), now=NOW, config=CONFIG))
    return status


def _run(spec: Any, status: Any) -> Run:
    return Run(
        namespace="team",
        name="swe",
        uid=UID,
        resource_version="1",
        generation=1,
        created_at=NOW,
        deleting=False,
        spec=spec,
        status=status,
    )


def _proven(observed: Observed) -> Observed:
    return Observed(
        **{name: getattr(observed, name) for name in Observed.__dataclass_fields__} | {"proven": True}
    )


def _sound(made: Plan, observed: Observed) -> None:
    if made.prove:
        assert not observed.proven
        if made.may_wait:
            assert made.look_again_in is not None, "who may wait is looked at again"
        assert made == Plan(prove=True, may_wait=made.may_wait, look_again_in=made.look_again_in)
    if made.create:
        assert observed.proven
    json.dumps(made.status_patch, allow_nan=False).encode("utf-8")
    json.dumps(made.create, allow_nan=False)
    if made.look_again_in is not None:
        assert made.look_again_in > 0
    for note in made.events:
        assert len(note.message) <= 1024


@GENTLE
@given(spec=specs(), status=statuses | lived_statuses(), observed=observations, now=times)
def test_total_whatever_it_is_given(spec: Any, status: Any, observed: Observed, now: float) -> None:
    the_run = _run(spec, status)
    before = copy.deepcopy((the_run.spec, the_run.status))
    made = plan(the_run, observed, now=now, config=CONFIG)
    _sound(made, observed)
    assert plan(the_run, observed, now=now, config=CONFIG) == made
    assert repr(before) == repr((the_run.spec, the_run.status))


@GENTLE
@given(spec=anything, status=anything, observed=observations)
def test_total_for_garbage(spec: Any, status: Any, observed: Observed) -> None:
    the_run = _run(
        spec if isinstance(spec, dict) else {"spec": spec},
        status if isinstance(status, dict) else {"status": status},
    )
    _sound(plan(the_run, observed, now=NOW, config=CONFIG), observed)


@GENTLE
@given(spec=specs(), status=lived_statuses(), observed=observations)
def test_a_plan_carried_out_needs_no_second_write(spec: Any, status: Any, observed: Observed) -> None:
    """The same surroundings once more: at most one further write (a limit that the first one made
    visible)."""
    observed = _proven(observed)
    writes = 0
    for _ in range(4):
        the_run = _run(spec, status)
        made = plan(the_run, observed, now=NOW, config=CONFIG)
        writes += made.status_patch is not None
        status = after(the_run, made)
    the_run = _run(spec, status)
    last = plan(the_run, observed, now=NOW, config=CONFIG)
    assert last.status_patch is None, (writes, last.status_patch)
    assert last.events == ()


@GENTLE
@given(status=lived_statuses(), observed=observations)
def test_what_is_written_is_a_status(status: Any, observed: Observed) -> None:
    the_run = _run(FULL, status)
    written = after(the_run, plan(the_run, observed, now=NOW, config=CONFIG))
    SFTRunStatus.model_validate(written)
    kinds = [c["type"] for c in written.get("conditions", [])]
    assert len(kinds) == len(set(kinds))
    assert len(json.dumps(written)) < 200_000


@GENTLE
@given(status=lived_statuses(), observed=observations)
def test_never_two_live_trainers(status: Any, observed: Observed) -> None:
    made = plan(_run(FULL, status), observed, now=NOW, config=CONFIG)
    trainers = [
        m for m in made.create if m["kind"] == "Job" and not m["metadata"]["name"].endswith("-collect")
    ]
    if trainers:
        assert not [pod for pod in observed.pods if pod.role == "train" and not pod.terminal]


@GENTLE
@given(status=lived_statuses(), first=observations, second=observations)
def test_an_end_is_for_ever(status: Any, first: Observed, second: Observed) -> None:
    spec = FULL | {"restartRequest": 0}
    the_run = _run(spec, status)
    status = after(the_run, plan(the_run, _proven(first), now=NOW, config=CONFIG))
    if status.get("phase") not in ("Succeeded", "Failed"):
        return
    made = plan(_run(spec, status), second, now=NOW, config=CONFIG)
    assert (made.status_patch, made.create, made.events) == (None, (), ())


DEEP: Any = {"a": 1}
for _ in range(3000):
    DEEP = {"a": DEEP}


@pytest.mark.parametrize("where", ["extraArgs", "lrSchedulerArgs"])
def test_a_spec_of_absurd_depth_is_refused(where: str) -> None:
    made = plan(
        _run(SPEC | {"training": {"template": "qwen3", where: DEEP}}, {}),
        Observed(proven=True),
        now=NOW,
        config=CONFIG,
    )
    assert "deeper" in str(made.status_patch)


def test_a_status_of_absurd_depth_is_left_alone() -> None:
    made = plan(
        _run(SPEC, {"effective": DEEP, "future": DEEP}), Observed(proven=True), now=NOW, config=CONFIG
    )
    assert made.create
    assert "future" not in (made.status_patch or {})


def test_a_report_of_absurd_depth_is_left_alone() -> None:
    deep: Any = 1
    for _ in range(400):
        deep = [deep]
    status = settled(accepted(), running(answer=answer(report(effective={"deep": deep, "flat": 1}))))
    assert (status["effective"]["flat"], "deep" in status["effective"]) == (1, False)


def test_a_huge_spec_is_told_shortly() -> None:
    the_run = run(sources=[{"harborJob": {"path": 1}}] * 5000)
    made = plan(the_run, Observed(proven=True), now=NOW, config=CONFIG)
    assert len(str(made.status_patch)) < 20_000
