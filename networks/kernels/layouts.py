"""How maps lie in memory, in which precision, and with how much padding: what kernels and plain calls share.

Shapes: N clips, C channels, T frames, H x W map, P = N T H W rows of channels-last memory. Kernels expect
`channels_last_3d` memory, in which `[N*T, C, H, W]` channels-last and `[P, C]` are free views.
"""

from __future__ import annotations

import torch
from torch import Tensor


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


def rows(x_NCTHW: Tensor) -> Tensor:
    """[P, C]; a view of channels-last memory."""
    return x_NCTHW.permute(0, 2, 3, 4, 1).reshape(-1, x_NCTHW.shape[1])


def unrows(x_PC: Tensor, like_NCTHW: Tensor) -> Tensor:
    """Undoes `rows`: [N, C, T, H, W] with the other lengths of `like_NCTHW`."""
    n, _, t, h, w = like_NCTHW.shape
    return x_PC.view(n, t, h, w, -1).permute(0, 4, 1, 2, 3)
