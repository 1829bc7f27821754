"""Writes TensorFlow Lite files of our networks without TensorFlow, so that tests can make any network's.

Base networks as `conv_type="3d"` of the authors' code is converted: three dimensions, BatchNorm beside convolutions,
grouped convolutions and pools as operators of TensorFlow itself. Stream networks as `conv_type="2plus1d"`: two
dimensions, one frame, BatchNorm folded, states as inputs and outputs. The files of tests/assets/tflite, which
TensorFlow made, show that this is how they look.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
import torch
from torch import Tensor

from networks import MoViNet, layer_weights, states
from networks.weights.tflite.model import builtin_operators
from searchspace.cost import halve
from searchspace.state_shapes import HEAD, layer_name

FLOAT32, FLOAT16, INT32, INT8 = 0, 1, 2, 9
_DTYPES = {FLOAT32: np.float32, FLOAT16: np.float16, INT32: np.int32, INT8: np.int8}
# Which kind of options an operator has: BuiltinOptions of the schema.
_OPTIONS = {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 2, "AVERAGE_POOL_2D": 5, "CONCATENATION": 10, "MEAN": 27, "SUM": 27}
_OPTIONS |= {"STRIDED_SLICE": 32, "CONV_3D": 106}


class Builder:
    """Tables by the numbers of their fields in the schema."""

    def __init__(self) -> None:
        self.inner = flatbuffers.Builder(1 << 16)

    def table(self, fields: dict[int, tuple[str, Any]]) -> int:
        """A table; offsets are made before it."""
        made = {}
        for number, (kind, value) in fields.items():
            if kind == "numbers":
                made[number] = ("offset", self.inner.CreateNumpyVector(np.asarray(value)) if len(value) else None)
            elif kind == "text":
                made[number] = ("offset", self.inner.CreateString(value))
            elif kind == "tables":
                self.inner.StartVector(4, len(value), 4)
                for one in reversed(value):
                    self.inner.PrependUOffsetTRelative(one)
                made[number] = ("offset", self.inner.EndVector())
            else:
                made[number] = (kind, value)
        self.inner.StartObject(max(fields, default=0) + 1)
        for number, (kind, value) in made.items():
            if value is None:
                continue
            if kind == "offset":
                self.inner.PrependUOffsetTRelativeSlot(number, value, 0)
            else:
                getattr(self.inner, f"Prepend{kind.capitalize()}Slot")(number, value, 0)
        return self.inner.EndObject()


class Writer:
    """Tensors and operators of one graph."""

    def __init__(self, stored: str = "float32") -> None:
        self.stored = stored
        self.tensors: list[dict[str, Any]] = []
        self.operators: list[tuple[str, list[int], list[int], dict[int, tuple[str, Any]], bytes]] = []
        self.inputs: dict[str, int] = {}
        self.outputs: dict[str, int] = {}

    def tensor(self, shape: Sequence[int], dtype: int = FLOAT32, name: str = "") -> int:
        """One that is computed."""
        self.tensors.append({"shape": list(shape), "dtype": dtype, "name": name or f"t{len(self.tensors)}"})
        return len(self.tensors) - 1

    def input(self, name: str, shape: Sequence[int], dtype: int = FLOAT32) -> int:
        """One that is given."""
        self.inputs[name] = self.tensor(shape, dtype, name)
        return self.inputs[name]

    def constant(self, values: Any, axis: int | None = None) -> int:
        """One that is stored: of real numbers as this file stores them, along `axis` if quantised."""
        if isinstance(values, Tensor):
            values = values.detach().numpy()
        values = np.asarray(values)
        if values.dtype.kind != "f":
            index = self.tensor(values.shape, INT32)
            self.tensors[index]["data"] = values.astype(np.int32)
            return index
        values = values.astype(np.float32)
        if self.stored == "int8" and axis is not None:
            others = tuple(i for i in range(values.ndim) if i != axis)
            scale = np.maximum(np.abs(values).max(others, keepdims=True), 1e-9) / 127
            index = self.tensor(values.shape, INT8)
            self.tensors[index] |= {"data": np.round(values / scale).astype(np.int8), "axis": axis}
            self.tensors[index]["scale"] = scale.reshape(-1).astype(np.float32)
            return index
        if self.stored == "float16":
            index = self.tensor(values.shape, FLOAT16)
            self.tensors[index]["data"] = values.astype(np.float16)
            return self.run("DEQUANTIZE", [index], values.shape)
        index = self.tensor(values.shape)
        self.tensors[index]["data"] = values
        return index

    def run(
        self,
        kind: str,
        inputs: Sequence[int],
        shape: Sequence[int],
        options: dict[int, tuple[str, Any]] | None = None,
        custom: bytes = b"",
        dtype: int = FLOAT32,
        name: str = "",
    ) -> int:
        """An operator of one output."""
        out = self.tensor(shape, dtype, name)
        self.operators.append((kind, list(inputs), [out], options or {}, custom))
        return out

    def shape(self, tensor: int) -> list[int]:
        return list(self.tensors[tensor]["shape"])

    def bytes(self) -> bytes:
        """The file."""
        builder, names = Builder(), builtin_operators()
        buffers = [builder.table({})]
        tensors = []
        for one in self.tensors:
            fields: dict[int, tuple[str, Any]] = {0: ("numbers", np.array(one["shape"], np.int32))}
            fields |= {1: ("int8", one["dtype"]), 3: ("text", one["name"])}
            if "data" in one:
                fields[2] = ("uint32", len(buffers))
                buffers.append(builder.table({0: ("numbers", np.frombuffer(one["data"].tobytes(), np.uint8))}))
            if "scale" in one:
                zeros = np.zeros(len(one["scale"]), np.int64)
                quantised = {2: ("numbers", one["scale"]), 3: ("numbers", zeros), 6: ("int32", one["axis"])}
                fields[4] = ("offset", builder.table(quantised))
            tensors.append(builder.table(fields))
        kinds = list(dict.fromkeys(kind for kind, *_ in self.operators))
        codes = []
        for kind in kinds:
            number = names.index(kind) if kind in names else names.index("CUSTOM")
            fields = {0: ("int8", min(number, 127)), 3: ("int32", number)}
            codes.append(builder.table(fields if kind in names else {**fields, 1: ("text", kind)}))
        operators = []
        for kind, inputs, outputs, options, custom in self.operators:
            fields = {0: ("uint32", kinds.index(kind)), 1: ("numbers", np.array(inputs, np.int32))}
            fields[2] = ("numbers", np.array(outputs, np.int32))
            if options:
                fields |= {3: ("uint8", _OPTIONS.get(kind, 1)), 4: ("offset", builder.table(options))}
            if custom:
                fields[5] = ("numbers", np.frombuffer(custom, np.uint8))
            operators.append(builder.table(fields))
        sides = [list(side.values()) for side in (self.inputs, self.outputs)]
        graph = {0: ("tables", tensors), 1: ("numbers", np.array(sides[0], np.int32))}
        graph |= {2: ("numbers", np.array(sides[1], np.int32)), 3: ("tables", operators)}
        graphs = [builder.table(graph)]
        entries = [
            [builder.table({0: ("text", name), 1: ("uint32", tensor)}) for name, tensor in side.items()]
            for side in (self.inputs, self.outputs)
        ]
        signature = builder.table(
            {0: ("tables", entries[0]), 1: ("tables", entries[1]), 2: ("text", "serving_default")}
        )
        root = {0: ("uint32", 3), 1: ("tables", codes), 2: ("tables", graphs), 4: ("tables", buffers)}
        builder.inner.Finish(builder.table({**root, 7: ("tables", [signature])}), b"TFL3")
        return bytes(builder.inner.Output())


def write(network: MoViNet, height: int, width: int, frames: int = 1, stored: str = "float32") -> bytes:
    """A file of a network: frames of a clip for a base network, one frame and states for a causal one."""
    made = _Network(network, Writer(stored), height, width, 1 if network.streams else frames)
    return made.write()


def _folded(conv: layer_weights.ConvWeights) -> tuple[Tensor, Tensor]:
    norm, weight = conv.norm, conv.weight.detach().double()
    assert norm.mean is not None and norm.var is not None
    scale = norm.weight.detach().double() * torch.rsqrt(norm.var.double() + norm.eps)
    bias = norm.bias.detach().double() - norm.mean.double() * scale
    return weight * scale.view(-1, *[1] * (weight.dim() - 1)), bias


def _flex(strides: int, extra: bytes = b"") -> bytes:
    """What a NodeDef has of padding, strides and layout."""
    lengths = b"\x07strides\x12\x09\x0a\x07\x1a\x05" + bytes([1, 1, strides, strides, 1])
    return b"\x07padding\x12\x06\x12\x04SAME" + lengths + extra + b"\x0bdata_format\x12\x07\x12\x05NDHWC"


class _Network:
    """One network as a graph; maps are [1, T, H, W, C] in base networks, [1, H, W, C] in stream networks."""

    def __init__(self, network: MoViNet, writer: Writer, height: int, width: int, frames: int) -> None:
        self.network, self.writer, self.form = network, writer, network.architecture.form
        self.size, self.frames, self.flat = (height, width), frames, network.streams
        self.state: dict[str, int] = {}

    def write(self) -> bytes:
        w, weights = self.writer, self.network.weights()
        image = w.input("image", [1, self.frames, *self.size, 3])
        if self.flat:
            for name, shape in states.shapes(self.network.architecture, *self.size).items():
                wide = [1, *(shape[1:] + shape[:1] if len(shape) == 4 else (1, 1, 1, *shape) if shape else ())]
                self.state[name] = w.input(f"state_{name}", wide, FLOAT32 if shape else INT32)
        x = self.reshape(image, [1, *self.size, 3]) if self.flat else image
        x = self.activate(self.conv(x, weights.stem, 2, "stem"), self.form.activation)
        positions = list(self.network.architecture.layers())
        for layer, stride, position in zip(weights.bottlenecks, weights.strides, positions, strict=True):
            x = self.bottleneck(x, layer, stride, layer_name(position))
        head = weights.head
        x = self.activate(self.conv(x, head.conv, 1, "head"), self.form.activation)
        pooled = self.over_time(self.mean(x), HEAD) if self.flat else self.clip_mean(x)
        hidden = self.activate(self.linear(pooled, head.dense), self.form.dense_activation)
        logits = self.linear(hidden, head.classifier)
        w.outputs["logits"] = self.reshape(logits, [1, w.shape(logits)[-1]])
        return w.bytes()

    def reshape(self, x: int, shape: Sequence[int]) -> int:
        return self.writer.run("RESHAPE", [x, self.writer.constant(np.array(shape))], shape)

    def activate(self, x: int, name: str) -> int:
        w, shape = self.writer, self.writer.shape(x)
        if name == "relu6":
            return w.run("RELU6", [x], shape)
        if name == "hard_swish":
            return w.run("HARD_SWISH", [x], shape)
        return w.run("MUL", [x, w.run("LOGISTIC", [x], shape)], shape)

    def conv(self, x: int, conv: layer_weights.ConvWeights, stride: int, name: str, valid: bool = False) -> int:
        """[O, I], [O, I, kt, kh, kw] or depthwise [C, 1, kt, kh, kw]."""
        w, weight = self.writer, conv.weight.detach()
        if weight.dim() == 2:
            weight = weight[:, :, None, None, None]
        outputs, inputs, kt = weight.shape[:3]
        given = w.shape(x)
        depthwise = inputs == 1 and given[-1] > 1
        out = [*given[:-3], halve(given[-3], stride), halve(given[-2], stride), outputs]
        if not self.flat:
            stored = w.constant(weight.permute(2, 3, 4, 1, 0))
            if depthwise:
                y = w.run("FlexConv3D", [x, stored], out, custom=_flex(stride), name=name)
            else:
                options = {0: ("int8", 0), 1: ("int32", 1), 2: ("int32", stride), 3: ("int32", stride)}
                y = w.run("CONV_3D", [x, stored, -1], out, options, name=name)
            ones, bias = _folded(layer_weights.ConvWeights(torch.ones(outputs, 1), conv.norm))
            y = w.run("MUL", [y, w.constant(ones.flatten())], out)
            return w.run("ADD", [y, w.constant(bias)], out)
        folded, bias = _folded(layer_weights.ConvWeights(weight, conv.norm))
        bias_at = w.constant(bias, 0)
        if depthwise:
            if valid:  # over frames, in two dimensions
                out = [1, given[1] - kt + 1, given[2], outputs]
                stored = w.constant(folded[:, 0, :, 0, 0].t()[None, :, None], 3)
            else:
                stored = w.constant(folded[:, 0, 0].permute(1, 2, 0)[None], 3)
            options = {0: ("int8", int(valid)), 1: ("int32", stride), 2: ("int32", stride), 3: ("int32", 1)}
            return w.run("DEPTHWISE_CONV_2D", [x, stored, bias_at], out, options, name=name)
        stored = w.constant(folded[:, :, 0].permute(0, 2, 3, 1), 0)
        options = {0: ("int8", 0), 1: ("int32", stride), 2: ("int32", stride)}
        return w.run("CONV_2D", [x, stored, bias_at], out, options, name=name)

    def linear(self, x: int, linear: layer_weights.LinearWeights) -> int:
        w, given = self.writer, self.writer.shape(x)
        outputs = linear.weight.shape[0]
        if self.flat:
            x = self.reshape(x, [1, 1, 1, given[-1]])
            stored = w.constant(linear.weight[:, None, None], 0)
            options = {0: ("int8", 0), 1: ("int32", 1), 2: ("int32", 1)}
            return w.run("CONV_2D", [x, stored, w.constant(linear.bias, 0)], [1, 1, 1, outputs], options)
        options = {0: ("int8", 0), 1: ("int32", 1), 2: ("int32", 1), 3: ("int32", 1)}
        stored = w.constant(linear.weight.t()[None, None, None])
        y = w.run("CONV_3D", [x, stored, -1], [*given[:-1], outputs], options)
        return w.run("ADD", [y, w.constant(linear.bias)], [*given[:-1], outputs])

    def bottleneck(self, x: int, layer: layer_weights.BottleneckWeights, stride: int, name: str) -> int:
        w, activation = self.writer, self.form.activation
        (kernel,) = layer.depthwise
        y = self.activate(self.conv(x, layer.expand, 1, f"{name}/expansion"), activation)
        y = self.activate(self.conv(y, kernel.conv, stride, f"{name}/feature"), activation)
        if kernel.temporal is not None:
            y = self.activate(self.temporal(y, kernel.temporal, name), activation)
        if layer.squeeze is not None:
            y = self.squeeze(y, layer.squeeze, name)
        y = self.conv(y, layer.project, 1, f"{name}/projection")
        y = w.run("MUL", [y, w.constant(np.array(float(layer.scale.detach()), np.float32))], w.shape(y))
        skip = x
        if layer.skip is not None:
            if stride == 2:
                given = w.shape(x)
                out = [*given[:-3], halve(given[-3], 2), halve(given[-2], 2), given[-1]]
                if self.flat:
                    options = {0: ("int8", 0), 1: ("int32", 2), 2: ("int32", 2), 3: ("int32", 3), 4: ("int32", 3)}
                    skip = w.run("AVERAGE_POOL_2D", [x], out, options)
                else:
                    size = b"\x05ksize\x12\x09\x0a\x07\x1a\x05" + bytes([1, 1, 3, 3, 1])
                    skip = w.run("FlexAvgPool3D", [x], out, custom=_flex(2, size))
            skip = self.conv(skip, layer.skip, 1, f"{name}/skip")
        return w.run("ADD", [y, skip], w.shape(y))

    def temporal(self, y: int, conv: layer_weights.ConvWeights, name: str) -> int:
        """A convolution over the frame and those before it."""
        w = self.writer
        _, height, width, channels = w.shape(y)
        frames = conv.weight.shape[2]
        clip = self.reshape(y, [1, 1, height, width, channels])
        buffer = f"{name}_stream_buffer"
        size = [height, width, channels]
        joined = w.run("CONCATENATION", [self.state[buffer], clip], [1, frames, *size], {0: ("int32", 1)})
        bounds = [w.constant(np.array(each)) for each in ([0, 1 - frames, 0, 0, 0], [0] * 5, [1] * 5)]
        masks = {0: ("int32", 0b11101), 1: ("int32", 0b11111)}  # all of every axis but the frames' beginning
        w.outputs[f"state_{buffer}"] = w.run("STRIDED_SLICE", [joined, *bounds], [1, frames - 1, *size], masks)
        rows = self.reshape(joined, [1, frames, height * width, channels])
        y = self.conv(rows, conv, 1, f"{name}/temporal", valid=True)
        return self.reshape(y, [1, height, width, channels])

    def mean(self, x: int) -> int:
        """Over the map."""
        w, given = self.writer, self.writer.shape(x)
        axes = [1, 2] if self.flat else [2, 3]
        return w.run("MEAN", [x, w.constant(np.array(axes))], [*given[:-3], 1, 1, given[-1]], {0: ("int8", 1)})

    def clip_mean(self, x: int) -> int:
        """Over frames and map: a sum, then a product."""
        w, given = self.writer, self.writer.shape(x)
        shape = [1, 1, 1, 1, given[-1]]
        total = w.run("SUM", [x, w.constant(np.array([1, 2, 3]))], shape, {0: ("int8", 1)})
        return w.run("MUL", [total, w.constant(np.array(1 / np.prod(given[1:-1]), np.float32))], shape)

    def over_time(self, mean: int, name: str) -> int:
        """The mean over the frames so far, by states."""
        w = self.writer
        sums, count = self.state[f"{name}_pool_buffer"], self.state[f"{name}_pool_frame_count"]
        shape = w.shape(sums)
        total = w.run("ADD", [self.reshape(mean, shape), sums], shape)
        frames = w.run("ADD", [count, w.constant(np.array(1))], w.shape(count), dtype=INT32)
        w.outputs[f"state_{name}_pool_buffer"], w.outputs[f"state_{name}_pool_frame_count"] = total, frames
        return w.run("DIV", [total, w.run("CAST", [frames], w.shape(count))], shape)

    def squeeze(self, y: int, squeeze: layer_weights.SqueezeWeights, name: str) -> int:
        w, kind = self.writer, self.form.squeeze_kind
        if not self.flat:
            assert kind == "3d"
            pooled = self.clip_mean(y)
        else:
            frame = self.mean(y)
            parts = [] if kind == "2d" else [self.over_time(frame, name)]
            if kind != "3d":
                parts.append(self.reshape(frame, [1, 1, 1, 1, w.shape(y)[-1]]))
            pooled = parts[0]
            if len(parts) == 2:
                pooled = w.run("CONCATENATION", parts, [1, 1, 1, 1, 2 * w.shape(y)[-1]], {0: ("int32", -1)})
        reduce, expand = squeeze.reduce, squeeze.expand
        hidden = self.activate(self.linear(pooled, reduce), self.form.activation)
        channels = expand.weight.shape[0]
        if self.form.gate == "sigmoid":
            z = self.linear(hidden, expand)
            gate = w.run("LOGISTIC", [z], w.shape(z))
        elif self.form.gate == "hard_sigmoid":  # the 3 of relu6(x + 3) is part of the bias
            z = self.linear(hidden, layer_weights.LinearWeights(expand.weight, expand.bias + 3))
            z = w.run("RELU6", [z], w.shape(z))
            gate = w.run("MUL", [z, w.constant(np.array(0.16667, np.float32))], w.shape(z))
        else:
            z = self.linear(hidden, layer_weights.LinearWeights(expand.weight * 0.2, expand.bias * 0.2 + 0.5))
            z = w.run("MINIMUM", [z, w.constant(np.array(1.0, np.float32))], w.shape(z))
            gate = w.run("RELU", [z], w.shape(z))
        gate = self.reshape(gate, [1, 1, 1, channels] if self.flat else [1, 1, 1, 1, channels])
        return w.run("MUL", [gate, y], w.shape(y))
