"""The graph of a model as expressions: what each tensor is computed from, without what only moves or stores numbers.

Reshapes, quantisation and copies over frames leave an expression as it is; an operator with an activation inside
becomes two; multiplication and addition of constants have kinds of their own. What is not known stands there under the
operator's own name, and is refused only where an answer depends on it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from networks.weights.tflite.flatbuffer import Array, Refused
from networks.weights.tflite.model import Model, Operator

CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_3D", "FULLY_CONNECTED", "FlexConv3D")
POOLS = ("AVERAGE_POOL_2D", "FlexAvgPool3D")
_MOVES = ("QUANTIZE", "DEQUANTIZE", "CAST", "TILE", "BROADCAST_TO")
_RESHAPES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
_ARITY = {kind: 1 for kind in ("RELU6", "RELU", "RELU_0_TO_1", "HARD_SWISH", "LOGISTIC", "SOFTMAX")}
_ARITY |= {kind: 2 for kind in ("ADD", "SUB", "MUL", "DIV", "MINIMUM", "MAXIMUM", "MEAN", "SUM", "CUMSUM")}
_FUSED = {1: "RELU", 3: "RELU6"}  # other activations inside an operator are refused
# Where the options of an operator say which activation is inside.
_ACTIVATION_FIELD = {
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 4,
    "CONV_3D": 4,
    "FULLY_CONNECTED": 0,
    "ADD": 0,
    "SUB": 0,
    "MUL": 0,
    "DIV": 0,
    "CONCATENATION": 1,
    "AVERAGE_POOL_2D": 5,
}


@dataclasses.dataclass(eq=False, slots=True)
class Node:
    """One expression; two are the same if they are the same object.

    Attributes:
        kind: `input`, `constant`, `scaled` and `shifted` (by a constant), `zeros`, or the operator's name.
        inputs: what it is computed from; constants among them only where two things are joined.
        shape: of the tensor, where it was computed.
        tensor: index of that tensor.
        operator: that computes it; None for inputs and constants.
        value: tensor of the constant that scales or shifts; of a constant its own.
        inverse: it divides, or is subtracted.
    """

    kind: str
    inputs: tuple[Node, ...]
    shape: tuple[int, ...]
    tensor: int
    operator: Operator | None = None
    value: int = -1
    inverse: bool = False


class Graph:
    """Expressions of all tensors.

    Args:
        model: with operators in the order in which they run.

    Raises:
        Refused: an operator reads what is not computed yet, or has an unknown activation inside.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._nodes: dict[int, Node] = {}
        for tensor in model.inputs:
            self._nodes[tensor] = Node("input", (), model.tensors[tensor].shape, tensor)
        for operator in model.operators:
            self._add(operator)

    def node(self, tensor: int) -> Node:
        """The expression of a tensor; raises `Refused` for one that nothing has computed."""
        found = self._nodes.get(tensor)
        if found is None:
            info = self.model.tensors[tensor]
            if not self.model.is_constant(tensor):
                raise Refused(f"tensor {info.name!r} is read before it is computed; the file is damaged")
            found = self._nodes[tensor] = Node("constant", (), info.shape, tensor, value=tensor)
        return found

    def values(self, node: Node) -> Array:
        """The constant of a node."""
        return self.model.values(node.value)

    def whole_numbers(self, tensor: int, what: str) -> list[int]:
        """A constant of whole numbers, such as axes."""
        if tensor < 0 or not self.model.is_constant(tensor):
            raise Refused(f"{what} that the file does not state")
        values = self.model.values(tensor)
        if values.dtype.kind not in "iu" or values.size > 64:
            raise Refused(f"{what} of type {values.dtype}; the file is damaged")
        return [int(n) for n in values.reshape(-1)]

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Of a tensor; 1 for an open axis."""
        return self.model.tensors[tensor].shape

    def name(self, node: Node) -> str:
        """Of the tensor that a node is, short enough for a message."""
        return self.model.tensors[node.tensor].name[:80]

    def ancestors(self, node: Node, most: int = 200) -> Iterator[Node]:
        """A node and what it is computed from, nearest first, up to so many."""
        seen, open_ = {id(node)}, [node]
        while open_ and len(seen) <= most:
            here = open_.pop(0)
            yield here
            for below in here.inputs:
                if id(below) not in seen:
                    seen.add(id(below))
                    open_.append(below)

    def _add(self, operator: Operator) -> None:
        if not operator.outputs:
            return
        out = operator.outputs[0]
        shape = self.shape(out)
        inputs = [self.node(tensor) for tensor in operator.inputs if tensor >= 0]
        node = self._expression(operator, inputs, shape, out)
        fused = operator.option(_ACTIVATION_FIELD[operator.kind], "int8") if operator.kind in _ACTIVATION_FIELD else 0
        if fused:
            if fused not in _FUSED:
                raise Refused(f"activation {fused} inside operator {operator.kind}, which no MoViNet has")
            node = Node(_FUSED[fused], (node,), shape, out, operator)
        self._nodes[out] = node
        for i, other in enumerate(operator.outputs[1:], 1):
            self._nodes[other] = Node(f"{operator.kind}, output {i}", tuple(inputs), self.shape(other), other, operator)

    def _expression(self, operator: Operator, inputs: list[Node], shape: tuple[int, ...], out: int) -> Node:
        kind = operator.kind
        if kind in _MOVES and inputs:
            return inputs[0]
        if kind in _RESHAPES and inputs and inputs[0].shape[-1:] == shape[-1:]:
            return inputs[0]
        if kind in _ARITY and len(inputs) != _ARITY[kind]:
            raise Refused(f"operator {kind} of {len(inputs)} inputs; the file is damaged")
        if kind in ("ADD", "SUB", "MUL", "DIV"):
            return self._binary(operator, inputs, shape, out)
        if kind in ("MINIMUM", "MAXIMUM") and inputs[1].kind == "constant":
            return Node(kind, (inputs[0],), shape, out, operator, inputs[1].value)
        if kind == "CONCATENATION":
            return Node(kind, tuple(inputs), shape, out, operator)
        if kind == "ZEROS_LIKE":
            return Node("zeros", (), shape, out, operator)
        return Node(kind, tuple(node for node in inputs if node.kind != "constant"), shape, out, operator)

    def _binary(self, operator: Operator, inputs: list[Node], shape: tuple[int, ...], out: int) -> Node:
        """A sum or a product: with a constant, of two, or of none."""
        kind, (first, second) = operator.kind, inputs
        if first.kind == "constant" and second.kind != "constant" and kind in ("ADD", "MUL"):
            first, second = second, first
        if second.kind != "constant" or first.kind == "constant":
            return Node(kind, (first, second), shape, out, operator)
        inverse = kind in ("SUB", "DIV")
        word = "shifted" if kind in ("ADD", "SUB") else "scaled"
        return Node(word, (first,), shape, out, operator, second.value, inverse)
