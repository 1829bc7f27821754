"""Collapse, and whether the policy steers."""

import math

import numpy as np
import pytest

from controller.policy import Policy
from controller.steering import paired, steering, student_95
from controller.watch import summary, warning


def test_summary_of_a_fresh_policy(toy):
    read = summary(Policy(toy.decisions))
    assert read.entropy == pytest.approx(Policy(toy.decisions).entropy())
    assert read.least_certain == pytest.approx(1 / 3) and read.collapsed == 0
    assert set(read.entropies) == set(read.preferred) == set(toy.decisions.paths)
    assert warning(Policy(toy.decisions), 0.3) is None


def test_a_collapsed_policy_warns_before_half_time_only(toy):
    policy = Policy(toy.decisions)
    policy.logits[:, 1] = 10.0
    assert summary(policy).preferred["blocks/0/width"] == 12
    assert "after 30%" in warning(policy, 0.3)
    assert warning(policy, 0.5) is None
    policy.logits[:3, 1] = 0.0
    assert warning(policy, 0.3) is None


def test_inactive_decisions_do_not_count(toy):
    """All layers but the first are left out: that their decisions are open is no sign of life."""
    policy = Policy(toy.decisions)
    policy.logits[:4, 0] = 10.0
    assert summary(policy).collapsed == 1
    assert warning(policy, 0.1) is not None


@pytest.mark.parametrize(
    ("freedom", "value"),
    [
        (1, 12.7062047),
        (2, 4.3026527),
        (3, 3.1824463),
        (4, 2.7764451),
        (10, 2.2281389),
        (63, 1.9983405),
        (1000, 1.9623391),
    ],
)
def test_student_table(freedom, value):
    assert student_95(freedom) == pytest.approx(value, abs=1e-6)


def test_paired_by_hand():
    got = paired(np.array([3.0, 5.0, 4.0]), np.array([1.0, 2.0, 3.0]))
    assert got.mean == 2 and got.pairs == 3
    assert got.high - got.mean == pytest.approx(4.3026527 * 1 / math.sqrt(3), abs=1e-6)
    assert str(got).startswith("+2.0000 (95 % interval -0.48")
    assert paired(np.ones(1), np.zeros(1)).low == -math.inf
    with pytest.raises(ValueError, match="same length"):
        paired(np.ones(2), np.ones(3))


def test_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(2000):
        common = rng.normal(size=16)
        got = paired(common + 0.3 + 0.5 * rng.normal(size=16), common + 0.5 * rng.normal(size=16))
        covered += got.low <= 0.3 <= got.high
    assert covered / 2000 == pytest.approx(0.95, abs=0.015)


def test_steering_compares_medians():
    got = steering(np.array([90.0, 100, 120]), np.array([60.0, 100, 170]), 100.0)
    assert got.policy == pytest.approx(0.1) and got.start == pytest.approx(0.4)
    assert got.ratio == pytest.approx(0.25) and got.steered
    assert not steering(np.array([90.0]), np.array([90.0]), 100.0).steered
