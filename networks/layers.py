"""The layers of a MoViNet as pure functions over (tensor, weights, state): the only definition of them in the project.

`networks.MoViNet` owns the weights of one architecture and calls these functions; `supernet.Supernet` slices its
shared weights into the same dataclasses and calls the same functions. Order of operations, paddings and constants are
those of the reference implementation of MoViNets (arXiv 2103.11511). What is carried from frame to frame in causal
networks goes in and comes out as a dictionary, see `networks.temporal`; others give an empty one.

Shapes: N clips, C channels, T frames, H x W map; I in, E expanded, O out, S squeezed channels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from networks.checkpointing import is_repeated
from networks.kernels import (
    ACTIVATIONS,
    GATES,
    CpuKernel,
    Operation,
    depthwise,
    global_pool,
    is_fast,
    otherwise,
    pointwise,
    pointwise_kernels,
    pointwise_shape,
    skip_pool,
    spatial_conv,
)
from networks.layer_weights import (
    BottleneckWeights,
    ConvWeights,
    DepthwiseWeights,
    HeadWeights,
    NormWeights,
    SqueezeWeights,
)
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
from searchspace import BASE, Form

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
    if not batch or norm.observe is not None or not is_fast(x_NCTHW):
        return _in_turn(x_NCTHW, weights, training, activation)
    kernel = POINTWISE_NORM_ACT.kernel(pointwise_shape(x_NCTHW, weights.weight))
    return kernel.run(x_NCTHW, weights, training, activation)


def _in_turn(x_NCTHW: Tensor, weights: ConvWeights, training: bool, activation: str) -> Tensor:
    return ACTIVATIONS[activation].apply(batch_norm(pointwise(x_NCTHW, weights.weight), weights.norm, training))


def _folded(x_NCTHW: Tensor, weights: ConvWeights, training: bool, activation: str) -> Tensor:
    norm, row = weights.norm, ACTIVATIONS[activation]
    y, mean, var = pointwise_kernels.pointwise_norm_act(x_NCTHW, weights.weight, norm.weight, norm.bias, norm.eps, row)
    if norm.mean is not None and norm.var is not None and not is_repeated():
        count = y.numel() // y.shape[1]
        norm.mean.lerp_(mean, norm.momentum)
        norm.var.lerp_(var * (count / (count - 1)), norm.momentum)
    return y


_FOLDED_BYTES = 16 << 20  # of the wide map; what fits the third-level cache gains nothing from pieces
POINTWISE_NORM_ACT: Operation[Callable[[Tensor, ConvWeights, bool, str], Tensor]] = Operation(
    "pointwise, BatchNorm, activation",
    CpuKernel(
        "folded",
        _folded,
        lambda s: (
            s.bytes >= 4 and s.inputs <= 64 and s.inputs < s.outputs and s.rows * s.outputs * s.bytes >= _FOLDED_BYTES
        ),
        "the wide map is written once instead of passing through memory a dozen times; it is computed twice",
        "16 -> 40, 262144 rows: 66-80 ms, in turn 154; at 1.9 MiB and less no gain; bfloat16: twice as slow",
    ),
    CpuKernel(
        "in turn",
        _in_turn,
        otherwise,
        "what fits the third-level cache gains nothing from pieces, and each costs some calls",
        "72 -> 240, 4096 rows: 8.7 ms, folded 10.0",
    ),
)


def stem(clip_NCTHW: Tensor, weights: ConvWeights, training: bool, form: Form = BASE) -> Tensor:
    """First convolution: [N, 3, T, H, W] -> [N, C, T, ceil(H/2), ceil(W/2)], BatchNorm, activation."""
    return ACTIVATIONS[form.activation].apply(
        batch_norm(spatial_conv(clip_NCTHW, weights.weight, 2), weights.norm, training)
    )


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
    activate = ACTIVATIONS[form.activation].apply
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
    hidden = ACTIVATIONS[form.activation].apply(F.linear(pooled, weights.reduce.weight, weights.reduce.bias))
    gate = GATES[form.gate].apply(F.linear(hidden, weights.expand.weight, weights.expand.bias))
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
    x = ACTIVATIONS[form.dense_activation].apply(F.linear(pooled, weights.dense.weight, weights.dense.bias))
    if training and dropout > 0:
        x = F.dropout(x, dropout)
    return F.linear(x, weights.classifier.weight, weights.classifier.bias).movedim(-1, 1), after


def branch_dropper(rate: float) -> DropPath:
    """Stochastic depth: drops the branch of each clip with probability `rate`, and divides what is kept by 1 - rate."""

    def drop(y_NCTHW: Tensor) -> Tensor:
        kept = torch.empty(y_NCTHW.shape[0], 1, 1, 1, 1, dtype=y_NCTHW.dtype, device=y_NCTHW.device)
        return y_NCTHW * kept.bernoulli_(1.0 - rate).div_(1.0 - rate)

    return drop
