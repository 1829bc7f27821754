"""Weights at maximum width, and how a path slices them into the weights of `networks.layers`.

Sharing follows TuNAS (arXiv 2008.06120): one set of weights a layer position, pointwise weights and the affine part
of their BatchNorm shared by prefixes, squeeze-excitation at the hidden width of the active expansion. Depthwise
kernels are *separate*, a tensor each, as TuNAS has them, or *nested*: the part of one shared tensor that the kernel
covers around its centre, plus a difference of its own that starts at zero. Each kernel has its own BatchNorm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from networks import layers
from networks.initialisers import he_normal_
from networks.movinet import Linear
from searchspace import Kernel
from supernet.flat import FlatWeights


class SharedConv(nn.Module):
    """A convolution [out, in, ...] without bias, and the affine part of its BatchNorm."""

    def __init__(self, shape: tuple[int, ...], generator: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(he_normal_(torch.empty(shape), math.prod(shape[1:]), generator))
        self.norm_weight = nn.Parameter(torch.ones(shape[0]))
        self.norm_bias = nn.Parameter(torch.zeros(shape[0]))

    def slice(self, flat: FlatWeights, outputs: int, inputs: int) -> layers.ConvWeights:
        """The first `outputs` x `inputs` channels."""
        norm = layers.NormWeights(flat.slice(self.norm_weight, outputs), flat.slice(self.norm_bias, outputs))
        return layers.ConvWeights(flat.slice(self.weight, outputs, inputs), norm)


def slice_linear(flat: FlatWeights, linear: Linear, outputs: int, inputs: int) -> layers.LinearWeights:
    """The first `outputs` x `inputs` units."""
    return layers.LinearWeights(flat.slice(linear.weight, outputs, inputs), flat.slice(linear.bias, outputs))


class SharedDepthwise(nn.Module):
    """Depthwise kernels of all choices over the widest expansion.

    A shared tensor holds exactly the taps that some kernel covers, one column each, not their bounding box: kernels
    1x7x7, 7x1x1 and 5x3x3 cover 87 taps of 343. Its initial deviation is that of the kernels' mean number of taps
    (our choice; BatchNorm follows).

    Args:
        channels: of the widest expansion.
        kernels: the choices.
        nested: share taps, or give each kernel a tensor of its own.
        generator: for the initial weights.
    """

    columns: Tensor

    def __init__(self, channels: int, kernels: Sequence[Kernel], nested: bool, generator: torch.Generator) -> None:
        super().__init__()
        self.kernels = tuple(kernels)
        self.shared: nn.Parameter | None = None
        self._columns: list[Tensor] = []
        if nested:
            covered = {kernel: _offsets(kernel) for kernel in self.kernels}
            taps = sorted({offset for offsets in covered.values() for offset in offsets})
            place = {offset: i for i, offset in enumerate(taps)}
            self._columns = [torch.tensor([place[o] for o in covered[kernel]]) for kernel in self.kernels]
            mean_taps = sum(kernel.taps for kernel in self.kernels) / len(self.kernels)
            self.shared = nn.Parameter(he_normal_(torch.empty(channels, len(taps)), mean_taps, generator))
        self.own = nn.ParameterDict()
        for kernel in self.kernels:
            own = torch.zeros(channels, kernel.taps)
            self.own[str(kernel)] = nn.Parameter(own if nested else he_normal_(own, kernel.taps, generator))
        self.norm_weight = nn.Parameter(torch.ones(len(self.kernels), channels))
        self.norm_bias = nn.Parameter(torch.zeros(len(self.kernels), channels))

    def slice(self, flat: FlatWeights, kernel: Kernel, channels: int) -> layers.ConvWeights:
        """One kernel over the first `channels` channels."""
        row = self.kernels.index(kernel)
        norm = layers.NormWeights(
            flat.slice(self.norm_weight, channels, row=row), flat.slice(self.norm_bias, channels, row=row)
        )
        weight = flat.slice(self.own[str(kernel)], channels)
        if self.shared is not None:
            weight = flat.slice(self.shared, channels).index_select(1, self._column(row)) + weight
        return layers.ConvWeights(weight.view(channels, 1, *kernel), norm)

    def _column(self, row: int) -> Tensor:
        """Columns of the shared tensor that a kernel covers, on the device of the weights."""
        assert self.shared is not None
        if self._columns[row].device != self.shared.device:
            self._columns[row] = self._columns[row].to(self.shared.device)
        return self._columns[row]

    @torch.no_grad()
    def decay_(self, flat: FlatWeights, kernel: Kernel, channels: int, amount: float) -> None:
        """Adds `amount` x weight to the gradient of what one kernel uses: its own tensor and the taps it covers."""
        own, covered = self.own[str(kernel)], self.shared
        assert own.grad is not None
        own.grad[:channels].add_(own[:channels], alpha=amount)
        if covered is not None:
            assert covered.grad is not None
            columns = self._column(self.kernels.index(kernel))
            covered.grad[:channels].index_add_(1, columns, covered[:channels].index_select(1, columns), alpha=amount)


def _offsets(kernel: Kernel) -> list[tuple[int, int, int]]:
    """Taps around the centre, in the order of the kernel's memory."""
    return [
        (t - kernel.t // 2, h - kernel.h // 2, w - kernel.w // 2)
        for t in range(kernel.t)
        for h in range(kernel.h)
        for w in range(kernel.w)
    ]


class SharedSqueeze(nn.Module):
    """Squeeze-excitation of the widest expansion."""

    def __init__(self, channels: int, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.reduce = Linear(channels, hidden, generator)
        self.expand = Linear(hidden, channels, generator)

    def slice(self, flat: FlatWeights, channels: int, hidden: int, averaged: bool) -> layers.SqueezeWeights:
        """The first `channels` channels and `hidden` units; `averaged` with the layer without it."""
        return layers.SqueezeWeights(
            slice_linear(flat, self.reduce, hidden, channels),
            slice_linear(flat, self.expand, channels, hidden),
            0.5 if averaged else 1.0,
        )
