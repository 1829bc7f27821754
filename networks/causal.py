"""Causal operations as modules for networks of one's own, over the functions that `networks.MoViNet` runs on.

    y, state = piece(x, state)

Each takes frames of any number and the state that it gave with the frames before (None where streams start), and
gives the state to take next time: a dictionary of one row a stream, see `networks.temporal`. Whole clips and any
chunking of them give the same.

Shapes: N streams, C channels, T frames, H x W map.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networks import layers, temporal
from networks.formulations import same_padding
from networks.temporal import State
from networks.tensors import check_tensor, check_tensors
from searchspace import STREAM, Form, Kernel, squeeze_width
from searchspace.clip import SHIFT_SHARE


class _Piece(nn.Module):
    """What the modules below share: checked frames and a checked state."""

    def __call__(self, x_NCTHW: Tensor, state: Mapping[str, Tensor] | None = None) -> Any:
        """`forward`, for tensors only; raises `ValueError` for anything else."""
        check_tensor(x_NCTHW, "frames")
        if state is not None:
            check_tensors(state)
        return super().__call__(x_NCTHW, state)

    def _checked(self, state: Mapping[str, Tensor] | None, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Refuses a state with other tensors than `shapes` names."""
        if state is None:
            return
        for name in [*shapes, *state]:
            given = list(state[name].shape) if name in state else "nothing"
            if name not in shapes or given != list(shapes[name]):
                wanted = list(shapes[name]) if name in shapes else "nothing"
                raise ValueError(
                    f"state tensor {name!r} of {type(self).__name__} is {given}, expected {wanted}; give the state "
                    "that came with the frames before, or None where streams start"
                )


class StreamBuffer(_Piece):
    """Puts the last frames of what came before in front of a clip, zeros at the start.

    Args:
        frames: how many, at least 1: the length of the temporal kernel that follows, minus 1.

    Raises:
        ValueError: `frames` below 1.
    """

    def __init__(self, frames: int) -> None:
        super().__init__()
        if frames < 1:
            raise ValueError(f"buffer of {frames} frames; allowed: at least 1")
        self.frames = frames

    def forward(self, x_NCTHW: Tensor, state: Mapping[str, Tensor] | None = None) -> tuple[Tensor, State]:
        """[N, C, T, H, W] -> [N, C, frames + T, H, W], and the state {`stream_buffer`: [N, C, frames, H, W]}."""
        shape = (*x_NCTHW.shape[:2], self.frames, *x_NCTHW.shape[3:])
        self._checked(state, {temporal.BUFFER: shape})
        return temporal.buffered(x_NCTHW, self.frames, state)


class TemporalShift(_Piece):
    """The first channels of each frame come from the frame before: the causal temporal shift module (arXiv 1811.08383).

    The special case of a stream buffer of one frame without weights; zeros where streams start. In an architecture it
    stands in front of kernels such as `tsm1x3x3`.

    Args:
        share: of the channels that are shifted, above 0 and at most 1; rounded down to a whole number of channels.

    Raises:
        ValueError: a share outside of that.
    """

    def __init__(self, share: float = 1 / SHIFT_SHARE) -> None:
        super().__init__()
        if not 0 < share <= 1:
            raise ValueError(f"share {share}; allowed: above 0 and at most 1")
        self.share = share

    def forward(self, x_NCTHW: Tensor, state: Mapping[str, Tensor] | None = None) -> tuple[Tensor, State]:
        """[N, C, T, H, W] -> the same shape, and the state {`stream_buffer`: [N, shifted, 1, H, W]}."""
        channels = int(x_NCTHW.shape[1] * self.share)
        self._checked(state, {temporal.BUFFER: (len(x_NCTHW), channels, 1, *x_NCTHW.shape[3:])})
        return temporal.shifted(x_NCTHW, channels, True, state)


class CausalConv(_Piece):
    """A 3-D convolution that sees no later frame: SAME padding (TensorFlow's) in space, a stream buffer in time.

    Args:
        inputs, outputs: channels.
        kernel: frames x height x width, each odd.
        stride: of height and width.
        groups: as in `torch.nn.Conv3d`; `inputs` for a depthwise convolution.
        bias: whether it has one.

    Raises:
        ValueError: an even kernel, or channels that `groups` does not divide.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int, int],
        *,
        stride: int = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.groups = Kernel(*kernel), stride, groups
        conv = nn.Conv3d(inputs, outputs, kernel, groups=groups, bias=bias)  # for its initial weights
        self.weight, self.bias = conv.weight, conv.bias

    def forward(self, x_NCTHW: Tensor, state: Mapping[str, Tensor] | None = None) -> tuple[Tensor, State]:
        """[N, I, T, H, W] -> [N, O, T, ceil(H / stride), ceil(W / stride)], and the state, empty for 1 x h x w."""
        frames, after = self.kernel.t - 1, State()
        shape = (*x_NCTHW.shape[:2], frames, *x_NCTHW.shape[3:])
        self._checked(state, {temporal.BUFFER: shape} if frames else {})
        if frames:
            x_NCTHW, after = temporal.buffered(x_NCTHW, frames, state)
        lengths = zip(x_NCTHW.shape[:2:-1], self.kernel.size[:0:-1], strict=True)
        edges = (same_padding(size, kernel, self.stride) for size, kernel in lengths)
        padded = F.pad(x_NCTHW, [side for pair in edges for side in pair])
        return F.conv3d(padded, self.weight, self.bias, (1, self.stride, self.stride), groups=self.groups), after


class CumulativeGlobalAveragePool(_Piece):
    """Mean over the maps of all frames up to each frame."""

    def forward(self, x_NCTHW: Tensor, state: Mapping[str, Tensor] | None = None) -> tuple[Tensor, State]:
        """[N, C, T, H, W] -> [N, C, T], and the state {`pool_buffer`: [N, C], `pool_frame_count`: int32 [N]}."""
        clips, channels = x_NCTHW.shape[:2]
        self._checked(state, {temporal.POOL: (clips, channels), temporal.POOL_COUNT: (clips,)})
        means, after = temporal.cumulative_means(temporal.spatial_means(x_NCTHW), state)
        return means.transpose(1, 2), after


class CausalSqueezeExcite(_Piece):
    """Squeeze-excitation whose gates see no later frame.

    Args:
        channels: that come in and go out.
        hidden: channels between; by default a quarter of what is pooled, rounded as the reference rounds.
        form: kind of squeeze-excitation, activation, gate, positional encoding; by default those of the published
            stream networks.

    Raises:
        ValueError: a form that is not causal.
    """

    def __init__(self, channels: int, hidden: int | None = None, form: Form = STREAM) -> None:
        super().__init__()
        if not form.causal:
            raise ValueError(f"{form}: allowed: a causal form, such as searchspace.STREAM")
        self.form, self.channels = form, channels
        hidden = squeeze_width(channels * form.pooled) if hidden is None else hidden
        self.reduce = nn.Linear(channels * form.pooled, hidden)
        self.expand = nn.Linear(hidden, channels)
        self.position_scale = nn.Parameter(torch.zeros(())) if form.position_encoding else None

    def forward(self, x_NCTHW: Tensor, state: Mapping[str, Tensor] | None = None) -> tuple[Tensor, State]:
        """[N, C, T, H, W] -> the same shape, and the state of pooling and positions."""
        shapes: dict[str, tuple[int, ...]] = {}
        if self.form.squeeze_kind != "2d":
            shapes |= {temporal.POOL: (len(x_NCTHW), self.channels), temporal.POOL_COUNT: (len(x_NCTHW),)}
        if self.form.position_encoding:
            shapes[temporal.POSITION] = (len(x_NCTHW),)
        self._checked(state, shapes)
        reduce, expand = (layers.LinearWeights(linear.weight, linear.bias) for linear in (self.reduce, self.expand))
        weights = layers.SqueezeWeights(reduce, expand, position_scale=self.position_scale)
        return layers.squeeze_excite(x_NCTHW, weights, self.form, state)
