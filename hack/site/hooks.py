"""What is done to the pages when the site is built (`mkdocs.yml`).

The pages are read in the repository as well, where they link to files beside `docs/`: examples, the chart,
tests. Such files are put into the site under `repository/`, as they are, and the links follow them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files  # type: ignore[import-not-found]

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SHELF = "repository"
RENDERER = ROOT / ".cache" / "docs" / "package" / "dist" / "mermaid.min.js"
"""Of the diagrams; not there where npm was not."""
_LINK = re.compile(r"(?<=\]\()(\.\.?/[^)\s#]+)")


def outside(page: Path, link: str) -> Path | None:
    """Returns the file outside `docs/` that a page's link names, relative to the repository."""
    target = Path(os.path.normpath(page.parent / link))
    if target.is_relative_to(DOCS) or not target.is_relative_to(ROOT):
        return None
    return target.relative_to(ROOT)


def on_files(files: Files, config: Any) -> Files:
    """Adds every file of the repository that a page links to, and the renderer of diagrams."""
    wanted = {
        found
        for page in DOCS.rglob("*.md")
        for link in _LINK.findall(page.read_text(encoding="utf-8"))
        if (found := outside(page, link)) is not None and (ROOT / found).is_file()
    }
    for path in sorted(wanted):
        # Markdown would be rendered as a page: README.md and its kin are shown as text.
        name = f"{SHELF}/{path}" + (".txt" if path.suffix == ".md" else "")
        files.append(File.generated(config, name, abs_src_path=str(ROOT / path)))
    if RENDERER.is_file():
        script = f"javascripts/{RENDERER.name}"
        config.extra_javascript.append(script)
        files.append(File.generated(config, script, abs_src_path=str(RENDERER)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turns links that leave `docs/` to where `on_files` has put their targets."""
    source = DOCS / page.file.src_uri

    def moved(match: re.Match[str]) -> str:
        found = outside(source, match[1])
        if found is None:
            return match[1]
        suffix = ".txt" if found.suffix == ".md" else ""
        return os.path.relpath(DOCS / SHELF / f"{found}{suffix}", source.parent)

    return _LINK.sub(moved, markdown)
