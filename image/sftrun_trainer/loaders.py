"""LLaMA-Factory's own loader, template and tokenizer, as training would use them.

Imported only where a set must be made: the libraries take ten seconds.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sftrun_api.models import JsonObject
from sftrun_api.reasons import Reason
from sftrun_api.statuses import Check
from sftrun_data.results import LFDataset
from sftrun_trainer import labels, lengths, logs, mixtures, registrations, template_checks
from sftrun_trainer.failures import failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be tokenised, and how."""

    datasets: tuple[LFDataset, ...]
    arguments: JsonObject
    """LLaMA-Factory's, as rendered."""
    model: Path
    overlong: str
    shares: tuple[float, ...]
    """Of the sources in an interleaved mix; empty for a concatenation."""
    num_workers: int


class Loader:
    """LLaMA-Factory's arguments, tokenizer and template, as it makes them itself."""

    def __init__(self, job: Job, scratch: Path) -> None:
        from llamafactory.data import get_template_and_fix_tokenizer  # noqa: PLC0415
        from llamafactory.model import load_tokenizer  # noqa: PLC0415

        self._job = job
        self._scratch = scratch
        self._parsed = self._parse(job.datasets, registration=scratch, mixed=False)
        try:
            self._module = load_tokenizer(self._parsed.model)
        except Exception as error:
            raise failure(Reason.BAD_MODEL, path=job.model, details=f"its tokenizer: {error}") from error
        tokenizer = self._module["tokenizer"]
        # What fixing the tokenizer does to it must be seen, and the model's own template still be whole.
        size, own = len(tokenizer), tokenizer.chat_template
        rendered = template_checks.render_own(tokenizer.apply_chat_template, has_template=bool(own))
        self._template = get_template_and_fix_tokenizer(tokenizer, self._parsed.data)
        self._tokenizer = tokenizer
        self.checks = self._check(rendered, size=size)

    def _check(self, rendered: str | None, *, size: int) -> tuple[Check, ...]:
        name = str(self._job.arguments.get("template"))
        findings = {
            "tokens": template_checks.added_tokens(
                size,
                len(self._tokenizer),
                resizes=bool(self._job.arguments.get("resize_vocab")),
                stop_words=self._template.stop_words,
            )
        }
        if rendered is None:
            findings["markup"] = template_checks.Finding(
                result="Warn", message="the model has no chat template to compare with"
            )
        else:
            pairs = self._template.encode_multiturn(self._tokenizer, template_checks.PROBE, None, None)
            ids = [token for pair in pairs for part in pair for token in part]
            findings["markup"] = template_checks.compare(
                self._tokenizer.decode(ids, skip_special_tokens=False),
                rendered,
                thought_words=self._template.thought_words,
            )
        for finding in findings.values():
            if finding.result == "Fail":
                details = finding.message
                raise failure(Reason.TEMPLATE_MISMATCH, template=name, path=self._job.model, details=details)
        return tuple(
            Check(group="Model", name=f"template {what}", result=found.result, message=found.message[:512])
            for what, found in findings.items()
        )

    def fit(self, progress: Callable[[int, str], None]) -> tuple[dict[str, str], lengths.Lengths]:
        """Returns the files to load for the data sets that had to be cut, and the account of all."""
        data = self._parsed.data
        closing = 1 if self._template.efficient_eos else 0
        paths: dict[str, str] = {}
        account = lengths.Lengths()
        for number, dataset in enumerate(self._job.datasets):
            target = self._scratch / f"{number}.jsonl"
            found = lengths.apply(
                Path(dataset.path),
                target,
                measure=self._measure(dataset),
                cutoff=data.cutoff_len,
                closing=closing,
                preamble=len((self._template.default_system or "").encode()),
                may_cut=self._job.overlong == "CutAtTurn" and not self._last_turn_only(dataset),
                progress=lambda done: progress(done, "measuring samples") if done % 100 == 0 else None,
            )
            account += found
            if self._job.overlong == "Fail" and found.touched:
                count = found.cut + found.dropped
                raise failure(Reason.LENGTH_OVERFLOW, count=count, cutoff=data.cutoff_len)
            if dataset.split == "train" and not found.kept:
                details = f"each is longer than training.cutoffLen {data.cutoff_len}"
                raise failure(Reason.NO_TRAJECTORIES_LEFT, read=found.dropped, details=details)
            if found.touched:
                paths[dataset.name] = str(target)
        return paths, account

    def _measure(self, dataset: LFDataset) -> lengths.Measure:
        from llamafactory.data.converter import get_dataset_converter  # noqa: PLC0415
        from llamafactory.data.parser import get_dataset_list  # noqa: PLC0415

        registrations.write(self._scratch, self._job.datasets)
        attributes = get_dataset_list([dataset.name], str(self._scratch))[0]
        convert = get_dataset_converter(attributes.formatting, attributes, self._parsed.data)

        last_turn_only = self._last_turn_only(dataset)

        def measure(record: JsonObject) -> list[int] | None:
            aligned = convert(record)
            if not aligned["_prompt"]:
                return None
            system, tools = aligned["_system"], aligned["_tools"]
            if dataset.stage != "sft":
                answers = [answer for answer in aligned["_response"] if answer["content"]]
                encoded = (
                    self._template.encode_oneturn(
                        self._tokenizer, [*aligned["_prompt"], answer], system, tools
                    )
                    for answer in answers
                )
                return [max(len(source) + len(target) for source, target in encoded)]
            messages = [*aligned["_prompt"], *aligned["_response"]]
            discards = last_turn_only and not self._template.preserve_thinking
            pairs = self._template.encode_multiturn(self._tokenizer, messages, system, tools, discards)
            if last_turn_only:
                return [sum(len(source) + len(target) for source, target in pairs)]
            return [len(source) + len(target) for source, target in pairs]

        return measure

    def load(self, datasets: tuple[LFDataset, ...], paths: dict[str, str], *, mixed: bool) -> Any:
        """Returns the set, tokenised by LLaMA-Factory's loader. Raises `StageFailure` for an empty one.

        `mask_history` is one switch for all that is loaded at once, so samples of both kinds are loaded apart
        and put together as LLaMA-Factory would.
        """
        from llamafactory.data.data_utils import merge_dataset  # noqa: PLC0415

        mixed = mixed and len(datasets) > 1
        if mixed and self._job.arguments.get("mix_strategy") == mixtures.ONCE:
            apart = [self._load((dataset,), paths, mixed=False) for dataset in datasets]
            return mixtures.once(apart, shares=self._job.shares, seed=self._parsed.training.seed)
        if len(set(map(self._last_turn_only, datasets))) == 1:
            return self._load(datasets, paths, mixed=mixed)
        apart = [self._load((dataset,), paths, mixed=False) for dataset in datasets]
        parsed = self._parse(datasets, registration=self._scratch, mixed=mixed)
        return merge_dataset(apart, parsed.data, seed=parsed.training.seed)

    def _load(self, datasets: tuple[LFDataset, ...], paths: dict[str, str], *, mixed: bool) -> Any:
        from llamafactory.data import get_dataset  # noqa: PLC0415

        registrations.write(self._scratch, datasets, paths=paths)
        last_turn_only = self._last_turn_only(datasets[0])
        parsed = self._parse(datasets, registration=self._scratch, mixed=mixed, mask_history=last_turn_only)
        with _marked_samples():
            module = get_dataset(
                self._template,
                parsed.model,
                parsed.data,
                parsed.training,
                stage={"dpo": "rm"}.get(parsed.finetuning.stage, parsed.finetuning.stage),
                **self._module,
            )
        found = module.get("train_dataset")
        if found is None or len(found) == 0:
            read = sum(item.num_samples for item in datasets)
            raise failure(Reason.NO_TRAJECTORIES_LEFT, read=read, details="LLaMA-Factory dropped all of them")
        if last_turn_only and self._template.efficient_eos:
            return found.map(labels.without_stray_ends, batched=True, desc="Masking the history's ends")
        return found

    def _last_turn_only(self, dataset: LFDataset) -> bool:
        return dataset.samples == "PerTurn" or bool(self._parsed.data.mask_history)

    def _parse(
        self,
        datasets: tuple[LFDataset, ...],
        *,
        registration: Path,
        mixed: bool,
        mask_history: bool | None = None,
    ) -> Parsed:
        from llamafactory.hparams import (  # noqa: PLC0415
            DataArguments,
            FinetuningArguments,
            ModelArguments,
            TrainingArguments,
        )
        from transformers import HfArgumentParser  # noqa: PLC0415

        # Of the training arguments only the seed reaches the data; the others may want GPUs or torchrun.
        kept = {
            name: value
            for name, value in self._job.arguments.items()
            if name in DataArguments.__dataclass_fields__
            or name in ModelArguments.__dataclass_fields__
            or name in ("stage", "seed")
        }
        for name in (
            "eval_dataset",
            "tokenized_path",
            "interleave_probs",
            "model_revision",
            "enable_liger_kernel",
        ):
            kept.pop(name, None)
        kept |= {
            "model_name_or_path": str(self._job.model),
            "dataset": ",".join(item.name for item in datasets),
            "dataset_dir": str(registration),
            "output_dir": str(self._scratch / "output"),
            "use_cpu": True,
            "report_to": "none",
        }
        if mask_history is not None:
            kept["mask_history"] = mask_history
        if not mixed:
            kept.pop("mix_strategy", None)
        elif self._job.shares:
            kept["interleave_probs"] = ",".join(repr(share) for share in self._job.shares)
        if self._job.num_workers > 1:
            kept["preprocessing_num_workers"] = self._job.num_workers
        parser = HfArgumentParser([ModelArguments, DataArguments, TrainingArguments, FinetuningArguments])
        model, data, training, finetuning = parser.parse_dict(kept)
        model.model_max_length = data.cutoff_len
        model.block_diag_attn = data.neat_packing
        return Parsed(model=model, data=data, training=training, finetuning=finetuning)


@contextlib.contextmanager
def _marked_samples() -> Iterator[None]:
    """Marks what LLaMA-Factory prints meanwhile: it prints samples, and nothing else but by its logger."""
    shown = io.StringIO()
    try:
        with contextlib.redirect_stdout(shown):
            yield
    finally:
        sys.stdout.write(logs.as_sample(shown.getvalue()))
        sys.stdout.flush()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    model: Any
    data: Any
    training: Any
    finetuning: Any
