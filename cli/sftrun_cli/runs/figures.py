"""The figures of a run in words: one way to write them for every command."""

from __future__ import annotations

from sftrun_cli.runs import times
from sftrun_cli.runs.views import View


def place(run: View) -> str:
    """Returns where the stage stands: `step 19/28`, `120/512`."""
    step, steps = run.progress("step"), run.progress("totalSteps")
    if step and steps:
        return f"step {step:,.0f}/{steps:,.0f}"
    done, total = run.progress("done"), run.progress("total")
    return f"{done or 0:,.0f}/{total:,.0f}" if total else ""


def percent(run: View) -> str:
    """Returns `67%`: the status' own where there is one."""
    found = run.progress("percent")
    return f"{int(found)}%" if found is not None else run.text("status", "display", "progress")


def remaining(run: View) -> str:
    """Returns `6s left`."""
    found = run.progress("remainingSeconds")
    return f"{times.short(found)} left" if found is not None and not run.ended else ""


def losses(run: View) -> str:
    """Returns the losses and what goes with them."""
    parts = []
    for name, words in (("loss", "{:.4g}"), ("evalLoss", "eval {:.4g}"), ("epoch", "epoch {:.3g}")):
        found = run.progress(name)
        if found is not None:
            parts.append(words.format(found))
    if run.at("status", "progress", "nonFinite") is True:
        parts.append("not a number")
    for name, words in (("learningRate", "rate {:.3g}"), ("gradNorm", "gradient {:.3g}")):
        found = run.progress(name)
        if found is not None:
            parts.append(words.format(found))
    return "  ".join(parts)


def speed(run: View) -> str:
    """Returns tokens, samples and seconds a step."""
    parts = []
    for name, words in (("tokensPerSecond", "{:,.0f} tokens/s"), ("samplesPerSecond", "{:.3g} samples/s")):
        found = run.progress(name)
        if found is not None:
            parts.append(words.format(found))
    median, slow = run.progress("stepSecondsP50"), run.progress("stepSecondsP95")
    if median is not None:
        parts.append(
            f"{median:.3g} s a step" + (f" (95 of 100 below {slow:.3g} s)" if slow is not None else "")
        )
    return "  ".join(parts)


def gpus(run: View) -> str:
    """Returns how many, how busy, how full."""
    parts = [f"{run.gpus} asked for"] if run.gpus else []
    busy, full = run.progress("gpuUtilization"), run.progress("gpuMemoryGiB")
    if busy is not None:
        parts.append(f"{busy:.0f}% busy")
    if full is not None:
        parts.append(f"{full:.1f} GiB on the fullest")
    return "  ".join(parts)


def line(run: View) -> str:
    """Returns all that matters in one line, for pipes."""
    loss, evaluated = run.progress("loss"), run.progress("evalLoss")
    parts = [place(run), percent(run)]
    parts.append(f"loss {loss:.4g}" if loss is not None else "")
    parts.append(f"eval {evaluated:.4g}" if evaluated is not None else "")
    parts.append(remaining(run))
    return "  ".join(part for part in parts if part)
