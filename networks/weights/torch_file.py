"""Files that `torch.save` wrote, read without torch's loader: nothing in them is run, and no size in them is believed.

A file holds a pickle and, apart from it, the bytes of its tensors: since torch 1.6 as records of a zip archive that are
never compressed, before it one after the other behind a few pickles. The pickle is followed by
`torch_pickle`. A tensor is a description until it is asked for, and its bytes are read only where the file has them.
"""

from __future__ import annotations

import mmap
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from networks.weights.torch_pickle import Damaged, Named, Storage, Stored, follow

_MAGIC = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # a number, pickled, with which files begin that are no archives

_PICKLE = "data.pkl"
_HEADER = 30  # bytes of a zip record's own header before its name
_TYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class NoTorchFile(ValueError):
    """A whole file of another kind."""


class TorchFile:
    """An open file.

    Args:
        path: the file.

    Attributes:
        content: what was saved: dictionaries, lists, tuples, numbers and texts, `Stored` for tensors, and `Named` for
            every other object.

    Raises:
        NoTorchFile: it is a zip archive of something else.
        Damaged: it is not a whole file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loaded: dict[str, Tensor] = {}
        self._storages: dict[str, Storage] = {}
        self._places: dict[str, tuple[int, int, int]] = {}  # of each record: offset, bytes, checksum or 0
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            self.content = self._read_plain(data) if _is_plain(data[:32]) else self._read_zip(file, data)

    def tensor(self, stored: Stored) -> Tensor:
        """Reads a tensor; several may share one storage.

        Raises:
            Damaged: its bytes are not there, or are not what they were.
        """
        storage = stored.storage
        assert storage is not None
        stored.check()
        if 0 in stored.shape:
            return torch.zeros(stored.shape, dtype=storage.dtype)
        if storage.key not in self._loaded:
            offset, size, checksum = self._place(storage)
            with open(self._path, "rb") as file:
                file.seek(offset)
                content = bytearray(file.read(size))
            if len(content) < size or (checksum and zlib.crc32(content) != checksum):
                raise Damaged(f"record {storage.key!r} does not match its checksum")
            self._loaded[storage.key] = torch.frombuffer(content, dtype=storage.dtype)
        return self._loaded[storage.key].as_strided(stored.shape, stored.stride, stored.offset)

    def _place(self, storage: Storage) -> tuple[int, int, int]:
        if storage.key not in self._places:
            raise Damaged(f"record {storage.key!r} is missing")
        place = self._places[storage.key]
        if place[1] != storage.count * storage.dtype.itemsize:
            raise Damaged(f"record {storage.key!r} has {place[1]:,} bytes, not {storage.count:,} values")
        return place

    # The two kinds of files

    def _read_zip(self, file: IO[bytes], data: mmap.mmap) -> Any:
        try:
            with zipfile.ZipFile(file) as archive:
                records = {record.filename: record for record in archive.infolist()}
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
            raise Damaged(f"a damaged zip archive: {error}") from None
        name = next((name for name in records if name.endswith(_PICKLE)), None)
        if name is None:
            raise NoTorchFile("a zip archive of something else than torch weights; unpack it and give the file inside")
        total = sum(record.file_size for record in records.values())
        if total > len(data):
            raise Damaged(
                f"its records claim {total:,} bytes, the file has {len(data):,}; torch writes none that are compressed"
            )
        prefix = name.removesuffix(_PICKLE)
        places = {name: _place(data, record) for name, record in records.items() if name.startswith(prefix)}
        order = places.get(f"{prefix}byteorder")
        if order is not None and data[order[0] : order[0] + order[1]] == b"big":
            raise Damaged("it was written on a big-endian machine; save it again on another")
        offset, size, checksum = places[name]
        pickle = data[offset : offset + size]
        if checksum and zlib.crc32(pickle) != checksum:
            raise Damaged("its pickle does not match its checksum")
        beginning = f"{prefix}data/"
        self._places = {
            name.removeprefix(beginning): place for name, place in places.items() if name.startswith(beginning)
        }
        return follow(pickle, self._storage)

    def _read_plain(self, data: mmap.mmap) -> Any:
        for _ in range(3):  # the magic number, the version, what the machine was
            follow(data, _no_storage)
        content = follow(data, self._storage)
        keys = follow(data, _no_storage)
        if not isinstance(keys, list):
            raise Damaged("its list of storages is missing")
        for key in keys:
            if not isinstance(key, str) or key not in self._storages:
                raise Damaged("a storage that no tensor has")
            begins = data.read(8)
            if len(begins) < 8:
                raise Damaged("it ends before its last tensor")
            (count,) = struct.unpack("<q", begins)
            size = count * self._storages[key].dtype.itemsize
            if count < 0 or size > len(data) - data.tell():
                raise Damaged(f"storage {key!r} of {count:,} values is longer than the file")
            self._places[key] = data.tell(), size, 0
            data.seek(size, 1)
        return content

    def _storage(self, identity: object) -> Any:
        """What a pickle means by the identity of something that is not in it."""
        if not isinstance(identity, tuple) or len(identity) < 5 or identity[0] not in ("storage", b"storage"):
            return Named("a module")  # with its source code, in files of before 1.6
        _, kind, key, _, count, *view = identity
        dtype = _TYPES.get(kind.name.rpartition(".")[2]) if isinstance(kind, Named) else None
        if dtype is None or any(item is not None for item in view):
            return None  # of a type that no weights have, or a view as torch 0.3 wrote it
        if not isinstance(key, str) or type(count) is not int or count < 0:
            raise Damaged("a storage without name or size")
        found = self._storages.setdefault(key, Storage(key, dtype, count))
        if found != Storage(key, dtype, count):
            raise Damaged(f"storage {key!r} has two sizes or types")
        return found


def _place(data: mmap.mmap, record: zipfile.ZipInfo) -> tuple[int, int, int]:
    """Where the bytes of a record lie."""
    if record.compress_type != zipfile.ZIP_STORED or record.file_size != record.compress_size:
        raise Damaged(f"record {record.filename!r} is compressed, which torch never does; save the file again")
    begins = data[record.header_offset : record.header_offset + _HEADER]
    if len(begins) < _HEADER or begins[:4] != b"PK\x03\x04":
        raise Damaged(f"record {record.filename!r} is not where it should be")
    name, extra = struct.unpack("<HH", begins[-4:])
    offset = record.header_offset + _HEADER + name + extra
    if offset + record.file_size > len(data):
        raise Damaged(f"record {record.filename!r} is longer than the file")
    return offset, record.file_size, record.CRC


def _no_storage(identity: object) -> Any:
    raise Damaged("a tensor where none can be")


def may_be_torch(begins: bytes) -> bool:
    """Whether a file that begins so may be one of torch's."""
    return begins.startswith(b"PK") or _is_plain(begins)


def _is_plain(begins: bytes) -> bool:
    return begins[:1] == b"\x80" and _MAGIC in begins[2:32]
