"""`sftrun plan`: what a run will come to, before it takes a GPU."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = """\b
Examples:
  sftrun plan run.yaml --samples 12000 --tokens 3500
  sftrun plan run.yaml -w /data/ws --gpu-memory 80    reads the model's config.json there
  sftrun plan run.yaml --samples 500 -o json | jq .gpuHours
"""


class Form(enum.StrEnum):
    """What `-o` takes."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"


def plan(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file with an SFTRun; - is standard input.")],
    *,
    samples: Annotated[int | None, typer.Option(min=1, help="Samples that are trained.")] = None,
    tokens: Annotated[float | None, typer.Option(min=1, help="Mean tokens of a sample.")] = None,
    workspace: Annotated[
        Path, typer.Option("--workspace", "-w", help="Where the model's files lie.")
    ] = Path(),
    model_config: Annotated[Path | None, typer.Option(help="The model's config.json itself.")] = None,
    gpu_memory: Annotated[float | None, typer.Option(min=1, help="GiB of one GPU.")] = None,
    tokens_per_second: Annotated[
        float | None, typer.Option(min=0.001, help="Of one GPU, as measured.")
    ] = None,
    tflops: Annotated[float, typer.Option(min=0.1, help="Peak of one GPU in bf16.")] = 989.0,
    name: Annotated[
        str | None, typer.Option(help="Of several SFTRuns in the file, the one so called.")
    ] = None,
    output: Annotated[Form, typer.Option("--output", "-o", help="The format.")] = Form.TEXT,
) -> None:
    """Say what a run will come to: steps, effective batch, tokens, memory by part, disk, GPU-hours.

    Nothing is asked of a cluster; what is assumed is said.
    """
    from rich.text import Text

    from sftrun_api.judgements import judge, judge_spec
    from sftrun_cli import consoles, forecasts, forms, outputs, runs_in_files, wrapping
    from sftrun_cli.errors import CommandError

    document = runs_in_files.one_run(file, name=name)
    refusals = [finding.sentence for finding in judge(document.value) if finding.refuses]
    spec = judge_spec(document.value.get("spec")).spec
    if refusals or spec is None:
        raise CommandError("the run would be refused:\n  " + "\n  ".join(refusals))
    config, index = forecasts.model_files(workspace, spec, config=model_config)
    known = forecasts.Known(
        samples=samples,
        tokens=tokens,
        gpu_memory=gpu_memory,
        tokens_per_second=tokens_per_second,
        tflops=tflops,
        config=config,
        index=index,
    )
    found = forecasts.forecast(spec, name=runs_in_files.name_of(document), known=known)
    if output is Form.TEXT:
        first, *rest = forecasts.lines(found)
        wrapping.show(consoles.results(), Text(first))
        for line in rest:
            wrapping.show(consoles.results(), Text(line), indent=forecasts.INDENT)
    else:
        outputs.write(outputs.documents([forecasts.as_object(found)], form=forms.Form(output.value)))
