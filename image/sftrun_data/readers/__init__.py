"""The readers of scaffolds' logs, one module each, and the choice between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from sftrun_data import files
from sftrun_data.errors import UnknownFormat
from sftrun_data.exclusions import LeftOut
from sftrun_data.readers import atif, request_scaffolds
from sftrun_data.readers.base import Place, Reader
from sftrun_data.readers.codex import Codex
from sftrun_data.readers.exports import WithExport
from sftrun_data.readers.gemini_cli import GeminiCLI
from sftrun_data.readers.mini_swe_agent import MiniSWEAgent
from sftrun_data.readers.openhands import OpenHands
from sftrun_data.readers.qwen_code import QwenCode
from sftrun_data.readers.swe_agent import SWEAgent
from sftrun_data.readers.terminus2 import MAIN, Terminus2

READERS: dict[str, Reader] = {
    reader.scaffold: reader
    for reader in (
        Terminus2(),
        request_scaffolds.CLAUDE_CODE,
        request_scaffolds.OPEN_CODE,
        request_scaffolds.OPENHANDS_SDK,
        WithExport(OpenHands(), frozenset({"openhands"}), claims_export=False),
        WithExport(Codex(), frozenset({"codex"})),
        WithExport(QwenCode(), frozenset({"qwen-code", "qwen-coder"})),
        WithExport(GeminiCLI(), frozenset({"gemini-cli"})),
        WithExport(SWEAgent(), frozenset({"swe-agent"})),
        WithExport(MiniSWEAgent(), frozenset({"mini-swe-agent"})),
    )
}
"""By the spec's word for the scaffold."""

PLACES_LOOKED_AT = 64
"""How many logs `Auto` looks at before it decides: one job holds one scaffold's."""


def reader_for(scaffold: str, places: Iterable[Place], *, field: str) -> Reader:
    """Returns the reader of a scaffold, for `Auto` the one that claims the logs.

    Raises UnknownFormat, naming what was found.
    """
    if scaffold != "Auto":
        if reader := READERS.get(scaffold):
            return reader
        raise UnknownFormat(
            f"{field}.scaffold: {scaffold} cannot be read by this version; it reads {_known()}"
        )
    claims: Counter[str] = Counter()
    unclaimed: list[Place] = []
    for place in islice(_with_logs(places), PLACES_LOOKED_AT):
        seen = place.looked_at()
        found = [name for name, reader in READERS.items() if reader.claims(seen)]
        claims.update(found)
        unclaimed += [] if found else [place]
    if len(claims) == 1:
        return READERS[next(iter(claims))]
    if claims:
        counts = ", ".join(f"{count} of {name}" for name, count in claims.most_common())
        raise UnknownFormat(
            f"{field}.scaffold: Auto found logs of several scaffolds ({counts}); name the one to read"
        )
    if unclaimed and not all(map(_is_broken, unclaimed)):
        raise UnknownFormat(
            f"{field}.scaffold: Auto knows none of the {len(unclaimed)} logs it looked at; it reads "
            f"{_known()}. Name the scaffold, or correct the path"
        )
    return READERS["Terminus2"]


def _with_logs(places: Iterable[Place]) -> Iterable[Place]:
    return (place for place in places if place.file or files.is_dir(place.folder))


def _is_broken(place: Place) -> bool:
    """Whether what nobody claims has the name of Harbor's trajectories and nothing of their content, or only
    their beginning: empty, torn or no JSON. Reading will say so, trial by trial."""
    path = place.log(MAIN)
    if path.name != MAIN or not files.exists(path):
        return False
    return not atif.MARK.search(place.head(path)) or not _is_whole(place, path)


def _is_whole(place: Place, path: Path) -> bool:
    try:
        place.document(path)
    except LeftOut:
        return False
    return True


def _known() -> str:
    return ", ".join(READERS)
