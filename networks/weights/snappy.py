"""Raw Snappy, as blocks of LevelDB tables are compressed: github.com/google/snappy, format_description.txt.

Thirty lines of ours rather than a package: an index of a checkpoint has some kilobytes, so speed is nothing, and every
length must be checked before it is believed.
"""

from __future__ import annotations

MOST_GROWTH = 64  # of a block; a copy of three bytes stands for 64


def decompress(data: bytes) -> bytes:
    """What was compressed.

    Raises:
        ValueError: the data is damaged.
    """
    size = position = 0
    for shift in range(0, 35, 7):
        if position >= len(data):
            raise ValueError("a compressed block without a length")
        byte = data[position]
        position += 1
        size |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
    if size > MOST_GROWTH * len(data):
        raise ValueError(f"a compressed block of {len(data):,} bytes that claims {size:,}")
    result = bytearray()
    while position < len(data):
        tag = data[position]
        position += 1
        kind, length = tag & 3, (tag >> 2) + 1
        if kind == 0:  # literally what follows; lengths over 60 are in one to four bytes of their own
            if length > 60:
                extra = length - 60
                length = int.from_bytes(data[position : position + extra], "little") + 1
                position += extra
            result += data[position : position + length]
            position += length
        else:  # some bytes from before, which may overlap what they make
            if kind == 1:
                length, extra = (tag >> 2 & 7) + 4, 1
                offset = (tag >> 5) << 8 | int.from_bytes(data[position : position + 1], "little")
            else:
                extra = 2 if kind == 2 else 4
                offset = int.from_bytes(data[position : position + extra], "little")
            position += extra
            if not 0 < offset <= len(result):
                raise ValueError("a compressed block that copies what is not there")
            for _ in range(length):
                result.append(result[-offset])
        if position > len(data) or len(result) > size:
            break
    if len(result) != size or position != len(data):
        raise ValueError(f"a compressed block that makes {len(result):,} bytes, not {size:,}")
    return bytes(result)
