"""The layers of a MoViNet as pure functions over (tensor, weights, state): the only definition of them in the project.

`networks.MoViNet` owns the weights of one architecture and calls these functions; `supernet.Supernet` slices its
shared weights into the same dataclasses and calls the same functions. Order of operations, paddings and constants are
those of the reference implementation of MoViNets (arXiv 2103.11511). What is carried from frame to frame in causal
networks goes in and comes out as a dictionary, see `networks.temporal`; others give an empty one.

Shapes: N clips, C channels, T frames, H x W map; I in, E expanded, O out, S squeezed channels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from networks import joined
from networks.activations import ACTIVATIONS, GATES
from networks.checkpointing import is_repeated
from networks.depthwise import depthwise
from networks.formulations import global_pool, is_folded, pointwise, skip_pool, spatial_conv
from networks.temporal import (
    State,
    StateLike,
    buffered,
    cumulative_means,
    positions,
    running_mean,
    shifted,
    spatial_means,
)
from searchspace import BASE, Architecture, Form


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


DropPath: TypeAlias = Callable[[Tensor], Tensor]


def batch_norm(x_NCTHW: Tensor, norm: NormWeights, training: bool, scale: Tensor | None = None) -> Tensor:
    """Normalises over all axes but the channels.

    Args:
        x_NCTHW: input.
        norm: weights; without moving statistics those of the batch are used, in training or not.
        training: use the batch's statistics, and update the moving ones where there are any.
        scale: a scalar that multiplies the result, folded into the affine part.
    """
    if norm.observe is not None:
        norm.observe(x_NCTHW)
    weight, bias = norm.weight, norm.bias
    if scale is not None:
        weight, bias = weight * scale, bias * scale
    batch = training or norm.mean is None
    mean, var = norm.mean, norm.var
    if mean is not None and var is not None and is_repeated():  # they have moved already
        mean, var = mean.clone(), var.clone()
    if x_NCTHW.device.type != "cpu":
        return F.batch_norm(x_NCTHW, mean, var, weight, bias, batch, norm.momentum, norm.eps)
    # As rows, not in five dimensions: torch 2.13's CPU gradient is wrong for 1x1 maps with strides (CT, 1, C, 1, 1).
    x = x_NCTHW.permute(0, 2, 3, 4, 1)
    y = F.batch_norm(x.reshape(-1, x.shape[-1]), mean, var, weight, bias, batch, norm.momentum, norm.eps)
    return y.view(x.shape).permute(0, 4, 1, 2, 3)


def pointwise_norm_act(x_NCTHW: Tensor, weights: ConvWeights, training: bool, activation: str) -> Tensor:
    """Pointwise convolution, BatchNorm, activation: [N, I, T, H, W] -> [N, O, T, H, W]."""
    norm = weights.norm
    batch = training or norm.mean is None
    if not batch or norm.observe is not None or not is_folded(x_NCTHW, weights.weight):
        return ACTIVATIONS[activation](batch_norm(pointwise(x_NCTHW, weights.weight), norm, training))
    y, mean, var = joined.pointwise_norm_act(x_NCTHW, weights.weight, norm.weight, norm.bias, norm.eps, activation)
    if norm.mean is not None and norm.var is not None and not is_repeated():
        count = y.numel() // y.shape[1]
        norm.mean.lerp_(mean, norm.momentum)
        norm.var.lerp_(var * (count / (count - 1)), norm.momentum)
    return y


def stem(clip_NCTHW: Tensor, weights: ConvWeights, training: bool, form: Form = BASE) -> Tensor:
    """First convolution: [N, 3, T, H, W] -> [N, C, T, ceil(H/2), ceil(W/2)], BatchNorm, activation."""
    return ACTIVATIONS[form.activation](batch_norm(spatial_conv(clip_NCTHW, weights.weight, 2), weights.norm, training))


def depthwise_unit(
    x_NCTHW: Tensor,
    weights: DepthwiseWeights,
    stride: int,
    training: bool,
    form: Form = BASE,
    state: StateLike | None = None,
) -> tuple[Tensor, State]:
    """Depthwise convolution, BatchNorm, activation; in the (2+1)D form once for the map and once for time.

    A temporal shift stands in front, so on expanded channels. This is our choice: its authors shift what goes into the
    first pointwise convolution of a residual branch, which a choice of depthwise kernels leaves alone.

    Returns:
        [N, E, T, ceil(H / stride), ceil(W / stride)], and the state after the clip: a `stream_buffer` in causal
        networks where the kernel has several frames or a shift. It stands in front of the convolution that it serves,
        so for one in time of the (2+1)D form at the size that comes out, else at the size that goes in.
    """
    activate = ACTIVATIONS[form.activation]
    after: State = {}

    def convolve(x: Tensor, conv: ConvWeights, stride: int) -> Tensor:
        frames = conv.weight.shape[2] - 1
        if form.causal and frames:
            x, new = buffered(x, frames, state)
            after.update(new)
        return activate(batch_norm(depthwise(x, conv.weight, stride, form.causal), conv.norm, training))

    if weights.shift:
        x_NCTHW, after = shifted(x_NCTHW, weights.shift, form.causal, state)
    if weights.temporal is None:
        return convolve(x_NCTHW, weights.conv, stride), after
    return convolve(convolve(x_NCTHW, weights.conv, stride), weights.temporal, 1), after


def squeeze_gate(
    x_NCTHW: Tensor, weights: SqueezeWeights, form: Form = BASE, state: StateLike | None = None
) -> tuple[Tensor, State]:
    """Gates each channel by what the clip shows, or each frame by itself and the frames before it; see `Form`.

    Linear layers on [N, C] or [N, T, C]: the library's convolutions on 1x1x1 maps are several times slower in the
    backward pass.

    Returns:
        Gates of each clip, [N, C], or of each frame, [N, T, C], and the state after the clip.
    """
    after: State = {}
    if form.squeeze_kind == "3d" and not form.causal:
        pooled = global_pool(x_NCTHW)
    else:
        pooled = frames = spatial_means(x_NCTHW)
        if form.squeeze_kind != "2d":
            if form.causal:
                pooled, after = cumulative_means(frames, state)
            else:
                pooled = frames.mean(1, keepdim=True).expand_as(frames)
        if form.squeeze_kind == "2plus3d":
            pooled = torch.cat([pooled, frames], -1)
    if weights.position_scale is not None:
        pooled, position = positions(pooled, weights.position_scale, state)
        after |= position
    hidden = ACTIVATIONS[form.activation](F.linear(pooled, weights.reduce.weight, weights.reduce.bias))
    gate = GATES[form.gate](F.linear(hidden, weights.expand.weight, weights.expand.bias))
    if weights.share != 1.0:
        gate = 1.0 + weights.share * (gate - 1.0)
    return gate, after


def bottleneck(
    x_NCTHW: Tensor,
    weights: BottleneckWeights,
    stride: int,
    training: bool,
    form: Form = BASE,
    state: StateLike | None = None,
    drop_path: DropPath | None = None,
) -> tuple[Tensor, State]:
    """Expansion, depthwise convolution, squeeze-excitation, projection, residual scalar, skip connection.

    Args:
        x_NCTHW: input, [N, I, T, H, W].
        weights: of this layer.
        stride: spatial stride of the depthwise convolution and the skip connection.
        training: see `batch_norm`.
        form: of the network.
        state: of this layer before the clip; None where streams start.
        drop_path: applied to the branch before the sum, or None.

    Returns:
        [N, O, T, ceil(H / stride), ceil(W / stride)], and the layer's state after the clip; there is no activation
        after the sum.
    """
    y = pointwise_norm_act(x_NCTHW, weights.expand, training, form.activation)
    outputs = [depthwise_unit(y, kernel, stride, training, form, state) for kernel in weights.depthwise]
    y, after = outputs[0]
    if len(outputs) > 1:
        y = torch.stack([output for output, _ in outputs]).mean(0)
    gate = None
    if weights.squeeze is not None:
        gate, new = squeeze_gate(y, weights.squeeze, form, state)
        after |= new
    y = batch_norm(pointwise(y, weights.project.weight, gate), weights.project.norm, training, weights.scale)
    if drop_path is not None:
        y = drop_path(y)
    if weights.skip is None:
        return x_NCTHW + y, after
    skip = skip_pool(x_NCTHW) if stride == 2 else x_NCTHW
    return batch_norm(pointwise(skip, weights.skip.weight), weights.skip.norm, training) + y, after


def head(
    x_NCTHW: Tensor,
    weights: HeadWeights,
    training: bool,
    dropout: float = 0.0,
    form: Form = BASE,
    state: StateLike | None = None,
) -> tuple[Tensor, State]:
    """Pointwise convolution, BatchNorm, activation, pool, dense layer, activation, dropout, classifier.

    Returns:
        Logits [N, classes], in causal networks of all frames so far; [N, classes, T] or [N, classes, T, H, W] where the
        form pools no further than frames or not at all. And the state after the clip.
    """
    x = pointwise_norm_act(x_NCTHW, weights.conv, training, form.activation)
    after: State = {}
    if form.head_pool == "none":
        pooled = x.permute(0, 2, 3, 4, 1)
    elif form.head_pool == "2d":
        pooled = spatial_means(x)
    elif form.causal:
        pooled, after = running_mean(spatial_means(x), state)
    else:
        pooled = global_pool(x)
    x = ACTIVATIONS[form.dense_activation](F.linear(pooled, weights.dense.weight, weights.dense.bias))
    if training and dropout > 0:
        x = F.dropout(x, dropout)
    return F.linear(x, weights.classifier.weight, weights.classifier.bias).movedim(-1, 1), after


def branch_dropper(rate: float) -> DropPath:
    """Stochastic depth: drops the branch of each clip with probability `rate`, and divides what is kept by 1 - rate."""

    def drop(y_NCTHW: Tensor) -> Tensor:
        kept = torch.empty(y_NCTHW.shape[0], 1, 1, 1, 1, dtype=y_NCTHW.dtype, device=y_NCTHW.device)
        return y_NCTHW * kept.bernoulli_(1.0 - rate).div_(1.0 - rate)

    return drop


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
