"""`spec.sources` and `spec.mixing`: where the training data comes from and how it becomes records."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sftrun_api.specs.sections import Section, always
from sftrun_api.specs.values import (
    AtLeast,
    DnsLabel,
    FilePath,
    HubRepo,
    Number,
    Revision,
    Switch,
    Text,
    Whole,
    Word,
)

Scaffold = Literal[
    "Auto",
    "ClaudeCode",
    "OpenCode",
    "OpenHandsSDK",
    "Terminus2",
    "Codex",
    "QwenCode",
    "GeminiCLI",
    "OpenHands",
    "SWEAgent",
    "MiniSWEAgent",
]
FileFormat = Literal["Auto", "ShareGPT", "Alpaca", "OpenAI", "Preference", "XLAM"]
ColumnName = Annotated[Text, Field(min_length=1, max_length=128)]
Renaming = Annotated[dict[ColumnName, ColumnName], Field(max_length=32)]
RepoName = Annotated[Text, Field(min_length=3, max_length=200, pattern=r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$")]


class HarborJob(Section):
    """The trajectories of a Harbor job, or the logs of one scaffold."""

    path: FilePath = Field(
        description="A Harbor job folder, or a folder or file of one scaffold's own logs (these hold no "
        "reward, so all of them are kept). In the workspace, or absolute inside a mount."
    )
    scaffold: Scaffold = Field(
        default="Auto",
        description="The program that wrote the logs. Auto looks at the files and refuses when they are "
        "ambiguous.",
    )


class Tabular(Section):
    """What files and hub data sets have in common: the shape of their records."""

    format: FileFormat = Field(
        default="Auto", description="The shape of the records. Auto looks at the first ones."
    )
    columns: Renaming = Field(
        default_factory=dict,
        description="Maps the names of LLaMA-Factory's columns (or question, context, answer) to the data's "
        "own.",
    )
    tags: Renaming = Field(
        default_factory=dict,
        description="Maps LLaMA-Factory's tags of a ShareGPT message (roleTag, contentTag, userTag, "
        "assistantTag, observationTag, functionTag, systemTag; its own spelling is taken too) "
        "to the data's own.",
    )
    ranking: Switch = Field(
        default=False,
        description="The records hold a chosen and a rejected answer, as training.stage dpo needs.",
    )


class Files(Tabular):
    """Ready-made data in files: JSON, JSONL or Parquet."""

    paths: Annotated[tuple[FilePath, ...], Field(max_length=64), AtLeast(1)] = Field(
        description="The files, read in this order. In the workspace, or absolute inside a mount."
    )


class HuggingFaceData(Tabular):
    """Ready-made data on the Hugging Face hub, fetched at one revision."""

    repo: HubRepo = Field(description="The data set's name on the hub: owner/name.")
    subset: Word | None = Field(
        default=None, description="The data set's configuration; absent: its default one."
    )
    split: Word = Field(default="train", description="The split to train on.")
    revision: Revision | None = Field(
        default=None,
        description="A branch, tag or commit; absent: the default branch. The commit it means at the first "
        "attempt is shown in status.effective and used by all later ones.",
    )


class Conversion(Section):
    """What is kept of a source's trajectories and how it is written down."""

    max_instances: Whole = Field(
        default=0,
        ge=0,
        le=100_000_000,
        description="The most instances to keep, drawn by training.seed among those that pass all other "
        "rules; 0: all.",
    )
    min_reward: Number | None = Field(
        default=None,
        ge=-1e9,
        le=1e9,
        description="The least reward of a trajectory that is kept. Absent: 1.0 for a Harbor job; no such "
        "rule for data that holds no reward.",
    )
    min_score: Number | None = Field(
        default=None,
        ge=0,
        le=1,
        description="The least rule score, from 0 to 1 (tool calls valid, turns in order, task ended). "
        "Absent: no such rule.",
    )
    exclude_repos: Annotated[tuple[RepoName, ...], Field(max_length=1024)] = Field(
        default=(), description="Repositories, owner/name in any case, whose instances are left out."
    )
    exclude_repos_file: FilePath | None = Field(
        default=None,
        description="A file with further repositories to leave out, one owner/name a line. In the "
        "workspace, or absolute inside a mount.",
    )
    exclude_unknown_repos: Switch = Field(
        default=False,
        description="With a list of repositories to leave out: also leave out instances that show no "
        "repository.",
    )
    reasoning: Literal["Keep", "Drop", "Require"] = Field(
        default="Keep",
        description="What becomes of the model's thoughts: Keep them, Drop them, or Require them (a "
        "trajectory without is left out).",
    )
    tool_call_form: Literal["AsSpoken", "Native"] = Field(
        default="AsSpoken",
        description="AsSpoken: tool calls as the model really wrote them and its harness parses them. "
        "Native: as the template's own tool calls.",
    )
    branches: Literal["Longest", "All"] = Field(
        default="Longest",
        description="Of a trajectory whose history was rewritten: the Longest line of conversation, or All "
        "of them (turns that they share are then trained more than once, and counted).",
    )
    samples: Literal["WholeTrajectory", "PerTurn"] = Field(
        default="WholeTrajectory",
        description="WholeTrajectory: one sample, every answer trained. PerTurn: one sample an answer, with "
        "the history exactly as the model saw it and only that answer trained.",
    )
    tools_file: FilePath | None = Field(
        default=None,
        description="A JSON file with tool definitions, for logs that hold none. In the workspace, or "
        "absolute inside a mount.",
    )
    system_file: FilePath | None = Field(
        default=None,
        description="A text file with the system prompt, for logs that hold none. In the workspace, or "
        "absolute inside a mount.",
    )


class Source(Section):
    """One source of training data: exactly one of harborJob, files, huggingFace."""

    name: DnsLabel | None = Field(
        default=None,
        description="A name for counts and messages; no two sources share one. Absent: source-1, source-2 "
        "and so on, by position.",
    )
    harbor_job: HarborJob | None = Field(
        default=None, description="Trajectories of a Harbor job, or one scaffold's own logs."
    )
    files: Files | None = Field(default=None, description="Ready-made data in files.")
    hugging_face: HuggingFaceData | None = Field(
        default=None, description="Ready-made data on the Hugging Face hub."
    )
    weight: Number = Field(
        default=1.0,
        gt=0,
        le=1e6,
        description="The source's share of the samples, in proportion to the other weights. Has a meaning "
        "only with an interleaving mixing.strategy.",
    )
    conversion: Conversion = Field(
        default_factory=always(Conversion),
        description="What is kept of this source and how it is written down.",
    )


class Mixing(Section):
    """How several sources become one data set."""

    strategy: Literal["concat", "interleave_under", "interleave_over", "interleave_once"] = Field(
        default="concat",
        description="LLaMA-Factory's mix_strategy: concat (one after the other), interleave_under (drawn by "
        "weight until the first source is used up), interleave_over (until the last one is), "
        "interleave_once (each sample at most once).",
    )
