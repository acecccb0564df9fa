"""`spec.infrastructure`: what the pod gets and where it may run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sftrun_api.specs.placements import NodeAffinity, Toleration
from sftrun_api.specs.sections import Section, always
from sftrun_api.specs.values import (
    DnsName,
    ImageName,
    LabelKey,
    LabelMap,
    LabelValue,
    Number,
    Quantity,
    Text,
    Whole,
    list_map,
    unique,
)

QuantityMap = Annotated[dict[LabelKey, Quantity], Field(max_length=16)]
Id = Annotated[Whole, Field(ge=0, le=2_147_483_647)]
EnvName = Annotated[Text, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Annotations = Annotated[dict[LabelKey, Annotated[Text, Field(max_length=4096)]], Field(max_length=32)]


class Resources(Section):
    """Requests and limits of the trainer container, beside the GPUs."""

    requests: QuantityMap = Field(
        default_factory=dict,
        description="What the scheduler reserves. Absent: cpu and memory are worked out, shared memory "
        "counted in.",
    )
    limits: QuantityMap = Field(
        default_factory=dict,
        description="What the container cannot exceed. Absent: memory is worked out where no request of it "
        "is written either, and is unlimited where one is.",
    )


class LocalObjectReference(Section):
    """The name of an object in the run's namespace."""

    name: DnsName = Field(description="The object's name.")


class SecurityContext(Section):
    """Whom the pod runs as. It never runs as root and never gains privileges."""

    run_as_user: Id | None = Field(
        default=None, description="The uid of the pod's processes. Absent: the operator's default."
    )
    run_as_group: Id | None = Field(
        default=None, description="The gid of the pod's processes. Absent: the operator's default."
    )
    fs_group: Id | None = Field(
        default=None,
        description="The group that volumes are made writable for. Absent: the operator's default.",
    )
    supplemental_groups: Annotated[tuple[Id, ...], Field(max_length=32)] = Field(
        default=(),
        description="Further groups of the pod's processes, such as the one that owns the workspace.",
    )


class EnvVar(Section):
    """An environment variable of the trainer container."""

    name: EnvName = Field(
        description="The variable's name. Names that change which code runs, and our own, are refused."
    )
    value: Annotated[Text, Field(max_length=4096)] = Field(
        default="", description="Its value, as it is. Secrets belong into credentials."
    )


class Infrastructure(Section):
    """What the pod gets and where it may run."""

    accelerator: Literal["GPU", "CPU"] = Field(
        default="GPU", description="What training computes on. CPU is for trials with tiny models."
    )
    gpus_per_node: Whole | None = Field(
        default=None,
        ge=0,
        le=64,
        description="GPUs that the pod asks for, also with accelerator CPU and in modes that do not use "
        "them. Absent: 8 with accelerator GPU and mode Train, else 0.",
    )
    gpu_resource_name: LabelKey = Field(
        default="nvidia.com/gpu", description="The extended resource that stands for a GPU."
    )
    gpu_memory_gi_b: Number | None = Field(
        default=None,
        gt=0,
        le=4096,
        description="Memory of one GPU in GiB, to judge whether the run fits before a pod sees the GPUs. "
        "Absent: read in the pod.",
    )
    processes_per_node: Whole | None = Field(
        default=None,
        ge=1,
        le=64,
        description="Training processes in the pod. Absent: gpusPerNode with accelerator GPU, 1 with CPU.",
    )
    image: ImageName | None = Field(
        default=None,
        description="The trainer's image; mutable while the run is suspended. Absent: the operator's for "
        "its version. What was used at acceptance is in status.image and stays.",
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        default=None, description="When the image is pulled. Absent: Kubernetes' own rule."
    )
    image_pull_secrets: Annotated[
        tuple[LocalObjectReference, ...], Field(max_length=8), list_map("name"), unique("name")
    ] = Field(default=(), description="Secrets to pull the image with.")
    resources: Resources = Field(
        default_factory=always(Resources),
        description="Requests and limits of the container, beside the GPUs.",
    )
    shared_memory: Quantity | None = Field(
        default=None, description="Size of /dev/shm. Absent: sized for NCCL by the number of processes."
    )
    node_selector: LabelMap = Field(
        default_factory=dict,
        description="Labels that the node must have; mutable while the run is suspended.",
    )
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] = Field(
        default=(), description="Taints that the pod tolerates; mutable while the run is suspended."
    )
    node_affinity: NodeAffinity | None = Field(
        default=None, description="Rules about the node's labels; mutable while the run is suspended."
    )
    priority_class_name: DnsName | None = Field(
        default=None, description="The pod's priority class; mutable while the run is suspended."
    )
    runtime_class_name: DnsName | None = Field(
        default=None, description="The container runtime, such as nvidia. Absent: the cluster's default."
    )
    scheduler_name: DnsName | None = Field(
        default=None, description="The scheduler that places the pod. Absent: the cluster's default."
    )
    queue_name: LabelValue | None = Field(
        default=None,
        min_length=1,
        description="The Kueue LocalQueue that admits the run; mutable while the run is suspended. Absent: "
        "no queue.",
    )
    service_account_name: DnsName | None = Field(
        default=None,
        description="The pod's service account, which the operator's policy must list; its token is never "
        "mounted. Absent: the namespace's default one.",
    )
    security_context: SecurityContext = Field(
        default_factory=always(SecurityContext), description="Whom the pod runs as."
    )
    env: Annotated[tuple[EnvVar, ...], Field(max_length=64), list_map("name"), unique("name")] = Field(
        default=(), description="Environment variables of the trainer, such as NCCL_DEBUG."
    )
    pod_labels: LabelMap = Field(default_factory=dict, description="Further labels of the pod.")
    pod_annotations: Annotations = Field(default_factory=dict, description="Further annotations of the pod.")
