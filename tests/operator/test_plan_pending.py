"""Why no container runs: reasons that heal, told in words, each written once."""

from __future__ import annotations

from typing import Any

import pytest
from tests.operator.plan_factories import (
    NOW,
    UID,
    accepted,
    after,
    condition,
    ended,
    job,
    kinds,
    look,
    pending,
    pod,
    reason,
    run,
    running,
    seen,
    settled,
    told,
    training,
    unscheduled,
    warning,
)

from sftrun_operator.observations import ApplyError, Observed

FORBIDDEN = 'Error creating: pods "swe-abcde-1-x" is forbidden: '
QUOTA = FORBIDDEN + "exceeded quota: gpus, requested: 8, used: 8, limited: 8"
SECURITY = FORBIDDEN + 'violates PodSecurity "restricted:latest": runAsNonRoot != true'
MULTI_ATTACH = 'Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) other'

CAUSES: dict[str, tuple[Observed, str, tuple[str, ...]]] = {
    "claim missing": (
        seen(
            job=job(),
            pods=(unscheduled('0/1 nodes are available: persistentvolumeclaim "training" not found.'),),
        ),
        "VolumeClaimMissing",
        ("claim training", "create it"),
    ),
    "claim unbound": (
        seen(job=job(), pods=(unscheduled("0/1 nodes: pod has unbound immediate PersistentVolumeClaims."),)),
        "VolumeClaimMissing",
        ("not bound",),
    ),
    "no GPU free": (
        seen(
            job=job(),
            pods=(
                unscheduled("0/2 nodes are available: 2 Insufficient nvidia.com/gpu. preemption: 0/2 nodes"),
            ),
        ),
        "Unschedulable",
        ("2 Insufficient nvidia.com/gpu",),
    ),
    "image cannot be pulled": (
        seen(
            job=job(), pods=(pending(waiting="ErrImagePull", message="registry.test/trainer:1: not found"),)
        ),
        "ImagePullFailed",
        ("registry.test/trainer:1", "not found"),
    ),
    "image cannot be pulled again": (
        seen(job=job(), pods=(pending(waiting="ImagePullBackOff", message='Back-off pulling image "x"'),)),
        "ImagePullFailed",
        ("infrastructure.image",),
    ),
    "image name invalid": (
        seen(job=job(), pods=(pending(waiting="InvalidImageName", message="couldn't parse"),)),
        "ImagePullFailed",
        ("couldn't parse",),
    ),
    "secret missing": (
        seen(
            job=job(),
            pods=(pending(),),
            warnings=(
                warning(
                    "Pod", "FailedMount", 'MountVolume.SetUp failed for volume "c": secret "hf" not found'
                ),
            ),
        ),
        "SecretMissing",
        ("hf", "create it"),
    ),
    "key of a secret missing": (
        seen(
            job=job(),
            pods=(pending(),),
            warnings=(warning("Pod", "FailedMount", "references non-existent secret key: token"),),
        ),
        "SecretMissing",
        ("token",),
    ),
    "secret missing, told by the container": (
        seen(
            job=job(), pods=(pending(waiting="CreateContainerConfigError", message='secret "hf" not found'),)
        ),
        "SecretMissing",
        ("hf",),
    ),
    "config map missing": (
        seen(
            job=job(),
            pods=(pending(),),
            warnings=(warning("Pod", "FailedMount", 'configmap "tools" not found'),),
        ),
        "ConfigMapMissing",
        ("tools",),
    ),
    "volume busy": (
        seen(job=job(), pods=(pending(),), warnings=(warning("Pod", "FailedAttachVolume", MULTI_ATTACH),)),
        "VolumeBusy",
        ("ReadWriteMany",),
    ),
    "pod forbidden": (
        seen(job=job(), warnings=(warning("Job", "FailedCreate", SECURITY),)),
        "PodForbidden",
        ('violates PodSecurity "restricted:latest"', "runAsNonRoot"),
    ),
    "quota exceeded": (
        seen(job=job(), warnings=(warning("Job", "FailedCreate", QUOTA),)),
        "QuotaExceeded",
        ("exceeded quota: gpus",),
    ),
    "nothing known": (seen(job=job()), "WaitingForPod", ("swe-abcde-1",)),
    "starting": (seen(job=job(), pods=(pending(),)), "Starting", ("node-1",)),
    "starting, with trouble": (
        seen(
            job=job(), pods=(pending(waiting="CreateContainerError", message="subPath: permission denied"),)
        ),
        "Starting",
        ("node-1", "CreateContainerError", "permission denied"),
    ),
    "starting, with trouble of its volume": (
        seen(job=job(), pods=(pending(),), warnings=(warning("Pod", "FailedMount", "mount.nfs: timed out"),)),
        "Starting",
        ("mount.nfs: timed out",),
    ),
    "old news": (
        seen(job=job(), warnings=(warning("Job", "FailedCreate", QUOTA, age=4000),)),
        "WaitingForPod",
        ("swe-abcde-1",),
    ),
    "another pod's news": (
        seen(
            job=job(),
            pods=(pending(),),
            warnings=(warning("Pod", "FailedMount", 'secret "x" not found', name="o"),),
        ),
        "Starting",
        ("node-1",),
    ),
    "between two tries": (
        seen(job=job(failed=1), pods=(ended(code=1),)),
        "Retrying",
        ("swe-abcde-1-pod1", "exit code 1"),
    ),
    "the Job is being deleted by someone": (
        running(job=job(deleting=True)),
        "PreviousPodTerminating",
        ("swe-abcde-1-pod1",),
    ),
}


@pytest.mark.parametrize("case", CAUSES)
def test_says_why_and_heals(case: str) -> None:
    observed, expected, words = CAUSES[case]
    status = settled(accepted(), observed)
    assert (status["phase"], reason(status), condition(status, "Running")["status"]) == (
        "Pending",
        expected,
        "False",
    )
    for word in words:
        assert word in condition(status, "Running")["message"]
    assert status["message"] == condition(status, "Running")["message"]
    again = look(run(status), observed)
    assert (again.status_patch, again.events) == (None, ())
    assert settled(status, running())["phase"] == "Preparing"


@pytest.mark.parametrize(
    "queued",
    [seen(job=job(suspended=True)), seen(job=job(), pods=(unscheduled("x", reason="SchedulingGated"),))],
)
def test_waits_for_its_queue(queued: Observed) -> None:
    change: dict[str, Any] = {"infrastructure": {"queueName": "gold"}}
    status = settled(accepted(**change), queued, **change)
    assert (status["phase"], reason(status)) == ("Queued", "Queued")


def test_names_the_queue() -> None:
    change: dict[str, Any] = {"infrastructure": {"queueName": "gold"}}
    assert "gold" in settled(accepted(**change), seen(job=job(suspended=True)), **change)["message"]


def test_a_warning_event_tells_a_new_cause_once() -> None:
    observed = CAUSES["quota exceeded"][0]
    made = look(run(accepted()), observed)
    assert told(made) == [("Warning", "QuotaExceeded")]


def test_the_wording_of_a_cause_that_stays_is_not_written_again() -> None:
    first = seen(job=job(), pods=(unscheduled("0/2 nodes are available: 2 Insufficient nvidia.com/gpu"),))
    status = settled(accepted(), first)
    other = seen(job=job(), pods=(unscheduled("0/3 nodes are available: 3 Insufficient nvidia.com/gpu"),))
    assert look(run(status), other).status_patch is None


def test_trouble_that_comes_while_starting_is_told_once() -> None:
    status = settled(accepted(), seen(job=job(), pods=(pending(),)))
    first = seen(
        job=job(), pods=(pending(),), warnings=(warning("Pod", "FailedMount", "timed out after 2 s"),)
    )
    status = settled(status, first)
    assert status["message"].endswith(": timed out after 2 s")
    second = seen(
        job=job(), pods=(pending(),), warnings=(warning("Pod", "FailedMount", "timed out after 3 s"),)
    )
    assert look(run(status), second).status_patch is None
    assert look(run(status), seen(job=job(), pods=(pending(),))).status_patch is None


def test_another_missing_claim_is_told() -> None:
    first = seen(job=job(), pods=(unscheduled('persistentvolumeclaim "training" not found'),))
    second = seen(job=job(), pods=(unscheduled('persistentvolumeclaim "models" not found'),))
    assert "models" in settled(settled(accepted(), first), second)["message"]


PROOF: dict[str, tuple[Observed, bool]] = {
    "no Job at all": (seen(proven=False), True),
    "Job without a pod for long": (seen(proven=False, job=job()), True),
    "Job without a pod just now": (seen(proven=False, job=job(created_at=NOW - 1)), False),
    "pod that starts for long": (seen(proven=False, job=job(), pods=(pending(),)), True),
    "pod that no node takes": (seen(proven=False, job=job(), pods=(unscheduled("Insufficient cpu"),)), False),
    "pod that runs": (running(proven=False), False),
    "Job that is done": (seen(proven=False, job=job(ended="Complete"), pods=(ended(),)), True),
    "Job that failed": (seen(proven=False, job=job(ended="Failed")), True),
    "between two tries": (seen(proven=False, job=job(failed=1), pods=(ended(code=1),)), False),
}


@pytest.mark.parametrize("case", PROOF)
def test_asks_for_proof_only_where_absence_decides(case: str) -> None:
    observed, expected = PROOF[case]
    made = look(run(accepted()), observed)
    assert made.prove is expected
    if expected:
        assert (made.status_patch, made.create, made.delete, made.events) == (None, (), (), ())
    only_to_say_why = case in ("Job without a pod for long", "pod that starts for long")
    assert made.may_wait is only_to_say_why
    assert (made.look_again_in is not None) is (only_to_say_why or not expected)


REFUSALS: dict[str, tuple[str, str]] = {
    "exceeded quota: jobs, requested: 1": ("QuotaExceeded", "exceeded quota: jobs"),
    'admission webhook "no" denied the request': ("PodForbidden", "denied the request"),
}


@pytest.mark.parametrize("message", REFUSALS)
def test_says_what_the_api_server_refused_and_tries_again(message: str) -> None:
    expected, words = REFUSALS[message]
    error = ApplyError(
        verb="create", kind="Job", name="swe-abcde-1", code=403, reason="Forbidden", message=message
    )
    made = look(run(accepted()), seen(apply_error=error))
    status = after(run(accepted()), made)
    assert (reason(status), kinds(made)) == (expected, ["ConfigMap swe-abcde-1", "Job swe-abcde-1"])
    assert words in status["message"]


def test_our_own_config_map_is_made_again_for_a_pod_that_waits_for_it() -> None:
    missing = warning("Pod", "FailedMount", 'configmap "swe-abcde-1" not found')
    observed = seen(job=job(), pods=(pending(),), warnings=(missing,))
    assert kinds(look(run(accepted()), observed)) == ["ConfigMap swe-abcde-1"]
    there = seen(job=job(), pods=(pending(),), warnings=(missing,), config_map_owner_uid=UID)
    assert look(run(accepted()), there).create == ()


def test_a_pod_that_ended_well_is_not_a_retry() -> None:
    status = training()
    assert look(run(status), seen(job=job(), pods=(ended(code=0),))).status_patch is None


def test_a_replaced_pod_is_pending_again_and_then_runs() -> None:
    status = settled(training(), seen(job=job(failed=1), pods=(ended(1, code=1),)))
    assert (status["phase"], status["retries"]) == ("Pending", 1)
    status = settled(status, running(job=job(failed=1), pods=(ended(1, code=1), pod(2))))
    assert (status["phase"], status["podName"]) == ("Preparing", "swe-abcde-1-pod2")


def test_pods_of_strangers_with_our_labels_are_not_ours() -> None:
    made: Any = look(run(accepted()), running(pods=(pod(job_uid="other"),)))
    assert made.poll_pod is None
