"""How many samples a step sees, in all and on each GPU, and how many steps that leaves."""

from __future__ import annotations

from collections.abc import Iterator

from sftrun_api.advice import learning_rates, ranges
from sftrun_api.advice.ranges import Range, number
from sftrun_api.advice.values import Advice, Case, Method, Size, Source

_SMALL, _MEDIUM, _LARGE = Range(least=16, most=32), Range(least=32, most=64), Range(least=64, most=128)
GLOBAL: ranges.Table = {
    (method, size): row
    for method in (Method.FULL, Method.LORA)
    for size, row in ((Size.SMALL, _SMALL), (Size.MEDIUM, _MEDIUM), (Size.LARGE, _LARGE))
}
LOCAL: ranges.Table = {
    (Method.FULL, Size.SMALL): Range(least=2, most=4),
    (Method.FULL, Size.MEDIUM): Range(least=4, most=8),
    (Method.FULL, Size.LARGE): Range(least=8, most=16),
}
SHORT = 2048
"""Tokens up to which a sample is one of those that the guide's batches on a GPU are meant for; trajectories
of 32,768 tokens fill a GPU one by one."""
FEW_STEPS = 50
"""Below it the loss has hardly begun to fall: the guide looks at the first 50 to 100 steps."""


def advise(case: Case) -> Iterator[Advice]:
    """Yields advice on batches."""
    if not case.supervised:
        return
    batch = case.resolved.global_batch_size
    row = ranges.find(GLOBAL, case.method, case.size)
    if row is not None and not row.holds(batch):
        yield _global(case, row, batch)
    yield from _local(case)
    yield from _steps(case, batch)


def _global(case: Case, row: Range, batch: int) -> Advice:
    training = case.training
    worked = (
        f"{training.per_device_train_batch_size} x {training.gradient_accumulation_steps} x "
        f"{case.resolved.processes_per_node} processes"
    )
    usual = row.nearest(batch)
    rate = number(learning_rates.for_batch(case.resolved.learning_rate, batch=batch, usual=usual))
    why = "noisy gradients" if batch < row.least else "fewer updates of the weights"
    return Advice(
        id="GlobalBatch",
        field=_lever(case, smaller=batch > row.least),
        value=f"{batch} samples a step ({worked})",
        recommended=f"{row} samples a step, or a learningRate of about {rate} with this batch",
        why=f"{case.who}: {why}; the rate goes with the square root of the batch",
        source=Source.GUIDE,
    )


def _lever(case: Case, *, smaller: bool) -> str:
    """Returns the field that changes the global batch; what stands at 1 makes it no smaller."""
    if not smaller or case.training.gradient_accumulation_steps > 1:
        return "training.gradientAccumulationSteps"
    if case.training.per_device_train_batch_size > 1:
        return "training.perDeviceTrainBatchSize"
    asked = case.spec.infrastructure
    counted = asked.processes_per_node is not None or asked.accelerator == "CPU"
    return "infrastructure.processesPerNode" if counted else "infrastructure.gpusPerNode"


def _local(case: Case) -> Iterator[Advice]:
    length = case.facts.median if case.facts.median is not None else case.training.cutoff_len
    if length > SHORT or case.spec.infrastructure.accelerator != "GPU" or case.training.packing != "None":
        return
    found = ranges.advice(
        case,
        LOCAL,
        case.training.per_device_train_batch_size,
        name="LocalBatch",
        field="training.perDeviceTrainBatchSize",
        why="short samples one by one leave a GPU idle, too many exceed its memory; keep the global batch "
        "by gradientAccumulationSteps",
    )
    if found is not None:
        yield found


def _steps(case: Case, batch: int) -> Iterator[Advice]:
    steps = case.total_steps
    if steps is None or steps >= FEW_STEPS or case.training.max_steps is not None or batch <= _SMALL.least:
        return
    yield Advice(
        id="FewSteps",
        field=_lever(case, smaller=True),
        value=f"{steps} steps of {batch} samples in the whole run",
        recommended=f"at least {FEW_STEPS} steps, by a smaller global batch",
        why="a large batch of little data updates the weights too seldom",
        source=Source.GUIDE,
    )
