"""From a supernet to the stand-alone network of one architecture: its weights, and BatchNorm statistics from data."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

import networks
from networks import MoViNet, layer_weights
from networks.moments import Moments
from networks.tensors import check_tensor
from searchspace import Architecture
from supernet.supernet import Statistics, Supernet


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
    for name, norm in layer_weights.named_norms(weights, layer_weights.bottleneck_names(architecture)).items():
        norm.observe = moments[name] = Moments()
    empty = True
    for batch in clips:
        check_tensor(batch, "batch")
        net.run(batch, weights)
        empty = False
    if empty:
        raise ValueError("no clips to take BatchNorm statistics from; give at least one batch")
    found = {name: moment.result() for name, moment in moments.items()}
    return {name: (mean.float(), var.float()) for name, (mean, var) in found.items()}


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
    network = networks.create(architecture, classes=net.classes, generator=torch.Generator())
    layer_weights.copy_weights_(network.weights(), weights)
    return network.to(weights.stem.weight.device).eval()
