"""Convolutions in the graph of a model, with all that was folded into them and stands around them.

Shapes: O, I channels out and in; kt, kh, kw the lengths of a kernel.
"""

from __future__ import annotations

import dataclasses
import re

import numpy as np

from networks.kernels import same_padding
from networks.weights.tflite.flatbuffer import Array, Refused
from networks.weights.tflite.graph import CONVOLUTIONS, Graph, Node


@dataclasses.dataclass(slots=True)
class Convolution:
    """A convolution, scaled and shifted by what follows it.

    Attributes:
        weight: [O, I, kt, kh, kw] in float64; of a depthwise one [O, 1, kt, kh, kw].
        bias: [O].
        stride: of height and width.
        depthwise: each channel by itself.
        causal: whether it sees frames before and none behind; None where it sees one frame.
        source: what it is applied to, without padding and frames kept from before.
    """

    weight: Array
    bias: Array
    stride: int
    depthwise: bool
    causal: bool | None
    source: Node

    @property
    def kernel(self) -> tuple[int, int, int]:
        """Frames, height, width."""
        t, h, w = self.weight.shape[2:]
        return t, h, w

    def after(self, other: Convolution) -> Convolution:
        """Two linear layers as one: this one, of what the other gives."""
        first, second = (conv.weight.reshape(conv.weight.shape[:2]) for conv in (other, self))
        weight, bias = second @ first, second @ other.bias + self.bias
        return dataclasses.replace(other, weight=weight[:, :, None, None, None], bias=bias)

    @property
    def pointwise(self) -> bool:
        """A linear layer over channels."""
        return not self.depthwise and self.kernel == (1, 1, 1) and self.stride == 1


class Convolutions:
    """Finds the convolutions of one graph.

    Args:
        graph: expressions.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def constant(self, node: Node, channels: int) -> Array:
        """The numbers that scale or shift: one, [], or one for each channel, [channels]."""
        values = self.graph.values(node).astype(np.float64)
        rows = values.reshape(-1, values.shape[-1]) if values.ndim else values.reshape(1, 1)
        if not rows.size:
            raise Refused(f"an empty constant in {self.graph.name(node)!r}; the file is damaged")
        if np.all(rows == rows[0, 0]):
            one = rows[0, 0]
        elif rows.shape[1] == channels and np.all(rows == rows[0]):
            one = rows[0]
        else:
            raise Refused(f"{self.graph.name(node)!r} multiplies or adds numbers that differ from place to place")
        if node.kind == "scaled" and node.inverse:
            if not np.all(one):
                raise Refused(f"{self.graph.name(node)!r} divides by 0")
            return np.asarray(1.0 / one)
        return np.asarray(-one if node.inverse else one)

    def number(self, node: Node) -> float:
        """The one number that scales or shifts."""
        values = self.constant(node, node.shape[-1] if node.shape else 1)
        if values.ndim:
            raise Refused(f"{self.graph.name(node)!r} has a number for each channel where one is expected")
        return float(values)

    def scaled(self, node: Node) -> tuple[float, Node]:
        """Takes factors off: (factor, rest)."""
        factor = 1.0
        while node.kind == "scaled":
            factor *= self.number(node)
            (node,) = node.inputs
        return factor, node

    def convolution(self, node: Node) -> Convolution | None:
        """A convolution and what scales and shifts it; None for something else."""
        steps = []
        while node.kind in ("scaled", "shifted"):
            steps.append(node)
            (node,) = node.inputs
        if node.kind not in CONVOLUTIONS:
            return None
        result = self._bare(node)
        for step in reversed(steps):
            values = self.constant(step, len(result.bias))
            if step.kind == "scaled":
                result.weight *= values.reshape(-1, 1, 1, 1, 1)
                result.bias *= values
            else:
                result.bias += values
        return result

    def is_depthwise(self, node: Node) -> bool:
        """Whether something is a depthwise convolution, perhaps scaled and shifted; its weights are not read."""
        while node.kind in ("scaled", "shifted"):
            (node,) = node.inputs
        operator = node.operator
        if node.kind not in CONVOLUTIONS or operator is None or len(operator.inputs) < 2:
            return False
        shape = self.graph.shape(operator.inputs[1])
        inputs = {"CONV_2D": -1, "CONV_3D": -2, "FlexConv3D": -2}.get(node.kind)
        grouped = inputs is not None and len(shape) >= 4 and shape[inputs] == 1
        return node.kind == "DEPTHWISE_CONV_2D" or (grouped and node.shape[-1] > 1)

    def _bare(self, node: Node) -> Convolution:
        operator, graph = node.operator, self.graph
        assert operator is not None
        if len(operator.inputs) < 2 or not node.inputs:
            raise Refused(f"operator {node.kind} without weights; the file is damaged")
        if len(node.inputs) != 1:
            raise Refused(f"operator {node.kind} of weights that are computed, not stored")
        kernel, stride, same, temporal = self._geometry(node)
        weight = graph.values(graph.node(operator.inputs[1])).astype(np.float64)
        given, channels = graph.shape(operator.inputs[0]), graph.shape(operator.inputs[0])[-1]
        if node.kind == "DEPTHWISE_CONV_2D":
            weight = weight.transpose(3, 0, 1, 2)
        elif node.kind == "CONV_2D":
            weight = weight.transpose(0, 3, 1, 2)
        elif node.kind in ("CONV_3D", "FlexConv3D"):
            weight = weight.transpose(4, 3, 0, 1, 2)
        if weight.ndim == 4:
            weight = weight[..., None] if temporal else weight[:, :, None]
        weight = weight.reshape(*weight.shape[:2], *kernel)
        outputs, inputs = weight.shape[:2]
        depthwise = inputs == 1 and outputs == channels and (channels > 1 or node.kind == "DEPTHWISE_CONV_2D")
        if outputs != node.shape[-1] or (inputs != channels and not depthwise):
            raise Refused(
                f"{graph.name(node)!r} makes {node.shape[-1]} channels of {channels} with weights for {outputs} of "
                f"{inputs}; groups of channels are in no MoViNet"
            )
        bias = np.zeros(outputs)
        if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
            stored = graph.values(graph.node(operator.inputs[2])).astype(np.float64).reshape(-1)
            if len(stored) != outputs:
                raise Refused(f"{graph.name(node)!r} has {len(stored)} biases for {outputs} channels; it is damaged")
            bias += stored
        causal, source = self._padding(node, node.inputs[0], given, kernel, stride, same, temporal)
        return Convolution(weight, bias, stride, depthwise, causal, source)

    def _geometry(self, node: Node) -> tuple[tuple[int, int, int], int, bool, bool]:
        """Kernel, stride, whether the padding is SAME, and whether it runs over frames in two dimensions."""
        operator, graph, kind = node.operator, self.graph, node.kind
        assert operator is not None
        weight, given = graph.node(operator.inputs[1]), graph.shape(operator.inputs[0])
        rank = {"FULLY_CONNECTED": 2, "CONV_3D": 5, "FlexConv3D": 5}.get(kind, 4)
        if weight.kind != "constant" or len(weight.shape) != rank or (rank > 2 and len(given) != rank) or not given:
            raise Refused(
                f"operator {kind} of weights {list(weight.shape)} on {list(given)}; it is no layer of a MoViNet"
            )
        shape = weight.shape
        if kind == "FULLY_CONNECTED":
            return (1, 1, 1), 1, False, False
        if kind == "FlexConv3D":
            strides, same = flex_options(operator.custom, "strides")
            dilations = [1]
        else:
            first = {"CONV_3D": 1}.get(kind, 0)  # options of three dimensions begin with that of frames
            strides = [operator.option(1)] if first else [1]
            strides += [operator.option(2 + first), operator.option(1 + first)]
            same = operator.option(0, "int8") == 0
            place = {"CONV_2D": (4, 5), "DEPTHWISE_CONV_2D": (5, 6), "CONV_3D": (5, 6, 7)}[kind]
            dilations = [operator.option(i, default=1) for i in place]
        if strides[0] != 1 or strides[1] != strides[2] or strides[1] not in (1, 2) or set(dilations) != {1}:
            raise Refused(f"{graph.name(node)!r} has strides {strides}, dilations {dilations}; in no MoViNet")
        if rank == 5:
            return (shape[0], shape[1], shape[2]), strides[1], same, False
        height, width = shape[1:3]
        temporal = (
            kind == "DEPTHWISE_CONV_2D" and width == 1 and strides[1] == 1 and self._joins_map(node.inputs[0], given)
        )
        return ((height, 1, 1) if temporal else (1, height, width)), strides[1], same, temporal

    def _joins_map(self, source: Node, given: tuple[int, ...]) -> bool:
        """Whether [.., H, W, C] is given as [N, T, H W, C], so that a kernel of width 1 runs over frames."""
        shape = source.shape
        return len(shape) >= 4 and given[2] == shape[-3] * shape[-2] and given[1:3] != shape[-3:-1]

    def _padding(
        self,
        node: Node,
        source: Node,
        given: tuple[int, ...],
        kernel: tuple[int, int, int],
        stride: int,
        same: bool,
        temporal: bool,
    ) -> tuple[bool | None, Node]:
        """Whether a convolution is causal, and what it is applied to; refuses other zeros around maps than SAME."""
        before, after, edges = 0, 0, [(0, 0), (0, 0)]
        while True:
            if source.kind in ("PAD", "PADV2"):
                pads = self._pads(source)
                source = source.inputs[0]
                (front, back), edges = pads[0], [(a + c, b + d) for (a, b), (c, d) in zip(edges, pads[1:], strict=True)]
                before, after = before + front, after + back
            elif source.kind == "CONCATENATION" and self._axis(source) == 1:
                frames, source = self._kept_frames(source)
                before += frames
            else:
                break
        name = self.graph.name(node)
        if not temporal and same and any(map(any, edges)):
            raise Refused(f"{name!r} pads maps twice")
        if not temporal and not same and len(given) > 2:
            size = source.shape[-3:-1]
            wanted = [same_padding(length, k, stride) for length, k in zip(size, kernel[1:], strict=True)]
            if edges != wanted:
                raise Refused(f"{name!r} pads maps of {size[0]} x {size[1]} by {edges}, MoViNets by {wanted}")
        elif temporal and any(map(any, edges)):
            raise Refused(f"{name!r} pads maps in front of a convolution over frames")
        half = kernel[0] // 2
        if kernel[0] == 1:
            if before or after:
                raise Refused(f"{name!r} pads frames that a kernel of one frame does not need")
            return None, source
        if same and not before and not after:
            return False, source
        if not same and (before, after) in ((2 * half, 0), (half, half)):
            return after == 0, source
        raise Refused(f"{name!r} puts {before} frames in front and {after} behind for a kernel of {kernel[0]}")

    def _pads(self, node: Node) -> list[tuple[int, int]]:
        """Zeros in front of and behind frames, rows, columns."""
        operator = node.operator
        assert operator is not None
        amounts = self.graph.whole_numbers(operator.inputs[1] if len(operator.inputs) > 1 else -1, "padding")
        pairs = list(zip(amounts[::2], amounts[1::2], strict=False))
        if len(node.inputs) != 1 or len(pairs) not in (4, 5) or any(pairs[0]) or any(pairs[-1]):
            raise Refused(f"{self.graph.name(node)!r} pads by {amounts}, in no MoViNet")
        if node.kind == "PADV2" and len(operator.inputs) > 2:
            value = self.graph.values(self.graph.node(operator.inputs[2]))
            if np.any(value):
                raise Refused(f"{self.graph.name(node)!r} pads with other numbers than 0")
        return [(0, 0)] * (5 - len(pairs)) + pairs[1:-1]

    def _kept_frames(self, node: Node) -> tuple[int, Node]:
        """How many frames from before are put in front of a clip, and the clip."""
        if len(node.inputs) != 2 or len(node.shape) != 5:
            raise Refused(f"{self.graph.name(node)!r} joins {len(node.inputs)} tensors of frames; in no MoViNet")
        before, clip = node.inputs
        if before.kind not in ("input", "zeros") and not self._is_zeros(before):
            raise Refused(f"{self.graph.name(node)!r} joins frames that are neither a state nor zeros")
        return before.shape[1] if len(before.shape) == 5 else -1, clip

    def _axis(self, node: Node) -> int:
        """Along which axis two things are joined."""
        assert node.operator is not None
        return node.operator.option(0) % max(1, len(node.shape))

    def joins_channels(self, node: Node) -> bool:
        """Whether two things are joined along their channels."""
        return node.kind == "CONCATENATION" and self._axis(node) == len(node.shape) - 1

    def _is_zeros(self, node: Node) -> bool:
        return node.kind == "constant" and not np.any(self.graph.values(node))


def flex_options(custom: bytes, key: str) -> tuple[list[int], bool]:
    """Three lengths, of frames, height and width, and whether the padding is SAME, of an operator of TensorFlow itself.

    Its options are a NodeDef, a protocol buffer, inside a flexbuffer; both keep lists and texts as they are.
    """
    padding = re.search(rb"\x07padding\x12.\x12.(SAME|VALID)", custom, re.DOTALL)
    lengths = re.search(re.escape(key.encode()) + rb"\x12.\x0a.\x1a\x05(.{5})", custom, re.DOTALL)
    if padding is None or lengths is None or b"NDHWC" not in custom:
        raise Refused(
            f"an operator of TensorFlow itself whose {key} are not stated; convert the model with built-in ones"
        )
    if lengths[1][0] != 1 or lengths[1][4] != 1:
        raise Refused(f"an operator of TensorFlow itself with {key} {list(lengths[1])}, in no MoViNet")
    return list(lengths[1][1:4]), padding[1] == b"SAME"
