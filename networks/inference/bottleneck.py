"""Bottleneck and head of a fused network, on whole clips and frame after frame.

Whole clips of networks that are not causal go a layer at a time, and inside a layer a piece of the frames at a time: an
expanded map lives only as long as the depthwise convolution needs it, in cache and in memory that the allocator hands
out again at once. Large tensors would be returned to the system and faulted in anew at every layer, which costs more
than computing them (4 us a page of 4 kB on one virtual machine). What is kept of a layer is the output of its depthwise
convolution, until the mean over the clip tells the gates. Gates that are the same for all frames scale the projection's
weights instead of its input. Causal networks take pieces of a clip one after the other through all layers.

Shapes: N streams, C channels (I in, E expanded, O out), T frames, H x W map; [F, H, W, C] are F = N * T frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from networks import temporal
from networks.inference import folding
from networks.inference.fused_ops import (
    Pointwise,
    SpaceTime,
    Spatial,
    Temporal,
    activate_,
    add_projected,
    frame_means,
    projected,
)
from networks.kernels import skip_pool
from networks.temporal import State, StateLike
from searchspace import Form
from searchspace.state_shapes import BUFFER, POOL, POOL_COUNT, POSITION

EXPANDED_BYTES = 8 << 20  # of expanded maps that are made at a time
Source: TypeAlias = Callable[[int, int], Tensor]
"""Frames from one index up to another, [F, H, W, I]."""


def frames_at_a_time(x: Tensor, channels: int, least: int = 1) -> int:
    """How many frames [F, H, W, ..] make a piece once they have so many channels."""
    return max(least, EXPANDED_BYTES // (channels * x.shape[1] * x.shape[2] * x.element_size()))


def pieces(frames: int, step: int) -> Iterator[tuple[int, int]]:
    """Ranges of `step` frames, the last perhaps shorter."""
    return ((first, min(first + step, frames)) for first in range(0, frames, step))


class FusedSqueeze:
    """The gates of squeeze-excitation, in the dtype of the means that they are made from."""

    def __init__(self, squeeze: folding.Squeeze, form: Form, name: str) -> None:
        self.weights, self.form = squeeze, form
        self.pool, self.count, self.position = (f"{name}_{end}" for end in (POOL, POOL_COUNT, POSITION))

    def gates(self, pooled: Tensor) -> Tensor:
        """[..., pooled] -> [..., E]."""
        reduce, expand = self.weights.reduce, self.weights.expand
        hidden = activate_(F.linear(pooled, reduce.weight, reduce.bias), self.form.activation)
        return self.weights.gate(F.linear(hidden, expand.weight, expand.bias))

    def of_clip(self, means_TE: Tensor) -> Tensor:
        """Gates of a clip from the means of its frames: [1, E] if they are the same for all of them, or [T, E]."""
        if self.form.squeeze_kind == "2d":
            return self.gates(means_TE)
        mean = means_TE.mean(0, keepdim=True)
        if self.form.squeeze_kind == "3d":
            return self.gates(mean)
        return self.gates(torch.cat([mean.expand_as(means_TE), means_TE], -1))

    def of_stream(self, means_NTE: Tensor, before: StateLike, after: State) -> Tensor:
        """Gates [N, T, E] of frames that follow others."""
        pooled = means_NTE
        if self.form.squeeze_kind != "2d":
            total, count = before[self.pool], before[self.count]
            if means_NTE.shape[1] == 1:
                total, count = total + means_NTE[:, 0], count + 1
                pooled = (total / count[:, None])[:, None]
            else:
                pooled, new = temporal.cumulative_means(means_NTE, {POOL: total, POOL_COUNT: count})
                total, count = new[POOL], new[POOL_COUNT]
            after[self.pool], after[self.count] = total, count
            if self.form.squeeze_kind == "2plus3d":
                pooled = torch.cat([pooled, means_NTE], -1)
        if self.weights.position_scale is not None:
            pooled, new = temporal.positions(pooled, self.weights.position_scale, {POSITION: before[self.position]})
            after[self.position] = new[POSITION]
        return self.gates(pooled)


class FusedBottleneck:
    """One bottleneck; what it computes stands in `networks.layers.bottleneck`.

    Args:
        weights: folded.
        form: of the network.
        name: what the names of its state begin with.
    """

    def __init__(self, weights: folding.Bottleneck, form: Form, name: str) -> None:
        activation, stride = form.activation, weights.stride
        self.form, self.stride, self.shift = form, stride, weights.shift
        self.project, self.skip = weights.project, weights.skip
        self.wide = torch.promote_types(weights.project.dtype, torch.float32)
        self.expand = Pointwise(weights.expand, activation)
        frames = weights.depthwise.weight.shape[2]
        self.spatial = Spatial(weights.depthwise, stride, activation) if frames == 1 else None
        self.joint = SpaceTime(weights.depthwise, stride, activation) if frames > 1 else None
        self.temporal = None
        if weights.temporal is not None:
            self.temporal = Temporal(weights.temporal, activation)
            frames = weights.temporal.weight.shape[2]
        elif self.joint is not None and stride == 1:
            self.temporal, self.joint = self.joint.temporal, None if self.joint.temporal else self.joint
        self.frames = frames - 1
        self.squeeze = FusedSqueeze(weights.squeeze, form, name) if weights.squeeze is not None else None
        self.buffer = f"{name}_{BUFFER}"

    def residual(self, x: Tensor) -> Tensor:
        """The skip connection: `x` itself, or a new tensor."""
        if self.skip is None:
            return x
        if self.stride == 2:
            x = skip_pool(x[None].permute(0, 4, 1, 2, 3)).permute(0, 2, 3, 4, 1)[0]
        return projected(x, self.skip)

    # ------------------------------------------------------------------------------------------- networks without state

    def of_clip(self, source: Source, frames: int, whole: Tensor | None) -> Tensor:
        """All frames of one clip.

        Args:
            source: gives frames of the input.
            frames: how many there are.
            whole: the input, if it is in memory; overwritten.

        Returns:
            [T, ceil(H / stride), ceil(W / stride), O].
        """
        halo = max(self.frames // 2, int(self.shift > 0))
        step = frames_at_a_time(source(0, 1), len(self.expand.bias), 2 * halo or 1)
        maps: list[Tensor] = []
        residuals: list[Tensor] = []
        means: list[Tensor] = []
        for first, last in pieces(frames, step):
            low, high = max(0, first - halo), min(frames, last + halo)
            x = source(low, high)
            residuals.append(self.residual(x[first - low : last - low]))
            maps.append(self._depthwise(self.expand(x), halo, slice(first - low, last - low)))
            if self.squeeze is not None:
                means.append(frame_means(maps[-1], self.wide))
        gates: Tensor | None = None
        project = self.project
        if self.squeeze is not None:
            gates = self.squeeze.of_clip(torch.cat(means)).to(project.dtype)
            if len(gates) == 1:
                project, gates = project * gates.t(), None
        one = residuals[0]
        whole = whole if self.skip is None else None
        if whole is None:
            whole = one.new_empty(frames, *one.shape[1:]) if len(maps) > 1 else one
        for first, last in pieces(frames, step):
            y = maps.pop(0)
            if gates is not None:
                y = y.mul_(gates[first:last, None, None])
            add_projected(residuals.pop(0), y, project, whole[first:last])
        return whole

    def _depthwise(self, y: Tensor, halo: int, own: slice) -> Tensor:
        """Depthwise part of the `own` ones of some frames; up to `halo` neighbours on both sides, fewer at the ends."""
        if self.shift:
            moved, _ = temporal.shifted(y[None].permute(0, 4, 1, 2, 3), self.shift, False, None)
            y = moved.permute(0, 2, 3, 4, 1)[0, own]
        if self.spatial is not None:
            y = self.spatial(y)
        over_time = self.temporal or self.joint
        if over_time is None:
            return y
        padding = 0 if own.start == halo == len(y) - own.stop else halo
        out = over_time(y[None], padding)[0]
        return out[own] if padding else out

    # ---------------------------------------------------------------------------------------------- networks with state

    def of_stream(self, x: Tensor, streams: int, before: StateLike, after: State, donate: bool) -> Tensor:
        """The next frames of some streams.

        Args:
            x: [F, H, W, I]; overwritten.
            streams: N.
            before: state of the network before these frames.
            after: state after them; this layer's part is put in.
            donate: what this layer reads of `before` may be overwritten.
        """
        residual, y = self.residual(x), self.expand(x)
        if self.shift:
            clip = y.view(streams, -1, *y.shape[1:]).permute(0, 4, 1, 2, 3)
            moved, new = temporal.shifted(clip, self.shift, True, {BUFFER: before[self.buffer]})
            after[self.buffer] = new[BUFFER]
            y = moved.permute(0, 2, 3, 4, 1).reshape(y.shape)
        if self.spatial is not None:
            y = self.spatial(y)
        over_time = self.temporal or self.joint
        if over_time is not None:
            y = self._over_time(over_time, y, streams, before, after, donate)
        project = self.project
        if self.squeeze is not None:
            means = frame_means(y, self.wide).view(streams, -1, y.shape[3])
            gates = self.squeeze.of_stream(means, before, after).flatten(0, 1).to(y.dtype)
            if len(gates) == 1 and y.shape[1] * y.shape[2] > project.shape[1]:
                project = project * gates.t()
            else:
                y = y.mul_(gates[:, None, None])
        return add_projected(residual, y, project, residual)

    def _over_time(
        self, operation: Temporal | SpaceTime, y: Tensor, streams: int, before: StateLike, after: State, donate: bool
    ) -> Tensor:
        """A kernel of several frames over those of the buffer and these."""
        frames = y.view(streams, -1, *y.shape[1:])
        buffer = before[self.buffer].permute(0, 2, 3, 4, 1)
        if frames.shape[1] == 1 and isinstance(operation, Temporal) and y.dtype is torch.float32:
            out = operation.one_frame(frames, buffer)
            if donate:
                for i in range(self.frames - 1):
                    buffer[:, i].copy_(buffer[:, i + 1])
                buffer[:, -1:].copy_(frames)
            else:
                buffer = torch.cat([buffer[:, 1:], frames], 1)
        else:
            joined = torch.cat([buffer, frames], 1)
            out, last = operation(joined), joined[:, -self.frames :]
            buffer = buffer.copy_(last) if donate else last.clone()  # a view would keep the whole clip
        after[self.buffer] = buffer.permute(0, 4, 1, 2, 3)
        return out.flatten(0, 1)
