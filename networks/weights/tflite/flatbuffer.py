"""Tables of a flatbuffer, read so that a damaged file is an error and never more.

The package `flatbuffers` knows how numbers and offsets are stored; it trusts what it reads. Here every offset and every
length is checked against the file before it is used, and no more is read than was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]


class Refused(Exception):
    """What is wrong with a file, without its name."""


def require_flatbuffers() -> Any:
    """The package; raises `ValueError` where it is not installed."""
    try:
        import flatbuffers.encode
        import flatbuffers.packer
    except ImportError:
        raise ValueError(
            "TensorFlow Lite files are read with flatbuffers, which is not installed: pip install 'movinas[tflite]'"
        ) from None
    return flatbuffers


class Buffer:
    """The bytes of a file.

    Args:
        data: all of them.
    """

    def __init__(self, data: bytes) -> None:
        self._data, library = data, require_flatbuffers()
        self._get, self._packer = library.encode.Get, library.packer

    def number(self, kind: str, position: int) -> int | float:
        """A number of a kind such as `int32`, `float32`, at a place."""
        packer = getattr(self._packer, kind)
        self.check(position, packer.size)
        value: int | float = self._get(packer, self._data, position)
        return value

    def whole(self, kind: str, position: int) -> int:
        """A whole number."""
        return int(self.number(kind, position))

    def check(self, position: int, size: int) -> None:
        """Refuses a stretch that is not in the file."""
        if position < 0 or size < 0 or position + size > len(self._data):
            raise Refused("an offset that points out of the file; it is damaged or cut short, download it again")

    def view(self, position: int, size: int) -> memoryview:
        """So many bytes, not copied."""
        self.check(position, size)
        return memoryview(self._data)[position : position + size]

    def root(self) -> Table:
        """The table that the file is."""
        return Table(self, self.whole("uoffset", 0))

    def __len__(self) -> int:
        return len(self._data)


class Table:
    """One table; fields are asked for by their number in the schema.

    Args:
        buffer: of the file.
        position: where it begins.
    """

    __slots__ = ("_buffer", "_position", "_size", "_vtable")

    def __init__(self, buffer: Buffer, position: int) -> None:
        self._buffer, self._position = buffer, position
        self._vtable = position - buffer.whole("soffset", position)
        self._size = buffer.whole("voffset", self._vtable)
        buffer.check(self._vtable, self._size)

    def _field(self, number: int) -> int | None:
        """Where a field lies; None for one that is not stored."""
        place = 4 + 2 * number
        if place + 2 > self._size:
            return None
        offset = self._buffer.whole("voffset", self._vtable + place)
        return self._position + offset if offset else None

    def _target(self, number: int) -> int | None:
        """What a field that is an offset points at."""
        place = self._field(number)
        return None if place is None else place + self._buffer.whole("uoffset", place)

    def whole(self, number: int, kind: str = "int32", default: int = 0) -> int:
        """A whole number."""
        place = self._field(number)
        return default if place is None else self._buffer.whole(kind, place)

    def table(self, number: int) -> Table | None:
        """A table."""
        place = self._target(number)
        return None if place is None else Table(self._buffer, place)

    def _vector(self, number: int, size: int, most: int, what: str) -> tuple[int, int]:
        """Where the elements of a vector begin, and how many there are."""
        place = self._target(number)
        if place is None:
            return 0, 0
        count = self._buffer.whole("uoffset", place)
        if count > most:
            raise Refused(f"it claims {count:,} {what}; allowed: {most:,}")
        self._buffer.check(place + 4, count * size)
        return place + 4, count

    def tables(self, number: int, most: int, what: str) -> Iterator[Table]:
        """The tables of a vector; `what` they are, for messages."""
        place, count = self._vector(number, 4, most, what)
        for i in range(place, place + 4 * count, 4):
            yield Table(self._buffer, i + self._buffer.whole("uoffset", i))

    def numbers(self, number: int, dtype: str, most: int, what: str) -> Array:
        """A vector of numbers of a NumPy dtype, copied."""
        kind = np.dtype(dtype)
        place, count = self._vector(number, kind.itemsize, most, what)
        return np.frombuffer(self._buffer.view(place, count * kind.itemsize), kind).copy()

    def data(self, number: int) -> memoryview:
        """A vector of bytes, not copied."""
        place, count = self._vector(number, 1, len(self._buffer), "bytes")
        return self._buffer.view(place, count)

    def text(self, number: int, most: int = 200) -> str:
        """The beginning of a text."""
        return bytes(self.data(number)[:most]).decode("utf-8", "replace")
