"""What a run will come to, worked out before it starts: steps, tokens, memory, disk, hours, and on what
assumptions."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sftrun_api.advice import Facts, advise, outline
from sftrun_api.advice.advising import case_of
from sftrun_api.estimates import Estimate, estimate
from sftrun_api.run_files import ResolvedValues
from sftrun_api.specs import SFTRunSpec
from sftrun_operator.plans import resolutions

INDENT = 15
"""Where what follows a title begins."""
GIB = 1 << 30
MOST_CONFIG = 64 * 1024 * 1024
FLOPS_A_TOKEN = 6
"""Floating-point operations a parameter and token: two forward, four backward (Kaplan et al. 2020)."""
RECOMPUTED = 8
"""The same where activations are computed twice."""
PEAK_TFLOPS = 989.0
"""One H100 SXM in bf16 without sparsity, as NVIDIA states it."""
UTILISATION = 0.3
"""Of the peak: torchtitan's published 5,762 tokens a second and GPU for Llama-3.1-8B on H100 are 28 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the person knows beside the file."""

    samples: int | None = None
    tokens: float | None = None
    """Mean tokens of a sample."""
    gpu_memory: float | None = None
    """GiB of one GPU."""
    tokens_per_second: float | None = None
    """Of one GPU, measured."""
    tflops: float = PEAK_TFLOPS
    config: object = None
    """The model's parsed config.json."""
    index: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a run will come to. `None` where what is known does not tell."""

    name: str
    outline: str
    global_batch: int
    steps: int | None
    tokens: float | None
    """Trained over the whole run."""
    checkpoints: int | None
    hours: float | None
    gpu_hours: float | None
    estimate: Estimate
    assumptions: tuple[str, ...]
    advice: tuple[str, ...]


def forecast(spec: SFTRunSpec, *, name: str, known: Known) -> Forecast:
    """Works everything out that the spec and what is known beside it tell."""
    resolved = resolutions.resolve(spec, name=name)
    facts = Facts(num_samples=known.samples)
    case = case_of(spec, resolved=resolved, facts=facts)
    estimated = estimate(
        spec,
        known.config,
        resolved=resolved,
        index=known.index,
        gpu_memory=int(known.gpu_memory * GIB) if known.gpu_memory is not None else None,
    )
    assumptions: list[str] = []
    tokens = _tokens(spec, resolved, steps=case.total_steps, known=known, assumptions=assumptions)
    hours = _hours(
        spec,
        resolved,
        steps=case.total_steps,
        tokens=tokens,
        estimated=estimated,
        known=known,
        assumptions=assumptions,
    )
    save = spec.training.save.steps or (max(1, case.total_steps // 10) if case.total_steps else None)
    found = advise(spec, resolved=resolved, facts=facts)
    return Forecast(
        name=name,
        outline=outline(spec, resolved=resolved, facts=facts),
        global_batch=resolved.global_batch_size,
        steps=case.total_steps,
        tokens=tokens,
        checkpoints=math.ceil(case.total_steps / save) if case.total_steps and save else None,
        hours=hours,
        gpu_hours=hours * resolved.gpus_per_node if hours is not None and resolved.gpus_per_node else None,
        estimate=estimated,
        assumptions=tuple(assumptions),
        advice=tuple(each.message for each in found),
    )


def _tokens(
    spec: SFTRunSpec, resolved: ResolvedValues, *, steps: int | None, known: Known, assumptions: list[str]
) -> float | None:
    if steps is None:
        assumptions.append("the number of samples is not known, so neither are steps: --samples gives it")
        return None
    mean = known.tokens
    if spec.training.packing != "None":
        mean = float(spec.training.cutoff_len)
        assumptions.append(f"packed sequences are full: {spec.training.cutoff_len:,} tokens each")
    elif mean is None:
        mean = spec.training.cutoff_len / 2
        assumptions.append(f"a sample has half of cutoffLen, {mean:,.0f} tokens: --tokens gives the mean")
    return steps * resolved.global_batch_size * mean


def _hours(
    spec: SFTRunSpec,
    resolved: ResolvedValues,
    *,
    steps: int | None,
    tokens: float | None,
    estimated: Estimate,
    known: Known,
    assumptions: list[str],
) -> float | None:
    """Returns the hours of training alone: neither conversion, evaluation nor checkpoints are counted."""
    gpus = resolved.gpus_per_node
    if tokens is None or not steps or spec.infrastructure.accelerator == "CPU" or not gpus:
        return None
    rate = known.tokens_per_second
    if rate is None:
        if estimated.parameters is None:
            assumptions.append("the model's size is not known: --workspace or --model-config shows it")
            return None
        operations = RECOMPUTED if resolved.gradient_checkpointing != "None" else FLOPS_A_TOKEN
        mean = tokens / (steps * resolved.global_batch_size)
        work = operations * (estimated.parameters + mean * _attention(known.config))
        rate = known.tflops * 1e12 * UTILISATION / work
        assumptions.append(
            f"{rate:,.0f} tokens a second and GPU: {UTILISATION:.0%} of {known.tflops:g} TFLOPS, "
            f"{operations} operations a token for each parameter, and attention; see --tokens-per-second"
        )
    assumptions.append("conversion, evaluation and checkpoints are not counted")
    return tokens / (rate * gpus) / 3600


def _attention(config: object) -> float:
    """Returns the operations of causal attention by a parameter's measure, a token of the sequence: layers x
    width. 0 where the config does not tell."""
    values = config if isinstance(config, dict) else {}
    nested = values.get("text_config")
    values = nested if isinstance(nested, dict) else values
    layers, width = values.get("num_hidden_layers"), values.get("hidden_size")
    sound = all(isinstance(each, int) and 0 < each < 1_000_000 for each in (layers, width))
    return float(layers) * float(width) if sound and layers and width else 0.0


def model_files(workspace: Path, spec: SFTRunSpec, *, config: Path | None) -> tuple[object, object]:
    """Returns the model's parsed config.json and index, `None` where they are not at hand."""
    if config is not None:
        return _json(config), _json(config.with_name("model.safetensors.index.json"))
    if spec.model.path is None:
        return None, None
    folder = workspace / spec.model.path
    return _json(folder / "config.json"), _json(folder / "model.safetensors.index.json")


def _json(path: Path) -> Any:
    try:
        if path.stat().st_size > MOST_CONFIG:
            return None
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def lines(found: Forecast) -> list[str]:
    """Returns a forecast as people read it."""
    estimated = found.estimate
    told = [
        f"{found.name}: {found.outline}",
        _line("steps", f"{found.steps:,}" if found.steps is not None else "not known"),
        _line("tokens", f"{found.tokens:,.0f}" if found.tokens is not None else "not known"),
    ]
    if found.hours is not None:
        told.append(_line("time", f"{found.hours:.1f} h of training, {found.gpu_hours or 0:.1f} GPU-hours"))
    if estimated.parameters is not None:
        told.append(
            _line("model", f"{estimated.parameters:,} parameters, {estimated.trainable or 0:,} trained")
        )
    for title, memory in (
        ("GPU memory", estimated.gpu), ("evaluation", estimated.evaluation), ("host memory", estimated.host),
    ):  # fmt: skip
        if memory is not None and memory.parts:
            parts = ", ".join(
                f"{part.name} {part.size / GIB:.1f}" for part in memory.parts if part.size > GIB / 20
            )
            told.append(_line(title, f"{memory.total / GIB:.1f} GiB" + (f" ({parts})" if parts else "")))
    if estimated.disk is not None:
        count = f"{found.checkpoints} checkpoints of " if found.checkpoints else "checkpoints of "
        disk = estimated.disk
        told.append(
            _line("disk", f"{count}{disk.checkpoint / GIB:.1f} GiB, {disk.most / GIB:.1f} GiB at most")
        )
    told += [_line("verdict", f"{each.resource}: {each.verdict}") for each in estimated.judged]
    told += [_line("would fit", f"{each.change}") for each in estimated.remedies if each.fits]
    told += [_line("note", note) for note in estimated.notes]
    told += [_line("assumed", assumption) for assumption in found.assumptions]
    told += [_line("advice", each) for each in found.advice]
    return told


def _line(title: str, text: str) -> str:
    return f"  {title:<12} {text}"


def as_object(found: Forecast) -> dict[str, Any]:
    """Returns a forecast as programs read it; sizes are bytes."""
    estimated = found.estimate
    return {
        "name": found.name,
        "globalBatchSize": found.global_batch,
        "totalSteps": found.steps,
        "tokens": round(found.tokens) if found.tokens is not None else None,
        "hours": round(found.hours, 3) if found.hours is not None else None,
        "gpuHours": round(found.gpu_hours, 3) if found.gpu_hours is not None else None,
        "checkpoints": found.checkpoints,
        "parameters": estimated.parameters,
        "trainable": estimated.trainable,
        "gpuMemory": {part.name: part.size for part in estimated.gpu.parts},
        "hostMemory": {part.name: part.size for part in estimated.host.parts},
        "checkpointBytes": estimated.disk.checkpoint if estimated.disk is not None else None,
        "verdict": estimated.verdict,
        "remedies": [each.change for each in estimated.remedies if each.fits],
        "assumptions": list(found.assumptions),
        "advice": list(found.advice),
    }
