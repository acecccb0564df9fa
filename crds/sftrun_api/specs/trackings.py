"""`spec.tracking` and `spec.credentials`: where curves go, and which Secrets are used for it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sftrun_api.specs.sections import Section, always
from sftrun_api.specs.values import DnsName, Text, Title, Word

WandbTag = Annotated[Text, Field(min_length=1, max_length=64)]
Url = Annotated[Text, Field(min_length=8, max_length=512, pattern=r"^https?://[^\s\x00-\x1f\x7f@]+$")]
SecretKey = Annotated[Text, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]


class Wandb(Section):
    """Weights & Biases."""

    mode: Literal["Disabled", "Offline", "Online"] = Field(
        default="Disabled",
        description="Disabled: not used. Offline: written to the workspace, to be synced later. Online: "
        "sent while training; needs credentials.wandbAPIKeySecretRef.",
    )
    project: Title | None = Field(
        default=None, description="The project. Absent: Weights & Biases' own default."
    )
    entity: Title | None = Field(default=None, description="The team or user. Absent: the key's owner.")
    group: Title | None = Field(default=None, description="The group that runs are shown in. Absent: none.")
    tags: Annotated[tuple[WandbTag, ...], Field(max_length=32)] = Field(
        default=(), description="Tags of the run."
    )
    run_id: Word | None = Field(
        default=None,
        alias="runID",
        description="The run's id, which all attempts share. Absent: worked out from the run's uid.",
    )
    base_url: Url | None = Field(
        default=None, alias="baseURL", description="A server of one's own. Absent: the public one."
    )


class Tracking(Section):
    """Where curves go."""

    run_name: Title | None = Field(
        default=None, description="The run's name in tracking systems. Absent: the run's name."
    )
    wandb: Wandb = Field(default_factory=always(Wandb), description="Weights & Biases.")


class SecretKeyRef(Section):
    """One key of a Secret in the run's namespace."""

    name: DnsName = Field(description="The Secret's name.")
    key: SecretKey = Field(description="The key in the Secret that holds the value.")


class Credentials(Section):
    """References to Secrets. Their values appear in no object, log or process list."""

    wandb_api_key_secret_ref: SecretKeyRef | None = Field(
        default=None, alias="wandbAPIKeySecretRef", description="The API key of Weights & Biases."
    )
    hugging_face_token_secret_ref: SecretKeyRef | None = Field(
        default=None, description="The token for private or gated models and data on the Hugging Face hub."
    )
