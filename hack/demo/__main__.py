"""`make demo`, step by step. It can be run again: what is there is taken, the run itself is made anew.

The cluster stays up afterwards, for a look around; `make cluster-down` takes it away.
"""

from __future__ import annotations

import json
import sys
import time

import yaml

from cluster import handles
from cluster.errors import ClusterError
from cluster.handles import RESTRICTED
from demo import curves, live, machines, materials
from rig import commands, rigs, runs
from rig.apis import JsonObject, wait_for
from rig.claims import Claim
from rig.commands import REPOSITORY
from rig.errors import RigError
from rig.rigs import Rig
from rig.runs import Run

NAMESPACE = "demo"
QUIET_SECONDS = 900
"""The longest that nothing may change: the first time the node pulls an image of 4 GB."""


def main() -> int:
    """Runs the demo. Returns the exit code."""
    started = time.monotonic()
    try:
        machines.check()
        theirs = handles.of_environment()
        if theirs is not None:
            machines.check_nodes(json.loads(theirs.kubectl("get", "nodes", "-o", "json"))["items"])
        commands.run(["hack/setup/system.sh"], timeout=1800, what="installing Debian packages")
        rig = rigs.up(show=_show)
        claim = _prepare(rig)
        status = _train(rig)
        _results(rig, claim, status)
    except (RigError, ClusterError) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    _show(f"\nThat took {time.monotonic() - started:.0f} s. It stays up; `make cluster-down` takes it away.")
    _show(f"  export KUBECONFIG={rig.cluster.kubeconfig}; kubectl -n {NAMESPACE} get sftruns")
    return 0 if status.get("phase") == "Succeeded" else 1


def _prepare(rig: Rig) -> Claim:
    """Makes the namespace, the claim, and what lies on it: model and job folder."""
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": RESTRICTED},
    }
    rig.cluster.apply(namespace)
    _remove_last_run(rig)
    claim = materials.put(rig, namespace=NAMESPACE)
    claim.run(f"rm -rf artifacts/model/{_name()}")
    _show(f"claim           {claim.name} in namespace {NAMESPACE}, with a tiny Qwen3 and a Harbor job on it")
    return claim


def _remove_last_run(rig: Rig) -> None:
    """Deletes the last demo's run and waits until its pod has gone: two never share an output folder."""
    run = Run(api=rig.api, namespace=NAMESPACE, name=_name())
    rig.api.delete("sftruns", run.name, namespace=NAMESPACE)
    wait_for(lambda: not run.pods(), what="the last demo's pod ends", timeout=120, seen=run.pods)


def _train(rig: Rig) -> JsonObject:
    """Applies the example as a user does, and shows it until it has ended."""
    _show(f"\n$ kubectl -n {NAMESPACE} apply -f {runs.QUICKSTART.relative_to(REPOSITORY)}")
    _show(rig.cluster.kubectl("apply", "-f", str(runs.QUICKSTART), namespace=NAMESPACE).rstrip())
    _show("")
    run = Run(api=rig.api, namespace=NAMESPACE, name=_name())
    return live.watch(run, show=_show, timeout=QUIET_SECONDS)


def _results(rig: Rig, claim: Claim, status: JsonObject) -> None:
    """Prints what a user would look at afterwards."""
    _show(f"\n$ kubectl -n {NAMESPACE} get sftruns -o wide")
    _show(rig.cluster.kubectl("get", "sftruns", "-o", "wide", namespace=NAMESPACE).rstrip())
    shown = {key: status[key] for key in ("dataset", "outputs", "failure") if key in status}
    _show(f"\n$ kubectl -n {NAMESPACE} get sftrun {_name()} -o yaml   # of its status: {', '.join(shown)}")
    _show(yaml.safe_dump(shown, sort_keys=False, width=120).rstrip())
    losses = _losses(claim)
    if losses:
        _show(f"\n{curves.drawn(losses, colour=sys.stdout.isatty())}")


def _losses(claim: Claim) -> list[tuple[int, float]]:
    folder = f"artifacts/model/{_name()}/.sftrun"
    if "steps.jsonl" not in claim.names(folder):
        return []
    steps = {
        line["step"]: line["loss"] for line in claim.read_lines(f"{folder}/steps.jsonl") if "loss" in line
    }
    return sorted(steps.items())


def _name() -> str:
    return str(runs.quickstart()["metadata"]["name"])


def _show(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
