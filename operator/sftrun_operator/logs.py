"""One line a happening, with the run it is about; for people, or as JSON for machines.

An outage of the API server fails every pass of every run. `Complaints` says each kind of failure once, and
says when it is over, instead of once a retry.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

from sftrun_operator.caches import Key
from sftrun_operator.observations import Run

LOGGER = logging.getLogger("sftrun_operator")
LogFormat = Literal["text", "json"]


class RunLogger(logging.LoggerAdapter[logging.Logger]):
    """Says which run a line is about: `run default/x: created Job x-abcde-1`."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Hands the run to the formatter."""
        return msg, {**kwargs, "extra": self.extra}


def run_logger(run: Run | Key) -> RunLogger:
    """Returns the logger of one run."""
    return RunLogger(LOGGER, {"run": f"{run.namespace}/{run.name}"})


class LineFormatter(logging.Formatter):
    """Time, level, run, message, and for unexpected errors the traceback."""

    def __init__(self, *, kind: LogFormat) -> None:
        super().__init__()
        self._kind = kind

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line; line breaks in messages are escaped, so nothing can forge a second one."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        run = getattr(record, "run", None)
        message = record.getMessage()
        trace = self.formatException(record.exc_info) if record.exc_info else None
        if self._kind == "json":
            line = {"time": moment, "level": record.levelname, "run": run, "message": message, "trace": trace}
            return orjson.dumps({key: value for key, value in line.items() if value is not None}).decode()
        subject = f"run {run}: " if run else ""
        escaped = message.replace("\r", "\\r").replace("\n", "\\n")
        return f"{moment} {record.levelname:<7} {subject}{escaped}" + (f"\n{trace}" if trace else "")


def configure(*, kind: LogFormat = "text", level: str = "INFO") -> None:
    """Sends all logging of the process to standard error, one line each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(kind=kind))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    LOGGER.setLevel(level)
    # What no line of ours says is not looked up: https://docs.python.org/3/howto/logging.html#optimization
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    tame_kopf()


def tame_kopf() -> None:
    """Lets only that of kopf's logging through which nobody else says: kinds that the cluster does not serve,
    and handlers that raise. Of its end `watches` tells, in one line instead of three tracebacks."""
    logging.getLogger("kopf").setLevel(logging.CRITICAL)
    logging.getLogger("kopf._core.reactor.observation").setLevel(logging.WARNING)
    logging.getLogger("kopf.objects").setLevel(logging.ERROR)


class Complaints:
    """Says a kind of failure once until it is over."""

    def __init__(self) -> None:
        self._said: dict[Key | None, dict[str, int]] = {}
        self._traced: set[str] = set()

    def complain(self, kind: str, message: str, *, about: Key | None, trace: bool = False) -> None:
        """Warns at the first failure of its kind about a run, or, without a run, in the whole process.
        `trace` adds the traceback, once a kind."""
        counts = self._said.setdefault(about, {})
        said = counts.get(kind, 0)
        counts[kind] = said + 1
        level = logging.DEBUG if said else logging.WARNING
        _logger_of(about).log(level, "%s", message, exc_info=trace and kind not in self._traced)
        self._traced.add(kind)

    def over(self, *, about: Key | None) -> None:
        """Takes note that it works again."""
        for kind, count in self._said.pop(about, {}).items():
            tries = "try" if count == 1 else "tries"
            _logger_of(about).info("%s: over after %d failed %s", kind, count, tries)

    def forget(self, *, about: Key) -> None:
        """Drops what was said of a run that is gone."""
        self._said.pop(about, None)


def _logger_of(about: Key | None) -> logging.Logger | RunLogger:
    return run_logger(about) if about is not None else LOGGER
