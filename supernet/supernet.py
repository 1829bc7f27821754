"""All networks of a space over one set of weights: a sampled path slices them and runs the layers of `networks`.

Sharing (TuNAS, section 3 of its paper and released code, except where said): pointwise weights by their leading
channels; depthwise weights per kernel, either separate or, ours, nested; squeeze-excitation by slicing, its hidden
width that of the active expansion; one residual scalar a layer position; BatchNorm with the statistics of the batch,
in training and in looks, its affine part sliced, one for each kernel behind the depthwise convolution.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from networks import layers
from networks.formulations import channels_last
from networks.initialisers import classifier_normal_, he_normal_
from networks.layers import BottleneckWeights, ConvWeights, HeadWeights, SqueezeWeights
from networks.movinet import Linear, Squeeze
from searchspace import Architecture, BlockSpace, Kernel, Position, Space, squeeze_width
from supernet.slicing import Observe, SharedNorm, Slicer, Statistics


@dataclasses.dataclass(frozen=True)
class Path:
    """What runs in one pass.

    Attributes:
        architecture: concrete layers.
        averaged: layers in which all choices run side by side and are averaged, as (block, layer, "kernel" or "se");
            only TuNAS's warm-up does this.
    """

    architecture: Architecture
    averaged: frozenset[tuple[int, int, str]] = frozenset()


class SharedConv(nn.Module):
    """A pointwise convolution of the most channels, [outputs, inputs], with its BatchNorm."""

    def __init__(self, outputs: int, inputs: int, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(he_normal_(torch.empty(outputs, inputs), inputs, generator))
        self.norm = SharedNorm(outputs)

    def slice(self, take: Slicer, name: str, outputs: int, inputs: int) -> ConvWeights:
        """The leading channels."""
        return take.conv(name, self.weight, self.norm, outputs, inputs)


class SharedDepthwise(nn.Module):
    """Depthwise weights of every kernel of a layer position.

    Nested: a kernel is the centre of one shared tensor plus a difference of its own that starts at zero, so that what
    one kernel learns all know (spec: our choice; it is what learns in minutes). Separate: each kernel its own tensor.

    Args:
        channels: the most.
        kernels: that the block offers.
        nested: see above.
        generator: of the initial weights.
    """

    def __init__(self, channels: int, kernels: tuple[Kernel, ...], nested: bool, generator: torch.Generator) -> None:
        super().__init__()
        self.kernels = kernels
        self.shared: nn.Parameter | None = None
        if nested:
            shape = tuple(max(kernel[axis] for kernel in kernels) for axis in range(3))
            taps = sum(kernel.taps for kernel in kernels) / len(kernels)
            self.shared = nn.Parameter(he_normal_(torch.empty(channels, 1, *shape), taps, generator))
        self.own = nn.ParameterDict()
        self.norms = nn.ModuleDict()
        for kernel in kernels:
            tensor = torch.zeros(channels, 1, *kernel)
            self.own[str(kernel)] = nn.Parameter(tensor if nested else he_normal_(tensor, kernel.taps, generator))
            self.norms[str(kernel)] = SharedNorm(channels)

    def slice(self, take: Slicer, name: str, kernel: Kernel, channels: int) -> ConvWeights:
        """One kernel on the leading channels."""
        weight = take.take(self.own[str(kernel)], channels, decay=True)
        if self.shared is not None:
            whole = take.take(self.shared, channels, decay=True)
            begin = [(size - length) // 2 for size, length in zip(whole.shape[2:], kernel, strict=True)]
            t, h, w = (slice(start, start + length) for start, length in zip(begin, kernel, strict=True))
            weight = whole[:, :, t, h, w] + weight
        norm = self.norms[str(kernel)]
        assert isinstance(norm, SharedNorm)
        return ConvWeights(weight, take.norm(f"{name}.norm", norm, channels))


class SharedBottleneck(nn.Module):
    """Weights of one layer position.

    Args:
        block: what the block offers.
        inputs: the most channels that come in.
        first: whether it is the block's first layer, which may need a skip projection.
        nested: see `SharedDepthwise`.
        residual: starting value of the residual scalar.
        generator: of the initial weights.
    """

    def __init__(
        self, block: BlockSpace, inputs: int, first: bool, nested: bool, residual: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        expand, width = max(block.expansions), max(block.widths)
        self.expand = SharedConv(expand, inputs, generator)
        self.depthwise = SharedDepthwise(expand, block.kernels, nested, generator)
        self.squeeze = Squeeze(expand, squeeze_width(expand), generator) if any(block.squeezes) else None
        self.project = SharedConv(width, expand, generator)
        self.skip = SharedConv(width, inputs, generator) if first else None
        self.scale = nn.Parameter(torch.tensor(residual))

    def slice(self, take: Slicer, name: str, position: Position, averaged: frozenset[str]) -> BottleneckWeights:
        """The weights of a concrete layer.

        Args:
            take: makes the slices.
            name: of the layer in the stand-alone network.
            position: the layer and its widths.
            averaged: "kernel", "se" or both: run all choices and average.
        """
        layer = position.layer
        kernels = self.depthwise.kernels if "kernel" in averaged else (layer.kernel,)
        squeeze = None
        hidden = layer.squeeze
        if "se" in averaged and self.squeeze is not None:
            hidden = squeeze_width(layer.expand)
        if hidden and self.squeeze is not None:
            reduce, expand = self.squeeze.reduce, self.squeeze.expand
            squeeze = SqueezeWeights(
                take.linear(reduce.weight, reduce.bias, hidden, layer.expand, decay=True),
                take.linear(expand.weight, expand.bias, layer.expand, hidden, decay=True),
                share=0.5 if "se" in averaged else 1.0,
            )
        skip = None
        if position.has_projection:
            assert self.skip is not None, "only a block's first layer changes stride or width"
            skip = self.skip.slice(take, f"{name}.skip", position.width, position.in_width)
        return BottleneckWeights(
            expand=self.expand.slice(take, f"{name}.expand", layer.expand, position.in_width),
            depthwise=tuple(
                self.depthwise.slice(take, f"{name}.depthwise", kernel, layer.expand) for kernel in kernels
            ),
            squeeze=squeeze,
            project=self.project.slice(take, f"{name}.project", position.width, layer.expand),
            skip=skip,
            scale=take.take(self.scale),
        )


class Supernet(nn.Module):
    """Shared weights of a space.

    Gradients land in `.grad` of the shared parameters, which are zeros (never None) where nothing was active; call
    `zero_grad()` before a step and `loss.backward()` as often as there are paths.

    Args:
        space: its classes are the outputs.
        kernels: `"nested"` or `"separate"`, see `SharedDepthwise`.
        residual: starting value of the residual scalars; at 0 no branch acts at first, so that cost alone decides.
        seed: of the initial weights.

    Raises:
        ValueError: an unknown kind of kernels.
    """

    def __init__(self, space: Space, *, kernels: str = "nested", residual: float = 0.5, seed: int = 0) -> None:
        super().__init__()
        if kernels not in ("nested", "separate"):
            raise ValueError(f"kernels {kernels!r}: allowed are nested, separate")
        self.space = space
        generator = torch.Generator().manual_seed(seed)
        taps = space.stem.kernel
        stem = torch.empty(space.stem.width, 3, *taps)
        self.stem_weight = nn.Parameter(he_normal_(stem, 3 * taps.taps, generator))
        self.stem_norm = SharedNorm(space.stem.width)
        self.blocks = nn.ModuleList()
        inputs = space.stem.width
        for block in space.blocks:
            positions = nn.ModuleList()
            for index in range(block.depths[-1]):
                nested = kernels == "nested"
                positions.append(SharedBottleneck(block, inputs, index == 0, nested, residual, generator))
                inputs = max(block.widths)
            self.blocks.append(positions)
        head = max(space.heads)
        self.head = SharedConv(head, inputs, generator)
        self.dense = Linear(head, space.hidden, generator)
        self.classifier = Linear(space.hidden, space.classes, generator)
        classifier_normal_(self.classifier.weight, generator)
        self._touched: dict[nn.Parameter, None] = {}

    def forward(
        self,
        clip_NCTHW: Tensor,
        path: Path,
        *,
        statistics: Statistics | None = None,
        weight_decay: float = 0.0,
        observe: Observe | None = None,
    ) -> Tensor:
        """Runs a path.

        Args:
            clip_NCTHW: clips [N, 3, T, H, W], float RGB in [0, 1].
            path: what runs; its architecture must be one of the space.
            statistics: for BatchNorm, by name; None for those of the batch.
            weight_decay: L2 coefficient; once a `backward`, it acts on the active slices of kernels (not on BatchNorm,
                biases, residual scalars, nor the classifier).
            observe: called with the name and the input of every BatchNorm.

        Returns:
            Logits [N, classes].

        Raises:
            ValueError: the architecture does not fit the shared weights.
        """
        architecture = path.architecture
        self.check(architecture)
        take = Slicer(self._touched, torch.is_grad_enabled(), weight_decay, statistics, observe)
        x = layers.stem(channels_last(clip_NCTHW), self.stem_weights(take), False)
        width = architecture.stem.width
        for position in architecture.layers():
            b, index = position.block, position.index
            shared = self.position(b, index)
            averaged = frozenset(kind for block, layer, kind in path.averaged if (block, layer) == (b, index))
            weights = shared.slice(take, f"blocks.{b}.layers.{index}", position, averaged)
            x = layers.bottleneck(x, weights, position.layer.stride, False)
            width = position.width
        return layers.head(x, self.head_weights(take, architecture, width), False)

    def zero_grad(self, set_to_none: bool = False) -> None:
        """Zeroes the gradients, and only those that were touched; unused parameters keep zeros, never None."""
        for parameter in self.parameters():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
                self._touched.pop(parameter, None)
        touched = [parameter.grad for parameter in self._touched if parameter.grad is not None]
        if touched:
            torch._foreach_zero_(touched)
        self._touched.clear()

    @torch.no_grad()
    def clip_gradients(self, most: float) -> float:
        """Scales all gradients so that their norm is at most `most`; returns the norm before. Zeros are not read."""
        gradients = [parameter.grad for parameter in self._touched if parameter.grad is not None]
        norm = float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))))
        if norm > most:
            torch._foreach_mul_(gradients, most / norm)
        return norm

    def position(self, block: int, index: int) -> SharedBottleneck:
        """Weights of a layer position."""
        positions = self.blocks[block]
        assert isinstance(positions, nn.ModuleList)
        shared = positions[index]
        assert isinstance(shared, SharedBottleneck)
        return shared

    def stem_weights(self, take: Slicer) -> ConvWeights:
        """Of the first convolution."""
        norm = take.norm("stem.norm", self.stem_norm, self.space.stem.width)
        return ConvWeights(take.take(self.stem_weight, decay=True), norm)

    def head_weights(self, take: Slicer, architecture: Architecture, inputs: int) -> HeadWeights:
        """From the last block, of width `inputs`, to the logits."""
        head = architecture.head.width
        dense, classifier = self.dense, self.classifier
        return HeadWeights(
            self.head.slice(take, "head", head, inputs),
            take.linear(dense.weight, dense.bias, architecture.head.hidden, head, decay=True),
            take.linear(
                classifier.weight, classifier.bias, architecture.classes, architecture.head.hidden, decay=False
            ),
        )

    def check(self, architecture: Architecture) -> None:
        """Raises `ValueError` where the shared weights do not hold the architecture; cheap enough for every pass."""
        space = self.space
        wrong = ""
        if architecture.stem != space.stem or architecture.classes != space.classes:
            wrong = f"stem {architecture.stem.width} and {architecture.classes} classes"
        elif architecture.head.width > max(space.heads) or architecture.head.hidden != space.hidden:
            wrong = f"head {architecture.head.width}, {architecture.head.hidden}"
        elif len(architecture.blocks) != len(space.blocks):
            wrong = f"{len(architecture.blocks)} blocks"
        for b, (block, offered) in enumerate(zip(architecture.blocks, space.blocks, strict=False)):
            if block.width > max(offered.widths) or len(block.layers) > offered.depths[-1]:
                wrong = f"block {b} of width {block.width} and {len(block.layers)} layers"
            for i, layer in enumerate(block.layers):
                stride = offered.stride if i == 0 else 1
                if layer.kernel not in offered.kernels or layer.stride != stride:
                    wrong = f"kernel {layer.kernel} with stride {layer.stride} in block {b}"
                elif layer.expand > max(offered.expansions) or layer.squeeze > squeeze_width(max(offered.expansions)):
                    wrong = f"expansion {layer.expand} in block {b}"
                elif layer.squeeze and not any(offered.squeezes):
                    wrong = f"squeeze-excitation in block {b}"
        if wrong:
            raise ValueError(
                f"architecture {architecture.name!r} has {wrong}, which the shared weights of space {space.name!r} "
                "do not hold; space.nearest() gives the closest point"
            )
