"""What passes from frame to frame in a causal network, as pure functions: `result, state = function(x, state)`.

A state is a dictionary of tensors, here those of one layer; a missing dictionary means a stream that starts. Every
stream of a batch has its own row, counters included. No tensor that comes in is changed.

| name | shape | holds |
|---|---|---|
| `stream_buffer` | [N, C, kt - 1, H, W] | the last frames that a temporal kernel still needs; of a temporal shift the \
one last frame of the channels that it shifts |
| `pool_buffer` | [N, C] | sum of the spatial means of all frames so far |
| `pool_frame_count` | int32 [N] | how many they were |
| `pos_enc_frame_count` | int32 [N] | index of the next frame |

Stream buffers, cumulative pooling and positions: arXiv 2103.11511, section 3.2 and its reference code. Temporal shift:
arXiv 1811.08383.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from searchspace.state_shapes import BUFFER, POOL, POOL_COUNT, POSITION

State: TypeAlias = dict[str, Tensor]
StateLike: TypeAlias = Mapping[str, Tensor]


def buffered(x_NCTHW: Tensor, frames: int, state: StateLike | None) -> tuple[Tensor, State]:
    """Puts the `frames` before a clip in front of it, zeros where the stream starts.

    Returns:
        [N, C, frames + T, H, W], and the last `frames` of it as `stream_buffer`.
    """
    if state is None:
        shape = (*x_NCTHW.shape[:2], frames, *x_NCTHW.shape[3:])
        before = torch.zeros((), dtype=x_NCTHW.dtype, device=x_NCTHW.device).expand(shape)
    else:
        before = state[BUFFER]
    # joined as N T H W C, so that the memory stays channels last whatever the buffer's is
    joined = torch.cat([before.permute(0, 2, 3, 4, 1), x_NCTHW.permute(0, 2, 3, 4, 1)], 1).permute(0, 4, 1, 2, 3)
    return joined, {BUFFER: joined[:, :, joined.shape[2] - frames :].clone()}  # a view would keep the whole clip


def shifted(x_NCTHW: Tensor, channels: int, causal: bool, state: StateLike | None) -> tuple[Tensor, State]:
    """The first `channels` of each frame from the frame before, zeros where the stream starts; all others stay.

    Where the network is not causal, the next `channels` come from the frame after, zeros at the clip's end.

    Returns:
        The same shape, and in causal networks the last frame of the first channels as `stream_buffer`.
    """
    if causal:
        joined, after = buffered(x_NCTHW[:, :channels], 1, state)
        parts, done = [joined[:, :, :-1]], channels
    else:
        past, future = x_NCTHW[:, :channels], x_NCTHW[:, channels : 2 * channels]
        parts, done, after = [_moved(past, 1), _moved(future, -1)], 2 * channels, State()
    rows = [part.permute(0, 2, 3, 4, 1) for part in (*parts, x_NCTHW[:, done:])]  # channels last, as in `buffered`
    return torch.cat(rows, -1).permute(0, 4, 1, 2, 3), after


def _moved(x_NCTHW: Tensor, frames: int) -> Tensor:
    """Frames moved later by `frames` (-1: earlier), zeros where none comes from."""
    return F.pad(x_NCTHW, (0, 0, 0, 0, frames, -frames))


def spatial_means(x_NCTHW: Tensor) -> Tensor:
    """Mean over the map of each frame, [N, T, C]; as a sum, whose gradient is a broadcast view."""
    return (x_NCTHW.sum((3, 4)) * (1.0 / (x_NCTHW.shape[3] * x_NCTHW.shape[4]))).transpose(1, 2)


def cumulative_means(means_NTC: Tensor, state: StateLike | None) -> tuple[Tensor, State]:
    """Mean over all frames up to each frame, [N, T, C] -> [N, T, C]."""
    frames = means_NTC.shape[1]
    sums = means_NTC.cumsum(1)
    counts = torch.arange(1, frames + 1, device=means_NTC.device, dtype=torch.int32)
    if state is None:
        counts = counts.expand(len(means_NTC), frames)
    else:
        sums = sums + state[POOL][:, None]
        counts = counts + state[POOL_COUNT][:, None]
    return sums / counts[:, :, None], {POOL: sums[:, -1].contiguous(), POOL_COUNT: counts[:, -1].contiguous()}


def running_mean(means_NTC: Tensor, state: StateLike | None) -> tuple[Tensor, State]:
    """Mean over all frames so far, one vector a call: [N, T, C] -> [N, C]."""
    total, frames = means_NTC.sum(1), means_NTC.shape[1]
    count = torch.full((len(total),), frames, dtype=torch.int32, device=total.device)
    if state is not None:
        total, count = total + state[POOL], count + state[POOL_COUNT]
    return total / count[:, None], {POOL: total, POOL_COUNT: count}


def position_rates(channels: int, device: torch.device | None = None) -> Tensor:
    """How fast each channel of the encoding turns, in radians per frame, [channels]."""
    index = torch.arange(channels, device=device, dtype=torch.float32)
    return torch.pow(10000.0, -2.0 * torch.floor(index / 2) / channels)


def position_encoding(positions: Tensor, channels: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Sines of even channels, then cosines of odd ones (concatenated, not interleaved): [...] -> [..., channels].

    Channel i turns at the rate 10000^(-2 floor(i / 2) / channels) per frame.
    """
    # computed where the positions are: a table of all positions would bound the length of a stream
    angles = positions[..., None].to(torch.float32) * position_rates(channels, positions.device)
    return torch.cat([angles[..., 0::2].sin(), angles[..., 1::2].cos()], -1).to(dtype)


def positions(x_NTC: Tensor, scale: Tensor, state: StateLike | None) -> tuple[Tensor, State]:
    """Adds `scale` times the encoding of each frame's index, counted from the stream's start."""
    index = torch.arange(x_NTC.shape[1], device=x_NTC.device, dtype=torch.int32)
    index = index.expand(x_NTC.shape[:2]) if state is None else index + state[POSITION][:, None]
    return x_NTC + scale * position_encoding(index, x_NTC.shape[2], x_NTC.dtype), {POSITION: index[:, -1] + 1}
