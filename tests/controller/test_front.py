"""Fronts and error bars against definitions."""

import itertools

import numpy as np
import pytest

import searchspace
from controller.front import non_dominated, spread, wilson
from controller.policy import Policy
from searchspace import tabulate


def test_front_by_definition():
    rng = np.random.default_rng(0)
    cost, quality = rng.integers(0, 12, 200), rng.integers(0, 12, 200)
    expected = [
        not any((cost[j] <= c and quality[j] > q) or (cost[j] < c and quality[j] >= q) for j in range(200))
        for c, q in zip(cost, quality, strict=True)
    ]
    assert (non_dominated(cost, quality) == expected).all()
    assert non_dominated(np.zeros(0), np.zeros(0)).shape == (0,)


def test_wilson_by_its_equation():
    """The ends p of the interval solve |x - p| = z sqrt(p (1 - p) / n)."""
    for accuracy, n in ((0.0, 64), (0.3, 64), (0.9, 256), (1.0, 10)):
        low, high = wilson(accuracy, n)
        for end in (float(low), float(high)):
            assert 0 <= end <= 1
            assert abs(accuracy - end) == pytest.approx(1.959964 * np.sqrt(end * (1 - end) / n), abs=1e-6)
        assert low <= accuracy <= high and high - low > 0.01


def test_spread_fills_every_bin_that_the_space_reaches(toy):
    bins = spread(Policy(toy.decisions), toy.costs, "macs", toy.cost, 20_000, seed=0, per_bin=4)
    edges = np.linspace(8_000, 40_000, 11)
    cost = toy.cost(toy.every)
    reached = [e for e, f in itertools.pairwise(edges) if ((cost >= e) & (cost < f)).any()]
    assert [b.low for b in bins] == pytest.approx(reached)
    for b in bins:
        inside = toy.cost(b.choices)
        assert ((inside >= b.low) & (inside < b.high)).all()
        assert len(np.unique(b.choices, axis=0)) == len(b.choices)
        assert len(b.choices) == min(4, ((cost >= b.low) & (cost < b.high)).sum())


def test_spread_ranks_and_leaves_out_what_is_out_of_reach(toy):
    bins = spread(Policy(toy.decisions), toy.costs, "macs", toy.cost, 40_000, seed=0, rank=toy.quality)
    assert bins[-1].high < 48_000 + 16_000 and len(bins) < 10
    plain = spread(Policy(toy.decisions), toy.costs, "macs", toy.cost, 40_000, seed=0)
    better = [toy.quality(a.choices).mean() > toy.quality(b.choices).mean() for a, b in zip(bins, plain, strict=True)]
    assert np.mean(better) > 0.7


def test_spread_keeps_what_the_policy_learned(toy):
    learned = [np.array([0.02, 0.96, 0.02]) if i == 2 else p for i, p in enumerate(toy.decisions.uniform())]
    bins = spread(Policy.of(toy.decisions, learned), toy.costs, "macs", toy.cost, 20_000, seed=0, per_bin=16)
    assert np.mean(np.concatenate([b.choices for b in bins])[:, 2] == 1) > 0.7


def test_movinet_spread():
    space = searchspace.load("movinet")
    costs = tabulate(space, space.clip)
    bins = spread(Policy(space.decisions), costs, "macs", costs.macs, 600e6, seed=0)
    assert len(bins) == 10 and all(len(b.choices) == 8 for b in bins)
