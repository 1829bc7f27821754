"""The weights of a trained network in the form that inference wants: no BatchNorm, no scalars, few biases.

- BatchNorm becomes part of the convolution in front of it, the residual scalar part of the projection.
- A bias of a projection or a skip connection is the same number at every position of what follows, and all that reads
  it is linear over channels first (an expansion, another skip connection, the head), average pools included. So it is
  handed on into the bias of that reader, and what is added up between bottlenecks has none.
- Hard gates are a clamp: their affine part becomes part of the linear layer in front of them.

All of this is computed in float64 and rounded once.

Shapes: I in, E expanded, O out, S squeezed channels.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from networks.kernels import GATES
from networks.layer_weights import BottleneckWeights, ConvWeights, LinearWeights, NetworkWeights, SqueezeWeights
from searchspace import Form


@dataclasses.dataclass(slots=True)
class Conv:
    """A convolution with bias; the weight's shape as in `ConvWeights`."""

    weight: Tensor
    bias: Tensor


@dataclasses.dataclass(slots=True)
class Squeeze:
    """Squeeze-excitation in float32: `gate` is applied in place to what the second layer gives."""

    reduce: Conv
    expand: Conv
    gate: Callable[[Tensor], Tensor]
    position_scale: Tensor | None


@dataclasses.dataclass(slots=True)
class Bottleneck:
    """One bottleneck: `project` [E, O] and `skip` [I, O] are transposed, without biases."""

    expand: Conv
    depthwise: Conv
    temporal: Conv | None
    shift: int
    squeeze: Squeeze | None
    project: Tensor
    skip: Tensor | None
    stride: int


@dataclasses.dataclass(slots=True)
class Network:
    """A whole network; the dense layer and the classifier in float32."""

    stem: Conv
    bottlenecks: list[Bottleneck]
    head: Conv
    dense: Conv
    classifier: Conv


def fold(weights: NetworkWeights, form: Form, dtype: torch.dtype) -> Network:
    """Folds the weights of a network.

    Args:
        weights: trained ones with moving statistics, one depthwise kernel a layer; not changed.
        form: of the network.
        dtype: of everything but squeeze-excitation, dense layer and classifier, which stay in float32 (float64 where
            `dtype` is that).
    """
    wide = torch.promote_types(dtype, torch.float32)
    carried = torch.zeros(weights.bottlenecks[0].expand.weight.shape[1], dtype=torch.float64)
    carried = carried.to(weights.stem.weight.device)
    bottlenecks = []
    for layer, stride in zip(weights.bottlenecks, weights.strides, strict=True):
        bottleneck, carried = _bottleneck(layer, stride, form, carried, dtype, wide)
        bottlenecks.append(bottleneck)
    head, dense, classifier = weights.head.conv, weights.head.dense, weights.head.classifier
    return Network(
        stem=_to(_folded(weights.stem), dtype),
        bottlenecks=bottlenecks,
        head=_to(_reading(_folded(head), carried), dtype),
        dense=_linear(dense, wide),
        classifier=_linear(classifier, wide),
    )


def _bottleneck(
    layer: BottleneckWeights, stride: int, form: Form, carried: Tensor, dtype: torch.dtype, wide: torch.dtype
) -> tuple[Bottleneck, Tensor]:
    """One bottleneck, and the bias that the next one is to take over, [O]; `carried` [I] is what this one takes."""
    (kernel,) = layer.depthwise
    project = _folded(layer.project)
    scale = layer.scale.detach().double()
    skip = _reading(_folded(layer.skip), carried) if layer.skip is not None else None
    handed_on = project.bias * scale + (carried if skip is None else skip.bias)
    result = Bottleneck(
        expand=_to(_reading(_folded(layer.expand), carried), dtype),
        depthwise=_to(_folded(kernel.conv), dtype),
        temporal=_to(_folded(kernel.temporal), dtype) if kernel.temporal is not None else None,
        shift=kernel.shift,
        squeeze=_squeeze(layer.squeeze, form, wide) if layer.squeeze is not None else None,
        project=(project.weight * scale).t().to(dtype).contiguous(),
        skip=skip.weight.t().to(dtype).contiguous() if skip is not None else None,
        stride=stride,
    )
    return result, handed_on


def _folded(conv: ConvWeights) -> Conv:
    """The convolution with its BatchNorm, in float64."""
    norm, weight = conv.norm, conv.weight.detach().double()
    assert norm.mean is not None and norm.var is not None
    factor = norm.weight.detach().double() * torch.rsqrt(norm.var.double() + norm.eps)
    bias = norm.bias.detach().double() - norm.mean.double() * factor
    return Conv(weight * factor.view(-1, *[1] * (weight.dim() - 1)), bias)


def _reading(conv: Conv, carried: Tensor) -> Conv:
    """A pointwise convolution [O, I] whose input lacks a bias [I]."""
    return Conv(conv.weight, conv.bias + conv.weight @ carried)


def _squeeze(squeeze: SqueezeWeights, form: Form, dtype: torch.dtype) -> Squeeze:
    assert squeeze.share == 1.0
    expand = _linear(squeeze.expand, torch.float64)
    gate: Callable[[Tensor], Tensor] = torch.sigmoid_
    clamp = GATES[form.gate].clamp
    if clamp is not None:
        factor, summand, bound = clamp
        expand = Conv(expand.weight * factor, expand.bias * factor + summand)
        gate = functools.partial(torch.clamp_, min=0.0, max=bound)
    scale = squeeze.position_scale
    return Squeeze(
        reduce=_linear(squeeze.reduce, dtype),
        expand=_to(expand, dtype),
        gate=gate,
        position_scale=scale.detach().to(dtype) if scale is not None else None,
    )


def _linear(linear: LinearWeights, dtype: torch.dtype) -> Conv:
    return _to(Conv(linear.weight.detach(), linear.bias.detach()), dtype)


def _to(conv: Conv, dtype: torch.dtype) -> Conv:
    """A copy in a dtype: training the network further must not reach it."""
    return Conv(conv.weight.to(dtype, copy=True), conv.bias.to(dtype, copy=True))


def with_zero_taps(weight: Tensor, leads: tuple[int, int]) -> Tensor:
    """A kernel [.., kh, kw] with so many rows and columns of zeros in front.

    They make uneven padding even: SAME padding of stride 2 wants one zero more behind than in front, and a wider kernel
    is cheaper than a padded copy of an expanded map.
    """
    return F.pad(weight, (leads[1], 0, leads[0], 0)) if any(leads) else weight
