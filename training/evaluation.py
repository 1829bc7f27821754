"""Accuracy and loss of a network on a part of a data set."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F

import video


@dataclasses.dataclass(frozen=True, slots=True)
class Score:
    """What a network did on some clips.

    Attributes:
        clips: how many.
        correct: how many of them were right; where a clip has several crops, they vote together.
        loss: mean cross-entropy, nats.
    """

    clips: int
    correct: int
    loss: float

    @property
    def accuracy(self) -> float:
        """In [0, 1]."""
        return self.correct / self.clips


def vote(logits: list[torch.Tensor], labels: torch.Tensor) -> tuple[int, float]:
    """Averages the probabilities of several crops of the same clips.

    Args:
        logits: one a crop, [N, classes].
        labels: int64 [N].

    Returns:
        How many clips are right, and their summed cross-entropy in nats.
    """
    if len(logits) == 1:
        log = F.log_softmax(logits[0].float(), dim=1)
    else:
        log = torch.stack([F.softmax(crop.float(), dim=1) for crop in logits]).mean(dim=0).clamp_min(1e-12).log()
    return int((log.argmax(dim=1) == labels).sum()), float(F.nll_loss(log, labels, reduction="sum"))


def evaluate(
    forward: Callable[[torch.Tensor], torch.Tensor],
    source: video.Source,
    part: str,
    *,
    views: int = 1,
    batch: int = 64,
    device: str = "cpu",
) -> Score:
    """Scores a network on every clip of a part.

    Args:
        forward: float clips [N, C, T, H, W] in [0, 1] -> logits [N, classes]; called without gradients.
        source: the data.
        part: which part.
        views: temporal crops of each clip, whose probabilities are averaged.
        batch: clips that run at once.
        device: where the network is.
    """
    size = source.parts[part]
    correct, losses = 0, []
    for begin in range(0, size, batch):
        indices = range(begin, min(begin + batch, size))
        logits = []
        labels = torch.empty(0, dtype=torch.int64)
        for clips, labels in video.batches(source, [video.Request(part, tuple(indices), view=v) for v in range(views)]):
            labels = labels.to(device)
            with torch.no_grad():
                logits.append(forward(video.to_float(clips.to(device))))
        right, loss = vote(logits, labels)
        correct += right
        losses.append(loss)
    return Score(size, correct, math.fsum(losses) / size)
