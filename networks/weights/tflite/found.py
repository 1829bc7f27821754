"""A network as a file has it: its layers in order, and as tensors by our names."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from networks.weights.tflite.convolutions import Convolution
from networks.weights.tflite.flatbuffer import Array
from searchspace import Form


@dataclasses.dataclass(slots=True)
class Squeeze:
    """Squeeze-excitation: its two layers, and what it sees."""

    reduce: Convolution
    expand: Convolution
    kind: str
    position_scale: float | None


@dataclasses.dataclass(slots=True)
class Bottleneck:
    """One bottleneck.

    Attributes:
        expand, depthwise, temporal, squeeze, project, skip, scale: as in `networks.layer_weights.BottleneckWeights`.
        stride: of height and width.
        place: block and layer by the names in the file, where they tell.
    """

    expand: Convolution
    depthwise: Convolution
    temporal: Convolution | None
    squeeze: Squeeze | None
    project: Convolution
    skip: Convolution | None
    scale: float
    place: tuple[int, int] | None

    @property
    def stride(self) -> int:
        """Of the map."""
        return self.depthwise.stride

    @property
    def kernel(self) -> tuple[int, int, int]:
        """Frames, height, width of both convolutions together."""
        t, h, w = self.depthwise.kernel
        return (self.temporal.kernel[0], h, w) if self.temporal is not None else (t, h, w)


@dataclasses.dataclass(slots=True)
class Found:
    """A network as a file has it.

    Attributes:
        stem, bottlenecks, head, dense, classifier: its layers in order.
        form: how they compute.
        frames: of the clips that the file takes; None where it takes any number, or one frame after the other.
        size: height and width; None where the file takes any.
    """

    stem: Convolution
    bottlenecks: list[Bottleneck]
    head: Convolution
    dense: Convolution
    classifier: Convolution
    form: Form
    frames: int | None
    size: tuple[int, int] | None

    def tensors(self) -> dict[str, Tensor]:
        """By the names of `networks.MoViNet`, its blocks not yet known: `layers.{i}.` for the i-th bottleneck."""
        result = _conv_norm("stem", self.stem, self.form) | _conv_norm("head", self.head, self.form)
        result |= _linear("dense", self.dense) | _linear("classifier", self.classifier)
        for i, layer in enumerate(self.bottlenecks):
            own = {"expand": layer.expand, "depthwise": layer.depthwise, "temporal": layer.temporal}
            own |= {"project": layer.project, "skip": layer.skip}
            for name, conv in own.items():
                if conv is not None:
                    result |= _conv_norm(f"layers.{i}.{name}", conv, self.form)
            result[f"layers.{i}.scale"] = torch.tensor(layer.scale, dtype=torch.float32)
            if layer.squeeze is not None:
                result |= _linear(f"layers.{i}.squeeze.reduce", layer.squeeze.reduce)
                result |= _linear(f"layers.{i}.squeeze.expand", layer.squeeze.expand)
                if self.form.position_encoding:
                    scale = torch.tensor(layer.squeeze.position_scale or 0.0, dtype=torch.float32)
                    result[f"layers.{i}.squeeze.position_scale"] = scale
        return result


def blocks_of(bottlenecks: Iterable[Bottleneck]) -> list[int]:
    """How many layers each block has: by names where they tell it, else a new block at each stride and new width."""
    layers = list(bottlenecks)
    counts: list[int] = []
    expected = (-1, 0)
    for layer in layers:
        if layer.place == (expected[0] + 1, 0):
            counts.append(0)
        elif not counts or layer.place != (expected[0], expected[1]):
            return _blocks_by_shape(layers)
        assert layer.place is not None
        counts[-1] += 1
        expected = (layer.place[0], layer.place[1] + 1)
    return counts


def _blocks_by_shape(layers: list[Bottleneck]) -> list[int]:
    counts: list[int] = []
    before = -1
    for layer in layers:
        width = layer.project.weight.shape[0]
        if not counts or layer.stride == 2 or width != before:
            counts.append(0)
        counts[-1] += 1
        before = width
    return counts


def _conv_norm(name: str, conv: Convolution, form: Form) -> dict[str, Tensor]:
    """A convolution without BatchNorm as one with a BatchNorm that does nothing but add the bias."""
    channels = len(conv.bias)
    weight = _float(conv.weight)
    if not conv.depthwise and name != "stem":
        weight = weight.flatten(1)
    return {
        f"{name}.weight": weight,
        f"{name}.norm.weight": torch.ones(channels),
        f"{name}.norm.bias": _float(conv.bias),
        f"{name}.norm.running_mean": torch.zeros(channels),
        f"{name}.norm.running_var": torch.full((channels,), 1.0 - form.norm_eps),
    }


def _linear(name: str, conv: Convolution) -> dict[str, Tensor]:
    return {f"{name}.weight": _float(conv.weight).flatten(1), f"{name}.bias": _float(conv.bias)}


def _float(values: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))
