"""Means and variances of what BatchNorms see, over any number of batches."""

from __future__ import annotations

import torch
from torch import Tensor

_PIECE = 1 << 22  # values that are in double precision at a time


class Moments:
    """Mean and variance of each channel over all values that it was called with, in double precision.

    An instance can be the `observe` of a `networks.layer_weights.NormWeights`.
    """

    def __init__(self) -> None:
        self.count = 0
        self.first: Tensor | None = None
        self.second: Tensor | None = None

    def __call__(self, x_NCTHW: Tensor) -> None:
        rows = x_NCTHW.movedim(1, -1).reshape(-1, x_NCTHW.shape[1])
        for piece in torch.split(rows, max(1, _PIECE // rows.shape[1])):
            var, mean = torch.var_mean(piece.double(), 0, correction=0)
            first, second = mean * len(piece), (var + mean.square()) * len(piece)
            self.first = first if self.first is None else self.first + first
            self.second = second if self.second is None else self.second + second
            self.count += len(piece)

    def result(self) -> tuple[Tensor, Tensor]:
        """Mean and biased variance, [C], in double precision."""
        assert self.first is not None and self.second is not None
        mean = self.first / self.count
        return mean, (self.second / self.count - mean.square()).clamp_min(0)
