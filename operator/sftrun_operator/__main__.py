"""`python -m sftrun_operator`, and the command `sftrun-operator`.

The package's own name brings the command line alone, and with it this command without its libraries: who
starts it then is told what to install.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

EXTRA = {"kopf", "prometheus_client", "aiohttp"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the operator; returns the exit code, 2 where its libraries are not there."""
    try:
        from sftrun_operator import main as command  # noqa: PLC0415 - imports what may not be there
    except ModuleNotFoundError as error:
        if error.name not in EXTRA:
            raise
        print(f"{error.name} is not installed; pip install 'sftrun[operator]' brings it", file=sys.stderr)  # noqa: T201
        return 2
    return command.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
