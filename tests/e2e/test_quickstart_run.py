"""The quickstart on a real node: it trains, and every figure of its status can be read on the claim."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e import outputs, programs, specs
from tests.e2e.conftest import Start

from rig import releases, runs
from rig.apis import JsonObject
from rig.claims import Claim
from rig.commands import REPOSITORY
from rig.rigs import Rig
from rig.runs import Run

SECONDS = 400
EXPECTED = json.loads((REPOSITORY / "examples" / "quickstart" / "expected.json").read_text())
"""What the job folder holds, written by its generator: what is kept, and each reason for leaving one out."""


@pytest.fixture(scope="module")
def watched(quickstart: Run, rig: Rig) -> Iterator[subprocess.Popen[str]]:
    """`kubectl sft watch`, started beside the run."""
    process = programs.start(rig.cluster, quickstart.namespace, "watch", quickstart.name)
    yield process
    process.kill()
    process.communicate()


@pytest.fixture(scope="module")
def seen(quickstart: Run, watched: subprocess.Popen[str]) -> list[JsonObject]:
    """Every status that was seen while the run ran, in order."""
    return list(quickstart.changes(timeout=SECONDS))


@pytest.fixture(scope="module")
def status(seen: list[JsonObject]) -> JsonObject:
    """The last one."""
    assert seen[-1]["phase"] == "Succeeded", seen[-1]
    return seen[-1]


def test_goes_through_its_phases(seen: list[JsonObject], status: JsonObject) -> None:
    phases = list(dict.fromkeys(now["phase"] for now in seen if "phase" in now))
    assert [phase for phase in phases if phase != "Collecting"] == [
        "Pending",
        "Preparing",
        "Training",
        "Succeeded",
    ]
    assert status["attempt"] == 1
    assert {"type": "Succeeded", "status": "True"}.items() <= _condition(status, "Succeeded").items()


def test_progress_moves_while_it_runs(seen: list[JsonObject]) -> None:
    shown = [now["progress"] for now in seen if "progress" in now and now["phase"] != "Succeeded"]
    assert len({(progress["stage"], progress["done"]) for progress in shown}) >= 2
    steps = [progress["step"] for progress in shown if progress.get("step")]
    assert steps == sorted(steps)


def test_the_archive_is_whole(status: JsonObject, claim: Claim) -> None:
    """Also what kubelet mounts as links; and a run without any trouble is told of none."""
    assert [check for check in status["checks"] if check["name"] == "archive"] == []
    place = str(status["outputs"]["artifacts"]["archive"]).removeprefix("/workspace/")
    assert {"llamafactory.yaml", "deepspeed.json"} == set(claim.names(f"{place}/rendered"))


def test_metrics_are_llama_factory_s_own(status: JsonObject, claim: Claim) -> None:
    """In an undisturbed run our figures, made from each step, equal the ones that LLaMA-Factory writes."""
    metrics = status["outputs"]["trainingMetrics"]
    folder = outputs.folder("quickstart")
    assert metrics["meanTrainLoss"] == pytest.approx(
        claim.read_json(f"{folder}/train_results.json")["train_loss"], rel=1e-6
    )
    assert metrics["totalSteps"] == claim.read_json(f"{folder}/trainer_state.json")["global_step"]
    assert metrics["totalSteps"] == len(outputs.losses(claim, "quickstart"))


def test_outputs_are_there(status: JsonObject, claim: Claim) -> None:
    found = status["outputs"]
    assert "model.safetensors" in claim.names(found["modelPath"])
    assert "trainer_state.json" in claim.names(found["checkpointPath"])
    for kind in ("trainResults", "trainingLog", "report"):
        assert claim.read(found["artifacts"][kind]), kind


def test_weights_load(status: JsonObject, claim: Claim, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    claim.fetch(status["outputs"]["modelPath"], tmp_path)
    _, report = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]


def test_every_trajectory_is_accounted_for(status: JsonObject) -> None:
    assert status["dataset"]["converted"] == EXPECTED["converted"]
    assert {item["reason"]: item["count"] for item in status["dataset"]["excluded"]} == EXPECTED["excluded"]


def test_pod_was_restricted_and_asked_for_eight_gpus(quickstart: Run, status: JsonObject, rig: Rig) -> None:
    """The namespace enforces the restricted profile, so that the pod existed at all is the proof of it."""
    pod = next(pod for pod in quickstart.pods() if pod["metadata"]["name"] == status["podName"])
    container = pod["spec"]["containers"][0]
    assert container["resources"]["requests"]["nvidia.com/gpu"] == "8"
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert not [volume for volume in pod["spec"]["volumes"] if "projected" in volume]
    labels = (rig.api.get("namespaces", quickstart.namespace) or {})["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_operator_had_nothing_to_complain_about(status: JsonObject, rig: Rig) -> None:
    """A watch that ends again and again is made up for by listing, slowly: only its log tells."""
    assert status
    log = rig.cluster.kubectl("logs", f"deployment/{releases.RELEASE}", namespace=releases.NAMESPACE)
    lines = [line for line in log.splitlines() if "the watch ended" in line or " ERROR " in line]
    assert not lines, lines[:5]


def test_table_shows_it(status: JsonObject, rig: Rig, quickstart: Run) -> None:
    shown = rig.cluster.kubectl("get", "sft", "quickstart", "-o", "wide", namespace=quickstart.namespace)
    header, row = shown.splitlines()
    assert header.split()[:7] == ["NAME", "PHASE", "PROGRESS", "LOSS", "ETA", "GPUS", "AGE"]
    assert row.split()[:3] == ["quickstart", "Succeeded", "100%"]
    assert status["outputs"]["checkpointPath"] in row


def test_same_spec_again_prepares_nothing_and_learns_the_same(
    status: JsonObject, apply: Start, claim: Claim
) -> None:
    """Under another name: converted and tokenised data are used as they lie in the cache."""
    before = _data(claim)
    again = runs.quickstart()
    again["metadata"]["name"] = "quickstart-again"
    second = apply(again).wait_phase("Succeeded", timeout=SECONDS)
    assert _data(claim) == before
    assert outputs.losses(claim, "quickstart-again") == outputs.losses(claim, "quickstart")
    assert second["dataset"]["digest"] == status["dataset"]["digest"]


def test_its_folder_is_refused_to_another_run(
    status: JsonObject, apply: Start, claim: Claim, quickstart: Run
) -> None:
    content = "find artifacts/model/quickstart -type f -exec sha256sum {} + | sort"
    before = claim.run(content)
    other = apply(specs.sftrun("intruder", {"training": {"outputDir": "quickstart"}}))
    failure = other.wait_phase("Failed", timeout=SECONDS)["failure"]
    assert (failure["reason"], failure["exitCode"]) == ("OutputFolderTaken", 64)
    assert f"{quickstart.namespace}/quickstart" in failure["message"]
    assert status["outputs"]["modelPath"].endswith("/quickstart")
    assert claim.run(content) == before


def test_one_torn_trajectory_is_counted_and_not_fatal(apply: Start, status: JsonObject) -> None:
    kept = status["dataset"]["converted"] + sum(
        item["count"] for item in status["dataset"]["excluded"] if item["reason"] == "ExcludedRepo"
    )
    run = apply(specs.sftrun("one-torn", specs.job("jobs/one-torn"), specs.PREPARE))
    dataset = run.wait_phase("Succeeded", timeout=SECONDS)["dataset"]
    assert dataset["converted"] == kept - 1


OLD = """
cd artifacts/model; mkdir -p old/.sftrun
echo '{"namespace": "n", "name": "old", "uid": "00000000-1"}' > old/.sftrun/claim.json
echo '{"ending": "Completed", "step": 4, "totalSteps": 4}' > old/.sftrun/training.json
for step in 2 4; do
  mkdir old/checkpoint-$step; echo "{\\"global_step\\": $step}" > old/checkpoint-$step/trainer_state.json
done
ln -s /workspace/models old/checkpoint-2/link
"""


def test_clean_removes_through_a_pod_what_was_superseded(
    status: JsonObject, claim: Claim, rig: Rig, quickstart: Run
) -> None:
    claim.run(OLD)
    before = claim.names(status["outputs"]["modelPath"])
    command = [
        *(sys.executable, "-m", "sftrun_cli", "clean", "--run", "quickstart", "-n", quickstart.namespace),
        *("--kubeconfig", str(rig.cluster.kubeconfig), "--checkpoints", "-o", "json"),
    ]
    mine = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert not [each for each in mine["items"] if "/quickstart/" not in each["path"]]
    command[command.index("--run") : command.index("--run") + 2] = ["--claim", claim.name]
    shown = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert "artifacts/model/old/checkpoint-2" in [each["path"] for each in shown["items"]]
    assert claim.names("artifacts/model/old") == [".sftrun", "checkpoint-2", "checkpoint-4"]

    done = subprocess.run([*command, "--yes"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "for reading and writing" in done.stderr
    assert "artifacts/model/old/checkpoint-2" in [each["path"] for each in json.loads(done.stdout)["removed"]]
    assert claim.names("artifacts/model/old") == [".sftrun", "checkpoint-4"]
    assert "tiny-qwen3" in claim.names("models")
    last = Path(status["outputs"]["checkpointPath"]).name
    assert last in claim.names(status["outputs"]["modelPath"])
    assert set(claim.names(status["outputs"]["modelPath"])) <= set(before)


def test_watch_tells_the_whole_run_and_ends_with_it(
    watched: subprocess.Popen[str], status: JsonObject
) -> None:
    out, err = watched.communicate(timeout=60)
    lines = out.splitlines()
    assert (watched.returncode, err) == (0, "")
    phases = [line.split()[1] for line in lines]
    assert {"Preparing", "Training", "Succeeded"} <= set(phases)
    assert any("loss " in line for line, phase in zip(lines, phases, strict=True) if phase == "Training")
    assert lines[-1].startswith("quickstart  Succeeded") and status["outputs"]["modelPath"] in lines[-1]


def test_plot_draws_the_losses_that_lie_in_the_folder(
    status: JsonObject, rig: Rig, quickstart: Run, claim: Claim, tmp_path: Path
) -> None:
    assert status
    place = (rig.cluster, quickstart.namespace)
    programs.call(*place, "plot", "quickstart", "--out", str(tmp_path / "x.csv"))
    rows = list(csv.DictReader((tmp_path / "x.csv").read_text().splitlines()))
    drawn = {int(row["step"]): float(row["loss"]) for row in rows if row["kind"] == "train"}
    assert drawn == pytest.approx(outputs.losses(claim, "quickstart"), rel=1e-5)
    programs.call(*place, "plot", "quickstart", "--out", str(tmp_path / "x.png"))
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    text, _ = programs.call(*place, "describe", "quickstart")
    assert f"{EXPECTED['converted']} records" in text and status["outputs"]["modelPath"] in text


def test_compare_finds_nothing_between_two_equal_runs(
    status: JsonObject, apply: Start, rig: Rig, quickstart: Run
) -> None:
    again = runs.quickstart()
    again["metadata"]["name"] = "quickstart-again"
    apply(again).wait_phase("Succeeded", timeout=SECONDS)
    names = ("quickstart", "quickstart-again")
    text, _ = programs.call(rig.cluster, quickstart.namespace, "compare", *names, "-o", "json")
    compared = json.loads(text)
    assert not [each for each in compared["differences"] if each["field"].startswith("spec.")]
    assert compared["verdicts"][-1]["difference"] == 0
    assert compared["runs"][0]["finalLoss"] == status["outputs"]["trainingMetrics"]["finalLoss"]


def test_logs_are_those_of_the_pod_and_of_the_workspace_when_it_is_gone(
    status: JsonObject, rig: Rig, quickstart: Run
) -> None:
    place = (rig.cluster, quickstart.namespace)
    live, err = programs.call(*place, "logs", "quickstart", "--stage", "train")
    assert status["podName"] in err
    rig.cluster.kubectl("delete", "pod", status["podName"], namespace=quickstart.namespace)
    kept, err = programs.call(*place, "logs", "quickstart", "--stage", "train")
    assert "with your rights" in err and "for reading only" in err
    assert "train_runtime" in live and "train_runtime" in kept
    assert not rig.api.list("pods", namespace=quickstart.namespace, selector="sftrun.dev/helper")
    _, err = programs.call(*place, "logs", "quickstart", "--attempt", "2", code=1)
    assert "there is no attempt 2" in err


def _data(claim: Claim) -> bytes:
    """Every file of records and tokens with its time of writing; not the list of names that is exported."""
    wanted = "-type f ! -name '*dataset_info.json*' -o -path '*/tokenized/*'"
    return claim.run(f"find artifacts/data .cache/sftrun {wanted} | sort | xargs stat -c '%n %y'")


def _condition(status: JsonObject, kind: str) -> JsonObject:
    found = [condition for condition in status["conditions"] if condition["type"] == kind]
    assert len(found) == 1
    return dict(found[0])
