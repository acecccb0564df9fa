"""`sftrun import`: other systems' configurations as SFTRuns, with an account of every field."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sftrun_cli.forms import Form

if TYPE_CHECKING:
    from sftrun_cli.imports import Imported

EXAMPLES = """\b
Examples:
  sftrun import config.yaml --claim training > run.yaml
  sftrun import llama3_lora_sft.yaml --gpus 4 --template llama3
  sftrun import finetune.sh --from nemo              the command line, with its --config beside it
  sftrun import artifacts/archives/quick-0b7d3-1     an attempt's archive: the object that was run
  sftrun import config.yaml -o json | jq '.fields[] | select(.fate == "refused")'

Exit code 1: a field that matters could not be carried over; the object is printed all the same.
"""


class From(enum.StrEnum):
    """What `--from` takes."""

    BLOCK = "block"
    LLAMA_FACTORY = "llamafactory"
    NEMO = "nemo"
    ERNIEKIT = "erniekit"


def import_(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="The configuration, or an archive's folder; - is standard input."
        ),
    ],
    *,
    claim: Annotated[str | None, typer.Option(help="The claim that holds the workspace.")] = None,
    template: Annotated[str | None, typer.Option(help="LLaMA-Factory's chat template.")] = None,
    gpus: Annotated[int | None, typer.Option(min=1, max=64, help="GPUs of the node.")] = None,
    model: Annotated[str | None, typer.Option(help="The model, instead of the file's.")] = None,
    data: Annotated[str | None, typer.Option(help="The training data, instead of the file's.")] = None,
    validation_data: Annotated[
        str | None, typer.Option(help="The validation data, instead of the file's.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The run's name.")] = None,
    system: Annotated[
        From | None,
        typer.Option("--from", help="The system that the file is of. Absent: told from its fields."),
    ] = None,
    output: Annotated[
        Form, typer.Option("--output", "-o", help="yaml: the object; json: the object and the account.")
    ] = Form.YAML,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show only what was refused or assumed.")
    ] = False,
) -> None:
    """Turn another system's configuration into an SFTRun.

    Takes the block's config.yaml, a LLaMA-Factory YAML, a NeMo AutoModel recipe and an ERNIEKit YAML, or a
    command line of one of them. Says of every field what became of it: mapped, converted, default, passed
    over (it changes neither what is learnt nor how memory is split) or refused.

    Of an archive's folder (artifacts/archives/RUN in the workspace) it gives the object back that was run.
    """
    from sftrun_cli import documents, outputs
    from sftrun_cli.exit_codes import ExitCode
    from sftrun_cli.imports import System, Wishes, archived, import_text

    if archived.is_archive(file):
        given = (claim, template, gpus, model, data, validation_data, system)
        _import_archive(file, name=name, others=any(value is not None for value in given), output=output)
        return
    imported = import_text(
        documents.read_text(file),
        path=file,
        wishes=Wishes(
            name=name,
            claim=claim,
            template=template,
            gpus=gpus,
            data=data,
            validation_data=validation_data,
            model=model,
        ),
        system=System(system) if system is not None else None,
    )
    if output is Form.JSON:
        outputs.write(outputs.documents([account(imported)], form=Form.JSON))
    else:
        outputs.write(imported.yaml)
        _tell(imported, quiet=quiet)
    if not imported.complete:
        raise typer.Exit(ExitCode.FAILED)


def _import_archive(folder: str, *, name: str | None, others: bool, output: Form) -> None:
    """Gives the object of an archive back; exit code 1 where it is not the whole of it."""
    from sftrun_cli import consoles, outputs
    from sftrun_cli.errors import CommandError
    from sftrun_cli.exit_codes import ExitCode
    from sftrun_cli.imports import archived

    if others:
        message = (
            f"{folder}: an archive's object comes as it is; only --name goes with it, change the rest in it"
        )
        raise CommandError(message, code=ExitCode.USAGE)
    found = archived.read(folder, name=name)
    if output is Form.JSON:
        told = {
            "system": archived.SYSTEM,
            "complete": found.complete,
            "run": found.document,
            "fields": [],
            "assumed": [],
            "problems": list(found.problems),
            "remarks": list(found.remarks),
        }
        outputs.write(outputs.documents([told], form=Form.JSON))
    else:
        outputs.write(found.yaml)
        console = consoles.remarks()
        for remark in found.remarks:
            console.print(consoles.printable(f"{'note':<12} {remark}"), style="dim", markup=False)
        for problem in found.problems:
            line = consoles.printable(f"{'left out':<12} {problem}")
            console.print(line, style="bold red", markup=False)
    if not found.complete:
        raise typer.Exit(ExitCode.FAILED)


def account(imported: Imported) -> dict[str, Any]:
    """Returns everything about an import as JSON has it."""
    return {
        "system": imported.system.value,
        "complete": imported.complete,
        "run": imported.document,
        "fields": [
            {
                "field": entry.field,
                "value": entry.value,
                "fate": entry.fate.value,
                "targets": list(entry.targets),
                "note": entry.note,
                "line": entry.line,
            }
            for entry in imported.entries
        ],
        "assumed": [{"field": a.target, "value": a.value, "why": a.why} for a in imported.assumptions],
        "problems": list(imported.problems),
    }


def _tell(imported: Imported, *, quiet: bool) -> None:
    """Tells the account, one line a field."""
    from sftrun_cli import consoles
    from sftrun_cli.imports import Fate

    styles = {Fate.REFUSED: "bold red", Fate.CONVERTED: "cyan", Fate.MAPPED: "green"}
    console = consoles.remarks()
    for entry in imported.entries:
        if quiet and entry.fate is not Fate.REFUSED:
            continue
        now = f" -> {', '.join(entry.targets)}" if entry.targets else ""
        note = f" ({entry.note})" if entry.note else ""
        line = f"{entry.fate.value:<12} {entry.field}: {entry.value}{now}{note}"
        console.print(consoles.printable(line), style=styles.get(entry.fate, "dim"), markup=False)
    for assumption in imported.assumptions:
        line = f"{'assumed':<12} {assumption.target}: {assumption.value} ({assumption.why})"
        console.print(consoles.printable(line), style="yellow", markup=False)
    for problem in imported.problems:
        line = consoles.printable(f"{'refused':<12} {problem}")
        console.print(line, style="bold red", markup=False)
    counts = ", ".join(
        f"{sum(entry.fate is fate for entry in imported.entries)} {fate.value}" for fate in Fate
    )
    console.print(f"{len(imported.entries)} fields of {imported.system.value}: {counts}", markup=False)
