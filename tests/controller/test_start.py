"""The start of largest entropy at a cost."""

import numpy as np
import pytest

import searchspace
from controller.policy import Policy
from controller.start import _Tilt, entropy, largest_entropy
from searchspace import tabulate


def _mean(toy, probabilities):
    return float(np.exp(Policy.of(toy.decisions, probabilities).log_prob(toy.every)) @ toy.cost(toy.every))


@pytest.mark.parametrize("budget", [5_000, 9_000, 16_000, 25_000])
def test_mean_cost_is_the_budget(toy, budget):
    start = largest_entropy(toy.decisions, toy.costs, "macs", budget)
    assert start.cost == pytest.approx(budget, rel=2e-4)
    assert _mean(toy, start.probabilities) == pytest.approx(budget, rel=2e-4)  # by enumeration
    uniform = _mean(toy, toy.decisions.uniform())
    assert np.sign(start.price) == np.sign(uniform - budget)


def test_uniform_at_the_uniform_mean(toy):
    start = largest_entropy(toy.decisions, toy.costs, "macs", _mean(toy, toy.decisions.uniform()))
    assert start.price == 0
    for got, want in zip(start.probabilities, toy.decisions.uniform(), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-9)


def test_cost_falls_with_the_price(toy):
    tilt = _Tilt(toy.decisions, toy.costs, "macs", None)
    means = [tilt.solve(price, tilt.base)[1] for price in np.linspace(-3e-4, 3e-4, 13)]
    assert (np.diff(means) < 0).all()


def test_entropy_is_relative_to_uniform_sampling(toy):
    """H = -KL(q || u) over whole architectures, by enumeration."""
    start = largest_entropy(toy.decisions, toy.costs, "macs", 9_000)
    q = Policy.of(toy.decisions, start.probabilities).log_prob(toy.every)
    u = Policy(toy.decisions).log_prob(toy.every)
    assert entropy(toy.decisions, start.probabilities) == pytest.approx(-float(np.exp(q) @ (q - u)))


@pytest.mark.parametrize("budget", [7_000, 16_000])
def test_no_perturbation_of_the_same_cost_has_more_entropy(toy, budget):
    start = largest_entropy(toy.decisions, toy.costs, "macs", budget)
    best = entropy(toy.decisions, start.probabilities)
    rng = np.random.default_rng(0)
    for size in (0.1, 0.3, 1.0):
        for _ in range(5):
            logits = [np.log(p) + size * rng.normal(size=len(p)) for p in start.probabilities]
            # Back to the same mean cost by tilting the depth alone: another way to be feasible.
            low, high = -60.0, 60.0
            for _ in range(80):
                tilt = (low + high) / 2
                moved = [v.copy() for v in logits]
                moved[1] = moved[1] + tilt * np.arange(3)
                moved[0] = moved[0] + tilt * np.arange(3)
                vectors = [np.exp(v - v.max()) / np.exp(v - v.max()).sum() for v in moved]
                low, high = (tilt, high) if _mean(toy, vectors) < budget else (low, tilt)
            assert _mean(toy, vectors) == pytest.approx(budget, rel=1e-3)
            assert entropy(toy.decisions, vectors) < best


def test_out_of_reach_says_the_range(toy):
    cost = toy.cost(toy.every)
    for budget in (cost.min() - 1, cost.max() + 1):
        with pytest.raises(ValueError, match=f"from {cost.min():.6g} to {cost.max():.6g}"):
            largest_entropy(toy.decisions, toy.costs, "macs", budget)
    for budget in (cost.min(), cost.max()):
        assert largest_entropy(toy.decisions, toy.costs, "macs", budget).cost == pytest.approx(budget, rel=2e-4)


def test_another_base_is_left_least(toy):
    base = [np.array([0.8, 0.1, 0.1]) if i == 2 else p for i, p in enumerate(toy.decisions.uniform())]
    start = largest_entropy(toy.decisions, toy.costs, "macs", 9_000, base)
    assert _mean(toy, start.probabilities) == pytest.approx(9_000, rel=2e-4)
    assert start.probabilities[2][0] > 0.75
    assert entropy(toy.decisions, start.probabilities, base) > entropy(
        toy.decisions, largest_entropy(toy.decisions, toy.costs, "macs", 9_000).probabilities, base
    )


@pytest.mark.parametrize("budget", [400e6, 600e6, 1500e6])
def test_movinet(budget):
    space = searchspace.load("movinet")
    costs = tabulate(space, space.clip)
    start = largest_entropy(space.decisions, costs, "macs", budget)
    sampled = costs.macs(space.decisions.sample(np.random.default_rng(0), 40_000, start.probabilities))
    assert start.cost == pytest.approx(budget, rel=5e-3)
    assert abs(sampled.mean() - budget) < 5 * sampled.std() / 200
