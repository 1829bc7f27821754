"""Reads mutated TensorFlow Lite files under a limit of memory: `python tflite_mutated.py FILE COUNT SEED`.

Prints how many were refused, how many were read, and fails at the first that does anything else.
"""

from __future__ import annotations

import random
import resource
import struct
import sys
import tempfile
from pathlib import Path

import networks

MORE = 400 << 20  # bytes beyond what the program has once it is loaded
EXTREMES = (0, 1, 2, 255, 0x7FFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE, 1 << 28)


def mutated(whole: bytes, chance: random.Random) -> bytes:
    """A file that was cut, overwritten, or whose numbers claim something else."""
    data = bytearray(whole)
    for _ in range(chance.choice((1, 1, 1, 2, 8))):
        at = chance.randrange(len(data)) if chance.random() < 0.3 else _structure(whole, chance)
        at, kind = min(at, len(data) - 1), chance.randrange(7)
        if kind == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[at] = chance.randrange(256)
        elif kind in (2, 3):
            at = min(at - at % 4, len(data) - 4)
            data[at : at + 4] = struct.pack("<I", chance.choice(EXTREMES) if kind == 2 else chance.randrange(1 << 32))
        elif kind == 4:
            at = min(at - at % 4, len(data) - 4)
            old = struct.unpack("<I", data[at : at + 4])[0]
            data[at : at + 4] = struct.pack("<I", (old + chance.choice((-8, -4, -1, 1, 4, 8, 1000))) % (1 << 32))
        elif kind == 5:
            del data[max(64, at) :]
        else:
            length = chance.randrange(1, 64)
            other = chance.randrange(len(whole))
            data[at : at + length] = whole[other : other + length]
    return bytes(data)


def _structure(whole: bytes, chance: random.Random) -> int:
    """A place where numbers are small, as those of tables and shapes are: values fill most of a file."""
    for _ in range(50):
        at = chance.randrange(len(whole) - 8)
        at -= at % 4
        if struct.unpack("<I", whole[at : at + 4])[0] < len(whole):
            return at
    return chance.randrange(len(whole))


def main(path: Path, count: int, seed: int) -> None:
    whole, chance = path.read_bytes(), random.Random(seed)
    networks.import_weights(path)  # everything is loaded before the limit is set
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MORE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    refused = 0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mutated.tflite"
        for number in range(count):
            file.write_bytes(mutated(whole, chance))
            try:
                networks.import_weights(file)
            except ValueError as error:
                text = str(error)
                assert str(file) in text and "\n" not in text and len(text) < 600, (number, text)
                refused += 1
    print(f"{refused} refused, {count - refused} read")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
