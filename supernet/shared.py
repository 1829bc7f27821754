"""Weights at maximum width, and how a path slices them into the weights of `networks.layers`.

Sharing follows TuNAS (arXiv 2008.06120): one set of weights a layer position, pointwise weights and the affine part
of their BatchNorm shared by prefixes, squeeze-excitation at the hidden width of the active expansion. Depthwise
kernels are *separate*, a tensor each, as TuNAS has them, or *nested*: the part of one shared tensor that the kernel
covers around its centre, plus a difference of its own that starts at zero; a kernel behind a temporal shift covers
what it covers without. Each kernel has its own BatchNorm.

In the (2+1)D form both parts of a kernel are shared so, each with BatchNorms of its own a kernel; temporal parts of
causal networks share the taps of one age, the newest first. Squeeze-excitation that pools twice (`2plus3d`) slices its
first convolution in each half.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn

from networks import layer_weights
from networks.initialisers import he_normal_
from networks.movinet import Linear
from searchspace import Form, Kernel
from supernet.flat import Slicer


class SharedConv(nn.Module):
    """A convolution [out, in, ...] without bias, and the affine part of its BatchNorm."""

    def __init__(self, shape: tuple[int, ...], form: Form, generator: torch.Generator) -> None:
        super().__init__()
        self.eps = form.norm_eps
        self.weight = nn.Parameter(he_normal_(torch.empty(shape), math.prod(shape[1:]), generator))
        self.norm_weight = nn.Parameter(torch.ones(shape[0]))
        self.norm_bias = nn.Parameter(torch.zeros(shape[0]))

    def slice(self, slicer: Slicer, outputs: int, inputs: int) -> layer_weights.ConvWeights:
        """The first `outputs` x `inputs` channels."""
        weight, bias = slicer.slice(self.norm_weight, outputs), slicer.slice(self.norm_bias, outputs)
        norm = layer_weights.NormWeights(weight, bias, eps=self.eps)
        return layer_weights.ConvWeights(slicer.slice(self.weight, outputs, inputs, decay=True), norm)


def slice_linear(
    slicer: Slicer, linear: Linear, outputs: int, *inputs: int, decay: bool = True
) -> layer_weights.LinearWeights:
    """The first `outputs` x `inputs` units."""
    weight = slicer.slice(linear.weight, outputs, *inputs, decay=decay)
    return layer_weights.LinearWeights(weight, slicer.slice(linear.bias, outputs))


class SharedDepthwise(nn.Module):
    """Depthwise kernels of all choices over the widest expansion.

    A shared tensor holds exactly the taps that some kernel covers, one column each, not their bounding box: kernels
    1x7x7, 7x1x1 and 5x3x3 cover 87 taps of 343. Its initial deviation is that of the kernels' mean number of taps
    (our choice; BatchNorm follows).

    Args:
        channels: of the widest expansion.
        kernels: the choices, and the part of each that is meant: itself, or its spatial or temporal part.
        nested: share taps, or give each kernel a tensor of its own.
        form: of the networks.
        generator: for the initial weights.
    """

    def __init__(
        self,
        channels: int,
        kernels: Mapping[Kernel, Kernel],
        nested: bool,
        form: Form,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.kernels, self.eps = tuple(kernels), form.norm_eps
        self.shared: nn.Parameter | None = None
        if nested:
            covered = [_offsets(part, form.causal) for part in kernels.values()]
            taps = sorted({offset for offsets in covered for offset in offsets})
            place = {offset: i for i, offset in enumerate(taps)}
            for i, offsets in enumerate(covered):
                columns = torch.tensor([place[offset] for offset in offsets])
                self.register_buffer(f"columns_{i}", columns, persistent=False)
            mean_taps = sum(part.taps for part in kernels.values()) / len(kernels)
            self.shared = nn.Parameter(he_normal_(torch.empty(channels, len(taps)), mean_taps, generator))
        self.own = nn.ParameterDict()
        for kernel, part in kernels.items():
            own = torch.zeros(channels, 1, *part.size)
            self.own[str(kernel)] = nn.Parameter(own if nested else he_normal_(own, part.taps, generator))
        self.norm_weight = nn.Parameter(torch.ones(len(kernels), channels))
        self.norm_bias = nn.Parameter(torch.zeros(len(kernels), channels))

    def slice(self, slicer: Slicer, kernel: Kernel, channels: int) -> layer_weights.ConvWeights:
        """One kernel over the first `channels` channels."""
        row = self.kernels.index(kernel)
        scale, shift = (slicer.slice(each, channels, row=row) for each in (self.norm_weight, self.norm_bias))
        norm = layer_weights.NormWeights(scale, shift, eps=self.eps)
        own = self.own[str(kernel)]
        if self.shared is None:
            weight = slicer.slice(own, channels, decay=True)
        else:
            weight = slicer.gathered(self.shared, self.get_buffer(f"columns_{row}"), own, channels)
        return layer_weights.ConvWeights(weight, norm)


def _offsets(kernel: Kernel, causal: bool) -> list[tuple[int, int, int]]:
    """Taps around the centre, in time of causal networks before the newest, in the order of the kernel's memory."""
    now = kernel.t - 1 if causal else kernel.t // 2
    return [
        (t - now, h - kernel.h // 2, w - kernel.w // 2)
        for t in range(kernel.t)
        for h in range(kernel.h)
        for w in range(kernel.w)
    ]


class SharedSqueeze(nn.Module):
    """Squeeze-excitation of the widest expansion; `reduce.weight` is [hidden, 2, channels] where it pools twice."""

    def __init__(self, channels: int, hidden: int, form: Form, generator: torch.Generator) -> None:
        super().__init__()
        self.halves = form.pooled
        self.reduce = Linear(channels * form.pooled, hidden, generator)
        if form.pooled > 1:
            self.reduce.weight = nn.Parameter(self.reduce.weight.detach().view(hidden, form.pooled, channels))
        self.expand = Linear(hidden, channels, generator)
        self.position_scale = nn.Parameter(torch.zeros(())) if form.position_encoding else None

    def slice(self, slicer: Slicer, channels: int, hidden: int, averaged: bool) -> layer_weights.SqueezeWeights:
        """The first `channels` channels, of each half, and `hidden` units; `averaged` with the layer without it."""
        inputs = (channels,) if self.halves == 1 else (self.halves, channels)
        return layer_weights.SqueezeWeights(
            slice_linear(slicer, self.reduce, hidden, *inputs),
            slice_linear(slicer, self.expand, channels, hidden),
            0.5 if averaged else 1.0,
            slicer.slice(self.position_scale) if self.position_scale is not None else None,
        )
