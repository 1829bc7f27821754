"""A TensorFlow Lite model: its tensors, operators and constants, as tensorflow/lite/schema/schema.fbs lays them out.

Only what inference needs is read: names of inputs and outputs, shapes, operators with their options, and the constants
that are asked for. Quantised constants become floating-point numbers, (value - zero point) * scale, for each channel.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from importlib import resources

import numpy as np

from networks.weights.tflite.flatbuffer import Array, Buffer, Refused, Table

MOST_TENSORS, MOST_OPERATORS, MOST_CODES, MOST_AXES, MOST_INPUTS = 20_000, 20_000, 1_000, 8, 1_000
_DTYPES = {0: "<f4", 1: "<f2", 2: "<i4", 3: "u1", 4: "<i8", 6: "?", 7: "<i2", 9: "i1", 10: "<f8"}
INTEGERS = (2, 4)  # of counts: int32, int64
_MAGIC = b"TFL3"


@dataclasses.dataclass(frozen=True, slots=True)
class TensorInfo:
    """What is known of a tensor without its values.

    Attributes:
        shape: lengths of its axes; 1 where one is open until the model runs.
        open: which axes are open.
        dtype: the number of its type in the schema.
        buffer: index of the buffer of its values; of what is computed that buffer is empty.
        table: its own table.
    """

    shape: tuple[int, ...]
    open: tuple[bool, ...]
    dtype: int
    buffer: int
    table: Table

    @property
    def name(self) -> str:
        """As the converter called it."""
        return self.table.text(3)


@dataclasses.dataclass(frozen=True, slots=True)
class Operator:
    """One step of the graph.

    Attributes:
        kind: its name in the schema, or that of a custom operator.
        inputs, outputs: indices of tensors; -1 for an input that is left out.
        options: of built-in operators.
        custom: options of custom ones, in bytes.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Table | None
    custom: bytes

    def option(self, number: int, kind: str = "int32", default: int = 0) -> int:
        """A whole number among the options."""
        return default if self.options is None else self.options.whole(number, kind, default)


class Model:
    """The largest graph of a file.

    Args:
        data: the bytes of the file.

    Attributes:
        tensors: all of them.
        operators: in the order in which they run.
        inputs, outputs: indices of tensors.
        names: what a signature calls an input or output, by index of its tensor.

    Raises:
        ValueError: flatbuffers is not installed.
        Refused: the file is damaged, or no TensorFlow Lite model.
    """

    def __init__(self, data: bytes) -> None:
        self._buffer = Buffer(data)
        if bytes(data[4:8]) != _MAGIC:
            raise Refused("no TensorFlow Lite model")
        root = self._buffer.root()
        codes = [_code(table) for table in root.tables(1, MOST_CODES, "kinds of operators")]
        self._buffers = list(root.tables(4, 2 * MOST_TENSORS, "buffers"))
        graphs = [_Graph(table, codes) for table in root.tables(2, 64, "graphs")]
        if not graphs:
            raise Refused("a TensorFlow Lite file without a graph; download it again")
        number = max(range(len(graphs)), key=lambda i: len(graphs[i].operators))
        graph = graphs[number]
        self.tensors, self.operators, self.inputs, self.outputs = (
            graph.tensors,
            graph.operators,
            graph.inputs,
            graph.outputs,
        )
        self.names: dict[int, str] = {}
        for signature in root.tables(7, 64, "signatures"):
            if signature.whole(4, "uint32") == number:
                for side in (0, 1):
                    for entry in signature.tables(side, MOST_INPUTS, "names of a signature"):
                        self.names.setdefault(entry.whole(1, "uint32"), entry.text(0))
        self._left = 8 * len(data)  # bytes of constants that are read; many tensors may share a buffer

    def is_constant(self, tensor: int) -> bool:
        """Whether the file has values for a tensor."""
        info = self.tensors[tensor]
        if info.buffer == 0 or info.buffer >= len(self._buffers):
            return False
        table = self._buffers[info.buffer]
        return len(table.data(0)) > 0 or table.whole(2, "uint64") > 0

    def values(self, tensor: int) -> Array:
        """The values of a constant: whole numbers as they are, all others as float32.

        Raises:
            Refused: other sizes than the shape says, or a type that is not known.
        """
        info = self.tensors[tensor]
        if info.dtype not in _DTYPES:
            raise Refused(f"constant {info.name!r} is of type {info.dtype}, which is not read")
        if info.table.table(6) is not None:
            raise Refused(f"constant {info.name!r} is stored as a sparse tensor; convert the model without sparsity")
        dtype, data = np.dtype(_DTYPES[info.dtype]), self._data(info)
        size = math.prod(info.shape) * dtype.itemsize
        if len(data) != size:
            raise Refused(f"constant {info.name!r}, {list(info.shape)}, has {len(data):,} bytes; the file is damaged")
        self._left -= size
        if self._left < 0:
            raise Refused("its constants add up to far more than the file holds; it is damaged")
        values = np.frombuffer(data, dtype).reshape(info.shape)
        scales = _quantisation(info)
        if scales is not None and dtype.kind in "iu":
            scale, zero = scales
            return ((values.astype(np.float64) - zero) * scale).astype(np.float32)
        return values.astype(np.float32) if dtype.kind == "f" else values

    def _data(self, info: TensorInfo) -> memoryview:
        table = self._buffers[info.buffer]
        offset, size = table.whole(1, "uint64"), table.whole(2, "uint64")
        if offset > 1:  # behind the flatbuffer, as files of more than 2 GB have it
            return self._buffer.view(offset, size)
        return table.data(0)


class _Graph:
    """One of the graphs of a file."""

    def __init__(self, table: Table, codes: list[str]) -> None:
        self.tensors = [_tensor(tensor) for tensor in table.tables(0, MOST_TENSORS, "tensors")]
        self.inputs, self.outputs = (self._indices(table, number, -1) for number in (1, 2))
        self.operators: list[Operator] = []
        for operator in table.tables(3, MOST_OPERATORS, "operators"):
            code = operator.whole(0, "uint32")
            if code >= len(codes):
                raise Refused(f"an operator of kind {code}, of {len(codes)} kinds; it is damaged")
            inputs, outputs = self._indices(operator, 1, -1), self._indices(operator, 2, 0)
            custom = bytes(operator.data(5)[:4096])
            self.operators.append(Operator(codes[code], inputs, outputs, operator.table(4), custom))

    def _indices(self, table: Table, number: int, least: int) -> tuple[int, ...]:
        indices = tuple(int(i) for i in table.numbers(number, "<i4", MOST_INPUTS, "tensors of an operator"))
        for index in indices:
            if not least <= index < len(self.tensors):
                raise Refused(f"tensor {index} of {len(self.tensors)}; it is damaged")
        return indices


@functools.cache
def builtin_operators() -> tuple[str, ...]:
    """Names of the built-in operators by number: `BuiltinOperator` of the schema of TensorFlow Lite 2.18."""
    return tuple(
        resources.files("networks.weights.tflite").joinpath("operators.txt").read_text(encoding="utf-8").split()
    )


def _code(table: Table) -> str:
    """The name of a kind of operators."""
    names, number = builtin_operators(), max(table.whole(0, "int8"), table.whole(3))
    if not 0 <= number < len(names):
        return f"operator {number}"
    if names[number] == "CUSTOM":
        name = table.text(1) or "custom operator without a name"
        return "CUMSUM" if name == "FlexCumsum" else name  # TensorFlow's own takes the same inputs
    return names[number]


def _tensor(table: Table) -> TensorInfo:
    shape = tuple(int(n) for n in table.numbers(0, "<i4", MOST_AXES, "axes of a tensor"))
    signature = tuple(int(n) for n in table.numbers(7, "<i4", MOST_AXES, "axes of a tensor")) or shape
    if any(n < 0 for n in shape) or len(signature) != len(shape):
        raise Refused(f"a tensor of shape {list(shape)}; it is damaged")
    return TensorInfo(shape, tuple(n < 0 for n in signature), table.whole(1, "int8"), table.whole(2, "uint32"), table)


def _quantisation(info: TensorInfo) -> tuple[Array, Array] | None:
    """Scale and zero point, in a shape that goes with the values; None for what is not quantised."""
    table = info.table.table(4)
    if table is None:
        return None
    most = max((1, *info.shape))
    scale = table.numbers(2, "<f4", most, "scales").astype(np.float64)
    zero = table.numbers(3, "<i8", most, "zero points").astype(np.float64)
    if not len(scale):
        return None
    if not len(zero):
        zero = np.zeros(1)
    axis, shape = table.whole(6), [1] * len(info.shape)
    for numbers in (scale, zero):
        if len(numbers) == 1:
            continue
        if not 0 <= axis < len(shape) or len(numbers) != info.shape[axis]:
            raise Refused(
                f"constant {info.name!r} of shape {list(info.shape)} has {len(numbers)} scales; it is damaged"
            )
        shape[axis] = info.shape[axis]
    wide = (shape[axis] if len(shape) else 1,) if max(len(scale), len(zero)) > 1 else (1,)
    return np.broadcast_to(scale, wide).reshape(shape), np.broadcast_to(zero, wide).reshape(shape)
