"""After training: waiting until the volume has taken what was written, and what it means when it has not."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from sftrun_api.reasons import Reason
from sftrun_api.run_files import RunFile
from sftrun_trainer import checkpoints, wakes
from sftrun_trainer.endings import retry
from sftrun_trainer.seals import Sealer
from sftrun_trainer.settings import Settings


def finish(
    sealer: Sealer,
    *,
    outputs: Path | None,
    run: RunFile,
    settings: Settings,
    wake: wakes.Wakes,
    lost: Callable[[], bool],
) -> None:
    """Waits for the sealer, as long as a stage may be silent; after SIGTERM for a moment.

    `outputs` is the folder whose files must be written out too, `None` for a training that has not come to
    its end. Raises `OSError` when something could not be written out, `Ending` when the volume did not
    answer.
    """
    began = settings.clock()
    stalled = run.spec.lifecycle.stall_timeout_seconds or math.inf

    def patience() -> bool:
        limit = settings.quick_grace if wake.stopping else stalled
        return settings.clock() - began < limit and not lost()

    done = sealer.finish(outputs, patience=patience)
    if sealer.error is not None:
        said = f"sftrun: what was written could not be written out: {sealer.error}"
        print(said, flush=True)  # noqa: T201 - the container's log
        if sealer.unsafe is not None:
            checkpoints.spoil(sealer.unsafe)
        raise sealer.error
    if outputs is not None and not done:
        details = f"in {settings.clock() - began:.0f} s it did not take what was written"
        raise retry(Reason.WORKSPACE_FAILED, path=outputs, details=details)
