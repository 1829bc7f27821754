"""From a path to a stand-alone network: BatchNorm statistics from data, and weights copied out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import torch
from torch import Tensor

from networks.layers import HeadWeights
from networks.movinet import Bottleneck, MoViNet
from searchspace import Architecture
from supernet.slicing import Slicer, Statistics
from supernet.supernet import Path, Supernet


@torch.no_grad()
def recalibrate(supernet: Supernet, architecture: Architecture, clips: Iterable[Tensor]) -> Statistics:
    """BatchNorm statistics of a path from data.

    Means and variances over all positions of all batches together; the variance adds what is within batches and what
    is between their means, so the result does not depend on how clips are batched except through BatchNorms before.

    Args:
        supernet: the shared weights.
        architecture: of the space.
        clips: batches [N, 3, T, H, W], float RGB in [0, 1], each normalised by its own statistics while it runs.

    Returns:
        Mean and variance [C] of every BatchNorm, by its name in the stand-alone network.

    Raises:
        ValueError: there are no clips.
    """
    sums: dict[str, tuple[float, Tensor, Tensor]] = {}

    def observe(name: str, x: Tensor) -> None:
        values = x.transpose(0, 1).reshape(x.shape[1], -1).double()
        count, first, second = sums.get(name, (0.0, torch.zeros(()), torch.zeros(())))
        sums[name] = (count + values.shape[1], first + values.sum(1), second + (values * values).sum(1))

    for batch in clips:
        supernet(batch, Path(architecture), observe=observe)
    if not sums:
        raise ValueError("no clips to take BatchNorm statistics from; give at least one batch")
    result: Statistics = {}
    for name, (count, first, second) in sums.items():
        mean = first / count
        result[name] = (mean.float(), (second / count - mean * mean).clamp_min(0).float())
    return result


@torch.no_grad()
def extract(supernet: Supernet, architecture: Architecture, statistics: Statistics) -> MoViNet:
    """The stand-alone network of a path, with copies of its weights.

    Args:
        supernet: the shared weights.
        architecture: of the space.
        statistics: of its BatchNorms, see `recalibrate`.

    Returns:
        A network whose logits in evaluation equal the path's with the same statistics.

    Raises:
        ValueError: the architecture does not fit the shared weights.
    """
    supernet.check(architecture)
    network = MoViNet(architecture).to(next(supernet.parameters()).device)
    take = Slicer({}, False, 0.0, statistics, None)
    _copy(network.stem.weights(), supernet.stem_weights(take))
    for position in architecture.layers():
        layer = network.blocks[position.block].get_submodule(f"layers.{position.index}")
        assert isinstance(layer, Bottleneck)
        shared = supernet.position(position.block, position.index)
        name = f"blocks.{position.block}.layers.{position.index}"
        _copy(layer.weights(), shared.slice(take, name, position, frozenset()))
    head = HeadWeights(network.head.weights(), network.dense.weights(), network.classifier.weights())
    _copy(head, supernet.head_weights(take, architecture, architecture.blocks[-1].width))
    return network


def _copy(target: object, source: object) -> None:
    """Copies every tensor of one weights dataclass into the same place of another."""
    if isinstance(target, Tensor):
        assert isinstance(source, Tensor) and target.shape == source.shape
        target.copy_(source)
    elif isinstance(target, tuple):
        assert isinstance(source, tuple)
        for ours, theirs in zip(target, source, strict=True):
            _copy(ours, theirs)
    elif dataclasses.is_dataclass(target):
        for field in dataclasses.fields(target):
            _copy(getattr(target, field.name), getattr(source, field.name))
