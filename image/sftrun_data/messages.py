"""How a pool and its workers speak: pickled values over pipes, each behind its length."""

from __future__ import annotations

import importlib
import io
import pickle
import struct
from types import ModuleType
from typing import IO, Any

TASK, ERRAND = "task", "errand"
"""What a worker is asked: for work that has results, or to do something with results that were taken."""
RESULT, END, ERROR, DONE = "result", "end", "error", "done"
"""What it answers: results of a task, then that there are no more; or what went wrong. And that an errand is
done."""
_LENGTH = struct.Struct("<Q")


class _Pickler(pickle.Pickler):
    """Pickles modules by name: readers hold the modules of their formats."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, ModuleType):
            return importlib.import_module, (obj.__name__,)
        return NotImplemented


def packed(value: Any) -> bytes:
    """Returns a value as a message. Raises PicklingError, TypeError or AttributeError if it cannot travel."""
    pickled = io.BytesIO()
    _Pickler(pickled, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
    return pickled.getvalue()


def unpacked(message: bytes | bytearray) -> Any:
    """Returns the value of a message from a process of our own."""
    return pickle.loads(message)  # noqa: S301 - see above


def write(stream: IO[bytes], message: bytes) -> None:
    """Writes a message. Raises OSError where nobody reads."""
    view = memoryview(_LENGTH.pack(len(message)) + message)
    while view:
        view = view[stream.write(view) :]
    stream.flush()


def read(stream: IO[bytes]) -> bytearray | None:
    """Returns the next message, None at the end of the stream, or if it ends in the middle of one."""
    head = _read_exactly(stream, _LENGTH.size)
    return _read_exactly(stream, _LENGTH.unpack(head)[0]) if head else None


def _read_exactly(stream: IO[bytes], length: int) -> bytearray | None:
    data = bytearray(length)
    view = memoryview(data)
    while view:
        count = stream.readinto(view)  # type: ignore[attr-defined] # binary streams have it
        if not count:
            return None
        view = view[count:]
    return data
