"""What liveness and readiness mean, as pure functions of what the process knows of itself.

Liveness says that a restart would help. Readiness says that runs are being looked after: by this process,
or by the leader that it would follow.
"""

from __future__ import annotations

from dataclasses import dataclass

LIST_SECONDS = 120.0
"""What ten thousand objects may take to list, and some patience with a busy API server."""
STUCK_SECONDS = 300.0
"""A run that has waited so long for its turn, with an API server that answers, waits for nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """The process at one moment. Durations in seconds."""

    ended: tuple[str, ...] = ()
    """Names of tasks that should never end and did."""
    answers: bool = True
    """Whether the API server answers a plain request."""
    silent_seconds: float = 0.0
    """Since its last answer."""
    list_seconds: float | None = None
    """Since a list of everything was last answered; `None` before the first. Each list proves the watches
    alive, or has them started again."""
    relist_every: float = 300.0
    listed: bool = True
    """Whether everything has been listed once."""
    oldest_seconds: float = 0.0
    """How long the next run has been waiting for its turn."""
    leads: bool = True
    leader_known: bool = True
    """Whether somebody leads, this process or another; always where there is no election."""


def trouble(vitals: Vitals) -> str:
    """Returns what is wrong with the process itself, empty when nothing is that a restart would mend."""
    if vitals.ended:
        return f"ended: {', '.join(vitals.ended)}"
    if not vitals.answers:
        return ""
    if (seconds := vitals.list_seconds or 0.0) > 3 * vitals.relist_every + LIST_SECONDS:
        return f"the API server answers, but nothing could be listed for {seconds:.0f} s"
    if vitals.listed and vitals.leads and vitals.oldest_seconds > STUCK_SECONDS:
        waits = f"{vitals.oldest_seconds:.0f} s"
        return f"the API server answers, but a run has been waiting {waits} for its turn"
    return ""


def unready(vitals: Vitals) -> str:
    """Returns why nobody's runs can be looked after at the moment, empty when they are."""
    if not vitals.listed:
        return "the cluster has not been listed yet"
    if not vitals.answers:
        return f"the API server has not answered for {vitals.silent_seconds:.0f} s"
    if not vitals.leader_known:
        return "nobody is known to lead"
    return trouble(vitals)
