"""The ceilings of `make bench-scale`, and what they are compared with.

Kubeflow Trainer 2.3 with JobSet: 1,000 TrainJobs of 16 parallel creators on two cores, median of three; the
controller's memory and CPU seconds are its manager's own.
"""

from __future__ import annotations

from dataclasses import dataclass

P50 = "p50"
P99 = "p99"
ALL = "all"
WRITES = "writes a run"
MEMORY = "MiB"
CPU = "CPU s"

KUBEFLOW = {P50: 11.8, P99: 22.8, ALL: 24.8, WRITES: 7.0, MEMORY: 180.0, CPU: 10.0}
"""Seconds for the times; writes an object, MiB and CPU seconds for the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """The most that a figure may be."""

    name: str
    most: float
    unit: str = ""


THOUSAND = (
    *(Ceiling(name=name, most=round(0.3 * KUBEFLOW[name], 2), unit="s") for name in (P50, P99, ALL)),
    Ceiling(name=WRITES, most=3.0),
    Ceiling(name=MEMORY, most=0.5 * KUBEFLOW[MEMORY]),
    Ceiling(name=CPU, most=0.5 * KUBEFLOW[CPU]),
)
"""1,000 runs by 16 creators: three tenths of each time, half of memory and CPU."""
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
    Ceiling(name="good runs created among them, p99", most=round(0.3 * KUBEFLOW[P99], 2), unit="s"),
    Ceiling(name="good runs created while the operator restarts, most", most=30.0, unit="s"),
    Ceiling(name="good runs without a Job", most=0.0),
    Ceiling(name="malformed runs with a Job", most=0.0),
)
