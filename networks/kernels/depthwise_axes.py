"""What all kernels of the depthwise convolution know of it: its axes after cropping, and pieces of a batch.

Shapes: N clips, C channels, T frames, H x W input map; kernels [C, 1, kt, kh, kw].
"""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor

from networks.kernels.dispatch import Shape
from networks.kernels.layouts import same_padding

COPY_BYTES = 2 << 20  # temporary copies of more than four times this are made for a piece of the batch at a time


class Axis:
    """One axis of the convolution after cropping: taps `first:last` of the kernel remain.

    Attributes:
        size, out: input and output length.
        stride: 1 or 2.
        first, last: range of taps that meet the input at least once.
        before, after: zeros that the remaining taps need.
    """

    def __init__(self, size: int, kernel: int, stride: int, valid: bool = False) -> None:
        before, after = (0, 0) if valid else same_padding(size, kernel, stride)
        self.size, self.stride, self.out = size, stride, (size + before + after - kernel) // stride + 1
        # tap i meets inputs i - before, i - before + stride, ..., i - before + (out - 1) * stride
        reach = (self.out - 1) * stride
        self.first = max(0, before - reach)
        self.last = min(kernel, before + size)
        self.before = before - self.first
        self.after = after - (kernel - self.last)

    @property
    def taps(self) -> int:
        """How many taps remain."""
        return self.last - self.first

    def met(self, tap: int) -> tuple[slice, slice]:
        """Which inputs a tap meets, and at which outputs."""
        first = tap - self.before  # the input that output 0 meets
        begin = max(0, -(first // self.stride))  # outputs before meet padding
        end = min(self.out, (self.size - 1 - first) // self.stride + 1)
        return slice(first + begin * self.stride, first + (end - 1) * self.stride + 1, self.stride), slice(begin, end)


Axes: TypeAlias = tuple[Axis, Axis, Axis]
"""Time, height, width."""


def dispatch_shape(x: Tensor, axes: Axes) -> Shape:
    """The shape that kernels are dispatched by: of an input of that dtype and these axes."""
    t, h, w = axes
    return Shape(
        frames=t.size,
        height=h.size,
        width=w.size,
        bytes=x.element_size(),
        taps=(t.taps, h.taps, w.taps),
        stride=h.stride,
        valid=t.out < t.size,
    )


def is_product(shape: Shape) -> bool:
    """Whether the kernel is one tap without stride, so that no convolution is needed."""
    return shape.taps == (1, 1, 1) and shape.stride == 1


def accumulator(x: Tensor) -> torch.dtype:
    """The dtype of sums: float32, or wider where the map is."""
    return torch.promote_types(x.dtype, torch.float32)


def time_by_map(x_NCTHW: Tensor) -> Tensor:
    """Time as height and the flattened map as width: [N, C, T, H*W], channels last; a view."""
    return x_NCTHW.permute(0, 2, 3, 4, 1).flatten(2, 3).permute(0, 3, 1, 2)


def pieces(tensor: Tensor, large: Tensor) -> tuple[Tensor, ...]:
    """Splits a batch so that the part of `large` in a piece stays in cache; small ones stay whole."""
    size = large.numel() * large.element_size()
    if size <= 4 * COPY_BYTES:
        return (tensor,)
    return torch.split(tensor, max(1, COPY_BYTES * len(large) // size))
