"""CRC-32C as LevelDB and TensorFlow store it, in their tables, bundles and event files."""

from __future__ import annotations

import functools

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, its bits in reverse


def masked(data: bytes) -> int:
    """The checksum of some bytes, rotated and shifted: theirs is never the checksum of a text that holds it.

    By google-crc32c where that is installed (the extra `tensorflow`), else by a table, a byte at a time.
    """
    checksum = _checksum(data)
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _checksum(data: bytes) -> int:
    try:
        import google_crc32c
    except ImportError:
        return _by_table(data)
    return int(google_crc32c.value(data))


def _by_table(data: bytes) -> int:
    table, value = _table(), 0xFFFFFFFF
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ value >> 8
    return value ^ 0xFFFFFFFF


@functools.cache
def _table() -> list[int]:
    """What a byte does to the checksum."""
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table
