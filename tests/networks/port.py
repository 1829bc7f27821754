"""The module tree of MoViNet-pytorch, restated with plain torch modules and a forward pass of its own.

Its state_dict has the names of that project's published files; what it computes is written without any of our layers.
"""

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from searchspace import Architecture, Position


def pad_same(x: Tensor, kernel: int, stride: int) -> Tensor:
    """TensorFlow's SAME padding of height and width with zeros."""
    pads = []
    for size in (x.shape[4], x.shape[3]):
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads)


class HubGate(nn.Module):
    """The hard sigmoid of 2021."""

    def forward(self, x: Tensor) -> Tensor:
        return (0.2 * x + 0.5).clamp(0, 1)


class Pool(nn.Module):
    """3x3 average pool with stride 2, SAME; what lies outside does not count."""

    def forward(self, x: Tensor) -> Tensor:
        sums = (F.avg_pool3d(pad_same(y, 3, 2), (1, 3, 3), (1, 2, 2)) for y in (x, torch.ones_like(x)))
        return next(sums) / next(sums)


class Unit(nn.Module):
    def __init__(
        self,
        stream: bool,
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
        self.stream, self.size, self.stride, self.conv_2 = stream, h, stride, None

        def unit(conv: nn.Module) -> nn.Sequential:
            kind = nn.BatchNorm2d if stream else nn.BatchNorm3d
            parts = {
                "conv2d" if stream else "conv3d": conv,
                "norm": kind(outputs, eps=1e-3) if norm else nn.Identity(),
                "act": act(),
            }
            return nn.Sequential(OrderedDict(parts))

        more = {"groups": groups, "bias": not norm}
        if not stream:
            self.conv_1 = unit(nn.Conv3d(inputs, outputs, kernel, (1, stride, stride), (t // 2, 0, 0), **more))
            return
        self.conv_1 = unit(nn.Conv2d(inputs, outputs, (h, w), stride, **more))
        if t > 1:
            self.conv_2 = unit(nn.Conv2d(outputs, outputs, (t, 1), **more))
            self.before = t - 1

    def forward(self, x: Tensor) -> Tensor:
        x = pad_same(x, self.size, self.stride)
        if not self.stream:
            return self.conv_1(x)
        y = torch.stack([self.conv_1(frame) for frame in x.unbind(2)], 2)
        if self.conv_2 is not None:
            y = self.conv_2(F.pad(y, (0, 0, 0, 0, self.before, 0)).flatten(3)).unflatten(3, y.shape[3:])
        return y


class Squeeze(nn.Module):
    def __init__(self, stream: bool, channels: int, hidden: int, act: type[nn.Module]) -> None:
        super().__init__()
        self.stream = stream
        self.fc1 = Unit(stream, channels * (1 + stream), hidden, norm=False)
        self.fc2 = Unit(stream, hidden, channels, norm=False)
        self.act, self.gate = act(), HubGate() if stream else nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.mean((3, 4), keepdim=True)
        if self.stream:
            so_far = [pooled[:, :, : t + 1].mean(2, keepdim=True) for t in range(x.shape[2])]
            pooled = torch.cat([torch.cat(so_far, 2), pooled], 1)
        else:
            pooled = pooled.mean(2, keepdim=True)
        return x * self.gate(self.fc2(self.act(self.fc1(pooled))))


class Bottleneck(nn.Module):
    def __init__(self, stream: bool, position: Position, act: type[nn.Module]) -> None:
        super().__init__()
        layer = position.layer
        e = layer.expand
        self.expand = Unit(stream, position.in_width, e, act=act)
        self.deep = Unit(stream, e, e, layer.kernel.size, layer.stride, e, act=act)
        self.se = Squeeze(stream, e, layer.squeeze, act)
        self.project = Unit(stream, e, position.width)
        self.res = None
        if position.has_projection:
            pool = [Pool()] if layer.stride > 1 else []
            self.res = nn.Sequential(*pool, Unit(stream, position.in_width, position.width))
        self.alpha = nn.Parameter(torch.tensor(0.0))

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.se(self.deep(self.expand(x))))
        return (x if self.res is None else self.res(x)) + self.alpha * y


class Port(nn.Module):
    """The network of an architecture without positional encoding."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        stream = architecture.form.causal
        act = nn.Hardswish if stream else nn.SiLU
        stem, head = architecture.stem, architecture.head
        self.conv1 = Unit(stream, 3, stem.width, stem.kernel.size, 2, act=act)
        self.blocks = nn.Sequential(
            OrderedDict((f"b{p.block}_l{p.index}", Bottleneck(stream, p, act)) for p in architecture.layers())
        )
        self.conv7 = Unit(stream, architecture.blocks[-1].width, head.width, act=act)
        self.classifier = nn.Sequential(
            Unit(stream, head.width, head.hidden, norm=False),
            nn.SiLU(),
            nn.Dropout(0.2),
            Unit(stream, head.hidden, architecture.classes, norm=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv7(self.blocks(self.conv1(x))).mean((2, 3, 4), keepdim=True)
        return self.classifier(x).flatten(1)
