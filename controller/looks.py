"""The looks of a search: architectures and the noisy qualities they showed, while the weights still trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.arrays import Choices, Floats

HALF_LIFE = 0.25
"""How much earlier, as a part of the search, a look counts half (our choice): early weights say little."""

_KNOTS = 9


@dataclass(frozen=True)
class Looks:
    """Noisy observations.

    Attributes:
        choices: what ran, canonical [N, D].
        quality: for example accuracy on one held-out batch, higher is better, [N].
        progress: finished part of the search at each look, in [0, 1], [N]; None where qualities do not drift.
    """

    choices: Choices
    quality: NDArray[Any]
    progress: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.choices)

    def weights(self, half_life: float = HALF_LIFE) -> Floats:
        """How much each look counts, [N]: halves every `half_life` before the end; 1 without drift."""
        if self.progress is None:
            return np.ones(len(self))
        return np.asarray(0.5 ** ((1 - np.asarray(self.progress, dtype=np.float64)) / half_life))

    def shrunken(self, half_life: float = HALF_LIFE) -> tuple[Choices, Floats]:
        """Each distinct architecture with its mean quality, pulled towards the mean of all.

        The common trend of training is taken out first. An architecture with weight w of looks keeps w / (w + k) of
        its deviation; k is the variance between looks at one architecture over the variance between architectures
        (one-way analysis of variance; 1 where nothing was looked at twice).

        Returns:
            Architectures [U, D] in order of first appearance, and their deviations from the trend [U].
        """
        quality = np.asarray(self.quality, dtype=np.float64)
        weight = self.weights(half_life)
        basis = trend(np.zeros(len(self)) if self.progress is None else self.progress)
        root = np.sqrt(weight)[:, None]
        # A little ridge: early knots may hold no look.
        gram = (basis * root).T @ (basis * root) + 1e-6 * np.eye(basis.shape[1])
        rest = quality - basis @ np.linalg.solve(gram, (basis * weight[:, None]).T @ quality)
        _, first, group = np.unique(self.choices, axis=0, return_index=True, return_inverse=True)
        group = group.reshape(-1)
        total = np.bincount(group, weight)
        mean = np.bincount(group, weight * rest) / total
        number = np.bincount(group)
        within = float((weight * (rest - mean[group]) ** 2).sum())
        freedom = float((weight * (1 - 1 / number[group])).sum())
        shrink = 1.0
        if freedom > 0:
            noise = within / freedom
            between = float((weight * rest**2).sum() / weight.sum()) - noise
            shrink = float(np.clip(noise / max(between, 1e-12), 0.01, 100.0))
        order = np.argsort(first)
        return self.choices[first[order]], (mean * total / (total + shrink))[order]


def trend(progress: NDArray[Any]) -> Floats:
    """Piecewise-linear basis over progress, [N, knots]: what training does to every architecture alike."""
    distance = np.abs(np.asarray(progress, dtype=np.float64)[:, None] * (_KNOTS - 1) - np.arange(_KNOTS))
    return np.asarray(np.maximum(1 - distance, 0.0))
