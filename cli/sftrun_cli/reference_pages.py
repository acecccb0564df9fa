"""`docs/cli.md`, made from the program itself: `python -m sftrun_cli.reference_pages`.

Without arguments it prints the page. `--write ROOT` writes it below the repository's root, `--check ROOT`
exits with 1 where it differs.
"""

from __future__ import annotations

import argparse
import ast
import enum
import inspect
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer.main

from sftrun_cli import exit_codes
from sftrun_cli.lints.file_rules import FILE_RULES
from sftrun_cli.main import app

PAGE = Path("docs/cli.md")
_HEAD = """\
<!-- Generated from cli/sftrun_cli by `make generate`; edit the program, not this file. -->
# The command line

One program under two names: `sftrun`, and `kubectl sft` as kubectl's plug-in. `pip install sftrun` installs
it, without torch; so does the wheel of a release. `sftrun --install-completion` teaches it to the shell;
`kubectl sft <TAB>` needs kubectl's own completion alone (kubectl 1.26 or newer), which finds
`kubectl_complete-sft` beside the program. Both complete commands, options and the names of the cluster's
runs. Results go to standard output and nothing else does; remarks, progress and errors go to standard error.
Colours and movement are left out where a stream is no terminal, and with `NO_COLOR` set.

Commands on a cluster find it, the context and the namespace as kubectl does, and act with your own rights:
`get`, `list`, `watch` of `sftruns`, `patch` and `delete` to steer them; `get` of `configmaps` (kept curves)
and `jobs`, `get` and `list` of `pods`, `list` of `events`, `get` of `pods/log`; `get` of `pods/proxy` for
live figures and curves; `create` and `delete` of `pods` for what lies in a workspace. `doctor` reads more
where it may. What you may not do is said, and left out where the rest still makes sense.
"""


def page() -> str:
    """Returns the page."""
    root: Any = typer.main.get_command(app)
    names = sorted(root.commands)
    parts = [_HEAD, "\n| command | does |\n|---|---|\n"]
    parts += [
        f"| [`sftrun {name}`](#sftrun-{name}) | {_first_line(root.commands[name])} |\n" for name in names
    ]
    parts.append("\n## Exit codes\n\n| code | means |\n|---|---|\n")
    parts += [f"| {code} | {meaning} |\n" for code, meaning in _exit_codes()]
    for name in names:
        parts += _command(name, root.commands[name])
        if name == "lint":
            parts.append("\n| rule about files | what is wrong |\n|---|---|\n")
            parts += [f"| `{rule}` | {_cell(meaning)} |\n" for rule, meaning in FILE_RULES.items()]
    return "".join(parts)


def _first_line(command: Any) -> str:
    return _cell(str(command.help).strip().splitlines()[0])


def _command(name: str, command: Any) -> Iterator[str]:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option"]
    words = " ".join(str(each.metavar or each.name).upper() for each in arguments)
    yield f"\n## sftrun {name}\n\n```\nsftrun {name} [OPTIONS] {words}\n```\n"
    yield f"\n{inspect.cleandoc(command.help)}\n"
    yield "\n| option | takes | default | meaning |\n|---|---|---|---|\n"
    for each in (*arguments, *options):
        yield _row(each)
    if command.epilog:
        yield f"\n```\n{_plain(command.epilog)}\n```\n"


def _row(parameter: Any) -> str:
    is_argument = parameter.param_type_name == "argument"
    names = (
        [str(parameter.metavar or parameter.name)]
        if is_argument
        else [*parameter.opts, *parameter.secondary_opts]
    )
    spelled = ", ".join(f"`{name}`" for name in names)
    return (
        f"| {spelled} | {_kind(parameter)} | {_default(parameter)} | {_cell(str(parameter.help or ''))} |\n"
    )


def _kind(parameter: Any) -> str:
    annotation = parameter.type_descriptor.annotation
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return ", ".join(f"`{choice.value}`" for choice in annotation)
    if annotation is bool:
        return ""
    return {int: "whole number", float: "number", Path: "path"}.get(annotation, "text")


def _default(parameter: Any) -> str:
    value = parameter.default
    if parameter.required:
        return "required"
    if value in (None, False, ()) or callable(value):
        return ""
    shown = getattr(value, "value", value)
    return f"`{str(shown).lower() if isinstance(shown, bool) else shown}`"


def _plain(epilog: str) -> str:
    return textwrap.dedent(epilog.replace("\b\n", "").replace("\b", "")).strip()


def _cell(text: str) -> str:
    parts = " ".join(text.split()).replace("|", "\\|").split("`")
    return "`".join(part if number % 2 else part.replace("<", "&lt;") for number, part in enumerate(parts))


def _exit_codes() -> Iterator[tuple[int, str]]:
    """Yields each exit code with what its docstring says."""
    tree = ast.parse(inspect.getsource(exit_codes))
    (kind,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
    for assigned, documented in zip(kind.body, kind.body[1:], strict=False):
        if isinstance(assigned, ast.Assign) and isinstance(documented, ast.Expr):
            meaning = documented.value
            assert isinstance(meaning, ast.Constant)
            value = ast.literal_eval(assigned.value)
            yield int(value), _cell(str(meaning.value))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="sftrun_cli.reference_pages", description=__doc__)
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--write", metavar="ROOT", type=Path, help="write the page below ROOT")
    group.add_argument("--check", metavar="ROOT", type=Path, help="exit with 1 where the page differs")
    options = parser.parse_args(arguments)
    if options.write is not None:
        (options.write / PAGE).write_text(page(), encoding="utf-8")
        return 0
    if options.check is not None:
        path = options.check / PAGE
        if path.is_file() and path.read_text(encoding="utf-8") == page():
            return 0
        sys.stderr.write(f"{PAGE} is not what the program says; run `make generate`\n")
        return 1
    sys.stdout.write(page())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
