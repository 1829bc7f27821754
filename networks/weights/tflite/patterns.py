"""What expressions of a graph mean: activations, gates, means over maps and frames.

Numbers are compared with a tolerance, since those of an int8 file are rounded.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from networks.kernels import GATES
from networks.weights.tflite.convolutions import Convolution, Convolutions, flex_options
from networks.weights.tflite.flatbuffer import Refused
from networks.weights.tflite.graph import CONVOLUTIONS, POOLS, Node
from networks.weights.tflite.model import INTEGERS

NEAR = 0.02  # relative
# What a count of frames or positions is computed from.
_COUNTS: tuple[str, ...] = (
    "input",
    "constant",
    "shifted",
    "scaled",
    "ADD",
    "MUL",
    "SHAPE",
    "STRIDED_SLICE",
    "SLICE",
    "GATHER",
    "RANGE",
)
_COUNTS += ("PACK", "REDUCE_PROD")
KNOWN = {*_COUNTS, *CONVOLUTIONS, *POOLS, "zeros", "DIV", "SUB", "MINIMUM", "MAXIMUM", "MEAN", "SUM", "CUMSUM", "PAD"}
KNOWN |= {"RELU6", "RELU", "RELU_0_TO_1", "HARD_SWISH", "LOGISTIC", "SOFTMAX", "CONCATENATION", "PADV2", "SIN", "COS"}
_CLAMPS = {name: gate.clamp for name, gate in GATES.items() if gate.clamp is not None}
SIXTH, TENTHS = _CLAMPS["hard_sigmoid"][0], _CLAMPS["hard_sigmoid_2021"][:2]


class Activated(NamedTuple):
    """An activation: its name, and what it is applied to."""

    name: str
    source: Node


class Pooled(NamedTuple):
    """A mean: over which axes, whether over all frames so far, of what, and by how much rounding made it too large."""

    axes: frozenset[str]
    cumulative: bool
    source: Node
    factor: float


def near(value: float, wanted: float) -> bool:
    """Whether a number is another one up to the rounding of an int8 file."""
    return abs(value - wanted) <= NEAR * abs(wanted)


class Patterns(Convolutions):
    """Reads expressions of one graph."""

    def activation(self, node: Node) -> Activated | None:
        """swish, hard_swish or relu6 of something; None for something else."""
        if node.kind == "RELU6":
            return Activated("relu6", node.inputs[0])
        if node.kind == "HARD_SWISH":
            return Activated("hard_swish", node.inputs[0])
        outside, product = self.scaled(node)
        if product.kind != "MUL":
            return None
        for one, other in (product.inputs, product.inputs[::-1]):
            first, x = self.scaled(one)
            second, curve = self.scaled(other)
            factor = outside * first * second
            if curve.kind == "LOGISTIC" and curve.inputs[0] is x and near(factor, 1.0):
                return Activated("swish", x)
            if curve.kind == "RELU6" and self._is_shifted(curve.inputs[0], x) and near(factor, 1 / 6):
                return Activated("hard_swish", x)
            # x itself may be a scaled convolution, which `scaled` took apart
            if first != 1.0 and curve.kind == "LOGISTIC" and curve.inputs[0] is one and near(outside * second, 1.0):
                return Activated("swish", one)
        return None

    def _is_shifted(self, node: Node, x: Node) -> bool:
        return node.kind == "shifted" and node.inputs[0] is x and near(self.number(node), 3.0)

    def gate(self, node: Node) -> tuple[str, Convolution, float] | None:
        """The gate of squeeze-excitation: its name, the convolution in front of it, and what it is to be multiplied by.

        Multiplication and addition inside a hard gate are taken out of the convolution, into which they were folded.
        """
        if node.kind == "LOGISTIC":
            found = self.convolution(node.inputs[0])
            return ("sigmoid", found, 1.0) if found is not None else None
        factor, curve = self.scaled(node)
        if curve.kind == "RELU6" and near(factor, SIXTH):
            found = self.convolution(curve.inputs[0])
            if found is None:
                return None
            found.bias -= 3.0
            return "hard_sigmoid", found, factor / SIXTH
        inner = self._clamped(curve)
        if inner is not None and near(factor, 1.0):
            found = self.convolution(inner)
            if found is None:
                return None
            found.weight /= TENTHS[0]
            found.bias = (found.bias - TENTHS[1]) / TENTHS[0]
            return "hard_sigmoid_2021", found, factor
        return None

    def _clamped(self, node: Node) -> Node | None:
        """What is clamped to [0, 1]; None for something else."""
        if node.kind == "RELU_0_TO_1":
            return node.inputs[0]
        bounds = {}
        for _ in range(2):
            if node.kind in ("MINIMUM", "MAXIMUM"):
                values = self.graph.values(node)
                if values.size == 0 or np.any(values != values.reshape(-1)[0]):
                    return None
                bounds[node.kind] = float(values.reshape(-1)[0])
            elif node.kind == "RELU":
                bounds["MAXIMUM"] = 0.0
            else:
                return None
            node = node.inputs[0]
        if set(bounds) != {"MINIMUM", "MAXIMUM"} or not near(bounds["MINIMUM"], 1.0) or abs(bounds["MAXIMUM"]) > NEAR:
            return None
        return node

    def pool(self, node: Node) -> Pooled | None:
        """A mean over the map, and perhaps over frames; None where there is none."""
        factor, axes, cumulative, counted = 1.0, set[str](), False, False
        frames, positions = 1, 1
        while True:
            if node.kind == "scaled":
                found = self._over_frames(node)
                if found:
                    cumulative = counted = True
                else:
                    factor *= self.number(node)
            elif node.kind == "DIV" and self._is_count(node.inputs[1]):
                counted = True
            elif node.kind == "shifted" and self._is_zeros(Node("constant", (), (), node.tensor, value=node.value)):
                pass  # the state of a stream that starts
            elif node.kind == "ADD" and node.inputs[1].kind in ("input", "zeros"):
                cumulative |= node.inputs[1].kind == "input"
            elif node.kind == "ADD" and node.inputs[0].kind in ("input", "zeros"):
                cumulative |= node.inputs[0].kind == "input"
                node = node.inputs[1]
                continue
            elif node.kind == "CUMSUM":
                cumulative = True
            elif node.kind in ("MEAN", "SUM"):
                reduced, lengths = self._reduced(node)
                axes |= reduced
                if node.kind == "SUM":
                    frames *= lengths.get("T", 1)
                    positions *= lengths.get("H", 1) * lengths.get("W", 1)
            elif node.kind == "AVERAGE_POOL_2D" and node.shape[-3:-1] == (1, 1) and self._is_whole_map(node):
                axes |= {"H", "W"}
            else:
                break
            node = node.inputs[0]
        if not axes >= {"H", "W"}:
            return None
        wanted = 1.0 / (positions if counted else positions * frames)
        if not near(factor, wanted):
            raise Refused(f"a mean behind {self.graph.name(node)!r} is multiplied by {factor:.6g}, not {wanted:.6g}")
        return Pooled(frozenset(axes), cumulative, node, factor / wanted)

    def _over_frames(self, node: Node) -> bool:
        """Whether a constant divides the sum of n frames by n, for each n."""
        values = self.graph.values(node).astype(np.float64).reshape(-1)
        if node.inverse or len(values) < 2 or np.all(values == values[0]):
            return False
        return node.shape[1:2] == (len(values),) and bool(
            np.allclose(values * np.arange(1, len(values) + 1), 1.0, NEAR)
        )

    def _is_count(self, node: Node) -> bool:
        """Whether a number is a count of frames or positions: from a state of whole numbers, or from shapes."""
        for part in _until_shapes(node):
            if part.kind == "input" and self.graph.model.tensors[part.tensor].dtype not in INTEGERS:
                return False
            if part.kind not in _COUNTS:
                return False
        return True

    def _reduced(self, node: Node) -> tuple[set[str], dict[str, int]]:
        """Axes of a mean or sum by name, and their lengths."""
        operator = node.operator
        assert operator is not None
        given = self.graph.shape(operator.inputs[0])
        numbers = self.graph.whole_numbers(operator.inputs[1] if len(operator.inputs) > 1 else -1, "axes of a mean")
        names = {5: " THW ", 4: " HW "}.get(len(given))
        if names is None or len(node.inputs) != 1:
            raise Refused(f"a mean of a tensor of shape {list(given)}, in no MoViNet")
        lengths = {names[n % len(given)]: given[n % len(given)] for n in numbers}
        if " " in lengths:
            raise Refused(f"a mean over axes {numbers} of {list(given)}, in no MoViNet")
        return set(lengths), lengths

    def _is_whole_map(self, node: Node) -> bool:
        operator = node.operator
        assert operator is not None
        return self.graph.shape(operator.inputs[0])[1:3] == (operator.option(4), operator.option(3))

    def skip_pool(self, node: Node) -> Node | None:
        """What a 3 x 3 average pool of stride 2 is applied to; None for something else."""
        operator = node.operator
        if node.kind not in POOLS or operator is None or len(node.inputs) != 1:
            return None
        if node.kind == "FlexAvgPool3D":
            strides, same = flex_options(operator.custom, "strides")
            kernel, _ = flex_options(operator.custom, "ksize")
        else:
            strides = [1, operator.option(2), operator.option(1)]
            kernel, same = [1, operator.option(4), operator.option(3)], operator.option(0, "int8") == 0
        if (kernel, strides, same) != ([1, 3, 3], [1, 2, 2], True):
            raise Refused(
                f"{self.graph.name(node)!r} pools {kernel} by {strides}; the skip connection of a MoViNet 3 x 3 by 2"
            )
        return node.inputs[0]


def _until_shapes(node: Node) -> list[Node]:
    """A node and what it is computed from, shapes of other tensors not followed; at most a few."""
    found: list[Node] = []
    open_ = [node]
    while open_ and len(found) < 32:
        here = open_.pop()
        found.append(here)
        if here.kind != "SHAPE":
            open_ += here.inputs
    return found
