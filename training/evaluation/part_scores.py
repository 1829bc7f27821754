"""A network on every clip of a part of a data set, as training and search look at it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

import video
from training.evaluation.classification_scores import Scores
from training.evaluation.predictions import Forward, predictions


def evaluate(
    forward: Forward,
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
    found = predictions(
        forward,
        (clips for clips, _ in video.batches(source, requests, workers)),
        views=views,
        device=device,
        told=lambda done: told(done, views * size),
    )
    answers = torch.cat([log.cpu() for log in found])
    return Scores(source.labels(part), answers.numpy().astype(np.float32))
