"""Kernels of the gradient of a depthwise convolution by its weights: 2-D weight gradients of the library.

The library does those fast only for kernels at most 3 wide on maps at least as high as the kernel: kernels are cut into
strips of 3 columns, maps padded, and time is put where it costs least.

Shapes: N clips, C channels, T frames, H x W input map; results [C, 1, taps of each axis].
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from networks.kernels.depthwise_axes import Axes, accumulator, is_product, time_by_map
from networks.kernels.dispatch import CpuKernel, Operation, Shape, otherwise
from networks.kernels.layouts import fold_frames

STRIP = 3  # columns: the widest kernel whose 2-D depthwise weight gradient is fast in the library


def _product(grad: Tensor, x: Tensor, axes: Axes) -> Tensor:
    return (grad * x).sum((0, 2, 3, 4), dtype=accumulator(x)).view(-1, 1, 1, 1, 1)


def _time_only(grad: Tensor, x: Tensor, axes: Axes) -> Tensor:
    t, _, _ = axes
    return _gradient_2d(time_by_map(grad), time_by_map(x), t.taps, 1, 1, t.before, 0)[..., None]


def _by_rows(grad: Tensor, x: Tensor, axes: Axes) -> Tensor:
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
    result = x.new_empty(channels, 1, t.taps, h.taps, w.taps, dtype=accumulator(x))
    for row in range(h.taps):
        shifted = image(x_flat, (row - h.before) * pitch)
        result[:, :, :, row] = _gradient_2d(grad_flat, shifted, t.taps, w.taps, 1, t.before, w.before)
    return result


def _by_taps(grad: Tensor, x: Tensor, axes: Axes) -> Tensor:
    """For each tap in space, the positions that it meets are gathered, then one 2-D gradient over (T, map)."""
    t, h, w = axes
    result = x.new_empty(x.shape[1], 1, t.taps, h.taps, w.taps, dtype=accumulator(x))
    met = torch.zeros_like(grad)
    for row in range(h.taps):
        from_rows, to_rows = h.met(row)
        for column in range(w.taps):
            from_columns, to_columns = w.met(column)
            met.zero_()
            met[:, :, :, to_rows, to_columns] = x[:, :, :, from_rows, from_columns]
            gradient = _gradient_2d(time_by_map(grad), time_by_map(met), t.taps, 1, 1, t.before, 0)
            result[:, :, :, row, column] = gradient[..., 0]
    return result


def _by_frames(grad: Tensor, x: Tensor, axes: Axes) -> Tensor:
    """For each temporal tap and strip of columns, the gradient of all frames against the frames that it shifts to.

    A shift in time is a shift of the folded frames: a view. It pairs the frames at the seams with those of the
    neighbouring clip; what these add is computed apart and taken off, which is cheaper than padded copies.
    """
    t, h, w = axes
    clips, channels = x.shape[:2]
    frames = clips * t.size
    if t.out < t.size:  # frames of zeros behind make the gradient as long as the input
        zeros = (0, 0, 0, 0, 0, 0, 0, t.size - t.out)
        grad = F.pad(grad.permute(0, 2, 3, 4, 1), zeros).permute(0, 4, 1, 2, 3)
    grad_2d = fold_frames(grad)
    native = w.taps <= STRIP and h.size >= h.taps and h.before == h.after and w.before == w.after
    pads = (h.before, w.before) if native else (0, 0)
    result = x.new_empty(channels, 1, t.taps, h.taps, w.taps, dtype=accumulator(x))
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
    return result.to(accumulator(x))


def _few_rows(s: Shape) -> bool:
    """No stride, padded in time, kernels to 3 wide: 5 taps and more in time on maps to 8x8, 3 or 4 on maps to 2x2."""
    return (
        s.stride == 1
        and not s.valid
        and s.taps[2] <= STRIP
        and s.frames >= s.taps[0] >= 3
        and s.area <= (64 if s.taps[0] >= 5 else 4)
    )


WEIGHT_GRADIENT: Operation[Callable[[Tensor, Tensor, Axes], Tensor]] = Operation(
    "depthwise weight gradient",
    CpuKernel("product", _product, is_product, "as forward", "1x1 maps"),
    CpuKernel(
        "over time",
        _time_only,
        lambda s: s.pointlike,
        "one 2-D gradient over time by flattened map",
        "5x1x1, 184 channels, 8x8 map: 0.3 ms",
    ),
    CpuKernel(
        "by rows",
        _by_rows,
        _few_rows,
        "a 2-D gradient kt x kw over time by map for each of kh rows: fewer calls, no seams between clips",
        "5x3x3, 184 channels, 8x8 map: 2.1 ms",
    ),
    CpuKernel(
        "by taps",
        _by_taps,
        lambda s: s.stride > 1 and not s.valid and s.taps[0] >= 5 and s.area <= 64,
        "a 2-D gradient over time by map for each of kh x kw taps, of the positions that it meets",
        "5x3x3 stride 2, 384 channels, 8x8 map: 4.3 ms, by frames 8.7; 16x16 map: 16.3, by frames 8.9",
    ),
    CpuKernel(
        "by frames",
        _by_frames,
        otherwise,
        "a 2-D gradient kh x 3 over the map for each of kt frames and each 3 columns: what the library does fast",
        "3x3x3, 80 channels, 16x16 map: 1.7 ms; 1x5x5 stride 2, 24 channels, 64x64 map: 10.4",
    ),
)
