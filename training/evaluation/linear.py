"""A linear classifier in closed form: ridge regression onto the classes, its penalty chosen by leaving groups out.

The regression is solved in its dual form (an N x N problem), so it takes seconds for thousands of videos whatever the
features' number. What it would answer on a group that it has not seen follows from the solution on all groups, without
solving again (as in Cook and Weisberg, 1982, section 3.5, for blocks), and so does the best penalty.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

PENALTIES = np.logspace(-4, 2, 13)
"""That are tried, relative to a kernel matrix of mean-square features of 1."""

TEMPERATURES = np.geomspace(0.02, 2.0, 41)
_SMALLEST = 1e-6  # spread of a feature below which it counts as constant


@dataclasses.dataclass(frozen=True, eq=False)
class LinearClassifier:
    """Scores of classes from features: `features @ weight + bias`, about 1 for the right class and 0 for others.

    Attributes:
        weight: [D, classes].
        bias: [classes].
        penalty: of `PENALTIES`, the one that left-out groups chose.
        temperature: what scores are divided by to be logits, chosen by the likelihood of left-out groups.
        left_out: scores of the training features, each from the other groups alone, [N, classes].
    """

    weight: Floats
    bias: Floats
    penalty: float
    temperature: float
    left_out: Floats

    def scores(self, features: Floats) -> Floats:
        """Scores [M, classes] of features [M, D]."""
        scores: Floats = features @ self.weight + self.bias
        return scores

    def log_probabilities(self, features: Floats) -> npt.NDArray[np.float32]:
        """Natural logarithms of what the scores say of each class, float32 [M, classes]."""
        return _log_softmax(self.scores(features) / self.temperature).astype(np.float32)


def fit(features: Floats, labels: Indices, classes: int, groups: Sequence[str]) -> LinearClassifier:
    """Fits a classifier.

    Args:
        features: [N, D]; standardised here, so their scale makes no difference.
        labels: [N], 0 to classes - 1.
        classes: how many.
        groups: of each row: persons or recordings, of which whole ones are left out to choose the penalty.

    Raises:
        ValueError: fewer than two groups.
    """
    names = sorted(set(groups))
    if len(names) < 2:
        raise ValueError(f"{len(names)} group of videos; allowed: two or more, so that some can be left out")
    features = np.asarray(features, np.float64)
    mean, spread = features.mean(0), features.std(0)
    scale = np.where(spread > _SMALLEST, 1.0 / np.maximum(spread, _SMALLEST), 0.0)
    centred = (features - mean) * scale
    values, vectors = np.linalg.eigh(centred @ centred.T / max(1, int((scale > 0).sum())))
    values = np.maximum(values, 0.0)
    targets = np.eye(classes)[labels]
    prior = targets.mean(0)
    turned = vectors.T @ (targets - prior)
    members = [np.flatnonzero(np.array(groups) == name) for name in names]
    best: tuple[float, float, Floats] | None = None
    for penalty in PENALTIES:
        left_out = targets - _left_out_errors(vectors, values / (values + penalty), targets, members)
        error = float(((targets - left_out) ** 2).sum())
        if best is None or error < best[0]:
            best = error, float(penalty), left_out
    assert best is not None
    _, penalty, left_out = best
    dual = (vectors / (values + penalty)) @ turned / max(1, int((scale > 0).sum()))
    weight = scale[:, None] * (centred.T @ dual)
    return LinearClassifier(weight, prior - mean @ weight, penalty, _temperature(left_out, labels), left_out)


def _left_out_errors(vectors: Floats, shrink: Floats, targets: Floats, members: Sequence[Indices]) -> Floats:
    """Targets less what is predicted for each group from the others, [N, classes]."""
    hat = (vectors * shrink) @ vectors.T + 1.0 / len(vectors)
    residual = targets - hat @ targets
    errors = np.empty_like(targets)
    for rows in members:
        errors[rows] = np.linalg.lstsq(np.eye(len(rows)) - hat[np.ix_(rows, rows)], residual[rows], rcond=None)[0]
    return errors


def _temperature(scores: Floats, labels: Indices) -> float:
    rows = np.arange(len(labels))
    losses = [-_log_softmax(scores / t)[rows, labels].mean() for t in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(losses))])


def _log_softmax(values: Floats) -> Floats:
    shifted: Floats = values - values.max(axis=1, keepdims=True)
    sums: Floats = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted - sums
