"""The front of cost and quality: which architectures to score for it, who is on it, and how sure that is."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.arrays import Choices, Cost, Flags, Floats, Key, Score, first_of_each, generator
from controller.policy import Policy
from controller.repair import try_repair
from controller.searcher import rejection
from controller.start import Expectation, largest_entropy
from controller.window import Limit, Window

_NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class Bin:
    """One range of cost, and the architectures chosen in it.

    Attributes:
        low, high: its costs.
        choices: [n, D].
    """

    low: float
    high: float
    choices: Choices


def spread(
    policy: Policy,
    costs: Expectation,
    quantity: str,
    cost: Cost,
    budget: float,
    *,
    seed: int,
    per_bin: int = 8,
    bins: int = 10,
    low: float = 0.4,
    high: float = 2.0,
    rank: Score | None = None,
    key: Key | None = None,
) -> list[Bin]:
    """Architectures spread over costs, an equal number in each equally wide bin that the space reaches.

    Each bin is sampled from the policy tilted to the bin's middle (`largest_entropy` with the policy, blurred a
    little, as base), so that what the policy has learned is kept at other costs.

    Args:
        policy: after the search.
        costs: exact expectations of `quantity`.
        quantity: of the budget.
        cost: the same quantity of choices, [N, D] -> [N].
        budget: the target.
        seed: of the sampling.
        per_bin: architectures a bin; fewer where the bin holds fewer.
        bins: how many.
        low, high: where the first bin begins and the last one ends, in budgets.
        rank: where given, four times as many are drawn and the highest scored are kept.
        key: what makes two encodings one network.

    Returns:
        The bins reached, by rising cost.
    """
    decisions = policy.decisions
    # A policy that is sure would leave no way to other costs.
    base = [0.75 * p + 0.25 / len(p) for p in policy.probabilities()]
    edges = np.linspace(low * budget, high * budget, bins + 1)
    result = []
    for index, (left, right) in enumerate(itertools.pairwise(edges)):
        window = Window((Limit(quantity, cost, float(left), float(np.nextafter(right, left))),))
        rng = generator(seed, "front", index)
        try:
            middle = largest_entropy(decisions, costs, quantity, (left + right) / 2, base)
            tilted = Policy.of(decisions, middle.probabilities)
        except ValueError:
            tilted = Policy.of(decisions, base)  # the middle is out of reach, an edge of the bin may not be
        wanted = per_bin if rank is None else 4 * per_bin
        found, _ = rejection(tilted, rng, per_bin, window, wanted)
        if len(found) < wanted:
            repaired = try_repair(decisions, tilted.sample(rng, wanted - len(found)), window)
            found = np.concatenate([found, repaired.choices[repaired.inside]])
        found = found[first_of_each(found, key)]
        if rank is not None and len(found):
            found = found[np.argsort(-np.asarray(rank(found)), kind="stable")]
        if len(found):
            result.append(Bin(float(left), float(right), found[:per_bin]))
    return result


def non_dominated(cost: NDArray[Any], quality: NDArray[Any]) -> Flags:
    """Which points are on the front, [N]: none costs at most as much and is better, or costs less and is as good.

    Args:
        cost: lower is better, [N].
        quality: higher is better, [N]; negate a loss. Points that are equal in both are all on the front together.
    """
    cost, quality = np.asarray(cost, dtype=np.float64), np.asarray(quality, dtype=np.float64)
    order = np.lexsort((-quality, cost))
    result = np.zeros(len(cost), dtype=bool)
    best, at = -np.inf, np.nan
    for index in order:
        if quality[index] > best:
            best, at = quality[index], cost[index]
            result[index] = True
        elif quality[index] == best and cost[index] == at:
            result[index] = True
    return result


def wilson(accuracy: NDArray[Any] | float, samples: NDArray[Any] | int, z: float = _NORMAL_95) -> tuple[Floats, Floats]:
    """Wilson's score interval of a binomial proportion, (low, high); 95 % by default.

    Unlike the normal interval it stays in [0, 1] and has a width at 0 and 1.
    """
    p, n = np.asarray(accuracy, dtype=np.float64), np.asarray(samples, dtype=np.float64)
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    # At 0 and 1 one end is the proportion itself, but for rounding.
    return np.clip(centre - half, 0.0, p), np.clip(centre + half, p, 1.0)
