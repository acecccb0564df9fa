"""The ceilings of `make bench-scale`, and what they are compared with: Kubeflow Trainer's figures of the same
run (part `kubeflow`), or else those of another one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

P50 = "p50"
P99 = "p99"
ALL = "all"
WRITES = "writes a run"
MEMORY = "MiB"
CPU = "CPU s"

KUBEFLOW = {P50: 11.8, P99: 22.8, ALL: 24.8, WRITES: 7.0, MEMORY: 180.0, CPU: 10.0}
"""Of Kubeflow Trainer 2.3 with JobSet: 1,000 TrainJobs of 16 parallel creators on two other cores, median of
three. Seconds for the times; writes an object, MiB and CPU seconds for the rest, which are both managers'
together: the part `kubeflow` finds 166 to 192 MiB in both, 65 in Trainer's own."""
SHARES = {P50: 0.3, P99: 0.3, ALL: 0.3, MEMORY: 0.5, CPU: 0.5}
"""How much of Kubeflow Trainer's figures ours may be: three tenths of each time, half of memory and CPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """The most that a figure may be."""

    name: str
    most: float
    unit: str = ""
    source: str = ""
    """Where it comes from, if it is no goal of its own."""


TEN_THOUSAND = (
    Ceiling(name="seconds until every run has its Job", most=300.0),
    Ceiling(name="peak MB", most=250.0),
    Ceiling(name=WRITES, most=3.0),
    Ceiling(name="events a run", most=1.0),
    Ceiling(name="errors", most=0.0),
    Ceiling(name="writes in 60 idle seconds", most=0.0),
    Ceiling(name="seconds until ready again", most=30.0),
    Ceiling(name="writes after the restart", most=0.0),
)
POLLS = (
    Ceiling(name="age of what is known, p95", most=20.0, unit="s"),
    Ceiling(name="age of what is known, most", most=30.0, unit="s"),
    Ceiling(name="status writes a run and minute", most=2.0),
    Ceiling(name="errors", most=0.0),
)
MALFORMED = (
    Ceiling(name="delay of the median", most=0.1, unit="s"),
    Ceiling(name="good runs in a row beside them, p99", most=1.0, unit="s"),
    Ceiling(name="good runs created while the operator restarts, most", most=30.0, unit="s"),
    Ceiling(name="good runs without a Job", most=0.0),
    Ceiling(name="malformed runs with a Job", most=0.0),
)


def ceilings(measured: Mapping[str, float] | None = None) -> dict[str, tuple[Ceiling, ...]]:
    """Returns the ceilings of each part that has some; shares of Kubeflow Trainer's figures are of those
    `measured` in the same run, where they were."""
    baseline = KUBEFLOW if measured is None else measured
    where = "of another machine" if measured is None else "of this run"

    def share(figure: str, *, name: str = "") -> Ceiling:
        return Ceiling(
            name=name or figure,
            most=round(SHARES[figure] * baseline[figure], 2),
            unit="" if figure in (MEMORY, CPU) else "s",
            source=f"{SHARES[figure]:g} of Kubeflow Trainer's {baseline[figure]:g}, {where}",
        )

    return {
        "thousand": (*(share(figure) for figure in SHARES), Ceiling(name=WRITES, most=3.0)),
        "ten": TEN_THOUSAND,
        "polls": POLLS,
        "malformed": (*MALFORMED, share(P99, name="good runs created among them, p99")),
    }
