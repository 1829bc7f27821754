"""The mathematics of the policy."""

import numpy as np
import pytest

from controller.policy import Policy, activity
from searchspace.decisions import Decision, Decisions


def _random(toy, seed=0):
    policy = Policy(toy.decisions)
    noise = np.random.default_rng(seed).normal(size=policy.logits.shape)
    policy.logits = np.where(policy.valid, noise, -np.inf)
    return policy


def test_initial_entropy_is_the_sum_of_logs():
    decisions = Decisions.of(Decision(str(n), tuple(range(n))) for n in (1, 2, 3, 4))
    assert Policy(decisions).entropy() == pytest.approx(np.log(1) + np.log(2) + np.log(3) + np.log(4))


def test_entropy_counts_what_is_active():
    decisions = Decisions.of(
        [
            Decision("depth", (1, 2)),
            Decision("kernel", (0, 1), layer=0),
            Decision("kernel", (0, 1, 2), layer=1, parent="depth", at_least=1),
        ]
    )
    policy = Policy.of(decisions, [np.array([0.9, 0.1]), np.array([0.5, 0.5]), np.full(3, 1 / 3)])
    depth = -0.9 * np.log(0.9) - 0.1 * np.log(0.1)
    assert policy.entropy() == pytest.approx(depth + np.log(2) + 0.1 * np.log(3))
    np.testing.assert_allclose(policy.entropies(), [depth, np.log(2), np.log(3)])


def test_probabilities_sum_to_one_over_architectures(toy):
    policy = _random(toy)
    assert np.exp(policy.log_prob(toy.every)).sum() == pytest.approx(1.0)


def test_samples_follow_log_prob(toy):
    policy = _random(toy)
    drawn = policy.sample(np.random.default_rng(1), 200_000)
    assert (drawn == toy.decisions.canonical(drawn)).all()
    likely = toy.every[policy.log_prob(toy.every).argsort()[-20:]]
    for row in likely:
        share = (drawn == row).all(axis=1).mean()
        expected = np.exp(policy.log_prob(row[None])[0])
        assert abs(share - expected) < 5 * np.sqrt(expected / len(drawn))
    shares = toy.decisions.active(drawn).mean(axis=0)
    np.testing.assert_allclose(activity(toy.decisions, policy.matrix()), shares, atol=0.005)


def test_gradient_is_the_finite_difference(toy):
    policy, rows = _random(toy), toy.every[::311]
    counted = np.random.default_rng(2).random(rows.shape) < 0.7
    for mask in (None, counted):
        gradient = policy.gradient(rows, mask)
        numeric = np.zeros_like(gradient)
        for d, s in zip(*np.nonzero(policy.valid), strict=True):
            kept, step = policy.logits[d, s], 1e-5
            policy.logits[d, s] = kept + step
            up = policy.log_prob(rows, mask)
            policy.logits[d, s] = kept - step
            numeric[:, d, s] = (up - policy.log_prob(rows, mask)) / (2 * step)
            policy.logits[d, s] = kept
        np.testing.assert_allclose(gradient, numeric, atol=1e-9)
        assert np.abs(gradient).max() > 0.1


def test_inactive_decisions_have_no_gradient(toy):
    shallow = toy.every[toy.every[:, 1] == 0][:50]
    gradient = _random(toy).gradient(shallow)
    assert not gradient[:, 4:].any()
    assert gradient[:, :4].any(axis=(0, 2)).all()


def test_argmax_and_preference(toy):
    policy = _random(toy)
    best = policy.argmax()
    assert (best == toy.decisions.canonical(best)).all()
    assert policy.preference(best[None])[0] == 0
    changed = best.copy()
    changed[0] = (best[0] + 1) % 3
    logs = policy.log_probabilities()[0]
    assert policy.preference(changed[None])[0] == pytest.approx(logs[changed[0]] - logs[best[0]])


def test_of_gives_the_probabilities_back(toy):
    policy = _random(toy)
    again = Policy.of(toy.decisions, policy.probabilities())
    np.testing.assert_allclose(again.matrix(), policy.matrix(), atol=1e-12)
    with pytest.raises(ValueError, match="one vector each"):
        Policy.of(toy.decisions, policy.probabilities()[1:])
    with pytest.raises(ValueError, match="blocks/0/width"):
        Policy.of(toy.decisions, [np.array([1.0, 1.0, 0.0]), *policy.probabilities()[1:]])
