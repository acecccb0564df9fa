"""The process: options, probes, metrics, log lines, and the rights that it asks for."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from pathlib import Path

import aiohttp
import orjson
import pytest
import yaml
from tests.operator.shell_fakes import KEY

from sftrun_operator import connections, kube, main, metric_tables
from sftrun_operator.caches import Key
from sftrun_operator.health import AddressError, HealthServer, parse_address
from sftrun_operator.logs import Complaints, LineFormatter, run_logger
from sftrun_operator.metrics import Metrics
from sftrun_operator.operators import Options

CHART = Path(__file__).parents[2] / "charts" / "sftrun-operator"


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        (":8081", ("0.0.0.0", 8081)),
        ("[::1]:8081", ("::1", 8081)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_addresses(given: str, address: tuple[str, int]) -> None:
    assert parse_address(given) == address


@pytest.mark.parametrize("given", ["", "8081", "host", "host:", "host:x", "host:70000", "host:-1"])
def test_what_is_no_address_says_how_one_looks(given: str) -> None:
    with pytest.raises(AddressError, match=r"write HOST:PORT"):
        parse_address(given)


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["--trainer-image", "i", "--run-as-user", "root"],
        ["--trainer-image", "i", "--run-as-user", "0"],
        ["--trainer-image", "i", "--workers", "0"],
        ["--trainer-image", "i", "--workers", "257"],
        ["--trainer-image", "i", "--liveness", "nowhere"],
        ["--trainer-image", "i", "--surprise"],
        ["--trainer-image", "i", "--namespace", "team-*"],
        ["--trainer-image", "i", "--namespace", "a,b"],
        ["--trainer-image", "i", "--namespace", ""],
    ],
)
def test_wrong_options_end_with_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main.main(argv)
    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_the_number_of_workers_that_is_the_default_may_be_written() -> None:
    parse = main.parser().parse_args
    default = parse(["--trainer-image", "i"]).workers
    assert default == Options().num_workers
    assert parse(["--trainer-image", "i", f"--workers={default}"]).workers == default
    assert default < kube.MAX_CONNECTIONS, "lists and questions need connections beside them"


def test_ids_may_be_left_to_the_cluster() -> None:
    options = main.parser().parse_args(["--trainer-image", "i", "--run-as-user", "None", "--fs-group", "7"])
    assert (options.run_as_user, options.run_as_group, options.fs_group) == (None, 1000, 7)


@pytest.mark.parametrize("content", [None, "", "{}", "clusters: 5", "no: [yaml"])
async def test_no_cluster_says_what_to_set(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)
    with pytest.raises(connections.NoClusterError, match="Set KUBECONFIG"):
        await connections.load(str(path))


def test_the_command_ends_with_1_without_a_cluster(tmp_path: Path) -> None:
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "sftrun_operator",
            "--trainer-image",
            "i",
            "--kubeconfig",
            str(tmp_path / "none"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert "no cluster to talk to" in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_probes_and_metrics() -> None:
    trouble = {"healthy": "", "ready": "not yet"}
    metrics = Metrics()
    metrics.told("create", "jobs", "201", 0.01)
    metrics.heard_of(KEY)
    metrics.created(KEY, "Job")
    metrics.gauge(metric_tables.QUEUE_DEPTH, lambda: 3)
    async with (
        HealthServer(
            address="127.0.0.1:0",
            healthy=lambda: trouble["healthy"],
            ready=lambda: trouble["ready"],
            metrics=metrics,
        ) as server,
        aiohttp.ClientSession(f"http://{server.address}") as session,
    ):

        async def get(path: str) -> tuple[int, str]:
            async with session.get(path) as response:
                return response.status, await response.text()

        assert await get("/healthz") == (200, "ok\n")
        assert await get("/readyz") == (503, "not yet\n")
        trouble.update(healthy="ended: watch", ready="")
        assert await get("/healthz") == (503, "ended: watch\n")
        assert await get("/readyz") == (200, "ok\n")
        status, text = await get("/metrics")
        assert status == 200
        assert 'sftrun_operator_api_requests_total{code="201",resource="jobs",verb="create"} 1.0' in text
        assert "sftrun_operator_queue_depth 3.0" in text
        assert "sftrun_run_apply_to_job_seconds_count 1.0" in text
        assert (await get("/else"))[0] == 404


@pytest.mark.parametrize(
    ("kind", "pattern"), [("text", r"^\S+Z?\S* INFO +run n/x: created \\n it$"), ("json", "")]
)
def test_a_line_is_one_line_and_names_its_run(
    kind: str, pattern: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "sftrun_operator"):
        run_logger(Key("n", "x")).info("created \n %s", "it")
    formatter = LineFormatter(kind="json" if kind == "json" else "text")
    line = formatter.format(caplog.records[-1])
    assert "\n" not in line
    if kind == "json":
        parsed = orjson.loads(line)
        assert (parsed["run"], parsed["level"], parsed["message"]) == ("n/x", "INFO", "created \n it")
    else:
        assert re.match(pattern, line)


def test_a_kind_of_failure_is_said_once_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints()
    with caplog.at_level(logging.INFO, "sftrun_operator"):
        for _ in range(3):
            complaints.complain("API server", "refused", about=None)
        complaints.complain("refused", "quota", about=KEY)
        complaints.over(about=None)
        complaints.over(about=None)
    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [
        ("WARNING", "refused"),
        ("WARNING", "quota"),
        ("INFO", "API server: over after 3 failed tries"),
    ]


def test_the_charts_role_is_what_the_operator_asks_for() -> None:
    template = (CHART / "templates" / "_helpers.tpl").read_text()
    block = template.split('{{- define "sftrun.rules" -}}')[1].split("{{- end -}}")[0]
    granted = {
        (group, resource): set(rule["verbs"])
        for rule in yaml.safe_load(block)
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert granted == {(group, resource): set(verbs) for group, resource, verbs in main.RULES}
    assert not any("secret" in resource for _, resource, _ in main.RULES)
    assert {resource for _, resource, verbs in main.RULES if "patch" in verbs} == {"sftruns/status"}
