"""What the chart's notes tell to do next: `helm test`, in a pod of the installed operator's image."""

from __future__ import annotations

from cluster import programs
from rig import commands, releases
from rig.rigs import Rig


def test_helm_test_says_what_it_found(rig: Rig) -> None:
    told = commands.run(
        [
            *(programs.binary("helm"), "--kubeconfig", rig.cluster.kubeconfig),
            *("test", releases.RELEASE, "--namespace", releases.NAMESPACE, "--logs", "--timeout", "3m"),
        ]
    ).decode()
    for expected in ("Phase:          Succeeded", "SFTRuns are served", " answers", " leads"):
        assert expected in told, told
