"""The yardstick: MoViNets in the design of MoViNet-pytorch, restated with plain torch modules.

What that project (github.com/Atze00/MoViNet-pytorch, MIT) does is kept: nn.Conv3d for everything in base networks,
squeeze-excitation and classifier included; in causal ones 2-D convolutions with frames or map folded away by a copy;
the state as attributes of modules, joined to a clip by concatenation; TensorFlow's paddings by padding first; eager
calls, BatchNorm and residual scalars on their own, contiguous memory. None of our layers is used, and the names of the
weights are that project's, so that `networks.weights.weight_names.port_keys` moves weights both ways.

Shapes: B clips, C channels, T frames, H x W map.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import networks
from networks.weights.weight_names import port_keys
from searchspace import Architecture, Form, Position


def pad_same(x: Tensor, kernel: int, stride: int) -> Tensor:
    """TensorFlow's SAME padding of height and width with zeros."""
    pads = []
    for size in (x.shape[4], x.shape[3]):
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads)


class Swish(nn.Module):
    """x * sigmoid(x), in two calls."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)


class HubGate(nn.Module):
    """The hard sigmoid of 2021."""

    def forward(self, x: Tensor) -> Tensor:
        return (0.2 * x + 0.5).clamp(0, 1)


class Pool(nn.Module):
    """3x3 average pool with stride 2, SAME; what lies outside does not count. Square maps of at least 2x2."""

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] % 2:
            return F.avg_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1), count_include_pad=False)
        x = F.avg_pool3d(F.pad(x, (0, 1, 0, 1)), (1, 3, 3), (1, 2, 2))
        x[..., -1] = x[..., -1] * 9 / 6  # the last windows hold two rows or columns of three
        x[..., -1, :] = x[..., -1, :] * 9 / 6
        return x


class Remembering(nn.Module):
    """A module that keeps what it needs of the frames before in an attribute."""

    past: Tensor | None = None
    seen = 0


class CumulativePool(Remembering):
    """Mean over all frames up to each frame, [B, C, T, 1, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        sums = torch.cumsum(x, 2)
        if self.past is not None:
            sums = sums + self.past
        self.past = sums[:, :, -1:].clone().detach()
        counts = torch.arange(1, x.shape[2] + 1, device=x.device)[None, None, :, None, None].expand(x.shape)
        means = sums / (self.seen + counts)
        self.seen += x.shape[2]
        return means


class Unit(Remembering):
    """Convolution, BatchNorm and activation; in causal networks in space, and after that in time."""

    def __init__(
        self,
        form: Form,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int, int] = (1, 1, 1),
        stride: int = 1,
        groups: int = 1,
        norm: bool = True,
        act: type[nn.Module] = nn.Identity,
    ) -> None:
        super().__init__()
        t, h, w = kernel
        self.folded, self.size, self.stride, self.before = form.causal, h, stride, t - 1
        self.conv_2: nn.Module | None = None

        def unit(conv: nn.Module) -> nn.Sequential:
            kind = nn.BatchNorm2d if self.folded else nn.BatchNorm3d
            momentum = form.norm_momentum
            parts = {
                "conv2d" if self.folded else "conv3d": conv,
                "norm": kind(outputs, form.norm_eps, momentum) if norm else nn.Identity(),
                "act": act(),
            }
            return nn.Sequential(OrderedDict(parts))

        if not self.folded:
            conv = nn.Conv3d(inputs, outputs, kernel, (1, stride, stride), (t // 2, 0, 0), groups=groups, bias=not norm)
            self.conv_1 = unit(conv)
            return
        self.conv_1 = unit(nn.Conv2d(inputs, outputs, (h, w), stride, groups=groups, bias=not norm))
        if t > 1:
            self.conv_2 = unit(nn.Conv2d(outputs, outputs, (t, 1), groups=groups, bias=not norm))

    def forward(self, x: Tensor) -> Tensor:
        x = pad_same(x, self.size, self.stride)
        if not self.folded:
            y: Tensor = self.conv_1(x)
            return y
        clips = len(x)
        y = self.conv_1(x.transpose(1, 2).reshape(-1, x.shape[1], *x.shape[3:]))
        y = y.reshape(clips, -1, *y.shape[1:]).transpose(1, 2)
        if self.conv_2 is None:
            return y
        if self.past is None:
            self.past = y.new_zeros(*y.shape[:2], self.before, *y.shape[3:])
        y = torch.cat([self.past, y], 2)
        self.past = y[:, :, -self.before :].clone().detach()
        height, width = y.shape[3:]
        return self.conv_2(y.reshape(*y.shape[:3], -1)).reshape(clips, y.shape[1], -1, height, width)


class Squeeze(nn.Module):
    """Squeeze-excitation; in causal networks of the mean so far and of the frame's own."""

    def __init__(self, form: Form, channels: int, hidden: int, act: type[nn.Module]) -> None:
        super().__init__()
        self.pool = CumulativePool() if form.causal else None
        self.fc1 = Unit(form, channels * form.pooled, hidden, norm=False)
        self.fc2 = Unit(form, hidden, channels, norm=False)
        self.act, self.gate = act(), HubGate() if form.causal else nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        if self.pool is None:
            pooled = F.adaptive_avg_pool3d(x, 1)
        else:
            frames = x.mean((3, 4), keepdim=True)
            pooled = torch.cat([self.pool(frames), frames], 1)
        gate: Tensor = self.gate(self.fc2(self.act(self.fc1(pooled))))
        return gate * x


class Bottleneck(nn.Module):
    """Expansion, depthwise convolution, squeeze-excitation, projection, skip."""

    def __init__(self, form: Form, position: Position, act: type[nn.Module]) -> None:
        super().__init__()
        layer = position.layer
        e = layer.expand
        self.expand = Unit(form, position.in_width, e, act=act)
        self.deep = Unit(form, e, e, layer.kernel.size, layer.stride, e, act=act)
        self.se = Squeeze(form, e, layer.squeeze, act)
        self.project = Unit(form, e, position.width)
        self.res: nn.Module | None = None
        if position.has_projection:
            pool = [Pool()] if layer.stride > 1 else []
            self.res = nn.Sequential(*pool, Unit(form, position.in_width, position.width))
        self.alpha = nn.Parameter(torch.tensor(0.0))

    def forward(self, x: Tensor) -> Tensor:
        residual = x if self.res is None else self.res(x)
        y: Tensor = residual + self.alpha * self.project(self.se(self.deep(self.expand(x))))
        return y


class Port(nn.Module):
    """The network of an architecture as published: 3-D, or causal, (2+1)D and without positional encoding."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        form, stem, head = architecture.form, architecture.stem, architecture.head
        self.architecture = architecture
        act = nn.Hardswish if form.causal else Swish
        self.conv1 = Unit(form, 3, stem.width, stem.kernel.size, 2, act=act)
        self.blocks = nn.Sequential(
            OrderedDict((f"b{p.block}_l{p.index}", Bottleneck(form, p, act)) for p in architecture.layers())
        )
        self.conv7 = Unit(form, architecture.blocks[-1].width, head.width, act=act)
        self.pool = CumulativePool() if form.causal else None
        self.classifier = nn.Sequential(
            Unit(form, head.width, head.hidden, norm=False),
            Swish(),
            nn.Dropout(architecture.dropout),
            Unit(form, head.hidden, architecture.classes, norm=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, classes] of [B, 3, T, H, W], in causal networks of all frames since `reset`."""
        x = self.conv7(self.blocks(self.conv1(x)))
        pooled = F.adaptive_avg_pool3d(x, 1) if self.pool is None else self.pool(x.mean((3, 4), keepdim=True))
        logits: Tensor = self.classifier(pooled[:, :, -1:]).flatten(1)
        return logits

    def reset(self) -> None:
        """Forgets all frames."""
        for module in self.modules():
            if isinstance(module, Remembering):
                module.past, module.seen = None, 0

    @torch.no_grad()
    def load_ours(self, network: networks.MoViNet) -> None:
        """Takes the weights and statistics of one of our networks of the same architecture."""
        ours, theirs = network.state_dict(), self.state_dict()
        names = port_keys(self.architecture, ours)
        assert names.keys() == {key for key in theirs if not key.endswith("num_batches_tracked")}
        for key, name in names.items():
            theirs[key].copy_(ours[name].reshape(theirs[key].shape))
