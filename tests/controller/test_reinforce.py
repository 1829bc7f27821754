"""The estimator: baseline, gradient of the window, and the control that does not move."""

import numpy as np
import pytest

from controller.adam import Schedule
from controller.policy import Policy
from controller.reinforce import Baseline, Reinforce
from controller.rewards import Reward
from controller.searcher import rejection
from controller.window import Window
from searchspace.decisions import Decision, Decisions


def test_baseline_by_hand():
    baseline = Baseline()
    assert baseline.update(0.4) == pytest.approx(0.4)  # no bias towards zero
    assert baseline.update(0.8) == pytest.approx((0.95 * 0.4 + 0.8) / 1.95)


def test_one_step_by_hand():
    decisions = Decisions.of([Decision("a", (0, 1))])
    searcher = Reinforce(decisions, seed=0, schedule=Schedule(1, delay=0.0, total=0.5))
    searcher.ask(2)
    searcher.tell(np.array([[0], [1]], np.int8), np.zeros(2), np.array([0.9, 0.1]), progress=0.0)
    # Advantages +-.4, gradients of log pi (+.5, -.5) and (-.5, +.5): both samples give (.2, -.2); v = .04.
    np.testing.assert_allclose(searcher.policy.logits, [[0.5, -0.5]], rtol=1e-6)


def test_rate_zero_does_not_move(toy):
    """Negative control: the same run with a rate moves, without it nothing does."""
    moved = {}
    for total in (0.0, 50.0):
        searcher = Reinforce(toy.decisions, seed=0, schedule=Schedule(60, total=total))
        before = searcher.policy.logits.copy()
        for step in range(60):
            choices = searcher.ask(8)
            quality = toy.quality(choices)
            searcher.tell(choices, quality, Reward(20_000.0)(quality, toy.cost(choices)), progress=step / 60)
        moved[total] = float(np.abs(np.where(searcher.policy.valid, searcher.policy.logits - before, 0)).max())
    assert moved[0.0] == 0
    assert moved[50.0] > 1


def test_decisions_that_were_replaced_keep_their_logits(toy):
    searcher = Reinforce(toy.decisions, seed=0, schedule=Schedule(10, delay=0.0))
    choices = searcher.ask(8)
    replaced = np.zeros(choices.shape, dtype=bool)
    replaced[:, 2] = True
    searcher.tell(choices, np.zeros(8), np.arange(8.0), progress=0.5, replaced=replaced)
    moved = np.where(searcher.policy.valid, searcher.policy.logits, 0).any(axis=1)
    assert not moved[2] and moved[[0, 1, 3]].all()


def test_gradient_of_the_window_is_that_of_its_log_probability(toy):
    """Mean of grad log pi over accepted samples = d log P(window) / d logits, the latter by enumeration."""
    policy = Policy(toy.decisions)
    policy.logits = np.where(policy.valid, np.random.default_rng(0).normal(size=policy.logits.shape), -np.inf)
    window = Window.around("macs", toy.cost, 20_000, 0.1, 0.1)
    inside = toy.every[window.contains(toy.every)]
    exact = np.zeros_like(policy.logits)
    for d, s in zip(*np.nonzero(policy.valid), strict=True):
        values = []
        for step in (1e-5, -1e-5):
            policy.logits[d, s] += step
            values.append(np.log(np.exp(policy.log_prob(inside)).sum()))
            policy.logits[d, s] -= step
        exact[d, s] = (values[0] - values[1]) / 2e-5
    accepted, drawn = rejection(policy, np.random.default_rng(1), 5000, window, 20_000)
    assert len(accepted) / drawn == pytest.approx(np.exp(policy.log_prob(inside)).sum(), rel=0.05)
    estimate = policy.gradient(accepted).mean(axis=0)
    assert np.abs(exact).max() > 0.1
    np.testing.assert_allclose(estimate, exact, atol=5 / np.sqrt(len(accepted)))


def test_rejection_is_bounded(toy):
    nothing = Window.around("macs", toy.cost, 1e9, 0.01, 0.01)
    accepted, drawn = rejection(Policy(toy.decisions), np.random.default_rng(0), 4, nothing, 4)
    assert len(accepted) == 0 and drawn == 64 * 64


def test_toy_of_tabnas():
    """TabNAS: under a cap of 25 parameters (4, 2) is best. The corrected window finds it as the likeliest feasible."""
    loss = {
        (2, 2): 0.9,
        (2, 3): 0.9,
        (3, 2): 0.9,
        (2, 4): 0.66,
        (4, 2): 0.6,
        (3, 3): 0.66,
        (3, 4): 0.3,
        (4, 3): 0.3,
        (4, 4): 0.1,
    }
    decisions = Decisions.of([Decision("width", (2, 3, 4), layer=0), Decision("width", (2, 3, 4), layer=1)])

    def parameters(choices):
        first, second = choices[:, 0] + 2.0, choices[:, 1] + 2.0
        return 3 * first + (first + 1) * second + second + 1

    every = np.indices((3, 3), dtype=np.int8).reshape(2, -1).T
    feasible = every[parameters(every) <= 25]
    assert [2, 0] in feasible.tolist() and [1, 1] in feasible.tolist() and [2, 2] not in feasible.tolist()
    window = Window.around("parameters", parameters, 25.0, 1.0, 0.0)
    found = []
    for seed in range(10):
        searcher = Reinforce(decisions, seed=seed, schedule=Schedule(400, delay=0.0, total=60), window=window)
        for step in range(400):
            choices = searcher.ask(4)
            quality = np.array([-loss[tuple(int(c) + 2 for c in row)] for row in choices])
            searcher.tell(choices, quality, quality, progress=step / 400)
        best = feasible[searcher.policy.log_prob(feasible).argmax()]
        found.append(tuple(int(c) + 2 for c in best))
    assert found.count((4, 2)) >= 8


def test_the_known_part_changes_the_noise_of_the_gradient_and_not_its_mean():
    """On two decisions the exact gradient of E[reward] is enumerated; both estimators average to it."""
    decisions = Decisions.of([Decision("a", (0, 1, 2)), Decision("b", (0, 1))])
    every = np.array([[a, b] for a in range(3) for b in range(2)], dtype=np.int8)
    quality = {row.tobytes(): 0.1 * i for i, row in enumerate(every)}
    start = [np.array([0.5, 0.3, 0.2]), np.array([0.6, 0.4])]

    def known(choices):
        return -0.5 * np.abs(choices.sum(axis=1) - 1.0)

    def gradients(with_known):
        found = []
        for seed in range(600):
            searcher = Reinforce(
                decisions,
                seed=seed,
                schedule=Schedule(steps=10, delay=0.0, total=1.0),
                start=start,
                known=known if with_known else None,
            )
            searcher.baseline.numerator, searcher.baseline.denominator = 0.0, 1e12  # a baseline that stays at 0
            seen = []
            searcher.adam.step = lambda g, rate, seen=seen: seen.append(g.mean(axis=0)) or np.zeros(g.shape[1:])
            choices = searcher.ask(4)
            q = np.array([quality[row.tobytes()] for row in choices])
            searcher.tell(choices, q, q + known(choices), progress=0.5)
            found.append(-seen[0])
        return np.stack(found)

    policy = Policy.of(decisions, start)
    weight = np.exp(policy.log_prob(every))
    reward = np.array([quality[row.tobytes()] for row in every]) + known(every)
    exact = np.tensordot(weight * reward, policy.gradient(every), axes=1)
    plain, split = gradients(False), gradients(True)
    for found in (plain, split):
        error = found.std(axis=0) / np.sqrt(len(found))
        assert (np.abs(found.mean(axis=0) - exact) < 4 * error + 1e-9).all()
    assert split.var(axis=0).sum() < 0.9 * plain.var(axis=0).sum()
