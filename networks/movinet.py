"""MoViNet: the network of one architecture. It owns the weights; what they do stands in `networks.layers`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from networks import layer_weights, layers, states
from networks.checkpointing import checkpointed
from networks.inference import FusedMoViNet
from networks.initialisers import classifier_normal_, he_normal_
from networks.kernels import channels_last
from networks.registry import network_of
from networks.temporal import State, StateLike
from networks.video_network import VideoNetwork
from searchspace import Architecture, Form, Position
from searchspace.state_shapes import HEAD, layer_name, named


class Norm(nn.Module):
    """Weights and moving statistics of a BatchNorm over C channels; its constants are those of `form`.

    Attributes:
        observe: called with every input, for those who gather statistics.
    """

    running_mean: Tensor
    running_var: Tensor
    observe: Callable[[Tensor], None] | None = None

    def __init__(self, channels: int, form: Form) -> None:
        super().__init__()
        self.momentum, self.eps = form.norm_momentum, form.norm_eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def weights(self) -> layer_weights.NormWeights:
        """As the layer functions want them."""
        mean, var = self.running_mean, self.running_var
        return layer_weights.NormWeights(self.weight, self.bias, mean, var, self.observe, self.momentum, self.eps)


class ConvNorm(nn.Module):
    """Weights of a convolution without bias and of its BatchNorm.

    Args:
        shape: of the weight, output channels first.
        fan_in: see `he_normal_`.
        form: of the network.
        generator: for the initial weights.
    """

    def __init__(self, shape: tuple[int, ...], fan_in: int, form: Form, generator: torch.Generator | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(he_normal_(torch.empty(shape), fan_in, generator))
        self.norm = Norm(shape[0], form)

    def weights(self) -> layer_weights.ConvWeights:
        """As the layer functions want them."""
        return layer_weights.ConvWeights(self.weight, self.norm.weights())


class Linear(nn.Module):
    """Weights [out, in] and bias [out] of a linear layer, He-normal and zero."""

    def __init__(self, inputs: int, outputs: int, generator: torch.Generator | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(he_normal_(torch.empty(outputs, inputs), inputs, generator))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def weights(self) -> layer_weights.LinearWeights:
        """As the layer functions want them."""
        return layer_weights.LinearWeights(self.weight, self.bias)


class Squeeze(nn.Module):
    """Weights of squeeze-excitation."""

    def __init__(self, channels: int, hidden: int, form: Form, generator: torch.Generator | None) -> None:
        super().__init__()
        self.reduce = Linear(channels * form.pooled, hidden, generator)
        self.expand = Linear(hidden, channels, generator)
        self.position_scale = nn.Parameter(torch.zeros(())) if form.position_encoding else None

    def weights(self) -> layer_weights.SqueezeWeights:
        """As the layer functions want them."""
        return layer_weights.SqueezeWeights(
            self.reduce.weights(), self.expand.weights(), position_scale=self.position_scale
        )


class Bottleneck(nn.Module):
    """Weights of one bottleneck; `drop_path` is its rate of stochastic depth in training."""

    def __init__(self, position: Position, drop_path: float, form: Form, generator: torch.Generator | None) -> None:
        super().__init__()
        layer = position.layer
        self.form, self.stride, self.drop_path = form, layer.stride, drop_path
        self.expand = ConvNorm((layer.expand, position.in_width), position.in_width, form, generator)
        kernel, temporal = form.parts(layer.kernel)
        self.shift = kernel.shifted(layer.expand)
        self.depthwise = ConvNorm((layer.expand, 1, *kernel.size), kernel.taps, form, generator)
        self.temporal = None
        if temporal is not None:
            self.temporal = ConvNorm((layer.expand, 1, *temporal.size), temporal.taps, form, generator)
        self.squeeze = Squeeze(layer.expand, layer.squeeze, form, generator) if layer.squeeze else None
        self.project = ConvNorm((position.width, layer.expand), layer.expand, form, generator)
        self.skip = None
        if position.has_projection:
            self.skip = ConvNorm((position.width, position.in_width), position.in_width, form, generator)
        self.scale = nn.Parameter(torch.zeros(()))

    def weights(self) -> layer_weights.BottleneckWeights:
        """As the layer functions want them."""
        temporal = self.temporal.weights() if self.temporal is not None else None
        return layer_weights.BottleneckWeights(
            expand=self.expand.weights(),
            depthwise=(layer_weights.DepthwiseWeights(self.depthwise.weights(), temporal, self.shift),),
            squeeze=self.squeeze.weights() if self.squeeze is not None else None,
            project=self.project.weights(),
            skip=self.skip.weights() if self.skip is not None else None,
            scale=self.scale,
        )

    def forward(self, x_NCTHW: Tensor, state: StateLike | None = None) -> tuple[Tensor, State]:
        """[N, I, T, H, W] -> [N, O, T, H', W'], and the layer's state after the clip."""
        drop = layers.branch_dropper(self.drop_path) if self.training and self.drop_path > 0 else None
        return layers.bottleneck(x_NCTHW, self.weights(), self.stride, self.training, self.form, state, drop)


class Block(nn.Module):
    """The bottlenecks of one block."""

    def __init__(self, bottlenecks: list[Bottleneck]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(bottlenecks)

    def bottlenecks(self) -> list[Bottleneck]:
        """The layers, typed."""
        return [cast(Bottleneck, layer) for layer in self.layers]


@network_of(Architecture)
class MoViNet(VideoNetwork[Architecture]):
    """The network of an architecture, initialised as the reference does.

    Every residual scalar starts at 0 (ReZero), so a fresh network shows nothing but its skip connections.

    A causal network runs on whole clips and frame by frame with the same weights, and keeps nothing in itself:

        state = network.initial_state(batch, height, width)
        for frames in stream:                       # [N, 3, T, H, W] of any T
            logits, state = network(frames, state)  # of all frames so far

    Args:
        architecture: what to build.
        generator: the source of the initial weights; None for torch's global one.

    Attributes:
        features_only: calling the network gives what `features` gives, in place of logits.
        checkpointing: in training, bottlenecks are computed again in the backward pass; see `networks.checkpointing`.
    """

    def __init__(self, architecture: Architecture, generator: torch.Generator | None = None) -> None:
        super().__init__(architecture)
        self.features_only = self.checkpointing = False
        stem, head, form = architecture.stem, architecture.head, architecture.form
        self.stem = ConvNorm((stem.width, 3, *stem.kernel.size), 3 * stem.kernel.taps, form, generator)
        blocks: list[list[Bottleneck]] = [[] for _ in architecture.blocks]
        for i, position in enumerate(architecture.layers()):
            rate = architecture.drop_path * (i + 1) / architecture.depth
            blocks[position.block].append(Bottleneck(position, rate, form, generator))
        self.blocks = nn.ModuleList([Block(bottlenecks) for bottlenecks in blocks])
        last = architecture.blocks[-1].width
        self.head = ConvNorm((head.width, last), last, form, generator)
        self.dense = Linear(head.width, head.hidden, generator)
        self.classifier = Linear(head.hidden, architecture.classes, generator)
        classifier_normal_(self.classifier.weight, generator)

    def bottlenecks(self) -> list[Bottleneck]:
        """All bottlenecks in order."""
        return [layer for block in self.blocks for layer in cast(Block, block).bottlenecks()]

    def weights(self) -> layer_weights.NetworkWeights:
        """As the layer functions want them."""
        return layer_weights.NetworkWeights(
            stem=self.stem.weights(),
            bottlenecks=[layer.weights() for layer in self.bottlenecks()],
            strides=[layer.stride for layer in self.bottlenecks()],
            head=self._head_weights(),
        )

    def _head_weights(self) -> layer_weights.HeadWeights:
        return layer_weights.HeadWeights(self.head.weights(), self.dense.weights(), self.classifier.weights())

    @property
    def untrained(self) -> bool:
        """Whether every residual scalar is zero, as in a network that nobody trained."""
        return not any(bool(layer.scale) for layer in self.bottlenecks())

    @property
    def weight(self) -> Tensor:
        """See `VideoNetwork`."""
        return self.stem.weight

    def fuse(self, dtype: torch.dtype | None = None) -> FusedMoViNet:
        """A copy for inference only, with BatchNorm and residual scalars folded into the convolutions.

        It gives the same logits several times as fast, and takes the same states; see `FusedMoViNet` for what it does
        not do. In bfloat16 its logits differ by a few hundredths of their spread.

        Args:
            dtype: of its maps; None for that of the weights.

        Raises:
            ValueError: a dtype that is not floating point.
        """
        dtype = self.weight.dtype if dtype is None else dtype
        if not dtype.is_floating_point:
            raise ValueError(f"dtype {dtype}; allowed: a floating-point dtype, such as torch.bfloat16")
        return FusedMoViNet(self.architecture, self.weights(), self.untrained, dtype)

    def start_residuals(self, value: float) -> None:
        """See `VideoNetwork.start_residuals`."""
        with torch.no_grad():
            for layer in self.bottlenecks():
                layer.scale.fill_(value)

    def last_linear(self) -> Linear:
        """See `VideoNetwork.last_linear`."""
        return self.classifier

    def hidden_copy(self) -> MoViNet:
        """See `VideoNetwork.hidden_copy`: the classifier becomes the identity."""
        hidden = self.architecture.head.hidden
        own = MoViNet(self.architecture.with_classes(hidden), torch.Generator())
        tensors = dict(self.state_dict())
        tensors["classifier.weight"], tensors["classifier.bias"] = torch.eye(hidden), torch.zeros(hidden)
        own.load_state_dict(tensors)
        return own.eval()

    def smoothed(self) -> Bottleneck:
        """See `VideoNetwork.smoothed`: the last bottleneck."""
        return self.bottlenecks()[-1]

    def layer_names(self) -> list[str]:
        """See `VideoNetwork.layer_names`: the bottlenecks."""
        return [f"blocks.{p.block}.layers.{p.index}" for p in self.architecture.layers()]

    def give_features(self) -> None:
        """See `VideoNetwork.give_features`; see `features`."""
        self.features_only = True

    def forward(self, clip_NCTHW: Tensor, state: StateLike | None = None, donate: bool = False) -> Any:
        """Logits, see `VideoNetwork.forward`, or feature maps where `features_only`."""
        if self.features_only:
            return self.features(clip_NCTHW, state)
        return super().forward(clip_NCTHW, state, donate)

    def features(self, clip_NCTHW: Tensor, state: StateLike | None = None) -> Any:
        """Maps of every frame for other heads, in place of logits; otherwise as `forward`.

        Returns:
            `{"stem": ..., "block0": ..., ...}`, each [N, C, T, ceil(H / s), ceil(W / s)] with the s of its block; of a
            causal network that and the state, in which the head's own tensors stay as they were.
        """
        self._check(clip_NCTHW, state)
        maps: dict[str, Tensor] = {}
        _, after = self._body(clip_NCTHW, state, maps)
        if not self.streams:
            return maps
        start = self.initial_state(len(clip_NCTHW), *clip_NCTHW.shape[3:]) if state is None else state
        return maps, {**start, **after}

    def compute(self, clip_NCTHW: Tensor, state: StateLike | None = None, donate: bool = False) -> tuple[Tensor, State]:
        """See `VideoNetwork.compute`; this network makes no use of a donation."""
        x, after = self._body(clip_NCTHW, state)
        form, before = self.architecture.form, states.part(state, HEAD)
        logits, new = layers.head(x, self._head_weights(), self.training, self.architecture.dropout, form, before)
        return logits, after | named(new, HEAD)

    def _body(
        self, clip_NCTHW: Tensor, state: StateLike | None, maps: dict[str, Tensor] | None = None
    ) -> tuple[Tensor, State]:
        """From clips to the last block's maps; keeps those of all blocks in `maps`, if given."""
        form, after = self.architecture.form, State()
        x = layers.stem(channels_last(clip_NCTHW), self.stem.weights(), self.training, form)
        if maps is not None:
            maps["stem"] = x
        for position, layer in zip(self.architecture.layers(), self.bottlenecks(), strict=True):
            name = layer_name(position)
            before = states.part(state, name)
            again = self.checkpointing and torch.is_grad_enabled()
            x, new = checkpointed(layer, x, before) if again else layer(x, before)
            after |= named(new, name)
            if maps is not None:
                maps[f"block{position.block}"] = x
        return x, after
