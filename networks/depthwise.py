"""Depthwise 3-D convolution with SAME padding, fast forward and backward on CPU.

The library's own forward is good in channels-last memory; its backward runs at a fraction of that speed. Here:

- Taps that never meet the map (a 5x5 kernel on a 2x2 map, 7x1x1 on 3 frames) are cropped first. This is exact.
- A kernel of one tap is a product; purely temporal kernels with a stride subsample the map first.
- Input gradient: a *forward* convolution of the output gradient with the flipped kernel (strided: four of them, or
  one of the gradient spread with zeros).
- Weight gradient: 2-D weight gradients, which the library does fast only for kernels at most 3 wide on maps at least
  as high as the kernel: kernels are cut into strips of 3 columns, maps padded, and time is put where it costs least.

Which formulation serves which shape stands in `networks.choices`. In lower precision maps and their gradients have the
dtype of the input, kernels and their gradients that of the kernel; what is summed over pieces is summed in the latter.

Shapes: N clips, C channels, T frames, H x W input map; kernels [C, 1, kt, kh, kw].
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from networks.choices import STRIP, Shape, choose
from networks.formulations import autocast, channels_last, fold_frames, is_fast, same_padding, unfold_frames

PIECE = 2 << 20  # bytes: temporary copies of more than four times this are made a piece of the batch at a time


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


class _Axis:
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
        return self.last - self.first

    def met(self, tap: int) -> tuple[slice, slice]:
        """Which inputs a tap meets, and at which outputs."""
        first = tap - self.before  # the input that output 0 meets
        begin = max(0, -(first // self.stride))  # outputs before meet padding
        end = min(self.out, (self.size - 1 - first) // self.stride + 1)
        return slice(first + begin * self.stride, first + (end - 1) * self.stride + 1, self.stride), slice(begin, end)


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, valid: bool) -> Tensor:
        t = _Axis(x.shape[2], weight.shape[2], 1, valid)
        h, w = (_Axis(x.shape[i], weight.shape[i], stride) for i in (3, 4))
        axes: tuple[_Axis, ...] = (t, h, w)
        x = channels_last(x)
        cropped = weight.to(x.dtype)[:, :, t.first : t.last, h.first : h.last, w.first : w.last]
        subsample = stride > 1 and h.taps == w.taps == 1 and h.before == w.before == 0
        if subsample:
            x = channels_last(x[:, :, :, ::stride, ::stride])
            axes = (t, *(_Axis(x.shape[i], 1, 1) for i in (3, 4)))
        ctx.save_for_backward(x, cropped)
        ctx.axes, ctx.full, ctx.dtype = axes, weight.shape, weight.dtype
        ctx.subsample = (stride, h.size, w.size) if subsample else None
        ctx.crop = (t.first, h.first, w.first)
        return _forward(x, cropped, axes)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        grad = channels_last(grad)
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_x = _input_gradient(grad, weight, ctx.axes)
            if ctx.subsample:
                stride, height, width = ctx.subsample
                spread = grad_x.new_zeros(grad_x.shape[0], grad_x.shape[2], height, width, grad_x.shape[1])
                spread = spread.permute(0, 4, 1, 2, 3)
                spread[:, :, :, ::stride, ::stride] = grad_x
                grad_x = spread
        if ctx.needs_input_grad[1]:
            pieces = zip(_pieces(grad, x), _pieces(x, x), strict=True)
            grad_weight = _sum(_weight_gradient(g, piece, ctx.axes) for g, piece in pieces)
            if grad_weight.shape != ctx.full:
                whole = grad_weight.new_zeros(ctx.full, dtype=ctx.dtype)
                ranges = [slice(first, first + n) for first, n in zip(ctx.crop, grad_weight.shape[2:], strict=True)]
                whole[:, :, ranges[0], ranges[1], ranges[2]] = grad_weight
                grad_weight = whole
            grad_weight = grad_weight.to(ctx.dtype)
        return grad_x, grad_weight, None, None


def _chosen(operation: str, x: Tensor, axes: tuple[_Axis, ...]) -> str:
    """The formulation of `networks.choices` for an input of that dtype and these axes."""
    t, h, w = axes
    shape = Shape(
        frames=t.size,
        height=h.size,
        width=w.size,
        bytes=x.element_size(),
        taps=(t.taps, h.taps, w.taps),
        stride=h.stride,
        valid=t.out < t.size,
    )
    return choose(operation, shape)


def _forward(x: Tensor, weight: Tensor, axes: tuple[_Axis, ...]) -> Tensor:
    how = _chosen("depthwise", x, axes)
    if how == "product":
        return x * weight.view(1, -1, 1, 1, 1)
    # `before` is at most `after`: zero taps in front of the kernel make the padding even without copying the input.
    leads = [axis.after - axis.before for axis in axes]
    if any(leads):
        weight = F.pad(weight, (leads[2], 0, leads[1], 0, leads[0], 0))
    if how == "over time":
        return _over_time(x, weight, axes[0].after)
    assert how == "conv3d", how
    strides, pads = [axis.stride for axis in axes], [axis.after for axis in axes]
    y = F.conv3d(x, channels_last(weight), None, strides, pads, groups=weight.shape[0])
    return channels_last(y)  # a small input on one thread takes another path in the library, which forgets the layout


def _rows(x: Tensor) -> Tensor:
    """Time as height and the flattened map as width: [N, C, T, H*W], channels last; a view."""
    return x.permute(0, 2, 3, 4, 1).flatten(2, 3).permute(0, 3, 1, 2)


def _over_time(x: Tensor, weight: Tensor, pad: int) -> Tensor:
    """A purely temporal kernel as a 2-D convolution over (T, H*W): many times as fast as the library's 3-D one."""
    kernel = weight[..., 0].contiguous(memory_format=torch.channels_last)
    y = F.conv2d(_rows(x), kernel, padding=(pad, 0), groups=len(weight))
    return channels_last(y.view(*y.shape[:3], *x.shape[3:]))


def _input_gradient(grad: Tensor, weight: Tensor, axes: tuple[_Axis, ...]) -> Tensor:
    """Forward convolution of the output gradient with the flipped kernel."""
    how = _chosen("depthwise input gradient", grad, axes)
    if how == "product":
        return grad * weight.view(1, -1, 1, 1, 1)
    if how == "2-D library":
        return _input_gradient_2d(grad, weight, axes)
    if how == "by parity":
        return _input_gradient_by_parity(grad, weight, axes)
    t, h, w = axes
    flipped = channels_last(weight.flip(2, 3, 4))
    if how == "over time":
        return _over_time(grad, flipped, t.taps - 1 - t.before)
    if how == "flipped":
        pads = [axis.taps - 1 - axis.before for axis in axes]
        return channels_last(F.conv3d(grad, flipped, padding=pads, groups=weight.shape[0]))
    assert how == "spread", how
    channels, frames = grad.shape[1:3]
    rows, columns = (slice(axis.taps - 1 - axis.before, None, axis.stride) for axis in (h, w))
    pads = [t.taps - 1 - t.before, 0, 0]

    def piece_gradient(piece: Tensor) -> Tensor:
        spread = grad.new_zeros(len(piece), frames, h.size + h.taps - 1, w.size + w.taps - 1, channels)
        spread[:, :, rows, columns][:, :, : h.out, : w.out] = piece.permute(0, 2, 3, 4, 1)
        return F.conv3d(spread.permute(0, 4, 1, 2, 3), flipped, padding=pads, groups=channels)

    shape = (len(grad), channels, t.size, h.size, w.size)
    result = torch.empty(shape, dtype=grad.dtype, device=grad.device, memory_format=torch.channels_last_3d)
    outs = _pieces(result, result)
    if len(outs) == 1:
        return channels_last(piece_gradient(grad))
    for piece, out in zip(_pieces(grad, result), outs, strict=True):
        out.copy_(piece_gradient(piece))
    return result


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

    def __init__(self, axis: _Axis, first: int) -> None:
        self.inputs, self.count = slice(first, None, 2), len(range(first, axis.size, 2))
        self.tap, m = (first + axis.before) % 2, (first + axis.before) // 2
        self.taps = len(range(self.tap, axis.taps, 2))
        low, high = self.taps - 1 - m, self.count + m - axis.out
        self.grads = slice(max(0, -low), axis.out + min(0, high))
        self.pad = max(low, high, 0)
        self.edges = (self.pad - max(low, 0), self.pad - max(high, 0))


def _input_gradient_by_parity(grad: Tensor, weight: Tensor, axes: tuple[_Axis, ...]) -> Tensor:
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
            out.copy_(_over_time(met, taps, pad))
        else:
            out.copy_(F.conv3d(met, taps, padding=(pad, rows.pad, columns.pad), groups=len(taps)))
    return result


def _input_gradient_2d(grad: Tensor, weight: Tensor, axes: tuple[_Axis, ...]) -> Tensor:
    """The library's own, frames folded; zero taps in front of the kernel make its padding even, as in `_forward`."""
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


def _pieces(tensor: Tensor, large: Tensor) -> tuple[Tensor, ...]:
    """Splits a batch so that the part of `large` in a piece stays in cache; small ones stay whole."""
    size = large.numel() * large.element_size()
    if size <= 4 * PIECE:
        return (tensor,)
    return torch.split(tensor, max(1, PIECE * len(large) // size))


def _sum(tensors: Iterable[Tensor]) -> Tensor:
    total, *others = tensors
    for tensor in others:
        total += tensor
    return total


def _weight_gradient(grad: Tensor, x: Tensor, axes: tuple[_Axis, ...]) -> Tensor:
    """[C, 1, taps of each axis]."""
    t, _, _ = axes
    how = _chosen("depthwise weight gradient", x, axes)
    if how == "product":
        return (grad * x).sum((0, 2, 3, 4), dtype=_accumulator(x)).view(-1, 1, 1, 1, 1)
    if how == "over time":
        return _gradient_2d(_rows(grad), _rows(x), t.taps, 1, 1, t.before, 0)[..., None]
    if how == "by rows":
        return _by_rows(grad, x, axes)
    if how == "by taps":
        return _by_taps(grad, x, axes)
    assert how == "by frames", how
    if t.out < t.size:  # frames of zeros behind make the gradient as long as the input
        behind = (0, 0, 0, 0, 0, 0, 0, t.size - t.out)
        grad = F.pad(grad.permute(0, 2, 3, 4, 1), behind).permute(0, 4, 1, 2, 3)
    return _by_frames(grad, x, axes)


def _accumulator(x: Tensor) -> torch.dtype:
    """What sums are kept in: float32, or wider where the map is."""
    return torch.promote_types(x.dtype, torch.float32)


def _gradient_2d(
    grad: Tensor, x: Tensor, height: int, width: int, stride: int, pad_height: int, pad_width: int
) -> Tensor:
    """Depthwise weight gradient [C, 1, height, width] of a 2-D convolution, channels-last inputs."""
    weight = x.new_empty((x.shape[1], 1, height, width)).to(memory_format=torch.channels_last)
    result: Tensor = torch.ops.aten.convolution_backward(
        grad,
        x,
        weight,
        None,
        [stride, stride],
        [pad_height, pad_width],
        [1, 1],
        False,
        [0, 0],
        x.shape[1],
        [False, True, False],
    )[1]
    return result.to(_accumulator(x))


def _by_frames(grad: Tensor, x: Tensor, axes: tuple[_Axis, ...]) -> Tensor:
    """For each temporal tap and strip of columns, the gradient of all frames against the frames that it shifts to.

    A shift in time is a shift of the folded frames: a view. It pairs the frames at the seams with those of the
    neighbouring clip; what these add is computed apart and taken off, which is cheaper than padded copies.
    """
    t, h, w = axes
    clips, channels = x.shape[:2]
    frames = clips * t.size
    grad_2d = fold_frames(grad)
    native = w.taps <= STRIP and h.size >= h.taps and h.before == h.after and w.before == w.after
    pads = (h.before, w.before) if native else (0, 0)
    result = x.new_empty(channels, 1, t.taps, h.taps, w.taps, dtype=_accumulator(x))
    for left in range(0, w.taps, STRIP):
        taps = min(STRIP, w.taps - left)
        strip = x
        if not native:  # exactly the columns and rows that these taps meet; negative padding crops
            right = (w.out - 1) * w.stride + taps + left - w.before - w.size
            bottom = (h.out - 1) * h.stride + h.taps - h.before - h.size
            edges = (0, 0, w.before - left, right, h.before, bottom)
            strip = F.pad(x.permute(0, 2, 3, 4, 1), edges).permute(0, 4, 1, 2, 3)
        strip_2d = fold_frames(strip)
        for tap in range(t.taps):
            shift = tap - t.before
            ahead, behind = max(0, shift), max(0, -shift)
            gradient = _gradient_2d(
                grad_2d[behind : frames - ahead], strip_2d[ahead : frames - behind], h.taps, taps, h.stride, *pads
            )
            if shift and clips > 1:
                # clip n's last frames against clip n + 1's first, or the other way round
                early, late = slice(0, abs(shift)), slice(t.size - abs(shift), t.size)
                out, into = (late, early) if shift > 0 else (early, late)
                ones, others = (slice(0, -1), slice(1, None)) if shift > 0 else (slice(1, None), slice(0, -1))
                seam_grad, seam_x = (fold_frames(v) for v in (grad[ones, :, out], strip[others, :, into]))
                gradient -= _gradient_2d(seam_grad, seam_x, h.taps, taps, h.stride, *pads)
            result[:, :, tap, :, left : left + taps] = gradient
    return result


def _by_rows(grad: Tensor, x: Tensor, axes: tuple[_Axis, ...]) -> Tensor:
    """For each row of the kernel, one 2-D gradient with time as height and the flattened map as width.

    The map is zero-padded behind, so that a shift by a row of the kernel is a shift of the flattened memory: a view.
    """
    t, h, w = axes
    clips, channels = x.shape[:2]
    pitch = w.size + max(w.before, w.after)
    area = (h.size + max(h.before, h.after)) * pitch
    margin = h.taps * pitch

    def flat(v: Tensor) -> Tensor:
        buffer = v.new_zeros(2 * margin + clips * t.size * area, channels)
        body = buffer[margin : margin + clips * t.size * area].view(clips, t.size, -1, pitch, channels)
        body[:, :, : h.size, : w.size] = v.permute(0, 2, 3, 4, 1)
        return buffer

    def image(buffer: Tensor, shift: int) -> Tensor:
        start = margin + shift
        return buffer[start : start + clips * t.size * area].view(clips, t.size, area, channels).permute(0, 3, 1, 2)

    grad_flat, x_flat = image(flat(grad), 0), flat(x)
    result = x.new_empty(channels, 1, t.taps, h.taps, w.taps, dtype=_accumulator(x))
    for row in range(h.taps):
        shifted = image(x_flat, (row - h.before) * pitch)
        result[:, :, :, row] = _gradient_2d(grad_flat, shifted, t.taps, w.taps, 1, t.before, w.before)
    return result


def _by_taps(grad: Tensor, x: Tensor, axes: tuple[_Axis, ...]) -> Tensor:
    """For each tap in space, the positions that it meets are gathered, then one 2-D gradient over (T, map)."""
    t, h, w = axes
    result = x.new_empty(x.shape[1], 1, t.taps, h.taps, w.taps, dtype=_accumulator(x))
    met = torch.zeros_like(grad)
    for row in range(h.taps):
        from_rows, to_rows = h.met(row)
        for column in range(w.taps):
            from_columns, to_columns = w.met(column)
            met.zero_()
            met[:, :, :, to_rows, to_columns] = x[:, :, :, from_rows, from_columns]
            result[:, :, :, row, column] = _gradient_2d(_rows(grad), _rows(met), t.taps, 1, 1, t.before, 0)[..., 0]
    return result
