"""The Markdown that people read, cut into what a test can run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = tuple(
    sorted(
        [
            *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
            *(ROOT / "docs").rglob("*.md"),
            *(ROOT / "examples").rglob("*.md"),
        ],
        key=lambda page: page.as_posix(),
    )
)
_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s#]+)(?:#[^)]*)?\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block. `page` is relative to the repository."""

    page: str
    language: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command of a `console` block: what stands behind `$`, continued lines joined, without its comment."""

    page: str
    text: str

    @property
    def words(self) -> list[str]:
        """Returns the command split as a shell does."""
        return shlex.split(self.text, comments=True)


def blocks(language: str) -> Iterator[Block]:
    """Yields all blocks of a language."""
    for page in PAGES:
        for indent, found, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
            if found == language:
                lines = (line.removeprefix(indent) for line in text.splitlines())
                yield Block(page=page.relative_to(ROOT).as_posix(), language=found, text="\n".join(lines))


def commands() -> Iterator[Command]:
    """Yields all commands of all pages."""
    for block in blocks("console"):
        for text in re.findall(r"^\$ ((?:.*\\\n)*.*)", block.text, re.MULTILINE):
            yield Command(page=block.page, text=re.sub(r"\s+# .*$", "", text.replace("\\\n", " ")).strip())


def links() -> Iterator[tuple[Path, str]]:
    """Yields each relative link with its page."""
    for page in PAGES:
        for target in _LINK.findall(page.read_text(encoding="utf-8")):
            if "://" not in target:
                yield page, target
