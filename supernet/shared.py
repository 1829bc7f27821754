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
from torch import nn

from networks import layers
from networks.initialisers import he_normal_
from networks.movinet import Linear
from searchspace import Kernel
from supernet.flat import Slicer


class SharedConv(nn.Module):
    """A convolution [out, in, ...] without bias, and the affine part of its BatchNorm."""

    def __init__(self, shape: tuple[int, ...], generator: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(he_normal_(torch.empty(shape), math.prod(shape[1:]), generator))
        self.norm_weight = nn.Parameter(torch.ones(shape[0]))
        self.norm_bias = nn.Parameter(torch.zeros(shape[0]))

    def slice(self, slicer: Slicer, outputs: int, inputs: int) -> layers.ConvWeights:
        """The first `outputs` x `inputs` channels."""
        norm = layers.NormWeights(slicer.slice(self.norm_weight, outputs), slicer.slice(self.norm_bias, outputs))
        return layers.ConvWeights(slicer.slice(self.weight, outputs, inputs, decay=True), norm)


def slice_linear(slicer: Slicer, linear: Linear, outputs: int, inputs: int, decay: bool = True) -> layers.LinearWeights:
    """The first `outputs` x `inputs` units."""
    weight = slicer.slice(linear.weight, outputs, inputs, decay=decay)
    return layers.LinearWeights(weight, slicer.slice(linear.bias, outputs))


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

    def __init__(self, channels: int, kernels: Sequence[Kernel], nested: bool, generator: torch.Generator) -> None:
        super().__init__()
        self.kernels = tuple(kernels)
        self.shared: nn.Parameter | None = None
        if nested:
            covered = {kernel: _offsets(kernel) for kernel in self.kernels}
            taps = sorted({offset for offsets in covered.values() for offset in offsets})
            place = {offset: i for i, offset in enumerate(taps)}
            for i, kernel in enumerate(self.kernels):
                columns = torch.tensor([place[offset] for offset in covered[kernel]])
                self.register_buffer(f"columns_{i}", columns, persistent=False)
            mean_taps = sum(kernel.taps for kernel in self.kernels) / len(self.kernels)
            self.shared = nn.Parameter(he_normal_(torch.empty(channels, len(taps)), mean_taps, generator))
        self.own = nn.ParameterDict()
        for kernel in self.kernels:
            own = torch.zeros(channels, 1, *kernel)
            self.own[str(kernel)] = nn.Parameter(own if nested else he_normal_(own, kernel.taps, generator))
        self.norm_weight = nn.Parameter(torch.ones(len(self.kernels), channels))
        self.norm_bias = nn.Parameter(torch.zeros(len(self.kernels), channels))

    def slice(self, slicer: Slicer, kernel: Kernel, channels: int) -> layers.DepthwiseWeights:
        """One kernel over the first `channels` channels."""
        row = self.kernels.index(kernel)
        norm = layers.NormWeights(
            slicer.slice(self.norm_weight, channels, row=row), slicer.slice(self.norm_bias, channels, row=row)
        )
        own = self.own[str(kernel)]
        if self.shared is None:
            weight = slicer.slice(own, channels, decay=True)
        else:
            weight = slicer.gathered(self.shared, self.get_buffer(f"columns_{row}"), own, channels)
        return layers.DepthwiseWeights(layers.ConvWeights(weight, norm))


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

    def slice(self, slicer: Slicer, channels: int, hidden: int, averaged: bool) -> layers.SqueezeWeights:
        """The first `channels` channels and `hidden` units; `averaged` with the layer without it."""
        return layers.SqueezeWeights(
            slice_linear(slicer, self.reduce, hidden, channels),
            slice_linear(slicer, self.expand, channels, hidden),
            0.5 if averaged else 1.0,
        )
