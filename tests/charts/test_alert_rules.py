"""Every alert in a case in which it fires and one in which it does not, by the real `promtool`.

Series are written as promtool writes them: a value a minute. Each case is judged once, at its end.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from sftrun_operator import metric_tables
from sftrun_trainer import expositions

pytestmark = pytest.mark.cluster

RULES = Path(__file__).parents[2] / "charts" / "sftrun-operator" / "monitoring" / "alerts.yaml"
Series = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What fires an alert, and what nearly does."""

    fires: Series
    quiet: Series
    minutes: int = 60
    labels: str = ""
    """Of the alert that fires, beside its name and severity."""


def trainer(name: str, values: str, *, stage: str = "Train", **more: str) -> Series:
    """Returns a trainer's series, and that of the stage it is in."""
    labels = 'instance="10.0.0.1:8080",namespace="team",run="r"'
    return {
        f"sftrun_trainer_{name}{{{labels}}}": values,
        f'sftrun_trainer_stage{{{labels},stage="{stage}"}}': more.get("stages", "1x120"),
    }


def uses(**values: str) -> Series:
    return {f'sftrun_gpu_seconds_total{{use="{use}"}}': found for use, found in values.items()}


def ended(phase: str, values: str) -> Series:
    return {f'sftrun_runs_ended_total{{phase="{phase}",reason="Whatever"}}': values}


RUN = 'instance="10.0.0.1:8080",namespace="team",run="r"'
UP = {'sftrun_operator_build_info{version="1"}': "1x120"}
CASES: dict[str, Case] = {
    "SFTRunOperatorAbsent": Case(fires={}, quiet=UP),
    "SFTRunOperatorNoLeader": Case(
        fires={'sftrun_operator_leading{pod="a"}': "0x120", 'sftrun_operator_leading{pod="b"}': "0x120"},
        quiet={'sftrun_operator_leading{pod="a"}': "0x120", 'sftrun_operator_leading{pod="b"}': "1x120"},
    ),
    "SFTRunOperatorApiSilent": Case(
        fires={"sftrun_operator_api_silent_seconds": "0+60x120"},
        quiet={"sftrun_operator_api_silent_seconds": "11x120"},
    ),
    "SFTRunOperatorQueueStuck": Case(
        fires={"sftrun_operator_queue_oldest_seconds": "61x120"},
        quiet={"sftrun_operator_queue_oldest_seconds": "59x57 61x10"},
    ),
    "SFTRunOperatorErrors": Case(
        fires={
            'sftrun_operator_reconciles_total{result="ok"}': "0+80x120",
            'sftrun_operator_reconciles_total{result="error"}': "0+5x120",
            'sftrun_operator_reconciles_total{result="timeout"}': "0+5x120",
            'sftrun_operator_reconciles_total{result="refused"}': "0+10x120",
        },
        quiet={
            'sftrun_operator_reconciles_total{result="ok"}': "0+80x120",
            'sftrun_operator_reconciles_total{result="conflict"}': "0+80x120",
            'sftrun_operator_reconciles_total{result="error"}': "0+1x120",
        },
    ),
    "SFTRunOperatorForbidden": Case(
        fires={'sftrun_operator_api_requests_total{verb="list",resource="pods",code="403"}': "0+1x120"},
        quiet={
            'sftrun_operator_api_requests_total{verb="create",resource="jobs",code="403"}': "0+9x120",
            'sftrun_operator_api_requests_total{verb="list",resource="pods",code="200"}': "0+9x120",
        },
        labels='resource="pods",verb="list"',
    ),
    "SFTRunOperatorWatchUnsteady": Case(
        fires={"sftrun_operator_watch_restarts_total": "0+1x120"},
        quiet={"sftrun_operator_watch_restarts_total": "0x40 4x80"},
    ),
    "SFTRunOperatorListStale": Case(
        fires={"sftrun_operator_list_age_seconds": "0+60x120"},
        quiet={"sftrun_operator_list_age_seconds": "400x120"},
    ),
    "SFTRunOperatorPolicyStale": Case(
        fires={"sftrun_operator_policy_current": "0x120"}, quiet={"sftrun_operator_policy_current": "1x120"}
    ),
    "SFTRunOperatorCRDOld": Case(
        fires={"sftrun_operator_crd_current": "0x120"}, quiet={"sftrun_operator_crd_current": "1x120"}
    ),
    "SFTRunStartsSlow": Case(
        fires={
            'sftrun_run_apply_to_job_seconds_bucket{le="30.0"}': "0x120",
            'sftrun_run_apply_to_job_seconds_bucket{le="60.0"}': "0+1x120",
            'sftrun_run_apply_to_job_seconds_bucket{le="+Inf"}': "0+1x120",
        },
        quiet={
            'sftrun_run_apply_to_job_seconds_bucket{le="0.5"}': "0+1x120",
            'sftrun_run_apply_to_job_seconds_bucket{le="30.0"}': "0+1x120",
            'sftrun_run_apply_to_job_seconds_bucket{le="+Inf"}': "0+1x120",
        },
    ),
    "SFTRunFailuresMany": Case(
        fires=ended("Failed", "0x30 6x90") | ended("Succeeded", "0x30 2x90"),
        quiet=ended("Failed", "0x30 6x90") | ended("Succeeded", "0x30 9x90") | ended("Rejected", "0+9x120"),
    ),
    "SFTRunGpusWaiting": Case(
        fires=uses(waiting="0+480x120", useful="0+480x120"),
        quiet=uses(waiting="0+30x120", useful="0+60x120"),
        minutes=90,
    ),
    "SFTRunGpusRepeating": Case(
        fires=uses(lost="0+480x150", useful="0+480x150"),
        quiet=uses(lost="0+60x150", useful="0+480x150", preparing="0+100x150"),
        minutes=120,
    ),
    "SFTRunProgressUnreachable": Case(
        fires={
            'sftrun_operator_progress_polls_total{result="unreachable"}': "0+6x120",
            'sftrun_operator_progress_polls_total{result="ok"}': "0+3x120",
            'sftrun_operator_progress_polls_total{result="no curve"}': "0+30x120",
        },
        quiet={
            'sftrun_operator_progress_polls_total{result="unreachable"}': "0+3x120",
            'sftrun_operator_progress_polls_total{result="ok"}': "0+6x120",
        },
    ),
    "SFTRunStalled": Case(
        fires=trainer("updated_timestamp_seconds", "100x120"),
        quiet=trainer("updated_timestamp_seconds", "0+60x120"),
        labels=RUN,
    ),
    "SFTRunNonFinite": Case(
        fires=trainer("non_finite", "1x120"), quiet=trainer("non_finite", "0x120"), labels=RUN
    ),
    "SFTRunUnhealthy": Case(fires=trainer("healthy", "0x120"), quiet=trainer("healthy", "1x120"), labels=RUN),
    "SFTRunCheckpointOld": Case(
        fires=trainer("checkpoint_timestamp_seconds", "100x300", stages="1x300"),
        quiet=trainer("checkpoint_timestamp_seconds", "100x200 12000x100", stages="1x300"),
        labels=RUN,
        minutes=290,
    ),
    "SFTRunGpusIdle": Case(
        fires=trainer("gpu_utilization_ratio", "0.1x120"),
        quiet=trainer("gpu_utilization_ratio", "0.1x120", stage="Prepare"),
        labels=RUN,
    ),
}


def _rules() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def test_every_alert_has_its_cases() -> None:
    assert set(_rules()) == set(CASES)


def test_promtool_finds_no_fault() -> None:
    done = subprocess.run(["promtool", "check", "rules", RULES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_judges_every_case(tmp_path: Path) -> None:
    """All of them in one process: promtool says which one is wrong."""
    rules = _rules()
    tests = [_judged(name, case.fires, case, rules[name]) for name, case in CASES.items()]
    tests += [_judged(name, case.quiet, case, None) for name, case in CASES.items()]
    file = tmp_path / "alerts.test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _judged(name: str, series: Series, case: Case, rule: dict[str, Any] | None) -> dict[str, Any]:
    """Returns one test of promtool's: the alert fires after `case.minutes`, or it does not: no rule."""
    expected = []
    if rule is not None:
        own = f'alertname="{name}",alertstate="firing",severity="{rule["labels"]["severity"]}"'
        labels = ",".join(filter(None, (own, case.labels)))
        expected = [{"labels": f"ALERTS{{{labels}}}", "value": 1}]
    question = {
        "expr": f'ALERTS{{alertname="{name}",alertstate="firing"}}',
        "eval_time": f"{case.minutes}m",
        "exp_samples": expected,
    }
    return {
        "interval": "1m",
        "input_series": [{"series": key, "values": values} for key, values in series.items()],
        "promql_expr_test": [question],
    }


def test_alerts_ask_for_metrics_that_exist_and_say_what_to_do() -> None:
    shown = {row.shown for row in metric_tables.ROWS}
    shown |= {f"{row.name}_bucket" for row in metric_tables.ROWS if row.type == "histogram"}
    shown |= {name for name, _, _ in expositions.rows()}
    for name, rule in _rules().items():
        assert set(re.findall(r"\bsftrun_\w+", rule["expr"])) <= shown, name
        assert rule["labels"]["severity"] in ("critical", "warning", "info"), name
        assert set(rule["annotations"]) == {"summary", "description"}, name
        assert len(rule["annotations"]["description"]) > 40, name
