"""Checkpoints of TensorFlow 2, read without TensorFlow.

A checkpoint is a "tensor bundle": PREFIX.index, a sorted table in LevelDB's format that has a protocol buffer for each
tensor, and PREFIX.data-0000i-of-0000n with the bytes. A SavedModel has one at variables/variables. Formats:
tensorflow/core/util/tensor_bundle and tensorflow/core/protobuf/{tensor_bundle,trackable_object_graph}.proto.

Every length is checked before it is used, and every tensor against its checksum.
"""

from __future__ import annotations

import dataclasses
import math
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from posixpath import commonpath, dirname
from typing import Any

import numpy as np

from networks.weights import crc32c, snappy

INDEX, GRAPH = ".index", "_CHECKPOINTABLE_OBJECT_GRAPH"
_MAGIC = 0xDB4775248B80FB57  # of the table; its last eight bytes
_FOOTER = 48
_SNAPPY = 1
_DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 6: "i1", 9: "<i8", 10: "?", 14: "<u2", 19: "<f2"}
_BFLOAT16 = 14
_MOST_STEPS = 1_000_000  # from object to object; a network of the published ones takes some thousands
_MOST_GROWTH = 32  # of an index when it is read: keys leave out what they share with the one before
_MAX_INDEX = 256 << 20  # bytes; that of a network with a thousand variables has a hundred thousand


@dataclasses.dataclass(frozen=True, slots=True)
class _Entry:
    """Where a tensor lies: BundleEntryProto."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int


@dataclasses.dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a checkpoint.

    Attributes:
        key: under which the tensor is stored, the path of attributes from the saved object to the variable.
        name: that the variable had in its program, without `:0`.
        value: float32, or the type that it has if that is no floating-point type.
    """

    key: str
    name: str
    value: np.ndarray[Any, Any]


class Bundle:
    """A checkpoint.

    Args:
        prefix: the path of its files without `.index`.

    Raises:
        ValueError: a file is missing or damaged; says which and what is wrong.
    """

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        self._path = Path(f"{prefix}{INDEX}")
        if not self._path.is_file():
            raise ValueError(f"{self._path}: no such file; it belongs to the checkpoint {prefix}")
        if self._path.stat().st_size > _MAX_INDEX:
            raise ValueError(f"{self._path}: over {_MAX_INDEX:,} bytes, too large for the index of a network")
        try:
            table = dict(_table(self._path.read_bytes()))
            header = _fields(table.pop(b""))
            self._shards = int(header.get(1, [1])[0])
            if header.get(2, [0])[0]:
                raise ValueError("it was written on a big-endian machine; save it again on another")
            self._entries = {key.decode(): _entry(value) for key, value in table.items()}
        except (IndexError, KeyError, TypeError, struct.error, UnicodeDecodeError, OverflowError) as error:
            raise ValueError(f"{self._path}: a damaged index ({type(error).__name__}); copy it again") from None
        except ValueError as error:
            raise ValueError(f"{self._path}: {error}") from None

    def variables(self) -> list[Variable]:
        """Every variable but an optimiser's, with the name that it had in its program.

        Raises:
            ValueError: a file is missing or damaged.
        """
        names = self._names()
        self._check_sizes(list(names))
        return [Variable(key, name, self._numbers(key)) for key, name in names.items()]

    def slots(self) -> list[str]:
        """Keys of an optimiser's slots, which belong to variables and are none."""
        return [key for key in self._entries if ".OPTIMIZER_SLOT" in key]

    def _check_sizes(self, keys: list[str]) -> None:
        """Variables that share their bytes could take any memory; TensorFlow writes none."""
        for shard in {self._entries[key].shard for key in keys}:
            entries = [self._entries[key] for key in keys if self._entries[key].shard == shard]
            path, total = self._shard(entries[0]), sum(entry.size for entry in entries)
            if path.is_file() and total > path.stat().st_size:
                raise ValueError(
                    f"{path} has {path.stat().st_size:,} bytes, {self._path.name} claims {total:,} of them; copy the "
                    "checkpoint again"
                )

    def _names(self) -> dict[str, str]:
        """Name of the variable behind each key; a checkpoint without a graph of objects is keyed by name."""
        if GRAPH not in self._entries:
            return {key: key for key, entry in self._entries.items() if entry.dtype in _DTYPES}
        try:
            graph = _ObjectGraph(self._text(GRAPH))
        except (IndexError, KeyError, TypeError, AttributeError, OverflowError, UnicodeDecodeError) as error:
            raise ValueError(f"{self.prefix}: a damaged graph of objects ({type(error).__name__})") from None
        return {
            key: name
            for key, name in graph.names().items()
            if key in self._entries and self._entries[key].dtype in _DTYPES and ".OPTIMIZER_SLOT" not in key
        }

    def _numbers(self, key: str) -> np.ndarray[Any, Any]:
        entry = self._entries[key]
        dtype = np.dtype(_DTYPES[entry.dtype])
        if entry.size != math.prod(entry.shape) * dtype.itemsize:
            raise ValueError(f"{self._path}: {key} of shape {list(entry.shape)} has {entry.size} bytes; copy it again")
        data = self._bytes(key)
        if crc32c.masked(data) != entry.checksum:
            raise ValueError(f"{self._shard(entry)}: {key} does not match its checksum; copy the checkpoint again")
        values = np.frombuffer(data, dtype).reshape(entry.shape)
        if entry.dtype == _BFLOAT16:
            return (values.astype("<u4") << 16).view("<f4")
        return values.astype("<f4") if dtype.kind == "f" else values

    def _text(self, key: str) -> bytes:
        """A scalar string: its length, a checksum of the length in four bytes, the string."""
        data = self._bytes(key)
        length, start = _varint(data, 0)
        text = data[start + 4 :]
        if len(text) != length:
            raise ValueError(f"{self.prefix}: {key} has {len(text)} bytes, not {length}; copy the checkpoint again")
        return text

    def _bytes(self, key: str) -> bytes:
        entry = self._entries[key]
        path = self._shard(entry)
        try:
            with open(path, "rb") as file:
                if entry.offset + entry.size > path.stat().st_size:
                    raise ValueError(
                        f"{path} ends before {key}, at byte {path.stat().st_size:,} of at least "
                        f"{entry.offset + entry.size:,}; copy the checkpoint again"
                    )
                file.seek(entry.offset)
                return file.read(entry.size)
        except FileNotFoundError:
            raise ValueError(f"{path}: no such file; it belongs to the checkpoint {self.prefix}") from None

    def _shard(self, entry: _Entry) -> Path:
        return Path(f"{self.prefix}.data-{entry.shard:05d}-of-{self._shards:05d}")


class _ObjectGraph:
    """Which objects of a program hold which variables: TrackableObjectGraph.

    Args:
        message: the protocol buffer.
    """

    def __init__(self, message: bytes) -> None:
        self._children: list[list[int]] = []
        self._variables: dict[int, tuple[str, str]] = {}  # of an object: key and name
        for number, node in enumerate(_fields(message).get(1, [])):
            fields = _fields(node)
            self._children.append([int(_fields(child).get(1, [0])[0]) for child in fields.get(1, [])])
            for attribute in fields.get(2, []):
                found = _fields(attribute)
                key, name = (bytes(found.get(field, [b""])[0]).decode() for field in (3, 2))
                if key and name:
                    self._variables[number] = key, name.removesuffix(":0")
        if any(child >= len(self._children) for children in self._children for child in children):
            raise IndexError("an object that is not there")
        self._parents: list[list[int]] = [[] for _ in self._children]
        for parent, children in enumerate(self._children):
            for child in children:
                self._parents[child].append(parent)
        self._seen = 0

    def names(self) -> dict[str, str]:
        """Name of each key. Names that several variables have are completed by the scope of those around them."""
        counts = Counter(name for _, name in self._variables.values())
        return {
            key: name if counts[name] == 1 else self._scope(number, counts) + name
            for number, (key, name) in self._variables.items()
        }

    def _scope(self, number: int, counts: Counter[str]) -> str:
        """What the names around an object have in common, of the smallest part of the program where that is anything.

        Our choice: the reference calls each scalar of its positional encodings `scale`, without a scope.
        """
        level, seen = {number}, {number}
        while level:
            above = {parent for number in level for parent in self._parents[number]} - seen
            below = [self._below(parent, counts) for parent in above]
            found = max((commonpath(map(dirname, names)) for names in below if names), key=len, default="")
            if found:
                return f"{found}/"
            level, seen = above, seen | above
        return ""

    def _below(self, number: int, counts: Counter[str]) -> list[str]:
        """Unique names of an object and of all that it holds."""
        names, seen, open_ = [], {number}, [number]
        while open_:
            here = open_.pop()
            self._seen += 1
            if self._seen > _MOST_STEPS:
                raise KeyError("names that are not told apart")
            if here in self._variables and counts[self._variables[here][1]] == 1:
                names.append(self._variables[here][1])
            fresh = set(self._children[here]) - seen
            seen |= fresh
            open_ += fresh
        return names


def _entry(data: bytes) -> _Entry:
    fields = _fields(data)
    sizes = (_fields(size).get(1, [0])[0] for size in _fields(fields.get(2, [b""])[0]).get(2, []))
    if 7 in fields:
        raise ValueError("a tensor is stored in slices, as partitioned variables are; save it as a whole")
    dtype, shard, offset, size, checksum = (int(fields.get(field, [0])[0]) for field in (1, 3, 4, 5, 6))
    return _Entry(dtype, tuple(int(size) for size in sizes), shard, offset, size, checksum)


def _table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """All keys and values of a table: footer -> index block -> blocks."""
    if len(data) < _FOOTER or struct.unpack("<Q", data[-8:])[0] != _MAGIC:
        raise ValueError("no index of a TensorFlow checkpoint, or one that was cut short; copy it again")
    footer, position = data[-_FOOTER:], 0
    for _ in range(2):  # the handle of the (empty) meta index
        _, position = _varint(footer, position)
    total = 0
    for _, handle in _block(data, footer[position:]):
        for key, value in _block(data, handle):
            total += len(key) + len(value)
            if total > _MOST_GROWTH * len(data):
                raise ValueError("its blocks are read again and again; copy the checkpoint again")
            yield key, value


def _block(data: bytes, handle: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The entries of a block: each key shares its beginning with the one before."""
    offset, position = _varint(handle, 0)
    size, _ = _varint(handle, position)
    end = offset + size
    block, (kind, checksum) = data[offset:end], struct.unpack("<BI", data[end : end + 5])
    if crc32c.masked(data[offset : end + 1]) != checksum:
        raise ValueError("a block does not match its checksum; copy the checkpoint again")
    if kind == _SNAPPY:
        block = snappy.decompress(block)
    elif kind != 0:
        raise ValueError(f"a block compressed in way {kind}; allowed: not at all, or with Snappy")
    restarts = struct.unpack("<I", block[-4:])[0]
    end, position, key = len(block) - 4 * (restarts + 1), 0, b""
    while position < end:
        shared, position = _varint(block, position)
        added, position = _varint(block, position)
        length, position = _varint(block, position)
        key = key[:shared] + block[position : position + added]
        position += added
        yield key, block[position : position + length]
        position += length


def _fields(message: bytes) -> dict[int, list[Any]]:
    """The fields of a protocol buffer by number: integers, or bytes of what is nested."""
    result: dict[int, list[Any]] = {}
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        value: int | bytes
        if tag & 7 == 0:
            value, position = _varint(message, position)
        else:
            length = {1: 8, 5: 4}.get(tag & 7, -1)
            if tag & 7 == 2:
                length, position = _varint(message, position)
            if length < 0 or position + length > len(message):
                raise IndexError("a field longer than its message")
            value = message[position : position + length]
            if tag & 7 != 2:
                value = int.from_bytes(value, "little")
            position += length
        result.setdefault(tag >> 3, []).append(value)
    return result


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """An integer of seven bits a byte, the lowest first, and the position behind it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise IndexError("an integer of more than 64 bits")
