"""`sftrun convert`: jobs, logs, rows and runs become records on this machine, and are told of."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from rich.console import Console
from tests.crds import samples as api_samples
from tests.image import data_samples as samples

from sftrun_api.specs import sources as api
from sftrun_cli import consoles
from sftrun_cli.commands import convert as command
from sftrun_cli.data import progresses
from sftrun_cli.exit_codes import ExitCode
from sftrun_cli.main import main
from sftrun_data.drafts import Draft

ROW = {"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]}


@dataclass(frozen=True)
class Done:
    """How the program ended."""

    code: int
    out: str
    err: str


Sftrun = Callable[..., Done]


@pytest.fixture
def sftrun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sftrun:
    """Runs the program in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: Any) -> Done:
        monkeypatch.setattr(sys, "argv", ["sftrun", "convert", *map(str, arguments)])
        consoles.results.cache_clear()  # one made before has taken its width from the terminal of then
        with pytest.raises(SystemExit) as ended:
            main()
        consoles.results.cache_clear()
        told = capsys.readouterr()
        return Done(int(ended.value.code or 0), told.out, told.err)

    return run


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A job: one solved twice, one with a low reward, one torn, one that never began."""
    folder = tmp_path / "jobs" / "job"
    samples.trial(folder, "owner__repo-1", log=samples.solved("One."))
    samples.trial(folder, "owner__repo-2", log=samples.solved("Two."))
    samples.trial(folder, "other__repo-3", log=samples.solved("Three."), reward=0)
    samples.trial(folder, "owner__repo-4", log="{")
    samples.trial(folder, "owner__repo-5")
    return folder


def test_a_job(sftrun: Sftrun, job: Path, tmp_path: Path) -> None:
    done = sftrun(job, "--template", "qwen3_nothink", "--out", "data")
    assert done.code == ExitCode.DONE
    (path,) = map(Path, done.out.split())
    assert path.is_relative_to(tmp_path / "data" / "artifacts" / "data" / "lf_data")
    assert len(path.read_text(encoding="utf-8").splitlines()) == 2
    assert "2 records of 2 tasks; 3 left out" in done.err
    for reason in ("LowReward", "CorruptJSON", "NoTrajectory"):
        assert f"1 {reason}: " in done.err
    again = sftrun(job, "--template", "qwen3_nothink", "--out", "data")
    assert (again.code, again.out) == (ExitCode.DONE, done.out)
    assert "there already" in again.err


def test_the_account_for_programs(sftrun: Sftrun, job: Path) -> None:
    done = sftrun(job, "--template", "qwen3_nothink", "--out", "data", "-o", "json", "--cutoff-len", 10)
    account = json.loads(done.out)
    assert account["converted"] == 2
    assert {item["reason"]: item["count"] for item in account["excluded"]} == {
        "LowReward": 1,
        "CorruptJSON": 1,
        "NoTrajectory": 1,
    }
    estimate = account["overlongEstimate"]
    assert (estimate["cutoff"], estimate["records"], estimate["longer"]) == (10, 2, 2)
    assert estimate["longest"] > 10 and estimate["tokens_beyond"] > 0
    assert Path(account["summary_path"]).is_file()


def test_the_account_for_people(sftrun: Sftrun, job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("LINES", "50")
    done = sftrun(job, "--template", "qwen3", "--out", "data", "--stats", "--cutoff-len", 100_000)
    for told in (
        "2 records of 2 tasks",
        "LowReward",
        "a reward is below conversion.minReward",
        "other__repo-3__abc1234",
        "Trained turns",
        "Tokens (estimate)",
        "Estimate, a token for 4 bytes",
        "0 of 2 records longer than 100000 tokens",
        "data/artifacts/data/lf_data/job-",
    ):
        assert told in done.out, told
    assert "empty thought under this template" in done.err


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ((), 2),
        (("--min-reward", 0), 3),
        (("--min-reward", 0, "--exclude-repo", "other/repo"), 2),
        (("--max-instances", 1), 1),
        (("--scaffold", "Terminus2", "--tool-call-form", "Native", "--branches", "All"), 2),
        (("--validation", 0.5, "--seed", 7, "--name", "mine"), 2),
        (("--min-reward", 0, "--exclude-unknown-repos", "--exclude-repos-file", "repos.txt"), 1),
    ],
)
def test_options_of_a_conversion(
    sftrun: Sftrun, job: Path, tmp_path: Path, options: tuple[Any, ...], kept: int
) -> None:
    samples.write(tmp_path / "repos.txt", "owner/repo\n")
    done = sftrun(job, "--template", "qwen3_nothink", "--out", "data", "-o", "json", *options)
    assert done.code == ExitCode.DONE, done.err
    account = json.loads(done.out)
    assert account["converted"] == kept
    if "--validation" in options:
        assert account["validation"] == 1
        assert {item["name"] for item in account["datasets"]} == {"mine", "mine-validation"}


def test_rows_are_told_from_logs(sftrun: Sftrun, tmp_path: Path) -> None:
    samples.write(tmp_path / "rows.jsonl", json.dumps(ROW))
    own = samples.write(tmp_path / "own.jsonl", json.dumps({"ask": "Q", "say": "A"}))
    asked = ("--template", "llama3", "--out", "data", "-o", "json")
    assert json.loads(sftrun("rows.jsonl", *asked).out)["converted"] == 1
    mapped = ("--format", "Alpaca", "--column", "prompt=ask", "--column", "response=say")
    assert json.loads(sftrun(own.name, *asked, *mapped).out)["converted"] == 1
    samples.write(tmp_path / "more.jsonl", "\n".join([json.dumps(ROW), json.dumps(ROW).replace("Q", "R")]))
    both = json.loads(sftrun("rows.jsonl", "more.jsonl", *asked).out)
    assert (both["converted"], both["excluded"][0]["reason"]) == (2, "Duplicate")
    assert [item["name"] for item in both["datasets"]] == ["rows-source-1", "rows-source-2"]


def test_rows_of_no_known_shape_are_told_which_options_say_more(sftrun: Sftrun, tmp_path: Path) -> None:
    samples.write(tmp_path / "own.jsonl", json.dumps({"ask": "Q", "say": "A"}))
    told = sftrun("own.jsonl", "--template", "llama3", "--out", "data")
    assert told.code == ExitCode.USAGE
    assert all(word in told.err for word in ("own.jsonl", "ask, say", "--format", "--column", "--scaffold"))
    assert "harborJob" not in told.err
    both = [{"instruction": "Q", "output": "A"}, {"conversations": [{"from": "human", "value": "Q"}]}]
    samples.write(tmp_path / "both.jsonl", "\n".join(map(json.dumps, both)))
    assert "several formats" in sftrun("both.jsonl", "--template", "llama3", "--out", "data").err


def test_preferences(sftrun: Sftrun, tmp_path: Path) -> None:
    pair = {"prompt": "Q", "chosen": "A", "rejected": "B"}
    samples.write(tmp_path / "pairs.jsonl", json.dumps(pair))
    done = sftrun("pairs.jsonl", "--stage", "dpo", "--template", "llama3", "--out", "data", "-o", "json")
    account = json.loads(done.out)
    assert (account["converted"], account["datasets"][0]["stage"]) == (1, "dpo")


def run_file(path: Path, *jobs: str, **changes: Any) -> Path:
    """A file with an SFTRun."""
    sources = [{"harborJob": {"path": job}, "conversion": {"minReward": 0}} for job in jobs]
    run = api_samples.run(api_samples.MINIMAL | {"sources": sources} | changes, name="mine")
    return samples.write(path, yaml.safe_dump(run))


def test_a_run_is_converted_as_its_pod_would(sftrun: Sftrun, job: Path, tmp_path: Path) -> None:
    run_file(tmp_path / "run.yaml", "jobs/job")
    asked = ("--run", "run.yaml", "--workspace", tmp_path, "--out", "data", "-o", "json")
    account = json.loads(sftrun(*asked).out)
    assert account["converted"] == 3
    assert Path(account["datasets"][0]["path"]).name.startswith("mine-")
    assert account["overlongEstimate"]["cutoff"] > 0
    pod = samples.converted(tmp_path, job, template="llama3", name="mine", min_reward=0.0)
    assert pod.digest == account["digest"]
    changed = json.loads(sftrun(*asked, "--min-reward", 1, "--template", "qwen3").out)
    assert changed["converted"] == 2
    told = sftrun("--run", "run.yaml", "--workspace", tmp_path, "--explain", "owner__repo-1")
    assert "→ trained" in told.out


def test_a_run_that_would_be_refused(sftrun: Sftrun, tmp_path: Path) -> None:
    run_file(tmp_path / "run.yaml", "jobs/job", training={"template": "no-such", "epochs": -1})
    done = sftrun("--run", "run.yaml", "--out", "data")
    assert done.code == ExitCode.USAGE
    assert "training.template" in done.err and "training.epochs" in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), ExitCode.USAGE, "name what to convert"),
        (("jobs/job", "--run", "x.yaml"), ExitCode.USAGE, "name what to convert"),
        (("jobs/job", "--out", "o"), ExitCode.USAGE, "--template"),
        (("jobs/job", "--template", "qwen3"), ExitCode.USAGE, "--out"),
        (("nowhere", "--template", "qwen3", "--out", "o"), ExitCode.USAGE, "nowhere"),
        (("jobs/job", "--template", "qwen3", "--out", "o", "--column", "a"), ExitCode.USAGE, "NAME=NAME"),
        (("jobs/job", "--template", "qwen3", "--out", "o", "--scaffold", "X"), ExitCode.USAGE, "Terminus2"),
        (("unknown.json", "--template", "qwen3", "--out", "o"), ExitCode.USAGE, "no log that is read"),
        (("jobs/job", "--template", "qwen3", "--out", "o", "--min-reward", 2), ExitCode.FAILED, "LowReward"),
        (("jobs/job", "--template", "qwen3", "--explain", "owner__repo-9"), ExitCode.USAGE, "owner__repo-"),
        (("--run", "none.yaml", "--out", "o"), ExitCode.USAGE, "none.yaml"),
    ],
)
def test_what_ends_it_early(
    sftrun: Sftrun, job: Path, tmp_path: Path, arguments: tuple[Any, ...], code: ExitCode, message: str
) -> None:
    samples.write(tmp_path / "unknown.json", {"a": 1})
    done = sftrun(*arguments)
    assert (done.code, done.out) == (code, "")
    assert message in done.err
    assert "Traceback" not in done.err


STORY = [
    samples.user("Do it."),
    samples.run("touch hello.txt\n", reasoning_content="Hm."),
    samples.system("noted"),
    samples.run(complete=True),
    samples.user("thanks"),
    samples.user("bye"),
]


def test_what_became_of_each_turn(sftrun: Sftrun, tmp_path: Path) -> None:
    folder = tmp_path / "jobs" / "job"
    samples.trial(folder, "owner__repo-1", log=samples.atif(*STORY))
    done = sftrun(folder, "--template", "qwen3", "--reasoning", "Drop", "--explain", "owner__repo-1")
    told = [line.strip() for line in done.out.splitlines()]
    assert told[0].startswith("owner__repo-1__abc1234  (task owner__repo-1, rewards: reward 1, ")
    assert "agent/trajectory.json, read by Terminus2/" in told[1]
    fates = [line.removeprefix("→ ") for line in told if line.startswith("→")]
    assert fates == [
        "seen, not trained",
        "trained: without its thought (conversation.reasoning Drop)",
        "seen, not trained",
        "LEFT OUT: a system step in mid-trajectory, which the model never saw, was left out",
        "trained",
        *["LEFT OUT: what came after the model's last answer was left out"] * 3,
    ]
    assert not (tmp_path / "artifacts").exists()


def test_answers_that_are_no_sample_of_their_own(sftrun: Sftrun, tmp_path: Path) -> None:
    folder = tmp_path / "jobs" / "job"
    samples.trial(folder, "owner__repo-1", log=samples.atif(*STORY))
    asked = ("--samples", "PerTurn", "--reasoning", "Require", "--explain", "owner__repo-1")
    told = sftrun(folder, "--template", "qwen3", *asked).out
    assert "→ trained\n" in told
    assert "→ seen, not trained: no sample of its own: ReasoningMissing" in told


@pytest.mark.parametrize(
    ("trial", "told"),
    [
        ("other__repo-3", "left out: LowReward"),
        ("owner__repo-4", "left out: CorruptJSON"),
        ("owner__repo-5__abc1234", "left out: NoTrajectory"),
        ("owner__repo-1", "kept"),
        ("owner__repo-6", "left out when compared with the others"),
    ],
)
def test_why_a_trial_is_not_there(sftrun: Sftrun, job: Path, trial: str, told: str) -> None:
    samples.trial(job, "owner__repo-6", log=samples.solved("One."))
    done = sftrun(job, "--template", "qwen3", "--out", "data", "--explain", trial)
    assert done.code == ExitCode.DONE, done.err
    assert told in done.out


def test_ctrl_c_ends_it_and_leaves_nothing(
    sftrun: Sftrun, job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Draft, "append", interrupted)
    done = sftrun(job, "--template", "qwen3", "--out", "data")
    assert (done.code, done.out) == (ExitCode.INTERRUPTED, "")
    assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file()]


def test_neither_torch_nor_a_cluster_s_client_is_imported(job: Path, tmp_path: Path) -> None:
    code = (
        "import atexit, sys; from sftrun_cli.main import main; "
        "heavy = {'torch', 'transformers', 'kubernetes', 'kopf', 'datasets', 'tokenizers'}; "
        "atexit.register(lambda: print(sorted(heavy & set(sys.modules)))); main()"
    )
    asked = ["convert", str(job), "--template", "qwen3", "--out", str(tmp_path / "data"), "--stats"]
    done = subprocess.run([sys.executable, "-c", code, *asked], capture_output=True, text=True, check=False)
    assert done.returncode == ExitCode.DONE, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_progress_is_drawn_for_people_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal in (True, False):
        screen = io.StringIO()
        console = Console(file=screen, force_terminal=terminal)
        monkeypatch.setattr(consoles, "remarks", lambda console=console: console)
        with progresses.bar("Converting") as on_progress:
            on_progress(3, 7)
        assert ("3/7" in screen.getvalue()) == terminal


def test_help_shows_examples_and_what_the_api_offers(sftrun: Sftrun) -> None:
    told = sftrun("--help")
    assert told.code == 0 and "sftrun convert jobs/my-job" in told.out
    assert get_args(command.Scaffold) == get_args(api.Scaffold)
    assert get_args(command.FileFormat) == get_args(api.FileFormat)
