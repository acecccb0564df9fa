"""The curve of a run in at most 64 KiB: enough to draw it, whatever the number of steps.

Points are thinned by buckets that each keep their lowest and highest loss, so that a spike never disappears.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Sequence

from sftrun_api.models import JsonObject
from sftrun_api.reports import CURVE_BYTES
from sftrun_api.run_files import RunIdentity
from sftrun_trainer import steps
from sftrun_trainer.step_tails import Tail

COLUMNS = ("step", "loss", "learningRate", "gradNorm", "seconds", "tokensPerSecond")
DIGITS = 6


def thin(records: Sequence[steps.StepRecord], most: int) -> list[steps.StepRecord]:
    """Returns at most `most` of the records, in order: first and last, and of each bucket both extremes."""
    if len(records) <= most:
        return list(records)
    if most < 4:
        return [records[0], records[-1]][:most]
    num_buckets = (most - 2) // 2
    inner = records[1:-1]
    kept = {records[0].step: records[0], records[-1].step: records[-1]}
    for bucket in range(num_buckets):
        part = inner[len(inner) * bucket // num_buckets : len(inner) * (bucket + 1) // num_buckets]
        known = [record for record in part if record.loss is not None] or list(part[:1])
        for record in (min(known, key=_loss), max(known, key=_loss)) if known else ():
            kept[record.step] = record
    return [kept[step] for step in sorted(kept)]


def _loss(record: steps.StepRecord) -> float:
    return math.inf if record.loss is None else record.loss


def encode(run: RunIdentity, curve: steps.Curve, *, limit: int = CURVE_BYTES) -> bytes:
    """Returns the curve as JSON of at most `limit` bytes."""
    most = 2000
    while True:
        body = json.dumps(_document(run, curve, most), separators=(",", ":"), allow_nan=False).encode()
        if len(body) <= limit or most <= 1:
            return body
        most = most * 2 // 3


def _document(run: RunIdentity, curve: steps.Curve, most: int) -> JsonObject:
    points = thin(curve.steps, most)
    evaluations = curve.evaluations[:: max(1, math.ceil(len(curve.evaluations) / max(1, most // 4)))]
    return {
        "run": run.to_json_object(),
        "columns": list(COLUMNS),
        "numSteps": len(curve.steps),
        "points": [
            [r.step, *map(_short, (r.loss, r.learning_rate, r.grad_norm, r.seconds, _throughput(r)))]
            for r in points
        ],
        "restarts": list(curve.restarts[-100:]),
        "nonFinite": [r.step for r in curve.steps if r.non_finite][:100],
        "evaluations": [[e.step, _short(e.eval_loss)] for e in evaluations],
    }


def _throughput(record: steps.StepRecord) -> float | None:
    return record.tokens / record.seconds if record.tokens is not None and record.seconds else None


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")


class CurveFile:
    """The curve in `steps.jsonl` as bytes, encoded again only when it has grown."""

    def __init__(self, *, tail: Tail, run: RunIdentity) -> None:
        self._tail = tail
        self._run = run
        self._guard = threading.Lock()
        self._curve: steps.Curve | None = None
        self._body = b""

    def read(self) -> bytes:
        """Returns the curve as JSON; what was read before when the file cannot be read now."""
        with self._guard:
            curve = self._tail.curve()
            if curve is not self._curve:
                self._curve, self._body = curve, encode(self._run, curve)
            return self._body
