"""`spec.workspace` and `spec.volumes`: where files lie."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sftrun_api.specs.sections import Section, always
from sftrun_api.specs.values import (
    AtLeast,
    DnsName,
    LabelKey,
    LabelMap,
    MountPath,
    Quantity,
    SubPath,
    Switch,
    Text,
    Whole,
)

ConfigKey = Annotated[Text, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]


class PersistentVolumeClaim(Section):
    """A claim in the run's namespace."""

    claim_name: DnsName = Field(description="The claim's name.")


class Workspace(Section):
    """The volume that a run reads from and writes to; all relative paths lie in it."""

    persistent_volume_claim: PersistentVolumeClaim = Field(description="The claim that holds the workspace.")
    sub_path: SubPath | None = Field(
        default=None, description="A folder in the claim that is the workspace. Absent: the claim's root."
    )
    mount_path: MountPath = Field(default="/workspace", description="Where the workspace is seen in the pod.")


class CsiSecret(Section):
    """A Secret that a CSI driver is given."""

    name: DnsName = Field(description="The Secret's name.")


class CsiVolume(Section):
    """An inline volume of a CSI driver."""

    driver: DnsName = Field(description="The driver's name.")
    read_only: Switch = Field(default=False, description="Mount without the right to write.")
    fs_type: Annotated[Text, Field(min_length=1, max_length=32)] | None = Field(
        default=None, description="The file system. Absent: the driver's default."
    )
    volume_attributes: Annotated[
        dict[Annotated[Text, Field(min_length=1, max_length=128)], Annotated[Text, Field(max_length=1024)]],
        Field(max_length=32),
    ] = Field(default_factory=dict, description="Settings that the driver knows.")
    node_publish_secret_ref: CsiSecret | None = Field(
        default=None, description="The Secret that the driver is given. Absent: none."
    )


class ConfigMapItem(Section):
    """One key of a ConfigMap as a file."""

    key: ConfigKey = Field(description="The key.")
    path: SubPath = Field(description="The file's path below the mount.")
    mode: Whole | None = Field(default=None, ge=0, le=511, description="The file's mode. Absent: 0644.")


class ConfigMapVolume(Section):
    """A ConfigMap as files."""

    name: DnsName = Field(description="The ConfigMap's name.")
    items: Annotated[tuple[ConfigMapItem, ...], Field(max_length=64)] = Field(
        default=(), description="The keys that become files. Absent: all."
    )
    optional: Switch = Field(default=False, description="Start without it if it does not exist.")


class ClaimTemplateMetadata(Section):
    """Labels and annotations of the claim."""

    labels: LabelMap = Field(default_factory=dict, description="The claim's labels.")
    annotations: Annotated[dict[LabelKey, Annotated[Text, Field(max_length=1024)]], Field(max_length=32)] = (
        Field(default_factory=dict, description="The claim's annotations.")
    )


class ClaimResources(Section):
    """How much storage is asked for."""

    requests: Annotated[dict[Literal["storage"], Quantity], Field(min_length=1, max_length=1)] = Field(
        description="The storage asked for."
    )


class ClaimTemplateSpec(Section):
    """What the claim asks for."""

    access_modes: Annotated[
        tuple[Literal["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"], ...],
        Field(max_length=4),
        AtLeast(1),
    ] = Field(description="How the volume may be mounted.")
    resources: ClaimResources = Field(description="How much storage is asked for.")
    storage_class_name: DnsName | None = Field(
        default=None, description="The storage class. Absent: the cluster's default."
    )


class VolumeClaimTemplate(Section):
    """A claim that lives as long as the pod."""

    metadata: ClaimTemplateMetadata = Field(
        default_factory=always(ClaimTemplateMetadata), description="Labels and annotations of the claim."
    )
    spec: ClaimTemplateSpec = Field(description="What the claim asks for.")


class EphemeralVolume(Section):
    """Storage that lives as long as the pod."""

    volume_claim_template: VolumeClaimTemplate = Field(description="The claim that is made for the pod.")


class Volume(Section):
    """A further volume: exactly one of persistentVolumeClaim, csi, configMap, ephemeral."""

    mount_path: MountPath = Field(description="Where the volume is seen in the pod.")
    read_only: Switch = Field(default=False, description="Mount without the right to write.")
    persistent_volume_claim: PersistentVolumeClaim | None = Field(
        default=None, description="A claim in the run's namespace; NFS goes through one."
    )
    csi: CsiVolume | None = Field(default=None, description="An inline volume of a CSI driver.")
    config_map: ConfigMapVolume | None = Field(default=None, description="A ConfigMap as files.")
    ephemeral: EphemeralVolume | None = Field(
        default=None, description="Storage that lives as long as the pod."
    )
