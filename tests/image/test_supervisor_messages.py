"""What reaches people: reasons from logs, no secrets, and messages that always fit."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sftrun_api.reasons import Reason
from sftrun_api.reports import Health, Outcome, Report, Stage
from sftrun_api.run_files import RunIdentity
from sftrun_api.statuses import (
    Artifacts,
    Check,
    DatasetStatus,
    Excluded,
    Failure,
    Outputs,
    Progress,
    TrainingMetrics,
)
from sftrun_trainer import logs, redactions, shortenings, signatures, verdicts
from sftrun_trainer.children import ChildEnding
from sftrun_trainer.events import Failure as FailureLine

# The line that stands in a log → reason, final
LOG_LINES = [
    ("[rank0]: ValueError: Undefined dataset my-data in dataset_info.json.", "BadData", True),
    (
        "ValueError: Cannot open /w/out/.sftrun/dataset/dataset_info.json due to [Errno 2] No such file",
        "BadData",
        True,
    ),
    ("ValueError: Expected object or value", "BadData", True),
    ("[rank1]: KeyError: 'conversations'", "BadData", True),
    ("RuntimeError: The dataset corresponds to no data!", "BadData", True),
    ("ValueError: Some keys are not used by the HfArgumentParser: ['packin']", "TrainingFailed", True),
    ("ValueError: Template qwen33 does not exist.", "TrainingFailed", True),
    ("ValueError: Unknown task: sfft.", "TrainingFailed", True),
    ("TypeError: '>' not supported between instances of 'str' and 'int'", "TrainingFailed", True),
    ("HFValidationError: Repo id must be in the form 'repo_name'", "MissingModel", True),
    ("OSError: /m does not appear to have a file named config.json.", "MissingModel", True),
    ("OSError: [Errno 28] No space left on device: '/w/x'", "WorkspaceFull", False),
    (
        "RuntimeError: [enforce fail at inline_container.cc] . PytorchStreamWriter failed writing file",
        "WorkspaceFull",
        False,
    ),
    ("OSError: [Errno 122] Disk quota exceeded", "WorkspaceFull", False),
    ("OSError: [Errno 30] Read-only file system: '/w'", "WorkspaceFailed", True),
    ("OSError: [Errno 116] Stale file handle", "WorkspaceFailed", False),
    ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", "GPUOutOfMemory", False),
    ("RuntimeError: CUDA error: out of memory", "GPUOutOfMemory", False),
    (
        "RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes",
        "OutOfMemory",
        False,
    ),
    ("[rank3]: MemoryError", "OutOfMemory", False),
    (
        "RuntimeError: DataLoader worker (pid 41) is killed by signal: Bus error. insufficient shared memory",
        "SharedMemoryFull",
        True,
    ),
    ("RuntimeError: DataLoader worker (pid 41) is killed by signal: Killed.", "Killed", False),
    (
        "torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:1",
        "CommunicationFailed",
        False,
    ),
    (
        "[rank2]: Watchdog caught collective operation timeout: WorkNCCL(SeqNum=9)",
        "CommunicationFailed",
        False,
    ),
    (
        "RuntimeError: [gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:1",
        "CommunicationFailed",
        False,
    ),
    ("RuntimeError: CUDA error: uncorrectable ECC error encountered", "GPUFault", False),
    ("RuntimeError: Found no NVIDIA driver on your system.", "GPUMissing", False),
    ("huggingface_hub.errors.GatedRepoError: 401 Client Error.", "HubFailed", True),
    ("urllib3.exceptions.MaxRetryError: HTTPSConnectionPool(host='hub')", "HubFailed", False),
    ("ValueError: Can't find a valid checkpoint at /w/out/checkpoint-4", "CannotResume", True),
    ("ZeRO: DP world size of 2 but the current world size is 1", "CannotResume", True),
    ("RuntimeError: Failed to find C compiler. Please specify via CC", "ImageIncomplete", True),
    ("ModuleNotFoundError: No module named 'liger_kernel'", "ImageIncomplete", True),
    ("exitcode  : -9 (pid: 7)\ntraceback : Signal 9 (SIGKILL) received by PID 7", "Killed", False),
    ("everything is fine", None, False),
]


@pytest.mark.parametrize(("line", "reason", "final"), LOG_LINES)
def test_what_a_log_says(line: str, reason: str | None, final: bool) -> None:
    text = f"loading\n{line}\nsubprocess.CalledProcessError: Command '['torchrun'] died\n"
    finding = signatures.find(text)
    assert (finding and finding.reason, bool(finding and finding.final)) == (reason, final)
    if finding is not None:
        assert any(part[:60] in finding.details for part in line.splitlines())
        assert "{0}" not in finding.details


def test_the_cause_wins_over_its_consequences() -> None:
    text = "NCCL error\n[rank1]: torch.OutOfMemoryError: CUDA out of memory\nSignal 9 (SIGKILL) received"
    found = signatures.find(text)
    assert found is not None and found.reason == "GPUOutOfMemory"


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=2000))
def test_any_text_is_a_log(text: str) -> None:
    signatures.find(text)
    redactions.Redactor(["secret-value"])(text)


SECRETS = [
    ("token hf_abcdefghijklmnop in a line", "hf_abcdefghijklmnop"),
    ("Authorization: Bearer eyJhbGciOi.abc.def", "eyJhbGciOi"),
    ("{'authorization': 'Basic dXNlcjpwYXNz'}", "dXNlcjpwYXNz"),
    ("WANDB_API_KEY=0123456789abcdef0123456789abcdef01234567", "0123456789abcdef"),
    ("wandb: Appending key 0123456789abcdef0123456789abcdef01234567 to", "0123456789abcdef"),
    ("api_key='s3cr3t-and-long'", "s3cr3t"),
    ("https://user:pa55word@host/path", "pa55word"),
    ("HF_TOKEN: mine-is-known", "mine-is-known"),
    ("split over mine-is-known twice mine-is-known", "mine-is-known"),
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_secrets_are_hidden(text: str, secret: str) -> None:
    clean = redactions.Redactor(["mine-is-known", "abc", ""])(text)
    assert secret not in clean
    assert redactions.HIDDEN in clean


@pytest.mark.parametrize(
    "text", ["", "abc stays, it is too short a value", "step 4 of 9, loss 0.31", "token 5 tokens"]
)
def test_ordinary_words_stay(text: str) -> None:
    assert redactions.Redactor(["abc"])(text) == text


def test_a_missing_folder_of_credentials_hides_patterns_all_the_same(tmp_path: Path) -> None:
    assert redactions.redactor_for(tmp_path / "none")("hf_abcdefghijkl") == redactions.HIDDEN


words = st.text(st.characters(codec="utf-8"), max_size=3000)
numbers = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def reports(draw: st.DrawFn) -> Report:
    def text(limit: int) -> str:
        return draw(words)[:limit]

    def maybe(value: Any) -> Any:
        return value if draw(st.booleans()) else None

    return Report(
        run=RunIdentity(namespace=text(3000), name=text(3000), uid=text(3000), attempt=1),
        pod_uid=text(3000),
        pod_name=text(3000),
        stage=draw(st.sampled_from(list(Stage))),
        outcome=maybe(draw(st.sampled_from(list(Outcome)))),
        message=text(512),
        progress=maybe(Progress(stage=text(32), done=1, loss=draw(numbers))),
        dataset=maybe(DatasetStatus(name=text(253), excluded=[Excluded(reason=text(64), count=1)] * 64)),
        effective={text(64): [text(2000)] for _ in range(4)},
        checks=[Check(group=text(64), name=text(64), result="Warn", message=text(512))] * 64,
        health=maybe(Health(healthy=True, reason=text(64), message=text(512))),
        outputs=maybe(
            Outputs(
                model_path=text(1024),
                training_metrics=TrainingMetrics(final_loss=draw(numbers)),
                artifacts=Artifacts(report=text(1024), train_results=text(1024)),
            )
        ),
        failure=maybe(Failure(reason=text(64), message=text(1024), log_tail=text(2048))),
    )


@settings(max_examples=80, deadline=None)
@given(reports(), st.integers(min_value=700, max_value=4096))
def test_a_report_always_fits_and_stays_one(report: Report, limit: int) -> None:
    body = shortenings.shorten(report, limit=limit)
    assert len(body) <= limit
    short = Report.model_validate_json(body)
    assert (short.stage, short.outcome, short.run.attempt) == (report.stage, report.outcome, 1)
    assert (short.failure is None) == (report.failure is None)
    assert report.failure is None or short.failure is None or short.failure.reason == report.failure.reason


def test_what_fits_is_left_alone() -> None:
    report = Report(
        run=RunIdentity(namespace="n", name="a", uid="u", attempt=2),
        pod_uid="p",
        stage=Stage.TRAIN,
        failure=Failure(reason="Crashed", message="m", log_tail="the tail\n" * 20),
    )
    assert Report.model_validate_json(shortenings.shorten(report)) == report


@pytest.mark.parametrize(
    ("limit", "tail", "lines"), [(4096, 2048, 30), (2600, 512, 30), (1900, None, 30), (700, None, 0)]
)
def test_what_passed_loses_its_words_first_then_the_tail_goes_then_the_lines(
    limit: int, tail: int | None, lines: int
) -> None:
    report = Report(
        run=RunIdentity(namespace="n", name="a", uid="u", attempt=2),
        pod_uid="p",
        stage=Stage.COLLECT,
        checks=[Check(group="g", name=str(n), result="Pass", message="m" * 100) for n in range(30)],
        outputs=Outputs(model_path="/w/out"),
        failure=Failure(reason="Crashed", message="m", log_tail="x" * 2048),
    )
    short = Report.model_validate_json(shortenings.shorten(report, limit=limit))
    assert short.failure is not None
    assert (short.failure.log_tail and len(short.failure.log_tail)) == tail
    assert (len(short.checks), short.outputs) == (lines, report.outputs)


def ending(**changes: object) -> ChildEnding:
    values: dict[str, object] = {"how": "Ended", "returncode": 1, "out_of_memory": False, "tail": ""}
    return ChildEnding(**{**values, **changes})  # type: ignore[arg-type]


GOOD_WORDS = FailureLine(reason="TemplateMismatch", message="take another", final=True)
LOST_WORDS = FailureLine(reason="HubFailed", message="the hub is down", final=False)
VERDICTS: list[tuple[ChildEnding, FailureLine | None, str, str]] = [
    (ending(how="Stopped"), GOOD_WORDS, "Stopped", ""),
    (ending(how="Killed", out_of_memory=True), None, "Stopped", ""),
    (ending(how="Stalled", returncode=-9), None, "Retry", "Stalled"),
    (ending(), GOOD_WORDS, "Failed", "TemplateMismatch"),
    (ending(), LOST_WORDS, "Retry", "HubFailed"),
    (ending(out_of_memory=True), LOST_WORDS, "Retry", "OutOfMemory"),
    (ending(out_of_memory=True), GOOD_WORDS, "Failed", "TemplateMismatch"),
    (ending(out_of_memory=True, tail="Connection closed by peer"), None, "Retry", "OutOfMemory"),
    (ending(tail="CUDA out of memory"), LOST_WORDS, "Retry", "HubFailed"),
    (ending(tail="CUDA out of memory"), None, "Retry", "GPUOutOfMemory"),
    (ending(returncode=-9), None, "Retry", "Killed"),
    (ending(returncode=-11), None, "Retry", "Crashed"),
    (ending(returncode=-64), None, "Retry", "Crashed"),
    (ending(returncode=64), None, "Failed", "Crashed"),
    (ending(returncode=75), None, "Retry", "Crashed"),
]


@pytest.mark.parametrize(("how", "failure", "outcome", "reason"), VERDICTS)
def test_verdicts(how: ChildEnding, failure: FailureLine | None, outcome: str, reason: str) -> None:
    found = verdicts.judge(
        stage=Stage.TRAIN,
        step=7,
        ending=how,
        failure=failure,
        silent_for=1800.0,
        folder=Path("/w/out"),
        model="/w/models/m",
        memory_limit=1 << 31,
    )
    assert (found.outcome, found.reason) == (outcome, reason)
    assert "unknown" not in found.message
    if reason == Reason.OUT_OF_MEMORY:
        assert "2.0 GiB" in found.message and "step 7" in found.message


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=4000), st.integers(min_value=0, max_value=4000))
def test_an_excerpt_always_fits(text: str, around: int) -> None:
    for place in (None, min(around, len(text))):
        assert len(logs.excerpt(text, around=place).encode()) <= logs.REPORT_TAIL_BYTES


def test_an_excerpt_shows_the_cause() -> None:
    text = "noise\n" * 2000 + "THE CAUSE\n" + "noise\n" * 2000
    assert "THE CAUSE" in logs.excerpt(text, around=text.index("THE CAUSE"))


def test_a_log_is_bounded_redacted_and_split(tmp_path: Path) -> None:
    echo = io.BytesIO()
    log = logs.Log(
        path=tmp_path / "a" / "b.log", redact=redactions.Redactor(["secret"]), echo=echo, file_bytes=100
    )
    log.feed(b"one sec")
    log.feed(b"ret\n 10%\r 20%\r\n" + b"\xff\xfe\n" + b"x" * 40_000)
    assert log.tail().startswith("one [redacted]\n 20%\n")
    log.feed(b"\nunfinished secret")
    assert "unfinished [redacted]" in log.tail()
    log.close()
    assert b"secret" not in echo.getvalue()
    written = (tmp_path / "a" / "b.log").read_bytes()
    assert written.startswith(b"one [redacted]\n 20%\n") and b"reached its limit" in written
    assert len(written) < 300


def test_a_report_is_json_that_the_api_server_takes() -> None:
    report = Report(
        run=RunIdentity(namespace="n", name="a", uid="u", attempt=1), pod_uid="p", stage=Stage.TRAIN
    )
    assert json.loads(shortenings.shorten(report)) == report.to_json_object()
