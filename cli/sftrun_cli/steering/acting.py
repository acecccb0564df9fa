"""Doing to runs what a verdict says, after the person has read it: one after the other, and what goes wrong
with one keeps no other from its turn."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass

import typer
from rich.text import Text

from sftrun_cli import consoles, outputs, wrapping
from sftrun_cli.cluster import refusals, resources
from sftrun_cli.cluster.clients import Client, JsonObject
from sftrun_cli.errors import CommandError
from sftrun_cli.exit_codes import ExitCode
from sftrun_cli.forms import Form, ListForm
from sftrun_cli.steering import verdicts, waits
from sftrun_cli.steering.facts import Run
from sftrun_cli.steering.verdicts import Verb, Verdict

TRIES = 3
"""How often a retry is judged anew when the run changes under it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says."""

    names: tuple[str, ...]
    selector: str
    yes: bool
    dry_run: bool
    wait: bool
    patience: float
    form: ListForm


def act(cluster: Client, verb: Verb, options: Options) -> None:
    """Judges, tells, asks, does and follows.

    Raises:
        CommandError: nothing was chosen, nobody can be asked, or something was refused or failed; what was
            done before stays done.
    """
    found, missing = _chosen(cluster, options)
    judged = [verdicts.judge(verb, Run(each)) for each in found]
    for verdict in judged:
        _tell(verdict)
    acting = [verdict for verdict in judged if verdict.acts]
    failed = len(missing) + sum(bool(verdict.refused) for verdict in judged)
    if options.dry_run:
        _end(failed)
        return
    if acting:
        _ask(acting, verb, yes=options.yes)
    done = [_done(cluster, verdict) for verdict in acting]
    failed += done.count(None)
    after = [each for each in done if each is not None]
    settled = [dict(verdict.run.whole) for verdict in judged if verdict.already]
    _show(verb, [*after, *settled], form=options.form)
    if options.wait:
        unchanged = [] if verb is Verb.DELETE else settled
        failed += sum(not _followed(cluster, Run(each), verb, options) for each in (*after, *unchanged))
    _end(failed)


def _chosen(cluster: Client, options: Options) -> tuple[list[JsonObject], list[str]]:
    if bool(options.names) == bool(options.selector):
        raise CommandError(
            "name one run or more, or choose them with --selector, but not both", code=ExitCode.USAGE
        )
    if options.selector:
        listed = list(cluster.items(resources.SFTRUNS, labels=options.selector))
        if not listed:
            raise CommandError(f"no SFTRun matches {options.selector} in namespace {cluster.namespace}")
        return listed, []
    found: list[JsonObject] = []
    missing: list[str] = []
    for name in dict.fromkeys(_bare(name) for name in options.names):
        try:
            found.append(cluster.get(resources.SFTRUNS, name))
        except refusals.MissingError as error:
            _complain(str(error))
            missing.append(name)
    return found, missing


def _bare(name: str) -> str:
    """Returns the name of what `kubectl get -o name` prints."""
    return name.rpartition("/")[2]


def _tell(verdict: Verdict) -> None:
    run, console = verdict.run, consoles.remarks()
    head = f"{verdict.verb} {run.namespace}/{run.name} ({run.where()})"
    if verdict.refused:
        _complain(f"{run.name}: cannot {verdict.verb}: {verdict.refused}")
    elif verdict.already:
        wrapping.show(console, Text(consoles.printable(f"{run.name}: nothing to do, {verdict.already}")))
    else:
        wrapping.show(console, Text(consoles.printable(head), style="bold"))
        for sentence in verdict.consequences:
            wrapping.show(console, Text(f"  - {consoles.printable(sentence)}"), indent=4)


def _ask(acting: list[Verdict], verb: Verb, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(
            f"nothing is done: there is nobody to ask; say --yes to {verb} without a question",
            code=ExitCode.USAGE,
        )
    what = acting[0].run.name if len(acting) == 1 else f"these {len(acting)} runs"
    if not typer.confirm(f"{verb} {what}?", err=True):
        raise CommandError("nothing is done")


def _done(cluster: Client, verdict: Verdict) -> JsonObject | None:
    """Returns the object afterwards, `None` where it did not work."""
    for _ in range(TRIES):
        try:
            return _sent(cluster, verdict)
        except refusals.ConflictError:
            again = _judged_again(cluster, verdict)
            if again is None:
                return None
            verdict = again
        except refusals.ClusterError as error:
            _complain(f"{verdict.run.name}: {error}")
            return None
    _complain(f"{verdict.run.name}: it changes all the time; try again")
    return None


def _sent(cluster: Client, verdict: Verdict) -> JsonObject:
    run = verdict.run
    if verdict.verb is Verb.DELETE:
        cluster.delete(resources.SFTRUNS, run.name, namespace=run.namespace, uid=run.uid)
        return dict(run.whole)
    return cluster.patch(resources.SFTRUNS, run.name, verdict.patch, namespace=run.namespace)


def _judged_again(cluster: Client, verdict: Verdict) -> Verdict | None:
    """Returns the verdict on the run as it is now, `None` where it is another object or may not be acted on
    any more; the person is told."""
    run = verdict.run
    found = cluster.find(resources.SFTRUNS, run.name, namespace=run.namespace)
    if found is None or found["metadata"].get("uid") != run.uid:
        _complain(
            f"{run.name}: it was deleted meanwhile{' and made again' if found else ''}; nothing is done"
        )
        return None
    again = verdicts.judge(verdict.verb, Run(found))
    if not again.acts:
        _complain(f"{run.name}: it has changed meanwhile: {again.refused or again.already}")
        return None
    return again


def _followed(cluster: Client, run: Run, verb: Verb, options: Options) -> bool:
    try:
        waits.follow(cluster, run, verb, seconds=options.patience, told=_say)
    except CommandError as error:
        _complain(str(error))
        return False
    return True


def _show(verb: Verb, found: Iterable[JsonObject], *, form: ListForm) -> None:
    for each in found if form in (ListForm.TABLE, ListForm.NAME) else ():
        word = f" {verdicts.PAST[verb]}" if form is ListForm.TABLE else ""
        outputs.write(f"{outputs.name(each)}{word}\n")
    if form in (ListForm.YAML, ListForm.JSON):
        outputs.write(outputs.documents(found, form=Form(form.value)))


def _say(text: str) -> None:
    wrapping.show(consoles.remarks(), Text(consoles.printable(text), style="dim"))


def _complain(text: str) -> None:
    wrapping.show(consoles.remarks(), Text(f"error: {consoles.printable(text)}", style="bold red"))


def _end(failed: int) -> None:
    if failed:
        raise typer.Exit(ExitCode.FAILED)
