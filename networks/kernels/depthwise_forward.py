"""Kernels of the depthwise convolution forward.

Shapes: N clips, C channels, T frames, H x W input map; kernels [C, 1, kt, kh, kw].
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from networks.kernels.depthwise_axes import Axes, is_product, time_by_map
from networks.kernels.dispatch import CpuKernel, Operation, otherwise
from networks.kernels.layouts import channels_last


def over_time(x: Tensor, weight: Tensor, pad: int) -> Tensor:
    """A purely temporal kernel as a 2-D convolution over (T, H*W): many times as fast as the library's 3-D one."""
    kernel = weight[..., 0].contiguous(memory_format=torch.channels_last)
    y = F.conv2d(time_by_map(x), kernel, padding=(pad, 0), groups=len(weight))
    return channels_last(y.view(*y.shape[:3], *x.shape[3:]))


def _product(x: Tensor, weight: Tensor, axes: Axes) -> Tensor:
    return x * weight.view(1, -1, 1, 1, 1)


def _time_only(x: Tensor, weight: Tensor, axes: Axes) -> Tensor:
    return over_time(x, _evenly_padded(weight, axes), axes[0].after)


def _conv3d(x: Tensor, weight: Tensor, axes: Axes) -> Tensor:
    strides, pads = [axis.stride for axis in axes], [axis.after for axis in axes]
    weight = channels_last(_evenly_padded(weight, axes))
    y = F.conv3d(x, weight, None, strides, pads, groups=weight.shape[0])
    return channels_last(y)  # a small input on one thread takes another path in the library, which forgets the layout


def _evenly_padded(weight: Tensor, axes: Axes) -> Tensor:
    """The kernel with zero taps in front, which make the padding even without copying the input."""
    leads = [axis.after - axis.before for axis in axes]  # `before` is at most `after`
    return F.pad(weight, (leads[2], 0, leads[1], 0, leads[0], 0)) if any(leads) else weight


DEPTHWISE: Operation[Callable[[Tensor, Tensor, Axes], Tensor]] = Operation(
    "depthwise",
    CpuKernel("product", _product, is_product, "no convolution is needed", "1x1 maps"),
    CpuKernel(
        "over time",
        _time_only,
        lambda s: s.pointlike,
        "the library runs kt x 1 x 1 at 1-4 GFLOP/s in three dimensions, and fast in two: time by flattened map",
        "5x1x1, 184 channels, 8x8 map: 1.5 ms, library 19",
    ),
    CpuKernel(
        "conv3d",
        _conv3d,
        otherwise,
        "in channels-last memory the library's forward pass is the fastest there is",
        "3x3x3, 80 channels, 16x16 map: forward 0.8 ms",
    ),
)
