"""BatchNorm that was folded into convolutions, unfolded on data, so that the network can be trained again.

Files for inference hold BatchNorm folded: as a network of ours its moving mean is 0 and its variance 1. Such a network
answers rightly, and cannot be trained: in training each BatchNorm takes the mean and variance of the batch, which are
nothing like 0 and 1, and the features are gone. Unfolded, every BatchNorm has the statistics of what it really sees,
and weight and bias that undo them, so that all answers stay.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from networks.moments import Moments
from networks.movinet import Norm
from networks.temporal import State
from networks.video_network import Network

FRAMES = 8  # of a causal network that run at a time


def is_folded(network: Network) -> bool:
    """Whether the network is trained, and its BatchNorm says nothing: every mean is 0 and every variance the same."""
    norms = _norms(network)
    if not norms:
        return False
    means, variances = (torch.cat(each) for each in zip(*((n.running_mean, n.running_var) for n in norms), strict=True))
    return not network.untrained and not bool(means.any()) and bool((variances == variances[0]).all())


@torch.no_grad()
def unfold_(network: Network, clips: Iterable[Tensor]) -> int:
    """Gives every BatchNorm the mean and variance of its input over some clips, and a weight and bias that undo them.

    The network computes the same as before, up to rounding. Clips run in evaluation mode, one after the other; of a
    causal network a few frames at a time, so that memory does not grow with their length.

    Args:
        network: changed in place; training mode or not is kept.
        clips: batches [N, 3, T, H, W] of what it will be trained on, on its device; some tens of clips are enough.

    Returns:
        How many clips they were.

    Raises:
        ValueError: no clips.
    """
    training, norms = network.training, _norms(network)
    network.eval()
    seen, count = [Moments() for _ in norms], 0
    try:
        for norm, moments in zip(norms, seen, strict=True):
            norm.observe = moments
        for batch in clips:
            for clip in torch.split(batch, 1):
                _run(network, clip)
                count += 1
    finally:
        for norm in norms:
            norm.observe = None
        network.train(training)
    if not count:
        raise ValueError("no clips to unfold BatchNorm on; give at least one")
    for norm, moments in zip(norms, seen, strict=True):
        scale = norm.weight.double() * torch.rsqrt(norm.running_var.double() + norm.eps)
        shift = norm.bias.double() - norm.running_mean.double() * scale
        mean, var = moments.result()
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(var)
        # what is stored is rounded, and it is the rounded numbers that weight and bias must undo
        norm.weight.copy_(scale * torch.sqrt(norm.running_var.double() + norm.eps))
        norm.bias.copy_(shift + norm.running_mean.double() * scale)
    return count


def _run(network: Network, clip: Tensor) -> None:
    state: State | None = None
    for piece in torch.split(clip, FRAMES, 2) if network.streams else (clip,):
        _, state = network.compute(piece, state)


def _norms(network: Network) -> list[Norm]:
    return [module for module in network.modules() if isinstance(module, Norm)]
