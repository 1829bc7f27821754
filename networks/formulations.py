"""Every operation of a network behind one function each: a formulation that is fast on CPU, or the plain library call.

Which one at which shape stands in `networks.choices`. The plain calls are the reference that the fast ones are tested
against; other devices always get the plain calls. `formulation("reference")` switches all hand formulations off.

Shapes: N clips, C/I/O channels (input, output), T frames, H x W map. Fast forms expect `channels_last_3d` memory, in
which `[N*T, C, H, W]` channels-last and `[N*T*H*W, C]` are free views.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from networks import joined
from networks.choices import Shape, is_first

NAMES = ("fast", "reference")
_current = "fast"


@contextlib.contextmanager
def formulation(name: str) -> Iterator[None]:
    """Chooses the formulation of all operations inside a `with` block, in every thread.

    Args:
        name: "fast" (the default everywhere) or "reference".

    Raises:
        ValueError: another name.
    """
    global _current
    if name not in NAMES:
        raise ValueError(f"formulation {name!r}: allowed are {', '.join(NAMES)}")
    before, _current = _current, name
    try:
        yield
    finally:
        _current = before


def current() -> str:
    """The name of the formulation that is chosen."""
    return _current


def is_fast(x: Tensor) -> bool:
    """Whether a hand formulation serves this tensor."""
    return _current == "fast" and x.device.type == "cpu"


def precision(x: Tensor) -> torch.dtype:
    """The dtype that the library's calls would compute in: that of the tensor, or what `torch.autocast` asks for."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def autocast(x: Tensor) -> Tensor:
    """The tensor in that precision, as functions with a gradient of their own must do for themselves."""
    return x.to(precision(x))


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME padding (before, after): ceil(size / stride) outputs, the odd zero behind."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def channels_last(x_NCTHW: Tensor) -> Tensor:
    """The same tensor in `channels_last_3d` memory."""
    return x_NCTHW.contiguous(memory_format=torch.channels_last_3d)


def fold_frames(x_NCTHW: Tensor) -> Tensor:
    """View [N*T, C, H, W], channels last; free for `channels_last_3d` memory."""
    return x_NCTHW.transpose(1, 2).flatten(0, 1)


def unfold_frames(x: Tensor, clips: int) -> Tensor:
    """Undoes `fold_frames`."""
    return x.reshape(clips, -1, *x.shape[1:]).transpose(1, 2)


def pointwise(x_NCTHW: Tensor, weight_OI: Tensor, gate: Tensor | None = None) -> Tensor:
    """1x1x1 convolution without bias: [N, I, T, H, W] -> [N, O, T, H, W].

    Args:
        x_NCTHW: input.
        weight_OI: of the convolution.
        gate: multiplies each channel of the input, of each clip, [N, I], or of each frame, [N, T, I].
    """
    fast = is_fast(x_NCTHW)
    if gate is not None:
        gates = gate.numel() // gate.shape[-1]
        if fast and is_first("gated pointwise", _shape(x_NCTHW, weight_OI, gates), "weights", "map"):
            return joined.gated_pointwise(autocast(x_NCTHW), gate, weight_OI)
        x_NCTHW = gated(x_NCTHW, gate)
    if not fast:
        return F.conv3d(x_NCTHW, weight_OI[:, :, None, None, None])
    if is_first("pointwise", _shape(x_NCTHW, weight_OI), "conv2d", "linear"):
        y = F.conv2d(fold_frames(channels_last(x_NCTHW)), weight_OI[:, :, None, None])
        return unfold_frames(y, x_NCTHW.shape[0])
    return F.linear(x_NCTHW.permute(0, 2, 3, 4, 1), weight_OI).permute(0, 4, 1, 2, 3)


def gated(x_NCTHW: Tensor, gate: Tensor) -> Tensor:
    """Each channel times its gate, of each clip, [N, C], or of each frame, [N, T, C]."""
    gate = gate[:, :, None] if gate.dim() == 2 else gate.transpose(1, 2)
    return x_NCTHW * gate[:, :, :, None, None].to(x_NCTHW.dtype)


def is_folded(x_NCTHW: Tensor, weight_OI: Tensor) -> bool:
    """Whether a pointwise convolution, its BatchNorm and activation are one function here; see `networks.joined`."""
    operation = "pointwise, BatchNorm, activation"
    return is_fast(x_NCTHW) and is_first(operation, _shape(x_NCTHW, weight_OI), "folded", "in turn")


def _shape(x_NCTHW: Tensor, weight_OI: Tensor, groups: int = 1) -> Shape:
    (n, inputs, t, h, w), outputs = x_NCTHW.shape, len(weight_OI)
    return Shape(n, t, h, w, inputs=inputs, outputs=outputs, bytes=precision(x_NCTHW).itemsize, groups=groups)


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
