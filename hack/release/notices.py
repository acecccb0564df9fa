"""Whose work is in an image, and under which licences: `python notices.py`, run while an image is built.

Needs nothing but Python. It lists what is really installed in the environment that runs it, so it cannot tell
of another set of packages than the image holds. The licences' texts stay where the packages bring them,
beside their metadata; Debian's lie in /usr/share/doc/*/copyright.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from email.message import Message
from importlib.metadata import Distribution, distributions

UNKNOWN = "unknown"
MOST_CHARACTERS = 80
"""Some packages write the whole text where its name belongs."""
OWN = "sftrun"
ELSEWHERE = {"hf-transfer": "Apache-2.0"}
"""Packages whose metadata names no licence, and the one that their repository has."""
_HEAD = """\
# Third-party notices

The Python packages in this image. Their licences' texts lie in the folders named below, those of Debian's
packages in `/usr/share/doc/*/copyright`. sftrun itself is under the Apache License, version 2.0
(`/opt/sftrun/LICENSE`).

| package | version | licence | texts |
|---|---|---|---|
"""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One package."""

    name: str
    version: str
    licence: str
    texts: tuple[str, ...]
    """Paths of licence texts, below the environment's site-packages."""


def notice(found: Distribution) -> Notice:
    """Returns what a package says of itself."""
    metadata = found.metadata
    assert isinstance(metadata, Message)
    name = str(metadata["Name"])
    named = licence(metadata)
    texts = [str(file) for file in found.files or () if _is_text(str(file))]
    return Notice(
        name=name,
        version=str(metadata["Version"]),
        licence=ELSEWHERE.get(name.replace("_", "-"), named) if named == UNKNOWN else named,
        texts=tuple(sorted(texts)),
    )


def licence(metadata: Message) -> str:
    """Returns the licence that a package's metadata names: an expression, words, or classifiers."""
    expression = str(metadata["License-Expression"] or "").strip()
    words = " ".join(str(metadata["License"] or "").split())
    classified = [
        str(each).rpartition(" :: ")[2]
        for each in metadata.get_all("Classifier") or ()
        if str(each).startswith("License :: ") and not str(each).endswith("OSI Approved")
    ]
    if expression:
        return expression
    if words and words.upper() != "UNKNOWN" and len(words) <= MOST_CHARACTERS:
        return words
    return ", ".join(dict.fromkeys(classified)) or (f"{words[:MOST_CHARACTERS]} …" if words else UNKNOWN)


def _is_text(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    known = name.upper().startswith(("LICENSE", "LICENCE", "COPYING", "NOTICE"))
    return folder.partition("/")[0].endswith(".dist-info") and (known or "/licenses" in folder)


def installed(path: Iterable[str] | None = None) -> list[Notice]:
    """Returns every package of an environment but our own, by name. `path` as in `sys.path`."""
    found = distributions(path=list(path)) if path is not None else distributions()
    listed = {one.name.lower(): one for one in map(notice, found) if one.name != OWN}
    return [listed[name] for name in sorted(listed)]


def page(found: Iterable[Notice]) -> str:
    """Returns the notices as a page."""
    rows = ((one.name, one.version, one.licence.replace("|", "/"), _places(one)) for one in found)
    return _HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _places(one: Notice) -> str:
    return ", ".join(sorted({f"`{text.rpartition('/')[0]}`" for text in one.texts}))


if __name__ == "__main__":
    sys.stdout.write(page(installed()))
