"""The folder of an archive while it is written."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

HOPELESS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""The next file would fare no better."""


@dataclass(slots=True, kw_only=True)
class Contents:
    """What lies in an archive, and what could not be taken over."""

    root: Path
    missing: dict[str, str] = field(default_factory=dict)

    def take(self, name: str, write: Callable[[Path], object]) -> None:
        """Has a file written, or notes why not. Raises `OSError` where the volume is full or read-only."""
        try:
            write(self.root / name)
        except FileNotFoundError:
            return  # not every run comes to everything
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in HOPELESS:
                raise
            self.missing[name] = f"{type(error).__name__}: {error}"[:512]
