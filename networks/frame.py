"""One frame of some streams through a fused network as a prepared program: float32, on CPU.

A frame of a small network is some hundred calls on maps that fit the cache, and what these calls do beside computing
costs as much as what they compute. So everything that is the same for all frames of a size is done once: memory for
maps, shared by all layers, every view of it and of the weights, layouts of weights. What is left are calls that write
into that memory; only oneDNN's convolutions insist on memory of their own. The state is written in place. Its buffers
move by a frame in a copy, which takes 1.5 to 6.5 % of a frame; a ring would save that and cost its users a counter.

What is served stands at `serves`; all else takes `networks.fused_layers`, several frames at once too.

Shapes: N streams, C channels (I in, E expanded, O out), H x W map, P = H * W positions.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from networks import folding, states
from networks.activations import IN_PLACE
from networks.formulations import same_padding
from networks.fused_layers import FusedBottleneck, FusedSqueeze
from networks.inference import Pointwise, Spatial, Stem, Temporal, activate_
from networks.temporal import POOL, POOL_COUNT, State, position_rates
from searchspace import Form
from searchspace.cost import halve

SIZES = 4  # sizes of frames whose programs a network keeps


class Parts(NamedTuple):
    """A fused network."""

    stem: Stem
    layers: Sequence[FusedBottleneck]
    head: Pointwise
    dense: folding.Conv
    classifier: folding.Conv
    form: Form

    @property
    def serves(self) -> bool:
        """Whether its frames can be a program: float32 with oneDNN, no kernel in space and time, no shift."""
        stem = self.stem
        plain = all(layer.joint is None and not layer.shift for layer in self.layers)
        return self.form.causal and plain and stem.onednn and stem.weight.dtype is torch.float32


class Map(NamedTuple):
    """Views of one map: [N * P, C], [N, C, H, W] in channels-last memory, [N, P, C]."""

    rows: Tensor
    image: Tensor
    streams: Tensor


def _map(memory: Tensor, streams: int, size: tuple[int, int], channels: int) -> Map:
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
        padded = torch.zeros(streams, top + height + bottom, left + width + right, stem.weight.shape[1])
        self.padded = padded.permute(0, 3, 1, 2)
        self.inner = self.padded[:, :, top : top + height, left : left + width]
        self.weight, self.bias, self.packed = stem.weight, stem.bias, stem.packed_for(padded)
        self.activate, self.out = IN_PLACE[stem.activation].forward, out.image

    def __call__(self, image: Tensor) -> Tensor:
        """[N, 3, H, W] in any memory -> [N, C, ceil(H / 2), ceil(W / 2)]."""
        self.inner.copy_(image)
        self.activate(_convolved(self.padded, self.packed, self.bias, _NONE, _TWO, 1), self.out)
        return self.out


class PointwiseStep:
    """1x1 convolution and activation."""

    def __init__(self, conv: Pointwise, out: Map) -> None:
        self.weight, self.weight_IO, self.bias = conv.weight, conv.weight.t(), conv.bias
        self.activation, self.out = conv.activation, out.rows

    def __call__(self, rows: Tensor) -> Tensor:
        """[N * P, I] -> [N * P, O]."""
        torch.addmm(self.bias, rows, self.weight_IO, out=self.out)
        return activate_(self.out, self.activation)


class SpaceStep:
    """Depthwise convolution over height and width, and activation; written to `out`, or to memory of its own."""

    def __init__(self, conv: Spatial, x: Tensor, out: Map | None) -> None:
        self.weight, self.bias, self.groups = conv.weight, conv.bias, len(conv.bias)
        self.packed, self.padding = conv.prepared_for(x.permute(0, 2, 3, 1), True)
        self.stride, self.activation = [conv.stride, conv.stride], conv.activation
        self.into, self.out = IN_PLACE[conv.activation].forward, out.image if out is not None else None

    def __call__(self, image: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, ceil(H / stride), ceil(W / stride)]."""
        y = _convolved(image, self.packed, self.bias, self.padding, self.stride, self.groups)
        if self.out is None:
            return activate_(y, self.activation)
        self.into(y, self.out)
        return self.out


class TimeStep:
    """Depthwise convolution over frames, and activation, as multiply-adds; the buffer then holds this frame too."""

    def __init__(self, conv: Temporal, out: Map) -> None:
        self.weight, self.activation, self.out = conv.weight, conv.activation, out.image
        self.bias, *taps = (row[:, None, None] for row in (conv.bias, *conv.taps))
        self.taps, self.last = taps[:-1], taps[-1]

    def __call__(self, image: Tensor, buffer: Tensor) -> Tensor:
        """[N, C, H, W] and the frames before, [N, C, kt - 1, H, W], which change -> [N, C, H, W]."""
        frames = buffer.unbind(2)
        y = torch.addcmul(self.bias, image, self.last, out=self.out)
        later = (*frames[1:], image)
        for frame, tap, next_ in zip(frames, self.taps, later, strict=True):
            y.addcmul_(frame, tap)
            frame.copy_(next_)
        return activate_(y, self.activation)


class MeanStep:
    """Means over the map and, where there is a place for them, over the frames so far."""

    def __init__(self, positions: int, means: Tensor, over_time: tuple[Tensor, Tensor] | None) -> None:
        self.factor, self.means, self.over_time = 1.0 / positions, means, over_time

    def __call__(self, streams: Tensor, total: Tensor | None) -> Tensor:
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
        self.reduce, self.expand, self.activation = reduce.weight, expand.weight, squeeze.form.activation
        self.reduce_IO, self.reduce_bias = reduce.weight.t(), reduce.bias
        self.expand_IO, self.expand_bias = expand.weight.t(), expand.bias
        squeezed, pooled = reduce.weight.shape
        channels = len(expand.bias)
        self.pooled = torch.empty(streams, pooled)
        self.hidden, self.gates = torch.empty(streams, squeezed), torch.empty(streams, channels)
        means = self.pooled[:, -channels:] if kind != "3d" else torch.empty(streams, channels)
        over_time = kind != "2d"
        self.total = squeeze.pool if over_time else None
        running = (self.pooled[:, :channels], counters.inverse(squeeze.count)) if over_time else None
        self.means = MeanStep(positions, means, running)
        self.scale = weights.position_scale
        if self.scale is not None:
            rates = position_rates(pooled)
            self.rates = torch.cat([rates[0::2], rates[1::2]])
            self.index, self.encoding = counters.index(squeeze.position), torch.empty(streams, pooled)
            half = (pooled + 1) // 2
            self.sines, self.cosines = self.encoding[:, :half], self.encoding[:, half:]

    def __call__(self, streams: Tensor, state: State) -> Tensor:
        """[N, P, E] -> [N, E]; the sums of the state change."""
        self.means(streams, None if self.total is None else state[self.total])
        if self.scale is not None:
            torch.mul(self.index, self.rates, out=self.encoding)
            self.sines.sin_()
            self.cosines.cos_()
            self.pooled.addcmul_(self.encoding, self.scale)
        hidden = torch.addmm(self.reduce_bias, self.pooled, self.reduce_IO, out=self.hidden)
        activate_(hidden, self.activation)
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

    def __call__(self, rows: Tensor) -> Tensor:
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

    def __call__(self, rows: Tensor, image: Tensor) -> Tensor:
        """The input, twice -> [N * P, O]."""
        if self.pooled is not None:  # as `formulations.skip_pool`
            _pool(image, 3, 2, self.odd, True, False, out=self.pooled.image)
            rows = self.pooled.rows
        return torch.mm(rows, self.weight, out=self.out)


class HeadStep:
    """Last convolution, pooling and dense layer: all but the classifier."""

    def __init__(self, parts: Parts, out: Map, streams: int, counters: Counters) -> None:
        dense, self.kind = parts.dense, parts.form.head_pool
        channels = len(parts.head.bias)
        self.conv, self.maps = PointwiseStep(parts.head, out), out
        count = len(out.rows) if self.kind == "none" else streams
        self.dense, self.dense_IO, self.bias = dense.weight, dense.weight.t(), dense.bias
        self.activation, self.out = parts.form.dense_activation, torch.empty(count, len(dense.bias))
        means, over_time = torch.empty(streams, channels), None
        if self.kind == "3d":
            over_time = torch.empty(streams, channels), counters.inverse(f"{states.HEAD}_{POOL_COUNT}")
        self.means = MeanStep(out.streams.shape[1], means, over_time)

    def __call__(self, rows: Tensor, state: State) -> Tensor:
        """[N * P, I] -> hidden features [N, C], or [N * P, C] of each position; the sum of the state changes."""
        pooled = self.conv(rows)
        if self.kind != "none":
            total = state[f"{states.HEAD}_{POOL}"] if self.kind == "3d" else None
            pooled = self.means(self.maps.streams, total)
        torch.addmm(self.bias, pooled, self.dense_IO, out=self.out)
        return activate_(self.out, self.activation)


class Counters:
    """The counts of frames of a state: each read, turned into what is computed with, and raised, all at once."""

    def __init__(self, parts: Parts, streams: int) -> None:
        squeezes = [layer.squeeze for layer in parts.layers if layer.squeeze is not None]
        self.pools = [one.count for one in squeezes] if parts.form.squeeze_kind != "2d" else []
        self.pools += [f"{states.HEAD}_{POOL_COUNT}"] * parts.form.answers_clips
        self.positions = [one.position for one in squeezes] if parts.form.position_encoding else []
        self.names = self.pools + self.positions
        self.values = torch.empty(len(self.names), streams, dtype=torch.int32)
        self.floats = torch.empty(len(self.names), streams, 1)
        self.flat, self.inverses = self.floats[:, :, 0], self.floats[: len(self.pools)]

    def inverse(self, name: str) -> Tensor:
        """1 / number of frames, this one included, [N, 1]."""
        return self.floats[self.pools.index(name)]

    def index(self, name: str) -> Tensor:
        """Number of frames before this one, [N, 1]."""
        return self.floats[len(self.pools) + self.positions.index(name)]

    def __call__(self, state: State) -> None:
        """Those of a state change."""
        if self.names:
            counts = [state[name] for name in self.names]
            self.flat.copy_(torch.stack(counts, out=self.values))
            self.inverses.add_(1).reciprocal_()
            torch._foreach_add_(counts, 1)


class LayerSteps:
    """The steps of one bottleneck.

    Args:
        layer: what it computes.
        x: its input.
        size: of that map.
        out: what it gives; `x` itself where the skip connection is.
        wide: memory for expanded maps, twice: the second is used only by layers without a kernel in space.
        scaled: memory for scaled weights, and for a pooled skip connection.
    """

    def __init__(
        self,
        layer: FusedBottleneck,
        x: Map,
        size: tuple[int, int],
        out: Map,
        wide: tuple[Tensor, Tensor],
        scaled: Tensor,
        counters: Counters,
    ) -> None:
        streams, channels = len(x.image), len(layer.expand.bias)
        after = _strided(size, layer.stride)
        self.x, self.buffer = x, layer.buffer
        self.skip = None
        if layer.skip is not None:
            pooled = _map(scaled, streams, after, len(layer.skip)) if layer.stride > 1 else None
            self.skip = SkipStep(layer.skip, pooled, [length % 2 for length in size], out)
        self.expanded = _map(wide[0], streams, size, channels)
        self.expand = PointwiseStep(layer.expand, self.expanded)
        self.space, self.time = None, None
        self.y = _map(wide[0 if layer.spatial is not None else 1], streams, after, channels)
        if layer.spatial is not None:
            into = self.y if layer.temporal is None else None
            self.space = SpaceStep(layer.spatial, self.expanded.image, into)
        if layer.temporal is not None:
            self.time = TimeStep(layer.temporal, self.y)
        self.squeeze = None
        if layer.squeeze is not None:
            self.squeeze = SqueezeStep(layer.squeeze, streams, after[0] * after[1], counters)
        gates = self.squeeze.gates if self.squeeze is not None else None
        self.project = ProjectStep(layer.project, self.y, out, scaled, gates)

    def __call__(self, state: State) -> None:
        """From `x` to `out`; the layer's part of the state changes."""
        if self.skip is not None:
            self.skip(self.x.rows, self.x.image)
        self.expand(self.x.rows)
        image = self.expanded.image
        if self.space is not None:
            image = self.space(image)
        if self.time is not None:
            self.time(image, state[self.buffer])
        if self.squeeze is not None:
            self.squeeze(self.y.streams, state)
        self.project(self.y.rows)


class FrameProgram:
    """The program of a network for one size and number of streams. One frame at a time: its memory is its own.

    Args:
        parts: of the network, which `serves`.
        streams: N.
        height, width: of frames.
    """

    def __init__(self, parts: Parts, streams: int, height: int, width: int) -> None:
        sizes = [(halve(height, 2), halve(width, 2))]
        for layer in parts.layers:
            sizes.append(_strided(sizes[-1], layer.stride))
        rows = [streams * high * across for high, across in sizes]
        narrow, wide, other, scaled = [rows[0] * len(parts.stem.bias)], [rows[-1] * len(parts.head.bias)], [0], [0]
        for layer, first, last in zip(parts.layers, rows, rows[1:], strict=False):
            expanded, outputs = layer.project.shape
            narrow.append(last * outputs)
            wide.append(first * expanded)
            other.append(last * expanded * (layer.spatial is None))
            scaled.append(max(layer.project.numel(), last * len(layer.skip) if layer.skip is not None else 0))
        maps = [torch.empty(max(narrow)) for _ in range(2)]
        wides = (torch.empty(max(wide)), torch.empty(max(other)))
        weights = torch.empty(max(scaled))
        self.counters = Counters(parts, streams)
        x = _map(maps[0], streams, sizes[0], len(parts.stem.bias))
        self.stem = StemStep(parts.stem, streams, (height, width), x)
        self.layers, held = [], 0
        for layer, size, after in zip(parts.layers, sizes, sizes[1:], strict=False):
            out = x
            if layer.skip is not None:
                held = 1 - held
                out = _map(maps[held], streams, after, layer.project.shape[1])
            self.layers.append(LayerSteps(layer, x, size, out, wides, weights, self.counters))
            x = out
        self.x, self.streams, self.size = x, streams, sizes[-1]
        self.head = HeadStep(parts, _map(wides[0], streams, sizes[-1], len(parts.head.bias)), streams, self.counters)
        self.classifier, self.kind = parts.classifier, parts.form.head_pool

    def __call__(self, image: Tensor, state: State) -> Tensor:
        """One frame of each stream.

        Args:
            image: [N, 3, H, W].
            state: before the frame; changed to the one after it.

        Returns:
            Logits as those of `FusedMoViNet`, in memory of their own.
        """
        # inside, no call looks for gradients; what is returned is made outside, as an ordinary tensor
        with torch.inference_mode():
            self.counters(state)
            self.stem(image)
            for layer in self.layers:
                layer(state)
            hidden = self.head(self.x.rows, state)
        logits = self.classify(hidden)
        if self.kind == "3d":
            return logits
        if self.kind == "2d":
            return logits[:, :, None]
        return logits.view(self.streams, 1, *self.size, -1).movedim(-1, 1)

    def classify(self, hidden: Tensor) -> Tensor:
        """Logits of each row."""
        return F.linear(hidden, self.classifier.weight, self.classifier.bias)


class Programs:
    """The programs of a network that nobody runs at the moment: two threads never share one.

    Those of the sizes that were used last are kept. Copies of a network start without any.
    """

    def __init__(self) -> None:
        self.free: dict[tuple[int, ...], list[FrameProgram]] = {}
        self.lock = threading.Lock()

    def run(self, make: Callable[..., FrameProgram], image: Tensor, state: State) -> Tensor:
        """See `FrameProgram.__call__`."""
        streams, _, height, width = image.shape
        key = (streams, height, width)
        with self.lock:
            free = self.free.get(key)
            program = free.pop() if free else None
        if program is None:
            program = make(*key)
        logits = program(image, state)
        with self.lock:
            kept = self.free.pop(key, [])  # to the end, where the latest are
            self.free[key] = [*kept, program]
            while len(self.free) > SIZES:
                self.free.pop(next(iter(self.free)))
        return logits

    def __reduce__(self) -> tuple[type[Programs], tuple[()]]:
        return Programs, ()


_NONE, _TWO, _DENSE = [0, 0], [2, 2], [1, 1]
_pool = torch.ops.aten.avg_pool2d.out


def _convolved(
    image: Tensor, packed: Tensor, bias: Tensor, padding: list[int], stride: list[int], groups: int
) -> Tensor:
    """oneDNN's convolution; its own activation inside is no faster than one more pass in cache."""
    y: Tensor = torch.ops.mkldnn._convolution_pointwise(
        image, packed, bias, padding, stride, _DENSE, groups, "none", [], ""
    )
    return y


def _strided(size: tuple[int, int], stride: int) -> tuple[int, int]:
    return halve(size[0], stride), halve(size[1], stride)
