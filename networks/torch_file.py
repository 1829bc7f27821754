"""Files that `torch.save` wrote, read without torch's loader: nothing in them is run, and no size in them is believed.

A file holds a pickle and, apart from it, the bytes of its tensors: since torch 1.6 as records of a zip archive that are
never compressed, before it one after the other behind a few pickles. The pickle is followed step by step here, for the
instructions that torch's own files have; of a class or function it keeps the name. A tensor is a description until it
is asked for, and its bytes are read only where the file has them.
"""

from __future__ import annotations

import dataclasses
import math
import mmap
import pickletools
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any, cast

import torch
from torch import Tensor

_MAGIC = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # a number, pickled, with which files begin that are no archives

_PICKLE = "data.pkl"
_MOST = 2**48  # of anything that counts values
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
_CONSTANTS = {
    "NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": (),
}  # fmt: skip
_WITH_VALUE = (
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
)  # fmt: skip
_TENSORS = ("_rebuild_tensor", "_rebuild_tensor_v2")
_PARAMETERS = ("_rebuild_parameter", "_rebuild_parameter_with_state")
_OTHER_TENSORS = ("_rebuild_sparse", "_rebuild_qtensor", "_rebuild_meta", "_rebuild_nested", "_rebuild_tensor_v3")


class Damaged(ValueError):
    """What a file says cannot be."""


class NoTorchFile(ValueError):
    """A whole file of another kind."""


@dataclasses.dataclass(frozen=True)
class Named:
    """A class or function that a pickle names, and whatever would be made by calling it."""

    name: str


@dataclasses.dataclass(frozen=True)
class Storage:
    """Bytes of tensors.

    Attributes:
        key: of its record.
        dtype: of the elements.
        count: of the elements.
    """

    key: str
    dtype: torch.dtype
    count: int


@dataclasses.dataclass(frozen=True)
class Stored:
    """A tensor of a file: which elements of which storage it shows.

    Attributes:
        storage: None for a tensor of another kind than a dense array of numbers.
        offset: of its first element.
        shape, stride: in elements.
    """

    storage: Storage | None
    offset: int = 0
    shape: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()

    def check(self) -> None:
        """Raises `Damaged` where it shows elements beyond its storage, or more than there are."""
        assert self.storage is not None
        numbers = (self.offset, *self.shape, *self.stride)
        if len(self.shape) != len(self.stride) or any(not 0 <= number <= _MOST for number in numbers):
            raise Damaged(f"a tensor of shape {list(self.shape)} and stride {list(self.stride)}")
        count = math.prod(self.shape)
        last = self.offset + sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True))
        if count and last >= self.storage.count:
            raise Damaged(f"a tensor of {count:,} values ends behind the {self.storage.count:,} that are stored")
        if count > self.storage.count:
            raise Damaged(
                f"a tensor of {count:,} values that shows the same {self.storage.count:,} again and again (expanded); "
                "save it with .contiguous()"
            )


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


_MARK = object()


def follow(pickle: bytes | mmap.mmap, persistent: Callable[[object], Any]) -> Any:
    """Follows a pickle to its end.

    Args:
        pickle: its bytes, or a file that stands at its beginning, and behind its end afterwards.
        persistent: what an identity of something outside means.

    Returns:
        What it builds; see `TorchFile`.

    Raises:
        Damaged: an instruction that none of torch's files has, or one that cannot be followed.
    """
    machine = _Machine(persistent)
    try:
        for instruction, value, _ in pickletools.genops(cast(IO[bytes], pickle)):  # reading is all that it does
            if instruction.name == "STOP":
                return machine.stack.pop()
            machine.do(instruction.name, value)
    except (IndexError, KeyError, TypeError, UnicodeError, OverflowError, struct.error) as error:
        raise Damaged(f"a pickle that cannot be followed ({type(error).__name__})") from None
    except Damaged:
        raise
    except ValueError:  # of pickletools: an unknown instruction, a number that is none, an early end
        raise Damaged("a pickle that cannot be read") from None
    raise Damaged("a pickle without an end")


class _Machine:
    """The stack and the memory of a pickle that is followed."""

    def __init__(self, persistent: Callable[[object], Any]) -> None:
        self.stack: list[Any] = []
        self.memory: dict[Any, Any] = {}
        self._persistent = persistent

    def do(self, name: str, value: Any) -> None:
        """One instruction of pickletools."""
        stack = self.stack
        if name in _WITH_VALUE:
            stack.append(value)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memory[value] = stack[-1]
        elif name == "MEMOIZE":
            self.memory[len(self.memory)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self.memory[value])
        elif name == "MARK":
            stack.append(_MARK)
        elif name in _BUILDERS:
            _BUILDERS[name](self)
        elif name == "GLOBAL":
            stack.append(Named(value.replace(" ", ".")))
        elif name == "BINPERSID":
            stack.append(self._persistent(stack.pop()))
        elif name not in ("PROTO", "FRAME"):
            raise Damaged(f"the instruction {name}, which torch does not write")

    def above_mark(self) -> list[Any]:
        """Takes off what lies above the last mark, and the mark."""
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise IndexError("no mark")
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def last(self, count: int) -> list[Any]:
        """Takes off the last items."""
        items = self.stack[-count:]
        if len(items) < count or any(item is _MARK for item in items):
            raise IndexError("too few items")
        del self.stack[-count:]
        return items

    def set_items(self, items: list[Any]) -> None:
        """Puts keys and values into the dictionary on top; attributes of anything else are left out."""
        target = self.stack[-1]
        if isinstance(target, dict):
            for key, value in zip(items[::2], items[1::2], strict=True):
                # other keys could take for ever to hash: (t, t) of (t, t) of ...
                target[key if isinstance(key, str | int | float | bytes | None) else Named("a key")] = value

    def extend(self, items: Iterable[Any]) -> None:
        """Puts items at the end of the list on top."""
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)

    def call(self) -> None:
        """Stands for what a function would give of its arguments."""
        function, arguments = self.last(2)
        self.stack.append(_called(function, arguments))


def _called(function: object, arguments: object) -> Any:
    name = function.name if isinstance(function, Named) else "an object"
    module, _, short = name.rpartition(".")
    known = isinstance(arguments, tuple)
    if name == "collections.OrderedDict" and arguments == ():
        return {}
    if name == "torch.Size" and known:
        return arguments[0]  # type: ignore[index]  # a tuple, in the line above
    if not known or module not in ("torch._utils", "torch._tensor"):
        return Named(name)
    assert isinstance(arguments, tuple)
    if short in _TENSORS:
        return _tensor(*arguments[:4])
    if short in _PARAMETERS:
        return arguments[0]
    if short == "_rebuild_from_type_v2":
        return _called(arguments[0], arguments[2])
    return Stored(None) if short.startswith(_OTHER_TENSORS) else Named(name)


def _tensor(storage: object, offset: object, shape: object, stride: object) -> Stored:
    if storage is None:
        return Stored(None)
    numbers = (offset, *shape, *stride) if isinstance(shape, tuple) and isinstance(stride, tuple) else (None,)
    if not isinstance(storage, Storage) or any(type(number) is not int for number in numbers):
        raise Damaged("a tensor without storage or shape")
    return Stored(storage, offset, shape, stride)  # type: ignore[arg-type]  # checked in the line above


def _named(machine: _Machine) -> None:
    module, name = machine.last(2)
    machine.stack.append(Named(f"{module}.{name}"))


def _object(machine: _Machine, count: int) -> None:
    kind = machine.last(count)[0]
    machine.stack.append(kind if isinstance(kind, Named) else Named("an object"))


def _set_state(machine: _Machine) -> None:
    machine.last(1)


_BUILDERS: Mapping[str, Callable[[_Machine], None]] = {
    "EMPTY_DICT": lambda m: m.stack.append({}),
    "EMPTY_LIST": lambda m: m.stack.append([]),
    "EMPTY_SET": lambda m: m.stack.append([]),
    "TUPLE": lambda m: m.stack.append(tuple(m.above_mark())),
    "TUPLE1": lambda m: m.stack.append(tuple(m.last(1))),
    "TUPLE2": lambda m: m.stack.append(tuple(m.last(2))),
    "TUPLE3": lambda m: m.stack.append(tuple(m.last(3))),
    "LIST": lambda m: m.stack.append(m.above_mark()),
    "FROZENSET": lambda m: m.stack.append(m.above_mark()),
    "APPEND": lambda m: m.extend(m.last(1)),
    "APPENDS": lambda m: m.extend(m.above_mark()),
    "ADDITEMS": lambda m: m.extend(m.above_mark()),
    "SETITEM": lambda m: m.set_items(m.last(2)),
    "SETITEMS": lambda m: m.set_items(m.above_mark()),
    "POP": lambda m: m.stack.pop(),
    "POP_MARK": lambda m: m.above_mark().clear(),
    "REDUCE": _Machine.call,
    "BUILD": _set_state,
    "NEWOBJ": lambda m: _object(m, 2),
    "NEWOBJ_EX": lambda m: _object(m, 3),
    "STACK_GLOBAL": _named,
}
