"""The steps of a prepared frame, see `frame_program`: each holds views of its weights and of the memory that it fills.

`run` of a step takes what the step before left, and gives the memory that it filled itself.

Shapes: N streams, C channels (I in, E expanded, O out), H x W map, P = H * W positions.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from networks.inference.bottleneck import FusedSqueeze
from networks.inference.fused_ops import Pointwise, Spatial, Stem, Temporal
from networks.kernels import ACTIVATIONS, same_padding
from networks.temporal import State, position_rates

_NONE, _TWO, _DENSE = [0, 0], [2, 2], [1, 1]
_pool = torch.ops.aten.avg_pool2d.out


def floats(*shape: int) -> Tensor:
    """Memory, whatever torch's defaults are."""
    return torch.empty(shape, dtype=torch.float32, device="cpu")


class Map(NamedTuple):
    """Views of one map: [N * P, C], [N, C, H, W] in channels-last memory, [N, P, C]."""

    rows: Tensor
    image: Tensor
    streams: Tensor


def map_in(memory: Tensor, streams: int, size: tuple[int, int], channels: int) -> Map:
    """In the first part of some memory."""
    height, width = size
    rows = memory[: streams * height * width * channels].view(-1, channels)
    image = rows.view(streams, height, width, channels).permute(0, 3, 1, 2)
    return Map(rows, image, rows.view(streams, -1, channels))


class StemStep:
    """First convolution and activation."""

    def __init__(self, stem: Stem, streams: int, size: tuple[int, int], out: Map) -> None:
        edges = [same_padding(length, kernel, 2) for length, kernel in zip(size, stem.weight.shape[2:], strict=True)]
        (top, bottom), (left, right) = edges
        height, width = size
        padded = floats(streams, top + height + bottom, left + width + right, stem.weight.shape[1]).zero_()
        self.padded = padded.permute(0, 3, 1, 2)
        self.inner = self.padded[:, :, top : top + height, left : left + width]
        self.weight, self.bias, self.packed = stem.weight, stem.bias, stem.packed_for(padded)
        self.activate_into, self.out = ACTIVATIONS[stem.activation].into, out.image

    def run(self, image: Tensor) -> Tensor:
        """[N, 3, H, W] in any memory -> [N, C, ceil(H / 2), ceil(W / 2)]."""
        self.inner.copy_(image)
        self.activate_into(_convolved(self.padded, self.packed, self.bias, _NONE, _TWO, 1), self.out)
        return self.out


class PointwiseStep:
    """1x1 convolution and activation."""

    def __init__(self, conv: Pointwise, out: Map) -> None:
        self.weight, self.weight_IO, self.bias = conv.weight, conv.weight.t(), conv.bias
        self.activate, self.out = ACTIVATIONS[conv.activation].in_place, out.rows

    def run(self, rows: Tensor) -> Tensor:
        """[N * P, I] -> [N * P, O]."""
        torch.addmm(self.bias, rows, self.weight_IO, out=self.out)
        return self.activate(self.out)


class SpaceStep:
    """Depthwise convolution over height and width, and activation; written to `out`, or to memory of its own."""

    def __init__(self, conv: Spatial, x: Tensor, out: Map | None) -> None:
        self.weight, self.bias, self.groups = conv.weight, conv.bias, len(conv.bias)
        self.packed, self.padding = conv.prepared_for(x.permute(0, 2, 3, 1), True)
        self.stride, activation = [conv.stride, conv.stride], ACTIVATIONS[conv.activation]
        self.activate, self.activate_into = activation.in_place, activation.into
        self.out = out.image if out is not None else None

    def run(self, image: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, ceil(H / stride), ceil(W / stride)]."""
        y = _convolved(image, self.packed, self.bias, self.padding, self.stride, self.groups)
        if self.out is None:
            return self.activate(y)
        self.activate_into(y, self.out)
        return self.out


class TimeStep:
    """Depthwise convolution over frames, and activation, as multiply-adds; the buffer then holds this frame too."""

    def __init__(self, conv: Temporal, out: Map) -> None:
        self.weight, self.activate, self.out = conv.weight, ACTIVATIONS[conv.activation].in_place, out.image
        self.bias, *taps = (row[:, None, None] for row in (conv.bias, *conv.taps))
        self.taps, self.last = taps[:-1], taps[-1]

    def run(self, image: Tensor, buffer: Tensor) -> Tensor:
        """[N, C, H, W] and the frames before, [N, C, kt - 1, H, W], which change -> [N, C, H, W]."""
        frames = buffer.unbind(2)
        y = torch.addcmul(self.bias, image, self.last, out=self.out)
        later = (*frames[1:], image)
        for frame, tap, next_ in zip(frames, self.taps, later, strict=True):
            y.addcmul_(frame, tap)
            frame.copy_(next_)
        return self.activate(y)


class MeanStep:
    """Means over the map and, where there is a place for them, over the frames so far."""

    def __init__(self, positions: int, means: Tensor, over_time: tuple[Tensor, Tensor] | None) -> None:
        self.factor, self.means, self.over_time = 1.0 / positions, means, over_time

    def run(self, streams: Tensor, total: Tensor | None) -> Tensor:
        """[N, P, C] and the sum of all means before, [N, C], which changes -> the mean over time, else over the map."""
        means = torch.sum(streams, 1, out=self.means).mul_(self.factor)
        if total is None or self.over_time is None:
            return means
        running, inverse = self.over_time
        return torch.mul(total.add_(means), inverse, out=running)


class SqueezeStep:
    """Gates of squeeze-excitation."""

    def __init__(self, squeeze: FusedSqueeze, streams: int, positions: int, counters: Counters) -> None:
        weights, kind = squeeze.weights, squeeze.form.squeeze_kind
        reduce, expand, self.gate = weights.reduce, weights.expand, weights.gate
        self.reduce, self.expand = reduce.weight, expand.weight
        self.activate = ACTIVATIONS[squeeze.form.activation].in_place
        self.reduce_IO, self.reduce_bias = reduce.weight.t(), reduce.bias
        self.expand_IO, self.expand_bias = expand.weight.t(), expand.bias
        squeezed, pooled = reduce.weight.shape
        channels = len(expand.bias)
        self.pooled = floats(streams, pooled)
        self.hidden, self.gates = floats(streams, squeezed), floats(streams, channels)
        means = self.pooled[:, -channels:] if kind != "3d" else floats(streams, channels)
        over_time = kind != "2d"
        self.total = squeeze.pool if over_time else None
        running = (self.pooled[:, :channels], counters.inverse(squeeze.count)) if over_time else None
        self.means = MeanStep(positions, means, running)
        self.scale = weights.position_scale
        if self.scale is not None:
            rates = position_rates(pooled)
            self.rates = torch.cat([rates[0::2], rates[1::2]])
            self.index, self.encoding = counters.index(squeeze.position), floats(streams, pooled)
            half = (pooled + 1) // 2
            self.sines, self.cosines = self.encoding[:, :half], self.encoding[:, half:]

    def run(self, streams: Tensor, state: State) -> Tensor:
        """[N, P, E] -> [N, E]; the sums of the state change."""
        self.means.run(streams, None if self.total is None else state[self.total])
        if self.scale is not None:
            torch.mul(self.index, self.rates, out=self.encoding)
            self.sines.sin_()
            self.cosines.cos_()
            self.pooled.addcmul_(self.encoding, self.scale)
        hidden = torch.addmm(self.reduce_bias, self.pooled, self.reduce_IO, out=self.hidden)
        self.activate(hidden)
        return self.gate(torch.addmm(self.expand_bias, hidden, self.expand_IO, out=self.gates))


class ProjectStep:
    """Projection of the gated map, added to the skip connection."""

    def __init__(self, weight_IO: Tensor, y: Map, out: Map, scaled: Tensor, gates: Tensor | None) -> None:
        self.weight, self.out, self.y = weight_IO, out.rows, y.image
        self.scaled = self.planes = None
        if gates is not None and len(gates) == 1 and len(y.rows) > weight_IO.shape[1]:
            self.scaled = scaled[: weight_IO.numel()].view_as(weight_IO), gates.t()
        elif gates is not None:
            self.planes = gates[:, :, None, None]

    def run(self, rows: Tensor) -> Tensor:
        """[N * P, E] -> [N * P, O]."""
        weight = self.weight
        if self.scaled is not None:  # the smaller of the two is scaled
            scaled, gates = self.scaled
            weight = torch.mul(weight, gates, out=scaled)
        elif self.planes is not None:
            self.y.mul_(self.planes)
        return self.out.addmm_(rows, weight)


class SkipStep:
    """Skip connection with weights, and the average pool in front of it where there is a stride."""

    def __init__(self, weight_IO: Tensor, pooled: Map | None, odd: list[int], out: Map) -> None:
        self.weight, self.pooled, self.odd, self.out = weight_IO, pooled, odd, out.rows

    def run(self, rows: Tensor, image: Tensor) -> Tensor:
        """The input, twice -> [N * P, O]."""
        if self.pooled is not None:  # as `kernels.skip_pool`
            _pool(image, 3, 2, self.odd, True, False, out=self.pooled.image)
            rows = self.pooled.rows
        return torch.mm(rows, self.weight, out=self.out)


class Counters:
    """The counts of frames of a state: each read, turned into what is computed with, and raised, all at once."""

    def __init__(self, pools: list[str], positions: list[str], streams: int) -> None:
        self.pools, self.positions = pools, positions
        self.names = self.pools + self.positions
        self.values = torch.empty(len(self.names), streams, dtype=torch.int32, device="cpu")
        self.floats = floats(len(self.names), streams, 1)
        self.flat, self.inverses = self.floats[:, :, 0], self.floats[: len(self.pools)]

    def inverse(self, name: str) -> Tensor:
        """1 / number of frames, this one included, [N, 1]."""
        return self.floats[self.pools.index(name)]

    def index(self, name: str) -> Tensor:
        """Number of frames before this one, [N, 1]."""
        return self.floats[len(self.pools) + self.positions.index(name)]

    def advance(self, state: State) -> None:
        """Reads the counts of a state, and raises them by this frame."""
        if self.names:
            counts = [state[name] for name in self.names]
            self.flat.copy_(torch.stack(counts, out=self.values))
            self.inverses.add_(1).reciprocal_()
            torch._foreach_add_(counts, 1)


def _convolved(
    image: Tensor, packed: Tensor, bias: Tensor, padding: list[int], stride: list[int], groups: int
) -> Tensor:
    """oneDNN's convolution; its own activation inside is no faster than one more pass in cache."""
    y: Tensor = torch.ops.mkldnn._convolution_pointwise(
        image, packed, bias, padding, stride, _DENSE, groups, "none", [], ""
    )
    return y
