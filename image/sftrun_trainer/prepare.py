"""The child of stage Prepare: sources in, digest-named records and counts out. Only a wrapper of
`sftrun_data`."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator

from sftrun_api.models import JsonObject
from sftrun_api.preflights import Group
from sftrun_data import conversions, errors
from sftrun_data.requests import ConversionRequest
from sftrun_data.results import ConversionResult
from sftrun_trainer import calls, events
from sftrun_trainer.preflight import early

SAY_EVERY = 0.2
"""Seconds."""
GROUP = Group.OUTPUTS


class _Teller:
    """Says how far the conversion is, not more often than anybody looks."""

    def __init__(self, writer: events.EventWriter) -> None:
        self._writer = writer
        self._said_at = -math.inf

    def __call__(self, done: int, total: int | None) -> None:
        now = time.monotonic()
        if now - self._said_at >= SAY_EVERY or done == total:
            self._said_at = now
            self._writer.write(events.Progress(done=done, total=total))


def body(child: calls.Child) -> JsonObject:
    """Converts the run's sources; returns the payload of the stage. Raises `StageFailure`."""

    early.run(child)
    teller = _Teller(child.events)
    try:
        result = conversions.convert(
            ConversionRequest.from_run_file(child.run),
            on_progress=teller,
            workers=child.run.resolved.preprocessing_num_workers,
        )
    except errors.DataError as error:
        raise calls.StageFailure(reason=error.reason, message=error.message, final=error.final) from error
    for line in _checks(result):
        child.events.write(line)
    dataset = result.to_status(name=child.run.resolved.dataset_name)
    read = {source.name: source.reader for source in result.sources}
    return {
        "dataset": dataset.to_json_object(),
        "digest": result.digest,
        "effective": {"readers": read},
        "conversion": result.to_json(),
    }


def _checks(result: ConversionResult) -> Iterator[events.CheckLine]:
    """Yields what people should hear of the data before GPUs work on it."""
    message = f"{result.converted} records, {'found' if result.reused else 'made'}"
    yield events.CheckLine(group=GROUP, name="records", result="Pass", message=message)
    if result.noted:
        remarks = ", ".join(f"{item.count} {item.reason}" for item in result.noted)
        message = f"{result.summary_path} names the records of which is said: {remarks}"[:512]
        yield events.CheckLine(group=GROUP, name="remarks", result="Pass", message=message)
    for number, warning in enumerate(result.warnings, start=1):
        yield events.CheckLine(group=GROUP, name=f"warning {number}", result="Warn", message=warning[:512])


if __name__ == "__main__":
    sys.exit(calls.main(body))
