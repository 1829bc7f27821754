"""Kernels of the gradient of a depthwise convolution by its input: forward convolutions with the flipped kernel.

Shapes: N clips, C channels, T frames, H x W input map; kernels [C, 1, kt, kh, kw]; gradients [N, C, T', H', W'].
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from networks.kernels.depthwise_axes import Axes, Axis, is_product, pieces
from networks.kernels.depthwise_forward import over_time
from networks.kernels.dispatch import CpuKernel, Operation, otherwise
from networks.kernels.layouts import channels_last, fold_frames, unfold_frames

MANY_TAPS = 45  # 5x3x3


def _product(grad: Tensor, weight: Tensor, axes: Axes) -> Tensor:
    return grad * weight.view(1, -1, 1, 1, 1)


def _time_only(grad: Tensor, weight: Tensor, axes: Axes) -> Tensor:
    t, _, _ = axes
    return over_time(grad, channels_last(weight.flip(2, 3, 4)), t.taps - 1 - t.before)


def _flipped(grad: Tensor, weight: Tensor, axes: Axes) -> Tensor:
    pads = [axis.taps - 1 - axis.before for axis in axes]
    return channels_last(F.conv3d(grad, channels_last(weight.flip(2, 3, 4)), padding=pads, groups=weight.shape[0]))


def _library_2d(grad: Tensor, weight: Tensor, axes: Axes) -> Tensor:
    """The library's own, frames folded; zero taps in front of the kernel make its padding even."""
    t, h, w = axes
    kernel = F.pad(weight[:, :, 0], (w.after - w.before, 0, h.after - h.before, 0))
    shape = (len(grad) * t.size, grad.shape[1], h.size, w.size)
    like = torch.empty(shape, dtype=grad.dtype, memory_format=torch.channels_last)  # never read, so never in memory
    result: Tensor = torch.ops.aten.convolution_backward(
        fold_frames(grad),
        like,
        kernel.contiguous(memory_format=torch.channels_last),
        None,
        [h.stride, w.stride],
        [h.after, w.after],
        [1, 1],
        False,
        [0, 0],
        grad.shape[1],
        [True, False, False],
    )[0]
    return channels_last(unfold_frames(result, len(grad)))


class _Half:
    """One axis of the input gradient at every second input: a convolution without stride over the output gradient.

    Input 2 q + first + before = 2 (q + m) + tap meets output q + m - j by tap 2 j + tap of the kernel.

    Attributes:
        inputs: which ones.
        tap: the first tap that meets them; every second one after it does.
        grads: the outputs that they meet.
        edges: zero taps in front of the flipped taps and behind them, which make the padding even.
        pad: zeros on both sides.
    """

    def __init__(self, axis: Axis, first: int) -> None:
        self.inputs, self.count = slice(first, None, 2), len(range(first, axis.size, 2))
        self.tap, m = (first + axis.before) % 2, (first + axis.before) // 2
        self.taps = len(range(self.tap, axis.taps, 2))
        low, high = self.taps - 1 - m, self.count + m - axis.out
        self.grads = slice(max(0, -low), axis.out + min(0, high))
        self.pad = max(low, high, 0)
        self.edges = (self.pad - max(low, 0), self.pad - max(high, 0))


def _by_parity(grad: Tensor, weight: Tensor, axes: Axes) -> Tensor:
    """Rows and columns of even and odd inputs apart: each meets every second tap only, and no zeros in between."""
    t, h, w = axes
    pad = t.taps - 1 - t.before
    shape = (len(grad), grad.shape[1], t.size, h.size, w.size)
    result = torch.empty(shape, dtype=grad.dtype, device=grad.device, memory_format=torch.channels_last_3d)
    halves = [[_Half(axis, first) for first in (0, 1) if first < axis.size] for axis in (h, w)]
    parts = []
    for rows, columns in itertools.product(*halves):
        taps = weight[..., rows.tap :: 2, columns.tap :: 2].flip(2, 3, 4)
        parts.append((rows, columns, channels_last(F.pad(taps, (*columns.edges, *rows.edges)))))
    for rows, columns, taps in parts:
        out = result[:, :, :, rows.inputs, columns.inputs]
        met = channels_last(grad[:, :, :, rows.grads, columns.grads])
        if taps.numel() == 0:
            out.zero_()
        elif taps.shape[2:] == (1, 1, 1):
            torch.mul(met, taps.view(1, -1, 1, 1, 1), out=out)
        elif taps.shape[3:] == (1, 1):
            out.copy_(over_time(met, taps, pad))
        else:
            out.copy_(F.conv3d(met, taps, padding=(pad, rows.pad, columns.pad), groups=len(taps)))
    return result


def _spread(grad: Tensor, weight: Tensor, axes: Axes) -> Tensor:
    """The output gradient spread with zeros, then as without stride; a piece of the batch at a time."""
    t, h, w = axes
    channels, frames = grad.shape[1:3]
    flipped = channels_last(weight.flip(2, 3, 4))
    rows, columns = (slice(axis.taps - 1 - axis.before, None, axis.stride) for axis in (h, w))
    pads = [t.taps - 1 - t.before, 0, 0]

    def piece_gradient(piece: Tensor) -> Tensor:
        spread = grad.new_zeros(len(piece), frames, h.size + h.taps - 1, w.size + w.taps - 1, channels)
        spread[:, :, rows, columns][:, :, : h.out, : w.out] = piece.permute(0, 2, 3, 4, 1)
        return F.conv3d(spread.permute(0, 4, 1, 2, 3), flipped, padding=pads, groups=channels)

    shape = (len(grad), channels, t.size, h.size, w.size)
    result = torch.empty(shape, dtype=grad.dtype, device=grad.device, memory_format=torch.channels_last_3d)
    outs = pieces(result, result)
    if len(outs) == 1:
        return channels_last(piece_gradient(grad))
    for piece, out in zip(pieces(grad, result), outs, strict=True):
        out.copy_(piece_gradient(piece))
    return result


INPUT_GRADIENT: Operation[Callable[[Tensor, Tensor, Axes], Tensor]] = Operation(
    "depthwise input gradient",
    CpuKernel("product", _product, is_product, "as forward", "1x1 maps"),
    CpuKernel(
        "over time",
        _time_only,
        lambda s: s.pointlike,
        "as forward",
        "5x1x1, 184 channels, 8x8 map: 1.5 ms, library 19",
    ),
    CpuKernel(
        "flipped",
        _flipped,
        lambda s: s.stride == 1,
        "a forward convolution of the output gradient with the flipped kernel; the library's own runs at 1-4 GFLOP/s",
        "3x3x3, 80 channels, 16x16 map: 0.9 ms",
    ),
    CpuKernel(
        "2-D library",
        _library_2d,
        lambda s: s.taps[0] == 1 and s.bytes >= 4,
        "the library's strided 2-D gradient is fast in float32, and spreads no zeros",
        "1x5x5 stride 2, 24 channels, 64x64 map: 5.5 ms, spread 8.4; bfloat16 78, spread 6.1",
    ),
    CpuKernel(
        "by parity",
        _by_parity,
        lambda s: s.stride == 2 and math.prod(s.taps) >= MANY_TAPS and s.area * s.bytes >= 256,
        "even and odd rows and columns apart: four convolutions without stride and without the zeros in between",
        "5x3x3, 384 channels, 8x8 map: 2.3 ms, spread 2.8; 3x3x3, 80 channels, 32x32 map: 5.4, spread 4.8",
    ),
    CpuKernel(
        "spread",
        _spread,
        otherwise,
        "the output gradient spread with zeros, then as without stride",
        "3x3x3 stride 2, 80 channels, 32x32 map: 6.3 ms",
    ),
)
