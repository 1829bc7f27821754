"""Depthwise 3-D convolution with SAME padding, fast forward and backward on CPU.

The library's own forward is good in channels-last memory; its backward runs at a fraction of that speed. Here:

- Taps that never meet the map (a 5x5 kernel on a 2x2 map, 7x1x1 on 3 frames) are cropped first. This is exact.
- A kernel of one tap is a product; purely temporal kernels with a stride subsample the map first.
- Input gradient: a *forward* convolution of the output gradient with the flipped kernel (strided: four of them, or
  one of the gradient spread with zeros).
- Weight gradient: 2-D weight gradients, in several arrangements.

Which kernel serves which shape stands with the kernels, in `depthwise_forward`, `depthwise_input_gradient` and
`depthwise_weight_gradient`. In lower precision maps and their gradients have the dtype of the input, kernels and their
gradients that of the kernel; what is summed over pieces is summed in the latter.

Shapes: N clips, C channels, T frames, H x W input map; kernels [C, 1, kt, kh, kw].
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from networks.kernels.depthwise_axes import Axis, dispatch_shape, pieces
from networks.kernels.depthwise_forward import DEPTHWISE
from networks.kernels.depthwise_input_gradient import INPUT_GRADIENT
from networks.kernels.depthwise_weight_gradient import WEIGHT_GRADIENT
from networks.kernels.dispatch import is_fast
from networks.kernels.layouts import autocast, channels_last, same_padding


def depthwise(x_NCTHW: Tensor, weight: Tensor, stride: int = 1, valid: bool = False) -> Tensor:
    """Depthwise convolution, SAME padding, spatial stride.

    Args:
        x_NCTHW: input, [N, C, T, H, W].
        weight: [C, 1, kt, kh, kw], odd lengths.
        stride: of height and width; time always has stride 1.
        valid: no padding in time, as causal convolutions want it that are given the frames before.

    Returns:
        [N, C, T, ceil(H / stride), ceil(W / stride)]; T - kt + 1 frames where `valid`.
    """
    if is_fast(x_NCTHW):
        x_NCTHW = autocast(x_NCTHW)
        y: Tensor = _Depthwise.apply(x_NCTHW, weight, stride, valid)  # type: ignore[no-untyped-call]  # torch's own
        return y
    return _library(x_NCTHW, weight, stride, valid)


def _library(x_NCTHW: Tensor, weight: Tensor, stride: int, valid: bool) -> Tensor:
    """The plain call: pad, conv3d with one group a channel."""
    frames = 0 if valid else weight.shape[2] // 2
    top, bottom = same_padding(x_NCTHW.shape[3], weight.shape[3], stride)
    left, right = same_padding(x_NCTHW.shape[4], weight.shape[4], stride)
    padding = (frames, top, left)
    if (top, left) != (bottom, right):
        x_NCTHW = F.pad(x_NCTHW, (left, right, top, bottom))
        padding = (frames, 0, 0)
    return F.conv3d(x_NCTHW, weight, None, (1, stride, stride), padding, groups=weight.shape[0])


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, valid: bool) -> Tensor:
        t = Axis(x.shape[2], weight.shape[2], 1, valid)
        h, w = (Axis(x.shape[i], weight.shape[i], stride) for i in (3, 4))
        axes = (t, h, w)
        x = channels_last(x)
        cropped = weight.to(x.dtype)[:, :, t.first : t.last, h.first : h.last, w.first : w.last]
        subsample = stride > 1 and h.taps == w.taps == 1 and h.before == w.before == 0
        if subsample:
            x = channels_last(x[:, :, :, ::stride, ::stride])
            axes = (t, Axis(x.shape[3], 1, 1), Axis(x.shape[4], 1, 1))
        ctx.save_for_backward(x, cropped)
        ctx.axes, ctx.full, ctx.dtype = axes, weight.shape, weight.dtype
        ctx.subsample = (stride, h.size, w.size) if subsample else None
        ctx.crop = (t.first, h.first, w.first)
        return DEPTHWISE.kernel(dispatch_shape(x, axes)).run(x, cropped, axes)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        grad = channels_last(grad)
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_x = INPUT_GRADIENT.kernel(dispatch_shape(grad, ctx.axes)).run(grad, weight, ctx.axes)
            if ctx.subsample:
                stride, height, width = ctx.subsample
                spread = grad_x.new_zeros(grad_x.shape[0], grad_x.shape[2], height, width, grad_x.shape[1])
                spread = spread.permute(0, 4, 1, 2, 3)
                spread[:, :, :, ::stride, ::stride] = grad_x
                grad_x = spread
        if ctx.needs_input_grad[1]:
            kernel = WEIGHT_GRADIENT.kernel(dispatch_shape(x, ctx.axes))
            parts = zip(pieces(grad, x), pieces(x, x), strict=True)
            grad_weight = _sum(kernel.run(grad_part, x_part, ctx.axes) for grad_part, x_part in parts)
            if grad_weight.shape != ctx.full:
                whole = grad_weight.new_zeros(ctx.full, dtype=ctx.dtype)
                ranges = [slice(first, first + n) for first, n in zip(ctx.crop, grad_weight.shape[2:], strict=True)]
                whole[:, :, ranges[0], ranges[1], ranges[2]] = grad_weight
                grad_weight = whole
            grad_weight = grad_weight.to(ctx.dtype)
        return grad_x, grad_weight, None, None


def _sum(tensors: Iterable[Tensor]) -> Tensor:
    total, *others = tensors
    for tensor in others:
        total += tensor
    return total
