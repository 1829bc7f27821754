"""Writes checkpoints of TensorFlow without TensorFlow, so that tests can make any network's."""

import struct
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import google_crc32c
import numpy as np

DTYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "float16": 19}
MAGIC = bytes.fromhex("57fb808b247547db")
BLOCK, RESTART = 4096, 16


def varint(value: int) -> bytes:
    low, high = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(high) if high else bytes([low])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def masked(data: bytes) -> bytes:
    checksum = google_crc32c.value(data)
    return struct.pack("<I", ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def table(items: Iterable[tuple[bytes, bytes]], compress: Callable[[bytes], bytes] | None = None) -> bytes:
    """A sorted table: blocks whose keys share beginnings, a block of their ends, a footer; perhaps by Snappy."""
    out, index, batch, size = b"", [], [], 0

    def handle(entries: list[tuple[bytes, bytes]]) -> bytes:
        nonlocal out
        block, restarts, before = b"", [], b""
        for i, (key, value) in enumerate(entries):
            if i % RESTART == 0:
                restarts.append(len(block))
                before = b""
            shared = next((j for j, (a, b) in enumerate(zip(before, key, strict=False)) if a != b), len(before))
            block += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
            before = key
        block += struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))
        kind = b"\0"
        if compress is not None:
            block, kind = compress(block), b"\1"
        place = varint(len(out)) + varint(len(block))
        out += block + kind + masked(block + kind)
        return place

    for key, value in sorted(items):
        batch.append((key, value))
        size += len(key) + len(value)
        if size > BLOCK:
            index.append((key, handle(batch)))
            batch, size = [], 0
    if batch:
        index.append((batch[-1][0], handle(batch)))
    footer = handle([]) + handle(index)
    return out + footer.ljust(40, b"\0") + MAGIC


def write(
    prefix: Path,
    variables: Mapping[str, np.ndarray],
    names: Mapping[str, str],
    compress: Callable[[bytes], bytes] | None = None,
) -> None:
    """A checkpoint of an object that holds the variables.

    Args:
        prefix: beginning of the files' names.
        variables: by their place in the object, `block0_layer0/scale`.
        names: in the program, by place; by default the place.
        compress: of the index's blocks, by Snappy.
    """
    data, entries = bytearray(), {b"": field(1, 1)}
    nodes: dict[str, dict[str, str]] = {"": {}}  # place -> name of each child -> its place
    for place, value in variables.items():
        key = f"{place}/.ATTRIBUTES/VARIABLE_VALUE"
        raw = np.ascontiguousarray(value).tobytes()
        shape = b"".join(field(2, field(1, n)) for n in value.shape)
        where = field(4, len(data)) + field(5, len(raw)) + bytes([6 << 3 | 5]) + masked(raw)
        entries[key.encode()] = field(1, DTYPES[str(value.dtype)]) + field(2, shape) + where
        data += raw
        scope = ""
        for word in place.split("/"):
            inner = f"{scope}/{word}".lstrip("/")
            nodes[scope][word] = inner
            scope = inner
            nodes.setdefault(scope, {})
    numbers = {place: i for i, place in enumerate(nodes)}
    graph = b""
    for place, children in nodes.items():
        node = b"".join(field(1, field(1, numbers[at]) + field(2, word.encode())) for word, at in children.items())
        if place in variables:
            name = names.get(place, place)
            key = f"{place}/.ATTRIBUTES/VARIABLE_VALUE"
            node += field(2, field(1, b"VARIABLE_VALUE") + field(2, name.encode()) + field(3, key.encode()))
        graph += field(1, node)
    text = varint(len(graph)) + masked(struct.pack("<I", len(graph))) + graph
    where = field(4, len(data)) + field(5, len(text))
    entries[b"_CHECKPOINTABLE_OBJECT_GRAPH"] = field(1, 7) + field(2, b"") + where
    Path(f"{prefix}.index").write_bytes(table(entries.items(), compress))
    Path(f"{prefix}.data-00000-of-00001").write_bytes(data + text)
