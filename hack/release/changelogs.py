"""The changelog's section of one version: the text of a release."""

from __future__ import annotations

import re


class NoSectionError(LookupError):
    """The changelog has nothing to say of a version."""


def section(changelog: str, *, version: str) -> str:
    """Returns the lines below a version's heading, up to the next heading.

    Raises:
        NoSectionError: There is no such heading, or nothing below it.
    """
    heading = re.compile(rf"^## {re.escape(version)}(?:[ \t].*)?$", re.MULTILINE)
    found = heading.search(changelog)
    if found is None:
        raise NoSectionError(f"CHANGELOG.md has no section `## {version}`: write a line a change users see")
    body = re.split(r"^## ", changelog[found.end() :], maxsplit=1, flags=re.MULTILINE)[0].strip()
    if not body:
        raise NoSectionError(f"the section `## {version}` of CHANGELOG.md is empty")
    return body + "\n"
