"""The accepted spec of a run together with the values that were pinned when it was accepted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from sftrun_api import advice
from sftrun_api.advice import Advice
from sftrun_api.rules import Place
from sftrun_api.rules.about_resources import TOO_LARGE
from sftrun_api.run_files import ResolvedValues, RunFile, RunIdentity
from sftrun_api.spec_hashes import spec_hash
from sftrun_api.specs import SFTRunSpec
from sftrun_operator import manifests
from sftrun_operator.manifests import Attempt
from sftrun_operator.plans import acceptance, images, permissions, resolutions
from sftrun_operator.plans.views import View

MOST_BYTES = 1_000_000
"""What an attempt's files may take: a ConfigMap holds 1 MiB."""
SMALL_BYTES = 8_192
"""A spec of no more bytes has files of less than `MOST_BYTES`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What attempts are rendered from."""

    spec: SFTRunSpec
    spec_hash: str
    image: str
    resolved: ResolvedValues
    warnings: tuple[tuple[str, str], ...] = ()
    advice: tuple[Advice, ...] = ()
    """What the spec alone shows to be unwise; the trainer adds what the data show."""

    def attempt(self, view: View, number: int) -> Attempt:
        """Returns what the manifests of attempt `number` are made from."""
        run = view.run
        identity = RunIdentity(namespace=run.namespace, name=run.name, uid=run.uid, attempt=number)
        run_file = RunFile(
            run=identity, spec=self.spec, spec_hash=self.spec_hash, image=self.image, resolved=self.resolved
        )
        return Attempt(run_file=run_file, config=view.config)


def draw_up(view: View) -> Contract | acceptance.Verdict:
    """Returns the contract that the next attempt is made from, or why there is none.

    A spec that was accepted is not judged again: hash, image and resolved values come from the status. Of the
    fields that may change while suspended, only a new image replaces what was pinned; the others are read
    from the spec, and the policy is asked about what has changed. A spec with another hash than the accepted
    one is a new spec and is judged as such.
    """
    if view.status.spec_hash:
        parsed = acceptance.parse(view.run.spec).spec
        if parsed is not None and spec_hash(parsed) == view.status.spec_hash:
            return _known(view, parsed)
    return _new(view)


def _known(view: View, spec: SFTRunSpec) -> Contract | acceptance.Verdict:
    known = view.status
    chosen = spec.infrastructure.image
    changed = chosen if chosen != known.image else None
    denied = permissions.of_changed(view, spec) or images.unsupported(view, changed)
    if denied is not None:
        return denied
    pinned = resolutions.restore(known.effective)
    return Contract(
        spec=spec,
        spec_hash=known.spec_hash,
        image=chosen or known.image or view.config.trainer_image,
        resolved=pinned or resolutions.resolve(spec, name=view.run.name),
    )


def _new(view: View) -> Contract | acceptance.Verdict:
    verdict = acceptance.judge(view.run.spec, name=view.run.name)
    if verdict.spec is None:
        return verdict
    image = verdict.spec.infrastructure.image or view.config.trainer_image
    denied = permissions.of_new(view, verdict.spec) or images.unsupported(view, image)
    if denied is not None:
        return denied
    resolved = resolutions.resolve(verdict.spec, name=view.run.name)
    contract = Contract(
        spec=verdict.spec,
        spec_hash=spec_hash(verdict.spec),
        image=image,
        resolved=resolved,
        warnings=verdict.warnings,
        advice=advice.advise(verdict.spec, resolved=resolved),
    )
    size = _size(view, contract) if _may_be_large(view.run.spec) else 0
    return contract if size <= MOST_BYTES else acceptance.Verdict(spec=None, problems=(_too_large(size),))


def _may_be_large(raw: Mapping[str, Any]) -> bool:
    """Whether a spec is so long that its files may be too large: rendering them to know takes longer than all
    judging. The widest that a byte of it becomes is one digit on a line of its own below 32 levels of lists,
    70 bytes in two of the files."""
    try:
        return len(orjson.dumps(raw)) > SMALL_BYTES
    except TypeError:  # numbers beyond 64 bits, broken Unicode
        return True


def _size(view: View, contract: Contract) -> int:
    """Returns the bytes of the files that the pod is told."""
    written = manifests.config_map(contract.attempt(view, 1))["data"]
    return sum(len(text.encode()) for text in written.values())


def _too_large(size: int) -> str:
    message, remedy = TOO_LARGE.told(Place(words={"size": size, "most": MOST_BYTES}))
    return f"spec: {message}; {remedy}"
