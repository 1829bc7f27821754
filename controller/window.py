"""Which costs are allowed: a window around the target of the first budget, and caps for the further ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from controller.arrays import Choices, Cost, Flags, Floats

Bound: TypeAlias = float | Floats
"""One number for all rows, or one a row [N]."""


def _of(bound: Bound, rows: NDArray[np.intp]) -> Bound:
    return bound if np.ndim(bound) == 0 else np.asarray(bound)[rows]


@dataclass(frozen=True)
class Limit:
    """One cost with the range it must lie in.

    Attributes:
        name: the quantity, for messages.
        cost: choices [N, D] -> [N].
        low: least allowed; 0 for a cap.
        high: largest allowed.
    """

    name: str
    cost: Cost
    low: Bound
    high: Bound

    def excess(self, cost: NDArray[Any], rows: NDArray[np.intp] | None = None) -> Floats:
        """How far costs [N] lie outside, as fractions of the upper bound; 0 inside."""
        low, high = (bound if rows is None else _of(bound, rows) for bound in (self.low, self.high))
        return np.asarray(np.maximum(np.maximum(low - cost, cost - high), 0.0) / high, dtype=np.float64)


@dataclass(frozen=True)
class Window:
    """All limits at once; the first one is the target's and breaks ties (nearest to its middle wins)."""

    limits: tuple[Limit, ...]

    @classmethod
    def around(cls, name: str, cost: Cost, target: Bound, below: float, above: float) -> Window:
        """From (1 - below) to (1 + above) times the target.

        Raises:
            ValueError: a target that is not positive, or fractions that are not a range.
        """
        target = np.asarray(target, dtype=np.float64) if np.ndim(target) else float(target)
        if not (np.all(np.asarray(target) > 0) and 0 <= below <= 1 and above >= 0):
            raise ValueError(f"window -{below:.3g}..+{above:.3g} around {target}: give fractions of a positive cost")
        return cls((Limit(name, cost, target * (1 - below), target * (1 + above)),))

    def capped(self, name: str, cost: Cost, cap: float) -> Window:
        """The same window with a further cost that must not exceed `cap`."""
        return replace(self, limits=(*self.limits, Limit(name, cost, 0.0, cap)))

    @property
    def per_row(self) -> bool:
        """Whether some bound is given per row."""
        return any(np.ndim(bound) > 0 for limit in self.limits for bound in (limit.low, limit.high))

    def of(self, rows: NDArray[np.intp]) -> Window:
        """The window of some rows, for bounds that are given per row."""
        limits = (replace(limit, low=_of(limit.low, rows), high=_of(limit.high, rows)) for limit in self.limits)
        return Window(tuple(limits))

    def measure(self, choices: Choices, rows: NDArray[np.intp] | None = None) -> tuple[Floats, Floats]:
        """(how far outside, how far from the middle of the first limit), both relative, [N].

        Args:
            choices: [N, D].
            rows: which entry of bounds given per row each choice answers to, [N].
        """
        outside = np.zeros(len(choices))
        middle = np.zeros(len(choices))
        for index, limit in enumerate(self.limits):
            cost = np.asarray(limit.cost(choices), dtype=np.float64)
            outside += limit.excess(cost, rows)
            if index == 0:
                centre = (np.asarray(limit.low) + np.asarray(limit.high)) / 2
                centre = centre if rows is None or centre.ndim == 0 else centre[rows]
                middle = np.abs(cost - centre) / centre
        return outside, middle

    def contains(self, choices: Choices) -> Flags:
        """Which rows lie inside every limit, [N]."""
        return np.asarray(self.measure(choices)[0] == 0)
