"""From a supernet to the stand-alone network of one architecture: its weights, and BatchNorm statistics from data."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import torch
from torch import Tensor

from networks import MoViNet, layers
from networks.tensors import check_tensor
from searchspace import Architecture
from supernet.supernet import Statistics, Supernet


class _Moments:
    """Mean and variance over all values that a BatchNorm saw, batch by batch, in double precision."""

    def __init__(self) -> None:
        self.count = 0
        self.first: Tensor | None = None
        self.second: Tensor | None = None

    def __call__(self, x_NCTHW: Tensor) -> None:
        count = x_NCTHW.numel() // x_NCTHW.shape[1]
        var, mean = torch.var_mean(x_NCTHW.double(), (0, 2, 3, 4), correction=0)
        first, second = mean * count, (var + mean.square()) * count
        self.first = first if self.first is None else self.first + first
        self.second = second if self.second is None else self.second + second
        self.count += count

    def result(self) -> tuple[Tensor, Tensor]:
        assert self.first is not None and self.second is not None
        mean = self.first / self.count
        var = (self.second / self.count - mean.square()).clamp_min(0)
        return mean.float(), var.float()


@torch.no_grad()
def recalibrate(net: Supernet, architecture: Architecture, clips: Iterable[Tensor]) -> Statistics:
    """BatchNorm statistics of one architecture from data.

    Each batch runs with its own statistics, as in training; the result is the mean and variance over all values of all
    batches (law of total variance), each batch weighing by its size. The same clips give the same result.

    Args:
        net: the supernet.
        architecture: of its space.
        clips: batches [N, 3, T, H, W].

    Returns:
        Mean and biased variance [C] of each BatchNorm, by the names of `networks.MoViNet`.

    Raises:
        ValueError: no clips, or an architecture that does not fit.
    """
    weights = net.weights(architecture)
    moments = {}
    for name, norm in layers.named_norms(weights, layers.bottleneck_names(architecture)).items():
        norm.observe = moments[name] = _Moments()
    empty = True
    for batch in clips:
        check_tensor(batch, "batch")
        net.run(batch, weights)
        empty = False
    if empty:
        raise ValueError("no clips to take BatchNorm statistics from; give at least one batch")
    return {name: moment.result() for name, moment in moments.items()}


@torch.no_grad()
def extract(net: Supernet, architecture: Architecture, statistics: Statistics) -> MoViNet:
    """The stand-alone network of one architecture with copies of the supernet's weights, in evaluation mode.

    Args:
        net: the supernet.
        architecture: of its space; its number of classes becomes the supernet's.
        statistics: from `recalibrate` on the same architecture.

    Raises:
        ValueError: the architecture does not fit.
    """
    weights = net.weights(architecture, statistics)
    network = MoViNet(dataclasses.replace(architecture, classes=net.classes), torch.Generator())
    layers.copy_weights_(network.weights(), weights)
    return network.to(weights.stem.weight.device).eval()
