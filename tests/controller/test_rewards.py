"""The rewards, by hand and by what they prefer."""

import numpy as np
import pytest

from controller.rewards import Reward


def test_absolute_is_a_tent_around_the_target():
    reward = Reward(target=100.0)
    got = reward(np.array([0.5, 0.5, 0.5]), np.array([90.0, 100.0, 120.0]))
    np.testing.assert_allclose(got, [0.5 - 0.01, 0.5, 0.5 - 0.02])


def test_soft_and_hard():
    quality, cost = np.array([0.5, 0.5]), np.array([50.0, 200.0])
    np.testing.assert_allclose(Reward(100.0, "soft", -0.07)(quality, cost), [0.5 * 0.5**-0.07, 0.5 * 2**-0.07])
    np.testing.assert_allclose(Reward(100.0, "hard", -0.07)(quality, cost), [0.5, 0.5 * 2**-0.07])


def test_soft_prefers_the_same_cost_whatever_the_target():
    cost = np.linspace(10, 200, 500)
    quality = 0.3 + 0.1 * np.log10(cost)
    picks = {
        kind: [cost[Reward(t, kind, -0.1)(quality, cost).argmax()] for t in (50.0, 150.0)]
        for kind in ("absolute", "soft")
    }
    assert picks["soft"][0] == picks["soft"][1]
    np.testing.assert_allclose(picks["absolute"], [50, 150], rtol=0.01)


def test_caps_cost_only_above_themselves():
    reward = Reward(target=100.0, beta=-0.2, caps=(10.0, 1.0))
    got = reward(np.full(3, 0.5), np.full(3, 100.0), np.array([[9.0, 0.1], [15.0, 1.0], [15.0, 2.0]]))
    np.testing.assert_allclose(got, [0.5, 0.5 - 0.1, 0.5 - 0.1 - 0.2])
    with pytest.raises(ValueError, match="0 caps given, the reward has 2"):
        reward(np.zeros(1), np.ones(1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": 0.0}, "target 0.0"),
        ({"target": float("nan")}, "target nan"),
        ({"target": 1.0, "beta": 0.1}, "beta 0.1"),
        ({"target": 1.0, "kind": "relu"}, "absolute, soft, hard"),
        ({"target": 1.0, "caps": (-1.0,)}, "cap -1.0"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        Reward(**arguments)
