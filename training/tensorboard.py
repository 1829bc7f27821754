"""Scalars for TensorBoard, beside whatever else watches a run."""

from __future__ import annotations

import math
import os
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path

from networks.weights import crc32c


class Scalars:
    """Writes scalars that TensorBoard shows, in groups by the part of their name before the slash.

    An event file is a sequence of protocol buffers `Event` (tensorflow/core/util/event.proto), each behind its length
    and with checksums of both (tensorflow/core/lib/io/record_writer.h). It is written here: what others bring for it
    writes from a thread, and on a full disk that ends in a traceback and a process that waits for ever.

    Args:
        folder: for event files; a resumed run writes a further file, whose values from `step` on replace earlier ones.
        step: where this process begins.
    """

    def __init__(self, folder: Path, step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        where = f"{int(time.time())}.{socket.gethostname()}.{os.getpid()}"
        self._path = folder / f"events.out.tfevents.{where}"
        self._write(_field(3, b"brain.Event:2"))
        self._write(_field(2, step), _field(7, _field(1, 1)))  # a session that starts

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Writes the finite ones; raises `OSError` where the disk is full."""
        found = {name: value for name, value in values.items() if math.isfinite(value)}
        if found:
            shown = (_field(1, _field(1, name.encode()) + _FLOAT + _single(value)) for name, value in found.items())
            self._write(_field(2, step), _field(5, b"".join(shown)))

    def _write(self, *fields: bytes) -> None:
        event = _DOUBLE + struct.pack("<d", time.time()) + b"".join(fields)
        length = struct.pack("<Q", len(event))
        with open(self._path, "ab") as file:
            file.write(length + _checksum(length) + event + _checksum(event))


_DOUBLE, _FLOAT = b"\x09", b"\x15"
"""The keys of field 1, eight bytes (wall_time), and of field 2, four bytes (simple_value)."""


def _field(number: int, value: int | bytes) -> bytes:
    """A field of a protocol buffer."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    low, high = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(high) if high else bytes([low])


def _single(value: float) -> bytes:
    """Four bytes; what they cannot hold is their largest."""
    return struct.pack("<f", max(-_LARGEST, min(_LARGEST, value)))


_LARGEST = 3.4028234e38


def _checksum(data: bytes) -> bytes:
    return struct.pack("<I", crc32c.masked(data))
