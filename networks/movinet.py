"""MoViNet: the network of one architecture. It owns the weights; what they do stands in `networks.layers`."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from networks import layers
from networks.formulations import channels_last
from networks.initialisers import classifier_normal_, he_normal_
from searchspace import Architecture, Position


class Norm(nn.Module):
    """Weights and moving statistics of a BatchNorm over C channels."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def weights(self) -> layers.NormWeights:
        """As the layer functions want them."""
        return layers.NormWeights(self.weight, self.bias, self.running_mean, self.running_var)


class ConvNorm(nn.Module):
    """Weights of a convolution without bias and of its BatchNorm.

    Args:
        shape: of the weight, output channels first.
        fan_in: see `he_normal_`.
        generator: for the initial weights.
    """

    def __init__(self, shape: tuple[int, ...], fan_in: int, generator: torch.Generator | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(he_normal_(torch.empty(shape), fan_in, generator))
        self.norm = Norm(shape[0])

    def weights(self) -> layers.ConvWeights:
        """As the layer functions want them."""
        return layers.ConvWeights(self.weight, self.norm.weights())


class Linear(nn.Module):
    """Weights [out, in] and bias [out] of a linear layer, He-normal and zero."""

    def __init__(self, inputs: int, outputs: int, generator: torch.Generator | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(he_normal_(torch.empty(outputs, inputs), inputs, generator))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def weights(self) -> layers.LinearWeights:
        """As the layer functions want them."""
        return layers.LinearWeights(self.weight, self.bias)


class Squeeze(nn.Module):
    """Weights of squeeze-excitation."""

    def __init__(self, channels: int, hidden: int, generator: torch.Generator | None) -> None:
        super().__init__()
        self.reduce = Linear(channels, hidden, generator)
        self.expand = Linear(hidden, channels, generator)

    def weights(self) -> layers.SqueezeWeights:
        """As the layer functions want them."""
        return layers.SqueezeWeights(self.reduce.weights(), self.expand.weights())


class Bottleneck(nn.Module):
    """Weights of one bottleneck; `drop_path` is its rate of stochastic depth in training."""

    def __init__(self, position: Position, drop_path: float, generator: torch.Generator | None) -> None:
        super().__init__()
        layer = position.layer
        self.stride = layer.stride
        self.drop_path = drop_path
        self.expand = ConvNorm((layer.expand, position.in_width), position.in_width, generator)
        self.depthwise = ConvNorm((layer.expand, 1, *layer.kernel), layer.kernel.taps, generator)
        self.squeeze = Squeeze(layer.expand, layer.squeeze, generator) if layer.squeeze else None
        self.project = ConvNorm((position.width, layer.expand), layer.expand, generator)
        self.skip = None
        if position.has_projection:
            self.skip = ConvNorm((position.width, position.in_width), position.in_width, generator)
        self.scale = nn.Parameter(torch.zeros(()))

    def weights(self) -> layers.BottleneckWeights:
        """As the layer functions want them."""
        return layers.BottleneckWeights(
            expand=self.expand.weights(),
            depthwise=(self.depthwise.weights(),),
            squeeze=self.squeeze.weights() if self.squeeze is not None else None,
            project=self.project.weights(),
            skip=self.skip.weights() if self.skip is not None else None,
            scale=self.scale,
        )

    def forward(self, x_NCTHW: Tensor) -> Tensor:
        """[N, I, T, H, W] -> [N, O, T, H', W']."""
        drop = layers.branch_dropper(self.drop_path) if self.training and self.drop_path > 0 else None
        return layers.bottleneck(x_NCTHW, self.weights(), self.stride, self.training, drop)


class Block(nn.Module):
    """Bottlenecks one after the other."""

    def __init__(self, bottlenecks: list[Bottleneck]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(bottlenecks)

    def bottlenecks(self) -> list[Bottleneck]:
        """The layers, typed."""
        return [cast(Bottleneck, layer) for layer in self.layers]

    def forward(self, x_NCTHW: Tensor) -> Tensor:
        """[N, I, T, H, W] -> [N, O, T, H', W']."""
        for layer in self.layers:
            x_NCTHW = layer(x_NCTHW)
        return x_NCTHW


class MoViNet(nn.Module):
    """The network of an architecture, initialised as the reference does.

    Every residual scalar starts at 0 (ReZero), so a fresh network shows nothing but its skip connections.

    Args:
        architecture: what to build.
        generator: the source of the initial weights; None for torch's global one.
    """

    def __init__(self, architecture: Architecture, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.architecture = architecture
        stem, head = architecture.stem, architecture.head
        self.stem = ConvNorm((stem.width, 3, *stem.kernel), 3 * stem.kernel.taps, generator)
        blocks: list[list[Bottleneck]] = [[] for _ in architecture.blocks]
        for i, position in enumerate(architecture.layers()):
            rate = architecture.drop_path * (i + 1) / architecture.depth
            blocks[position.block].append(Bottleneck(position, rate, generator))
        self.blocks = nn.ModuleList([Block(bottlenecks) for bottlenecks in blocks])
        last = architecture.blocks[-1].width
        self.head = ConvNorm((head.width, last), last, generator)
        self.dense = Linear(head.width, head.hidden, generator)
        self.classifier = Linear(head.hidden, architecture.classes, generator)
        classifier_normal_(self.classifier.weight, generator)

    def bottlenecks(self) -> list[Bottleneck]:
        """All bottlenecks in order."""
        return [layer for block in self.blocks for layer in cast(Block, block).bottlenecks()]

    def weights(self) -> layers.NetworkWeights:
        """As the layer functions want them."""
        return layers.NetworkWeights(
            stem=self.stem.weights(),
            bottlenecks=[layer.weights() for layer in self.bottlenecks()],
            strides=[layer.stride for layer in self.bottlenecks()],
            head=self._head_weights(),
        )

    def _head_weights(self) -> layers.HeadWeights:
        return layers.HeadWeights(self.head.weights(), self.dense.weights(), self.classifier.weights())

    def forward(self, clip_NCTHW: Tensor) -> Tensor:
        """Logits [N, classes] of clips [N, 3, T, H, W], float RGB in [0, 1], of any T, H, W >= 1."""
        x = layers.stem(channels_last(clip_NCTHW), self.stem.weights(), self.training)
        for block in self.blocks:
            x = block(x)
        return layers.head(x, self._head_weights(), self.training, self.architecture.dropout)
