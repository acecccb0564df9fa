"""How a pool and its workers speak: pickled values over pipes, each behind its length.

What a value hands out as a `PickleBuffer` (records' lines, nearly all there is) travels behind the pickle as
it stands, and is read where it then stays: but for short ones it is copied into the pipe and out of it, and
nowhere else.
"""

from __future__ import annotations

import importlib
import io
import pickle
import struct
from collections.abc import Sequence
from itertools import accumulate, pairwise
from types import ModuleType
from typing import IO, Any

Message = Sequence[memoryview]
"""A pickle, and the buffers that it refers to."""

RESULT, END, ERROR = "result", "end", "error"
"""What a worker answers: results, then that there are no more; or what went wrong."""


class _Pickler(pickle.Pickler):
    """Pickles modules by name: readers hold the modules of their formats."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, ModuleType):
            return importlib.import_module, (obj.__name__,)
        return NotImplemented


def packed(value: Any) -> Message:
    """Returns a value as a message. Raises PicklingError, TypeError or AttributeError if it cannot travel."""
    buffers: list[pickle.PickleBuffer] = []
    pickled = io.BytesIO()
    _Pickler(pickled, protocol=pickle.HIGHEST_PROTOCOL, buffer_callback=buffers.append).dump(value)
    return [pickled.getbuffer(), *(buffer.raw() for buffer in buffers)]


def unpacked(message: Message) -> Any:
    """Returns the value of a message from a process of our own; its buffers are the message's."""
    return pickle.loads(message[0], buffers=message[1:])  # noqa: S301 - see above


def size_of(message: Message) -> int:
    """Returns the bytes that a message takes."""
    return sum(map(len, message))


def write(stream: IO[bytes], message: Message) -> None:
    """Writes a message. Raises OSError where nobody reads."""
    head = _numbers(len(message) + 1).pack(len(message), *map(len, message))
    for part in (memoryview(head), *message):
        view = part
        while view:
            view = view[stream.write(view) :]
    stream.flush()


def read(stream: IO[bytes]) -> Message | None:
    """Returns the next message, None at the end of the stream, or if it ends in the middle of one."""
    count = _read_numbers(stream, 1)
    lengths = _read_numbers(stream, count[0]) if count else None
    if lengths is None:
        return None
    data = _read_exactly(stream, sum(lengths))
    if data is None:
        return None
    whole = memoryview(data)
    return [whole[begin:end] for begin, end in pairwise(accumulate(lengths, initial=0))]


def _numbers(count: int) -> struct.Struct:
    return struct.Struct(f"<{count}Q")


def _read_numbers(stream: IO[bytes], count: int) -> tuple[int, ...] | None:
    numbers = _numbers(count)
    data = _read_exactly(stream, numbers.size)
    return None if data is None else numbers.unpack(data)


def _read_exactly(stream: IO[bytes], length: int) -> bytearray | None:
    data = bytearray(length)
    view = memoryview(data)
    while view:
        count = stream.readinto(view)  # type: ignore[attr-defined] # binary streams have it
        if not count:
            return None
        view = view[count:]
    return data
