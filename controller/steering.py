"""Does the controller steer? Statistics that compare its samples with what it started from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_STEERED = 2 / 3


@dataclass(frozen=True)
class Difference:
    """A mean difference of pairs with its 95 % interval (Student's t over the pairs).

    Attributes:
        mean: of first minus second.
        low, high: the interval; infinite for a single pair.
        pairs: how many.
    """

    mean: float
    low: float
    high: float
    pairs: int

    def __str__(self) -> str:
        return f"{self.mean:+.4f} (95 % interval {self.low:+.4f} to {self.high:+.4f}, {self.pairs} pairs)"


def paired(first: Sequence[float] | NDArray[Any], second: Sequence[float] | NDArray[Any]) -> Difference:
    """Compares two sets of architectures scored on the same clips, [N] each; entry i of both has the same cost.

    The interval is over architectures, given these clips. Pairing by cost takes out what cost alone explains, the
    same clips what is hard about them.

    Raises:
        ValueError: different or no numbers of scores.
    """
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise ValueError(f"scores of shape {first.shape} and {second.shape}: two lists of the same length are needed")
    gap = first - second
    mean, count = float(gap.mean()), len(gap)
    if count == 1:
        return Difference(mean, -math.inf, math.inf, 1)
    half = student_95(count - 1) * float(gap.std(ddof=1)) / math.sqrt(count)
    return Difference(mean, mean - half, mean + half, count)


def student_95(freedom: int) -> float:
    """The 97.5 % quantile of Student's t.

    By Newton's method on the distribution function, which for whole degrees of freedom is a finite sum (Abramowitz
    and Stegun 26.7.3 and 26.7.4).
    """
    t = 2.0 if freedom > 1 else 10.0
    for _ in range(100):
        density = math.exp(
            math.lgamma((freedom + 1) / 2)
            - math.lgamma(freedom / 2)
            - 0.5 * math.log(freedom * math.pi)
            - (freedom + 1) / 2 * math.log1p(t * t / freedom)
        )
        step = (_two_sided(t, freedom) - 0.95) / (2 * density)
        t -= step
        if abs(step) < 1e-12:
            break
    return t


def _two_sided(t: float, freedom: int) -> float:
    """P(|T| <= t)."""
    angle = math.atan(t / math.sqrt(freedom))
    cosine = math.cos(angle)
    term = total = cosine if freedom % 2 else 1.0
    # Terms fall off geometrically; for many degrees of freedom the tail of the sum is exactly 0 in doubles.
    for k in range(3 if freedom % 2 else 2, freedom, 2):
        term *= (k - 1) / k * cosine**2
        total += term
        if term < 1e-17:
            break
    if freedom % 2 == 0:
        return math.sin(angle) * total
    if freedom == 1:
        return 2 * angle / math.pi
    return 2 / math.pi * (angle + math.sin(angle) * total)


@dataclass(frozen=True)
class Steering:
    """How near the target the policy samples, before any rejection.

    Attributes:
        policy: median of |T / T0 - 1| over samples of the policy.
        start: the same over samples of its start distribution.
    """

    policy: float
    start: float

    @property
    def ratio(self) -> float:
        """Policy over start."""
        if self.start == 0:
            return 1.0 if self.policy == 0 else math.inf
        return self.policy / self.start

    @property
    def steered(self) -> bool:
        """At most two thirds of the start's."""
        return self.ratio <= _STEERED


def steering(policy_costs: NDArray[Any], start_costs: NDArray[Any], target: float) -> Steering:
    """Compares unfiltered samples.

    Args:
        policy_costs: of samples of the policy in the last fifth of the search, [N].
        start_costs: of 1,000 samples of its start distribution, [M].
        target: T0.
    """

    def median(costs: NDArray[Any]) -> float:
        return float(np.median(np.abs(np.asarray(costs, dtype=np.float64) / target - 1)))

    return Steering(median(policy_costs), median(start_costs))
