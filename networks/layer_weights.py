"""The weights that the functions of `networks.layers` take, as plain dataclasses of tensors, and what is done to them.

Shapes: C channels; I in, E expanded, O out, S squeezed channels; kernels [kt, kh, kw].
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from searchspace import BASE, Architecture


@dataclasses.dataclass(slots=True)
class NormWeights:
    """BatchNorm over [C].

    Attributes:
        weight, bias: the affine part, [C].
        mean, var: moving statistics, [C]; None where the statistics of the batch are always used.
        observe: called with every input of the normalisation, for those who gather statistics.
        momentum, eps: the weight of a new value in the moving statistics; what is added to a variance.
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor | None = None
    var: Tensor | None = None
    observe: Callable[[Tensor], None] | None = None
    momentum: float = BASE.norm_momentum
    eps: float = BASE.norm_eps


@dataclasses.dataclass(slots=True)
class ConvWeights:
    """A convolution without bias and its BatchNorm; the weight's shape depends on the convolution."""

    weight: Tensor
    norm: NormWeights


@dataclasses.dataclass(slots=True)
class DepthwiseWeights:
    """A depthwise kernel.

    Attributes:
        conv: [E, 1, kt, kh, kw]; in the (2+1)D form [E, 1, 1, kh, kw].
        temporal: what follows in the (2+1)D form where a kernel has several frames, [E, 1, kt, 1, 1].
        shift: channels that a temporal shift in front takes from the frame before, 0 for none.
    """

    conv: ConvWeights
    temporal: ConvWeights | None = None
    shift: int = 0


@dataclasses.dataclass(slots=True)
class LinearWeights:
    """A linear layer [out, in] with bias [out]."""

    weight: Tensor
    bias: Tensor


@dataclasses.dataclass(slots=True)
class SqueezeWeights:
    """Squeeze-excitation: E (2 E for "2plus3d") -> S -> E, with biases.

    Attributes:
        reduce, expand: the two linear layers.
        share: 1, or 0.5 for the mean of the layer with and without squeeze-excitation.
        position_scale: of the positional encoding, [].
    """

    reduce: LinearWeights
    expand: LinearWeights
    share: float = 1.0
    position_scale: Tensor | None = None


@dataclasses.dataclass(slots=True)
class BottleneckWeights:
    """One bottleneck.

    Attributes:
        expand: [E, I].
        depthwise: one kernel; several are run side by side and their outputs averaged.
        squeeze: None without squeeze-excitation.
        project: [O, E].
        skip: projection [O, I] of the skip connection; None for the identity.
        scale: the residual (ReZero) scalar, [].
    """

    expand: ConvWeights
    depthwise: tuple[DepthwiseWeights, ...]
    squeeze: SqueezeWeights | None
    project: ConvWeights
    skip: ConvWeights | None
    scale: Tensor


@dataclasses.dataclass(slots=True)
class HeadWeights:
    """From the last block to logits: pointwise convolution, dense layer, classifier."""

    conv: ConvWeights
    dense: LinearWeights
    classifier: LinearWeights


@dataclasses.dataclass(slots=True)
class NetworkWeights:
    """A whole network: stem, bottlenecks in order with their spatial strides, head."""

    stem: ConvWeights
    bottlenecks: list[BottleneckWeights]
    strides: list[int]
    head: HeadWeights


def named_norms(weights: NetworkWeights, names: list[str]) -> dict[str, NormWeights]:
    """Every BatchNorm of a network by the name of its module in `networks.MoViNet`.

    Args:
        weights: a network, one depthwise kernel a layer.
        names: of the bottlenecks, such as `blocks.0.layers.1`.
    """
    result = {"stem.norm": weights.stem.norm}
    for name, layer in zip(names, weights.bottlenecks, strict=True):
        (kernel,) = layer.depthwise
        convolutions = {"expand": layer.expand, "depthwise": kernel.conv, "temporal": kernel.temporal}
        convolutions |= {"project": layer.project, "skip": layer.skip}
        result |= {f"{name}.{part}.norm": conv.norm for part, conv in convolutions.items() if conv is not None}
    return result | {"head.norm": weights.head.conv.norm}


def bottleneck_names(architecture: Architecture) -> list[str]:
    """Names of the bottlenecks in `networks.MoViNet`, in order."""
    return [f"blocks.{position.block}.layers.{position.index}" for position in architecture.layers()]


@torch.no_grad()
def copy_weights_(target: Any, source: Any) -> None:
    """Copies every tensor of one weights dataclass into another of the same structure."""
    if isinstance(target, Tensor):
        assert isinstance(source, Tensor) and target.shape == source.shape
        target.copy_(source)
    elif isinstance(target, (list, tuple)):
        for ours, theirs in zip(target, source, strict=True):
            copy_weights_(ours, theirs)
    elif dataclasses.is_dataclass(target):
        assert type(target) is type(source)
        for field in dataclasses.fields(target):
            copy_weights_(getattr(target, field.name), getattr(source, field.name))
