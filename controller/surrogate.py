"""A model over decisions: what every look of a search says about architectures that were seen once or never.

Ridge regression of quality on `Features`, plus an unpenalised trend over the progress of training, late looks
weighted more. On NAS-Bench-Macro a model of this kind picked with 2,000 looks as well as means of 160,000 looks did.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controller.arrays import Choices, Floats
from controller.features import Features
from controller.looks import HALF_LIFE, Looks, trend
from searchspace.decisions import Decisions

_ROWS = 4096
_TUNED_ON = 1200
_PENALTIES = tuple(float(p) for p in np.geomspace(0.3, 1000, 12))


@dataclass(frozen=True)
class Surrogate:
    """A fitted model.

    Attributes:
        features: how choices become numbers.
        coefficients: [F].
        offset: added at progress 1.
        curve: what to add at each knot of the trend, 0 at the last, [knots].
        penalty: the ridge penalty that was used.
    """

    features: Features
    coefficients: Floats
    offset: float
    curve: Floats
    penalty: float

    @classmethod
    def fit(
        cls, decisions: Decisions, looks: Looks, penalty: float | None = None, half_life: float = HALF_LIFE
    ) -> Surrogate:
        """Fits all looks.

        Solved in the dual where there are more features than looks, else in the primal.

        Args:
            decisions: the space.
            looks: at least two; qualities may drift with progress.
            penalty: of the squared coefficients, for looks of weight 1; chosen by generalised cross-validation on at
                most 1,200 looks when None.
            half_life: see `Looks.weights`.

        Raises:
            ValueError: fewer than two looks.
        """
        if len(looks) < 2:
            raise ValueError(f"{len(looks)} looks: a model over decisions needs at least two")
        features = Features(decisions)
        weight = looks.weights(half_life)
        weight = weight / weight.max()
        quality = np.asarray(looks.quality, dtype=np.float64)
        basis = np.ones((len(looks), 1)) if looks.progress is None else trend(looks.progress)
        project = _Projection(basis, weight)
        if penalty is None:
            picked = np.unique(np.linspace(0, len(looks) - 1, min(len(looks), _TUNED_ON)).astype(np.intp))
            part = _Projection(basis[picked], weight[picked])
            matrix = part.residual(features(looks.choices[picked]).astype(np.float64))
            penalty = _cross_validated(matrix, part.residual(quality[picked, None])[:, 0], part.taken)
        coefficients = _ridge(features, looks.choices, quality, project, penalty)
        rest = quality - _predict(features, looks.choices, coefficients)
        knots = project.coefficients(rest)
        return cls(features, coefficients, float(knots[-1]), knots - knots[-1], float(penalty))

    def predict(self, choices: Choices, progress: float = 1.0) -> Floats:
        """Expected quality, [N], had the architectures been looked at after `progress` of the search."""
        shift = float((trend(np.array([progress])) @ self.curve)[0]) if len(self.curve) > 1 else 0.0
        return _predict(self.features, choices, self.coefficients) + self.offset + shift


class _Projection:
    """Weighted least squares on the unpenalised basis, and what it leaves, scaled by the root of the weights.

    Attributes:
        taken: number of directions that it takes out.
    """

    def __init__(self, basis: Floats, weight: Floats) -> None:
        self.root = np.sqrt(weight)[:, None]
        self.basis = basis * self.root
        # Knots without looks nearby would be singular; they fall back to 0 there, which nothing reads but early ones.
        self.gram = self.basis.T @ self.basis + 1e-6 * np.eye(basis.shape[1])
        self.taken = float(np.trace(np.linalg.solve(self.gram, self.basis.T @ self.basis)))

    def residual(self, values: Floats) -> Floats:
        """Weighted rows [N, C] less their projection."""
        scaled = values * self.root
        return np.asarray(scaled - self.basis @ np.linalg.solve(self.gram, self.basis.T @ scaled))

    def coefficients(self, values: Floats) -> Floats:
        """Of the basis, for values [N]."""
        return np.asarray(np.linalg.solve(self.gram, self.basis.T @ (values * self.root[:, 0])))


def _cross_validated(matrix: Floats, target: Floats, taken: float) -> float:
    """The penalty of least generalised cross-validation error, by one eigendecomposition.

    Args:
        matrix: weighted features less their projection, [N, F].
        target: the same of the qualities, [N].
        taken: number of directions that the projection took out.
    """
    wide = matrix.shape[0] <= matrix.shape[1]
    values, vectors = np.linalg.eigh(matrix @ matrix.T if wide else matrix.T @ matrix)
    kept = values > 1e-9 * values.max()
    values = values[kept]
    rotated = vectors.T[kept] @ (target if wide else matrix.T @ target) / (1.0 if wide else np.sqrt(values))
    # What no feature reaches stays in the residual; the directions that the projection took out are no freedom at all,
    # and counting them would make small penalties look good.
    beyond = max(0.0, float(target @ target) - float(rotated @ rotated))
    freedom = len(target) - len(values) - taken

    def error(penalty: float) -> float:
        left = penalty / (values + penalty)
        return (float(((left * rotated) ** 2).sum()) + beyond) / (float(left.sum()) + freedom) ** 2

    return min(_PENALTIES, key=error)


def _ridge(features: Features, choices: Choices, quality: Floats, project: _Projection, penalty: float) -> Floats:
    target = project.residual(quality[:, None])[:, 0]
    if len(choices) <= features.count:
        matrix = project.residual(features(choices).astype(np.float64))
        dual = np.linalg.solve(matrix @ matrix.T + penalty * np.eye(len(choices)), target)
        return np.asarray(matrix.T @ dual)
    # Sums over chunks; the projection is taken out of the sums afterwards: X'X - (X'B)(B'B)^-1(B'X).
    gram = penalty * np.eye(features.count)
    cross = np.zeros((features.count, project.basis.shape[1]))
    right = np.zeros(features.count)
    scaled = quality * project.root[:, 0]
    for at in range(0, len(choices), _ROWS):
        part = slice(at, at + _ROWS)
        weighted = features(choices[part]) * project.root[part]
        gram += weighted.T @ weighted
        cross += weighted.T @ project.basis[part]
        right += weighted.T @ scaled[part]
    shared = np.linalg.solve(project.gram, np.column_stack([cross.T, project.basis.T @ scaled]))
    return np.asarray(np.linalg.solve(gram - cross @ shared[:, :-1], right - cross @ shared[:, -1]))


def _predict(features: Features, choices: Choices, coefficients: Floats) -> Floats:
    parts = [features(choices[at : at + _ROWS]) @ coefficients for at in range(0, len(choices), _ROWS)]
    return np.concatenate(parts) if parts else np.zeros(0)
