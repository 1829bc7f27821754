"""The pickle inside of files that `torch.save` wrote, followed step by step: nothing that it names is run.

Only the instructions that torch's own files have are followed. Of a class or function the name is kept; a tensor is a
description of which elements of which storage it shows.
"""

from __future__ import annotations

import dataclasses
import math
import mmap
import pickletools
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any, cast

import torch

_MOST = 2**48  # of anything that counts values
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
