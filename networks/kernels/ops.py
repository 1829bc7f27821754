"""Operations on maps but the depthwise convolution, each behind one function: a kernel, or the library's plain call.

Shapes: N clips, I/O channels (input, output), T frames, H x W map.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from networks.kernels.dispatch import CpuKernel, Operation, Shape, is_fast, otherwise
from networks.kernels.layouts import autocast, channels_last, fold_frames, precision, same_padding, unfold_frames
from networks.kernels.pointwise_kernels import gated_pointwise
from searchspace.cost import GATED_POSITIONS


def pointwise_shape(x_NCTHW: Tensor, weight_OI: Tensor, groups: int = 1) -> Shape:
    """The shape that kernels of pointwise convolutions are dispatched by."""
    (n, inputs, t, h, w), outputs = x_NCTHW.shape, len(weight_OI)
    return Shape(n, t, h, w, inputs, outputs, precision(x_NCTHW).itemsize, groups=groups)


def _conv2d(x_NCTHW: Tensor, weight_OI: Tensor) -> Tensor:
    y = F.conv2d(fold_frames(channels_last(x_NCTHW)), weight_OI[:, :, None, None])
    return unfold_frames(y, x_NCTHW.shape[0])


def _linear(x_NCTHW: Tensor, weight_OI: Tensor) -> Tensor:
    return F.linear(x_NCTHW.permute(0, 2, 3, 4, 1), weight_OI).permute(0, 4, 1, 2, 3)


POINTWISE: Operation[Callable[[Tensor, Tensor], Tensor]] = Operation(
    "pointwise",
    CpuKernel(
        "conv2d",
        _conv2d,
        lambda s: s.clips * s.frames > 1 and s.area >= 9,
        "frames folded into the batch keep channels-last memory in the library's 2-D convolution",
        "40 -> 120, 16384 rows: 12.8 ms, linear 15.3",
    ),
    CpuKernel(
        "linear",
        _linear,
        otherwise,
        "on small maps and single frames the library convolves in a slower way",
        "480 -> 144, 128 rows: 0.7 ms, conv3d 0.8",
    ),
)


def _gated_weights(x_NCTHW: Tensor, gate: Tensor, weight_OI: Tensor) -> Tensor:
    return gated_pointwise(autocast(x_NCTHW), gate, weight_OI)


def _gated_map(x_NCTHW: Tensor, gate: Tensor, weight_OI: Tensor) -> Tensor:
    x_NCTHW = gated(x_NCTHW, gate)
    return POINTWISE.kernel(pointwise_shape(x_NCTHW, weight_OI)).run(x_NCTHW, weight_OI)


GATED_POINTWISE: Operation[Callable[[Tensor, Tensor, Tensor], Tensor]] = Operation(
    "gated pointwise",
    CpuKernel(
        "weights",
        _gated_weights,
        lambda s: s.rows // s.groups >= GATED_POSITIONS,
        "gates scale the few weights, not the wide map: a pass less forward, three less backward",
        "120 -> 40, 8 x 2048 rows: 9.9 ms, map 17.3; bfloat16 4.0, map 5.5",
    ),
    CpuKernel(
        "map",
        _gated_map,
        otherwise,
        "products of many small matrices are slow",
        "480 -> 144, 8 x 32 rows: 1.4 ms, weights 2.6",
    ),
)


def pointwise(x_NCTHW: Tensor, weight_OI: Tensor, gate: Tensor | None = None) -> Tensor:
    """1x1x1 convolution without bias: [N, I, T, H, W] -> [N, O, T, H, W].

    Args:
        x_NCTHW: input.
        weight_OI: of the convolution.
        gate: multiplies each channel of the input, of each clip, [N, I], or of each frame, [N, T, I].
    """
    if not is_fast(x_NCTHW):
        x_NCTHW = x_NCTHW if gate is None else gated(x_NCTHW, gate)
        return F.conv3d(x_NCTHW, weight_OI[:, :, None, None, None])
    if gate is None:
        return POINTWISE.kernel(pointwise_shape(x_NCTHW, weight_OI)).run(x_NCTHW, weight_OI)
    shape = pointwise_shape(x_NCTHW, weight_OI, gate.numel() // gate.shape[-1])
    return GATED_POINTWISE.kernel(shape).run(x_NCTHW, gate, weight_OI)


def gated(x_NCTHW: Tensor, gate: Tensor) -> Tensor:
    """Each channel times its gate, of each clip, [N, C], or of each frame, [N, T, C]."""
    gate = gate[:, :, None] if gate.dim() == 2 else gate.transpose(1, 2)
    return x_NCTHW * gate[:, :, :, None, None].to(x_NCTHW.dtype)


def spatial_conv(x_NCTHW: Tensor, weight: Tensor, stride: int) -> Tensor:
    """1xkxk convolution (not depthwise) with SAME padding, such as the stem; the library's own is fast enough.

    Args:
        x_NCTHW: input, [N, I, T, H, W].
        weight: [O, I, 1, kh, kw].
        stride: spatial stride.
    """
    top, bottom = same_padding(x_NCTHW.shape[3], weight.shape[3], stride)
    left, right = same_padding(x_NCTHW.shape[4], weight.shape[4], stride)
    return F.conv3d(F.pad(x_NCTHW, (left, right, top, bottom)), weight, None, (1, stride, stride))


def skip_pool(x_NCTHW: Tensor) -> Tensor:
    """Average pool 1x3x3, spatial stride 2, SAME, padding left out of the mean (the skip of a strided layer).

    Ceil mode is what TensorFlow does for even sizes; for odd ones, padded on both sides, it changes nothing.
    """
    height, width = x_NCTHW.shape[3:]
    y = F.avg_pool2d(fold_frames(x_NCTHW), 3, 2, (height % 2, width % 2), ceil_mode=True, count_include_pad=False)
    return unfold_frames(y, x_NCTHW.shape[0])


def global_pool(x_NCTHW: Tensor) -> Tensor:
    """Mean over frames and map, [N, C].

    Fast: a sum, scaled afterwards; its gradient stays a broadcast view where that of `mean` is written out in full.
    """
    if is_fast(x_NCTHW):
        positions = x_NCTHW.shape[2] * x_NCTHW.shape[3] * x_NCTHW.shape[4]
        return x_NCTHW.sum((2, 3, 4)) * (1.0 / positions)
    return x_NCTHW.mean((2, 3, 4))
