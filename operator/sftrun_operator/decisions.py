"""What `plan` hands back to the shell: values that say what to write, in the order in which it is done.

1. `prove`: nothing else is done; the shell reads Job and pods live and plans again, or, where it `may_wait`
   and there is more to do, looks at the run again later.
2. `keep`: what only this process knows. It comes before the status, which would tell the next process that
   nothing is left to do; a failure of it holds nothing up.
3. `status`: one merge patch with uid and resourceVersion, before anything is deleted or created
   (write-ahead); a conflict ends the pass and the run is looked at again.
4. `delete`, then `create`, in the given order; the first that fails ends this.
5. `events`, also then: the status says the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sftrun_api.models import JsonObject

Kind = Literal["Job", "ConfigMap", "Pod"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """A delete with a uid precondition; it always carries a propagation policy."""

    kind: Kind
    name: str
    uid: str
    propagation: Literal["Foreground", "Background"] = "Foreground"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventNote:
    """An event about the run: one Normal a transition, one Warning a failure."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one pass should do. An empty plan writes nothing."""

    prove: bool = False
    may_wait: bool = False
    """Whether the proof is wanted only to say better why the run waits, and can come later."""
    status_patch: JsonObject | None = None
    """Body of the merge patch under `status`: only what changed, `None` for keys to remove."""
    delete: tuple[Deletion, ...] = ()
    create: tuple[dict[str, Any], ...] = ()
    """Complete manifests (ConfigMap before Job), with ownerReferences. AlreadyExists with our owner uid is
    fine."""
    keep: tuple[dict[str, Any], ...] = ()
    """Manifests that are worth having and not worth a word when they cannot be had: curves."""
    events: tuple[EventNote, ...] = ()
    poll_pod: str | None = None
    """uid of the pod whose progress server is to be polled from now on; `None` stops polling."""
    look_again_in: float | None = None
    """Seconds until the run is to be looked at again without an event; `None` when only an event can
    matter."""
