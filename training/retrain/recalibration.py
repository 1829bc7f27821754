"""BatchNorm statistics of a network as it is now, in place of moving averages that lag behind its weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

import video
from networks import Network, build
from networks.movinet import Norm
from networks.tensors import check_tensor


@torch.no_grad()
def recalibrated(network: Network, clips: Iterable[Tensor]) -> Network:
    """A copy in evaluation mode whose BatchNorm statistics are those of some clips (Wu and Johnson, arXiv 2105.07576).

    Each batch runs with its own statistics, as in training, but without dropout and stochastic depth; the result is
    the mean of the batches' means and variances. Moving averages remember the last hundred steps, which in a training
    of a few hundred are of other weights.

    Args:
        network: stays as it is.
        clips: batches [N, 3, T, H, W] on the network's device, at least one, of the size that it is trained with.
    """
    architecture, device = network.architecture, network.weight.device
    calm = architecture.trained_as(architecture.clip, dropout=0.0, drop_path=0.0)
    still = build(calm, torch.Generator()).to(device).train()
    still.load_state_dict(network.state_dict())
    norms = [module for module in still.modules() if isinstance(module, Norm)]
    for i, batch in enumerate(clips):
        for norm in norms:
            norm.momentum = 1.0 / (i + 1)
        check_tensor(batch, "batch")
        still.compute(batch)
    result = build(architecture, torch.Generator()).to(device).eval()
    result.load_state_dict(still.state_dict())
    return result


def training_clips(
    source: video.Source, part: str, count: int, batch: int, draw: np.random.Generator, device: str = "cpu"
) -> Iterator[Tensor]:
    """Clips for `recalibrated`, as training sees them in its first epoch: float [batch, 3, T, H, W] on a device.

    Args:
        source: the data.
        part: that is trained on.
        count: clips in all, of which whole batches are taken; of a part with fewer than a batch, all of them.
        batch: clips at once.
        draw: who chooses the clips.
        device: where they go.
    """
    chosen = draw.permutation(source.parts[part])[:count]
    pieces = [chosen[i : i + batch].tolist() for i in range(0, max(1, len(chosen) - batch + 1), batch)]
    for clips, _ in video.batches(source, [video.Request(part, piece, training=True) for piece in pieces]):
        yield video.to_float(clips.to(device))
