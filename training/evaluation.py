"""A network on every clip of a part of a data set, as training and search look at it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

import video
from networks import Network
from networks.kernels import current
from training.scores import Scores

FUSED_FROM = 128
"""Shorter side in pixels from which a fused network that is not causal was seen to be faster on clips, on a CPU; below,
the plain one is (up to 3 times, at 32 pixels). A causal one is faster fused at any size."""


def for_inference(network: Network) -> Network:
    """The network to ask: fused where that was measured to be faster, which changes logits by rounding alone.

    Args:
        network: in evaluation mode. On a GPU, and under `networks.formulation("reference")`, it is taken as it is.
    """
    clip = network.architecture.clip
    faster = network.streams or min(clip.height, clip.width) >= FUSED_FROM
    return network.fuse() if faster and network.weight.device.type == "cpu" and current() == "fast" else network


def average(logits: list[torch.Tensor]) -> torch.Tensor:
    """Mean of the probabilities of several crops of the same clips.

    Args:
        logits: one a crop, [N, classes].

    Returns:
        Logarithms of the mean, float32 [N, classes].
    """
    if len(logits) == 1:
        return F.log_softmax(logits[0].float(), dim=1)
    return torch.stack([F.softmax(crop.float(), dim=1) for crop in logits]).mean(dim=0).clamp_min(1e-12).log()


def vote(logits: list[torch.Tensor], labels: torch.Tensor) -> tuple[int, float]:
    """Averages the probabilities of several crops of the same clips.

    Args:
        logits: one a crop, [N, classes].
        labels: int64 [N].

    Returns:
        How many clips are right, and their summed cross-entropy in nats.
    """
    log = average(logits)
    return int((log.argmax(dim=1) == labels).sum()), float(F.nll_loss(log, labels, reduction="sum"))


def evaluate(
    forward: Callable[[torch.Tensor], torch.Tensor],
    source: video.Source,
    part: str,
    *,
    views: int = 1,
    batch: int = 64,
    device: str = "cpu",
    workers: int = 0,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> Scores:
    """Scores a network on every clip of a part, one crop in the middle of the picture.

    Args:
        forward: float clips [N, C, T, H, W] in [0, 1] -> logits [N, classes]; called without gradients.
        source: the data.
        part: which part.
        views: temporal crops of each clip, whose probabilities are averaged.
        batch: clips that run at once.
        device: where the network is.
        workers: processes that load.
        told: called before every batch and at the end with crops done and crops in all; may raise to stop.
    """
    size = source.parts[part]
    chunks = [tuple(range(begin, min(begin + batch, size))) for begin in range(0, size, batch)]
    requests = [video.Request(part, chunk, view=view) for chunk in chunks for view in range(views)]
    answers, logits, done = [], [], 0
    for clips, _ in video.batches(source, requests, workers):
        told(done, views * size)
        done += len(clips)
        with torch.no_grad():
            logits.append(forward(video.to_float(clips.to(device))))
        if len(logits) == views:
            answers.append(average(logits).cpu())
            logits = []
    told(done, views * size)
    return Scores(source.labels(part), torch.cat(answers).numpy().astype(np.float32))
