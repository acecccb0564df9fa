"""One rank of training: LLaMA-Factory's own `run_exp`, with our callback in it.

    torchrun … -m sftrun_trainer.worker --run-file PATH --state-dir PATH --events PATH

LLaMA-Factory is neither patched nor copied. Around it: DeepSpeed is told to use gloo where there is no GPU,
before LLaMA-Factory starts (accelerate would initialise torch's gloo but not DeepSpeed's, and ZeRO-3 would
count one process); SIGTERM waits for the end of a step; and the process leaves without Python's own exit,
which aborts now and then on CPUs after all work is done.
"""

from __future__ import annotations

import contextlib
import datetime
import faulthandler
import functools
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, NoReturn

from sftrun_api.exit_codes import ExitCode
from sftrun_api.reasons import Reason
from sftrun_api.run_files import RunFile
from sftrun_trainer import (
    arguments,
    births,
    calls,
    events,
    launches,
    parsings,
    preferences,
    training_ends,
    wandb_runs,
)
from sftrun_trainer.locks import LockLost


def main(given: Sequence[str] | None = None) -> NoReturn:
    """Runs the rank and ends the process."""
    births.die_with_parent()
    call = calls.parse(given)
    run = RunFile.model_validate_json(call.run_file.read_bytes())
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    leading = os.environ.get("RANK", "0") == "0"
    writer = events.EventWriter(call.events) if leading else None
    try:
        train(run=run, call=call, writer=writer)
    except LockLost as lost:
        if writer is not None:
            writer.write(events.Failure(reason=Reason.LOCK_LOST, message=str(lost)[:1024], final=False))
        leave(ExitCode.RETRY, writer)
    except BaseException as error:
        traceback.print_exc()
        leave(_of_error(error, writer), writer)
    leave(ExitCode.DONE, writer)


def _of_error(error: BaseException, writer: events.EventWriter | None) -> ExitCode:
    """Returns the exit code after an error; what LLaMA-Factory's parser refuses is said to be final."""
    if not parsings.refuses(error):
        return ExitCode.RETRY
    if writer is not None:
        failure = parsings.refusal(f"{type(error).__name__}: {error}")
        writer.write(events.Failure(reason=failure.reason, message=failure.message[:1024], final=True))
    return ExitCode.FINAL


def train(*, run: RunFile, call: calls.ChildCall, writer: events.EventWriter | None) -> None:
    """Trains, and writes how it ended."""
    if writer is not None:
        training_ends.forget(call.state_dir)
    values = arguments.read(call.state_dir / arguments.ARGUMENTS_FILE)
    if launches.on_cpu(run):
        _join_on_cpus(seconds=run.spec.training.ddp_timeout_seconds, with_deepspeed="deepspeed" in values)
    from llamafactory.train.tuner import run_exp  # noqa: PLC0415 - ten seconds, after the signal is safe
    from transformers import EarlyStoppingCallback  # noqa: PLC0415

    from sftrun_trainer import callbacks  # noqa: PLC0415 - imports torch

    stop = callbacks.StopRequest()
    signal.signal(signal.SIGTERM, _on_term(stop))
    outlet = (
        callbacks.Outlet(run=run, state_dir=call.state_dir, writer=writer) if writer is not None else None
    )
    evaluation = run.spec.training.evaluation
    early: Any = None
    if evaluation is not None and evaluation.early_stopping is not None and "eval_dataset" in values:
        # LLaMA-Factory's own argument for it knows no threshold.
        wanted = evaluation.early_stopping
        early = EarlyStoppingCallback(wanted.patience, wanted.threshold)
    preferences.honour(run)
    if writer is not None:
        wandb_runs.begin(call.state_dir, tell=writer.check)
    report = callbacks.ReportCallback(
        run=run, outlet=outlet, stop=stop, leave=functools.partial(leave, writer=writer), early=early
    )
    run_exp(args=values, callbacks=[report, *([early] if early is not None else [])])
    if outlet is not None and report.final is not None:
        outlet.check_owner()
        training_ends.write(call.state_dir, report.final)


def _join_on_cpus(*, seconds: int, with_deepspeed: bool) -> None:
    """Joins the other ranks by gloo. transformers would, too, and forget the time to wait for them."""
    patience = datetime.timedelta(seconds=seconds)
    if not with_deepspeed:
        import torch.distributed as dist  # noqa: PLC0415

        dist.init_process_group(backend="gloo", timeout=patience)
        return
    import deepspeed  # noqa: PLC0415
    import deepspeed.ops  # noqa: PLC0415

    # Compiled at first use, for minutes; gloo gives the same loss without.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist_backend="gloo", timeout=patience)


def _on_term(stop: Any) -> Callable[[int, FrameType | None], None]:
    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.asked = True
        if stop.loading:
            os._exit(ExitCode.STOPPED)

    return handle


def leave(code: ExitCode, writer: events.EventWriter | None = None) -> NoReturn:
    """Ends the process at once, when what must be on disk is there."""
    wandb_runs.end(tell=writer.check if writer is not None else None)
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
