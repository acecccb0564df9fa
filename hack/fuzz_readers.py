"""Damaged logs, without end, through every reader: `make fuzz-readers`.

A reader may end in records or in a named reason, within a bound of processor time and memory; whatever else
it raises is a failure, printed with where it came from and kept as a file. Every twentieth case is a job of
three trials that goes the whole way of a conversion, where each trial must be found again: in a record or
under a reason. Readers run side by side, a process each; equal seeds damage equally.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "hack"), str(ROOT / "image"), str(ROOT / "crds")]

from tests.image import data_samples as samples  # noqa: E402

import fuzz_mutations as mutations  # noqa: E402
import fuzz_samples  # noqa: E402
from sftrun_data import (  # noqa: E402
    checks,
    conversions,
    im_records,
    jsons,
    lf_records,
    raw_conversations,
    scores,
)
from sftrun_data.conversations import Conversation, Provenance  # noqa: E402
from sftrun_data.errors import DataError  # noqa: E402
from sftrun_data.exclusions import LeftOut  # noqa: E402
from sftrun_data.families import family_of  # noqa: E402
from sftrun_data.formats import FORMATS  # noqa: E402
from sftrun_data.formats.base import Naming  # noqa: E402
from sftrun_data.outcomes import Defaults, Recipe, outcome_of  # noqa: E402
from sftrun_data.raw_conversations import RawConversation  # noqa: E402
from sftrun_data.readers import READERS, gatherings  # noqa: E402
from sftrun_data.readers.base import Place  # noqa: E402
from sftrun_data.requests import ConversionOptions, HarborJobInput  # noqa: E402
from sftrun_data.selections import Candidate  # noqa: E402
from sftrun_data.sources import Unit  # noqa: E402

FAMILIES = tuple(map(family_of, ("qwen3", "qwen3_nothink", "llama3", "glm4", "mistral", "deepseek3")))
CPU_SECONDS = 10.0
"""The most that a case may take; usual are milliseconds."""
MEMORY_BYTES = 3 << 30
"""The address space of a reader's process."""
WHOLE_WAY = 20
CASES = ROOT / ".cache" / "fuzz"


class OutOfTime(BaseException):
    """A case took too long. No `Exception`, or a reader might catch it."""


class Lost(AssertionError):
    """A trial is neither in a record nor under a reason."""


@dataclass
class Outcome:
    """What became of a reader's cases."""

    name: str
    cases: int = 0
    records: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    failures: dict[str, int] = field(default_factory=dict)
    slowest: float = 0.0

    def line(self) -> dict[str, Any]:
        """Returns what the process that started this one reads."""
        return {
            "reader": self.name,
            "cases": self.cases,
            "records": self.records,
            "reasons": dict(self.reasons.most_common()),
            "failed": sum(self.failures.values()),
            "failures": self.failures,
            "slowestCpuSeconds": round(self.slowest, 3),
            "peakMiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }


def main() -> int:
    """Fuzzes as the command line says. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600, help="for each reader (default: ten minutes)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--readers", nargs="*", default=[*READERS, *FORMATS], metavar="NAME")
    parser.add_argument("--one", metavar="NAME", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(_fuzzed(asked.one, seconds=asked.seconds, seed=asked.seed).line()), flush=True)
        return 0
    if unknown := set(asked.readers) - {*READERS, *FORMATS}:
        parser.error(f"no reader is called {', '.join(sorted(unknown))}; there are {', '.join(READERS)}")
    processes = {
        name: subprocess.Popen(
            [
                sys.executable,
                __file__,
                "--one",
                name,
                "--seconds",
                str(asked.seconds),
                "--seed",
                str(asked.seed),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in asked.readers
    }
    lines = [_told(name, process) for name, process in processes.items()]
    for line in lines:
        print(
            f"{line['reader']:14} {line['cases']:8} cases {line['records']:8} records"
            f" {line['failed']:4} failed  slowest {line['slowestCpuSeconds']:6.3f} s"
            f"  peak {line['peakMiB']:5} MiB  {line['reasons']}"
        )
        for failure, count in line["failures"].items():
            print(f"  {count} times {failure}")
    cases, failed = sum(line["cases"] for line in lines), sum(line["failed"] for line in lines)
    holds = failed == 0 and all(line["cases"] for line in lines)
    print(json.dumps({"name": "fuzz-readers", "cases": cases, "failed": failed, "holds": holds}))
    return 0 if holds else 1


def _told(name: str, process: subprocess.Popen[str]) -> dict[str, Any]:
    output, _ = process.communicate()
    if process.returncode == 0 and output:
        return json.loads(output.splitlines()[-1])  # type: ignore[no-any-return]
    died = Outcome(name, failures={f"the process ended with {process.returncode}": 1})
    return died.line()


def _fuzzed(name: str, *, seconds: float, seed: int) -> Outcome:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGPROF, _out_of_time)
    outcome = Outcome(name)
    end = time.monotonic() + seconds
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(
        prefix="fuzz-", dir=memory if os.access(memory, os.W_OK) else None
    ) as folder:
        while time.monotonic() < end:
            rng = random.Random(f"{name} {seed} {outcome.cases}")
            work = Path(folder) / "case"
            work.mkdir()
            _run(outcome, work, rng)
            shutil.rmtree(work)
            outcome.cases += 1
    return outcome


def _unheard(_done: int, _total: int | None) -> None:
    pass


def _out_of_time(*_: object) -> None:
    raise OutOfTime


def _run(outcome: Outcome, work: Path, rng: random.Random) -> None:
    started = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    try:
        if outcome.name in FORMATS:
            _read_row(outcome, rng)
        elif outcome.cases % WHOLE_WAY:
            _read_trial(outcome, work, rng)
        else:
            _convert_job(outcome, work, rng)
    except (Exception, OutOfTime) as error:
        signal.setitimer(signal.ITIMER_PROF, 0)
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}: {str(error)[:160]}"
        if where not in outcome.failures:
            kept = CASES / outcome.name / str(outcome.cases)
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(work, kept, symlinks=True)
            (kept / "traceback.txt").write_text(traceback.format_exc())
        outcome.failures[where] = outcome.failures.get(where, 0) + 1
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    outcome.slowest = max(outcome.slowest, time.process_time() - started)


def _read_row(outcome: Outcome, rng: random.Random) -> None:
    shape = FORMATS[outcome.name]
    row = mutations.mutated(fuzz_samples.ROW, rng)
    if not isinstance(row, dict):
        return
    row = jsons.loads(mutations.serialised(row, lines=False, rng=rng)).value
    shape.matches(row, Naming())
    try:
        parsed = shape.read(row, Naming())
    except LeftOut as left:
        outcome.reasons[left.reason] += 1
        return
    origin = Provenance(source="s", trial="t", file="f", reader="r")
    conversation = Conversation(instance="i", provenance=origin, turns=parsed.turns, tools=parsed.tools)
    _consume(outcome, conversation, rng)


def _read_trial(outcome: Outcome, work: Path, rng: random.Random) -> None:
    """The reader alone: what it raises is seen, which the whole way would count as a broken trial."""
    reader = READERS[outcome.name]
    agent = work / "job" / "trial" / "agent"
    _write_log(outcome.name, agent, outside=work / "outside", rng=rng)
    place = Place(source="s", trial="trial", instance="i", root=work / "job", folder=agent)
    found = sorted(path for path in agent.rglob("*") if path.is_file())
    if found and rng.random() < (0.5 if len(found) == 1 else 0.1):
        file = rng.choice(found)
        place = Place(source="s", trial="t", instance="i", root=agent, folder=agent, file=file)
    reader.claims(place)
    reader.inputs(place)
    form: Any = rng.choice(("AsSpoken", "Native"))
    branches: Any = rng.choice(("Longest", "All"))
    for run in gatherings.runs_of(place):
        try:
            for conversation in reader.read(run, form=form, branches=branches):
                if isinstance(conversation, RawConversation):
                    _compare(conversation, rng)
                _consume(outcome, raw_conversations.whole(conversation), rng)
        except LeftOut as left:
            outcome.reasons[left.reason] += 1


def _compare(raw: RawConversation, rng: random.Random) -> None:
    """Texts that are left as JSON give what they give as texts."""
    recipe = Recipe(options=ConversionOptions(), family=rng.choice(FAMILIES), defaults=Defaults())
    candidate = Candidate(name="t", instance="i")
    conversations: tuple[Conversation | RawConversation, ...] = (raw, raw.whole())
    short, long = (
        outcome_of(Unit(candidate=candidate, parts=(partial(iter, (item,)),)), recipe)
        for item in conversations
    )
    if short != long:
        raise AssertionError(f"{short} is not {long}")


def _consume(outcome: Outcome, conversation: Conversation, rng: random.Random) -> None:
    """Takes a conversation through all that follows a reader."""
    try:
        checked = checks.checked(conversation, reasoning="Keep")
        jsons.line(im_records.record_of(checked.conversation, score=scores.score_of(checked)))
        rendered = lf_records.render(checked.conversation, family=rng.choice(FAMILIES))
        json.loads(jsons.line(rendered.record))
        outcome.records += 1
    except LeftOut as left:
        outcome.reasons[left.reason] += 1


def _convert_job(outcome: Outcome, work: Path, rng: random.Random) -> None:
    job = work / "job"
    for number in range(3):
        agent = samples.trial(job, f"owner__repo-{number}", reward=1) / "agent"
        _write_log(outcome.name, agent, outside=work / "outside", rng=rng)
    scaffold = rng.choice((outcome.name, outcome.name, "Auto"))
    request = samples.request(work, HarborJobInput(path=job, scaffold=scaffold))
    try:
        result = conversions.convert(request, on_progress=_unheard)
    except DataError as error:
        outcome.reasons[error.reason] += 1
        return
    outcome.records += result.converted
    told = {str(name) for item in result.excluded for name in item.samples}
    found = {item["meta_info"]["unique_info"]["_provenance"]["trial"] for item in samples.im_records(result)}
    for trial in (path.name for path in job.iterdir()):
        if trial not in found and not any(name.partition("#")[0] == trial for name in told):
            raise Lost(f"{trial}: no record, no reason ({dict(samples.excluded(result))})")


def _write_log(name: str, agent: Path, *, outside: Path, rng: random.Random) -> None:
    outside.write_text('{"secret": 1}')
    agent.mkdir(parents=True, exist_ok=True)
    for file, content in rng.choice(fuzz_samples.LOGS[name]).items():
        lines = file.endswith((".jsonl", "opencode.txt"))
        damaged = mutations.mutated(content, rng) if rng.random() < 0.8 else content
        data = (
            content.encode()
            if isinstance(content, str)
            else mutations.serialised(damaged, lines=lines, rng=rng)
        )
        mutations.put(agent / file, mutations.torn(data, rng), outside=outside, rng=rng)


if __name__ == "__main__":
    sys.exit(main())
