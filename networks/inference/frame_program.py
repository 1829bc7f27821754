"""One frame of some streams through a fused network as a prepared program: float32, on CPU.

A frame of a small network is some hundred calls on maps that fit the cache, and what these calls do beside computing
costs as much as what they compute. So everything that is the same for all frames of a size is done once: memory for
maps, shared by all layers, every view of it and of the weights, layouts of weights. What is left are calls that write
into that memory; only oneDNN's convolutions insist on memory of their own. The state is written in place. Its buffers
move by a frame in a copy, which takes 1.5 to 6.5 % of a frame; a ring would save that and cost its users a counter.

What a step reads -> what it leaves where; x is in one half of `narrow`, out is x, or with a skip convolution the other:

    stem       image                           -> narrow
    skip       x, pooled in `small`            -> out
    expand     x                               -> wide
    space      wide                            -> wide, or where time follows memory of oneDNN's own
    time       the step before, stream buffer  -> wide, or without a step in space `spare`; the buffer has the frame
    squeeze    the step before                 -> gates; the sums of the state have the frame
    project    the last map, gates, x or skip  -> out; where gates scale weights, these stand in `small`
    head       the last out                    -> wide, its means, hidden features
    classify   hidden features                 -> logits, in memory of their own

The steps from skip to project are one layer, and run for each. What is served stands at `Parts.serves`; all else takes
`inference.bottleneck`, several frames at once too.

Shapes: N streams, C channels (I in, E expanded, O out), H x W map, P = H * W positions.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from networks.inference import folding
from networks.inference.bottleneck import FusedBottleneck
from networks.inference.frame_steps import (
    Counters,
    Map,
    MeanStep,
    PointwiseStep,
    ProjectStep,
    SkipStep,
    SpaceStep,
    SqueezeStep,
    StemStep,
    TimeStep,
    floats,
    map_in,
)
from networks.inference.fused_ops import Pointwise, Stem
from networks.kernels import ACTIVATIONS
from networks.temporal import State
from searchspace import Form
from searchspace.cost import halve
from searchspace.state_shapes import HEAD, POOL, POOL_COUNT

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

    def counters(self, streams: int) -> Counters:
        """The counters of frames of its state."""
        squeezes = [layer.squeeze for layer in self.layers if layer.squeeze is not None]
        pools = [one.count for one in squeezes] if self.form.squeeze_kind != "2d" else []
        pools += [f"{HEAD}_{POOL_COUNT}"] * self.form.answers_clips
        return Counters(pools, [one.position for one in squeezes] if self.form.position_encoding else [], streams)


class HeadStep:
    """Last convolution, pooling and dense layer: all but the classifier."""

    def __init__(self, parts: Parts, out: Map, streams: int, counters: Counters) -> None:
        dense, self.kind = parts.dense, parts.form.head_pool
        channels = len(parts.head.bias)
        self.conv, self.maps = PointwiseStep(parts.head, out), out
        count = len(out.rows) if self.kind == "none" else streams
        self.dense, self.dense_IO, self.bias = dense.weight, dense.weight.t(), dense.bias
        self.activate, self.out = ACTIVATIONS[parts.form.dense_activation].in_place, floats(count, len(dense.bias))
        means, over_time = floats(streams, channels), None
        if self.kind == "3d":
            over_time = floats(streams, channels), counters.inverse(f"{HEAD}_{POOL_COUNT}")
        self.means = MeanStep(out.streams.shape[1], means, over_time)

    def run(self, rows: Tensor, state: State) -> Tensor:
        """[N * P, I] -> hidden features [N, C], or [N * P, C] of each position; the sum of the state changes."""
        pooled = self.conv.run(rows)
        if self.kind != "none":
            total = state[f"{HEAD}_{POOL}"] if self.kind == "3d" else None
            pooled = self.means.run(self.maps.streams, total)
        torch.addmm(self.bias, pooled, self.dense_IO, out=self.out)
        return self.activate(self.out)


@dataclasses.dataclass(frozen=True)
class Memory:
    """Memory for maps that all layers share; the picture above says what stands where.

    Attributes:
        narrow: for what stands between layers, twice: a layer with a skip convolution reads one and fills the other.
        wide: for expanded maps, and that of the head.
        spare: for expanded maps of layers without a kernel in space, whose kernel in time cannot overwrite its input.
        small: for scaled weights of a projection, or a pooled skip connection.
    """

    narrow: tuple[Tensor, Tensor]
    wide: Tensor
    spare: Tensor
    small: Tensor

    @classmethod
    def of(cls, parts: Parts, rows: Sequence[int]) -> Memory:
        """As much as the largest map needs; `rows` are the positions of the map after the stem and after each layer."""
        narrow, wide = [rows[0] * len(parts.stem.bias)], [rows[-1] * len(parts.head.bias)]
        spare, small = [0], [0]
        for layer, before, after in zip(parts.layers, rows, rows[1:], strict=False):
            expanded, outputs = layer.project.shape
            narrow.append(after * outputs)
            wide.append(before * expanded)
            if layer.spatial is None:
                spare.append(after * expanded)
            small.append(layer.project.numel())
            if layer.skip is not None:
                small.append(after * len(layer.skip))
        two = floats(max(narrow)), floats(max(narrow))
        return cls(two, floats(max(wide)), floats(max(spare)), floats(max(small)))


class LayerSteps:
    """The steps of one bottleneck.

    Args:
        layer: what it computes.
        x: its input.
        size: of that map.
        out: what it gives; `x` itself where the skip connection is.
        memory: that all layers share.
        counters: of the state.
    """

    def __init__(
        self, layer: FusedBottleneck, x: Map, size: tuple[int, int], out: Map, memory: Memory, counters: Counters
    ) -> None:
        streams, channels = len(x.image), len(layer.expand.bias)
        after = _strided(size, layer.stride)
        self.x, self.buffer = x, layer.buffer
        self.skip: SkipStep | None = None
        if layer.skip is not None:
            pooled = map_in(memory.small, streams, after, len(layer.skip)) if layer.stride > 1 else None
            self.skip = SkipStep(layer.skip, pooled, [length % 2 for length in size], out)
        self.expanded = map_in(memory.wide, streams, size, channels)
        self.expand = PointwiseStep(layer.expand, self.expanded)
        self.convolved = map_in(memory.wide if layer.spatial is not None else memory.spare, streams, after, channels)
        self.space: SpaceStep | None = None
        if layer.spatial is not None:
            into = self.convolved if layer.temporal is None else None
            self.space = SpaceStep(layer.spatial, self.expanded.image, into)
        self.time = TimeStep(layer.temporal, self.convolved) if layer.temporal is not None else None
        self.squeeze: SqueezeStep | None = None
        if layer.squeeze is not None:
            self.squeeze = SqueezeStep(layer.squeeze, streams, after[0] * after[1], counters)
        gates = self.squeeze.gates if self.squeeze is not None else None
        self.project = ProjectStep(layer.project, self.convolved, out, memory.small, gates)

    def run(self, state: State) -> None:
        """From `x` to `out`; the layer's part of the state changes."""
        if self.skip is not None:
            self.skip.run(self.x.rows, self.x.image)
        self.expand.run(self.x.rows)
        image = self.expanded.image
        if self.space is not None:
            image = self.space.run(image)
        if self.time is not None:
            self.time.run(image, state[self.buffer])
        if self.squeeze is not None:
            self.squeeze.run(self.convolved.streams, state)
        self.project.run(self.convolved.rows)


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
        memory = Memory.of(parts, [streams * high * across for high, across in sizes])
        self.counters = parts.counters(streams)
        this, other = memory.narrow
        x = map_in(this, streams, sizes[0], len(parts.stem.bias))
        self.stem = StemStep(parts.stem, streams, (height, width), x)
        self.layers: list[LayerSteps] = []
        for layer, size, after in zip(parts.layers, sizes, sizes[1:], strict=False):
            out = x
            if layer.skip is not None:
                this, other = other, this
                out = map_in(this, streams, after, layer.project.shape[1])
            self.layers.append(LayerSteps(layer, x, size, out, memory, self.counters))
            x = out
        self.last, self.streams, self.size = x, streams, sizes[-1]
        self.head = HeadStep(
            parts, map_in(memory.wide, streams, sizes[-1], len(parts.head.bias)), streams, self.counters
        )
        self.classifier, self.kind = parts.classifier, parts.form.head_pool

    def run(self, image: Tensor, state: State) -> Tensor:
        """One frame of each stream.

        Args:
            image: [N, 3, H, W].
            state: before the frame; changed to the one after it.

        Returns:
            Logits as those of `FusedMoViNet`, in memory of their own.
        """
        # inside, no call looks for gradients; what is returned is made outside, as an ordinary tensor
        with torch.inference_mode():
            self.counters.advance(state)
            self.stem.run(image)
            for layer in self.layers:
                layer.run(state)
            hidden = self.head.run(self.last.rows, state)
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
        """See `FrameProgram.run`."""
        streams, _, height, width = image.shape
        key = (streams, height, width)
        with self.lock:
            free = self.free.get(key)
            program = free.pop() if free else None
        if program is None:
            program = make(*key)
        logits = program.run(image, state)
        with self.lock:
            kept = self.free.pop(key, [])  # to the end, where the latest are
            self.free[key] = [*kept, program]
            while len(self.free) > SIZES:
                self.free.pop(next(iter(self.free)))
        return logits

    def __reduce__(self) -> tuple[type[Programs], tuple[()]]:
        return Programs, ()


def _strided(size: tuple[int, int], stride: int) -> tuple[int, int]:
    return halve(size[0], stride), halve(size[1], stride)
