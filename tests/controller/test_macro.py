"""The controller on NAS-Bench-Macro: 6,561 networks trained for real, whose truth is known."""

import json
from pathlib import Path

import numpy as np
import pytest

from controller.adam import Schedule
from controller.looks import Looks
from controller.reinforce import Reinforce
from controller.rewards import Reward
from controller.surrogate import Surrogate
from searchspace.decisions import Decision, Decisions

TABLE = Path(__file__).parents[3] / "shared" / "data" / "nas-bench-macro_cifar10.json"
pytestmark = pytest.mark.skipif(not TABLE.exists(), reason="NAS-Bench-Macro is not here")


class Macro:
    def __init__(self):
        table = json.loads(TABLE.read_text())
        self.decisions = Decisions.of(Decision(f"layers/{i}", ("identity", "e3k3", "e6k5")) for i in range(8))
        self.every = np.indices((3,) * 8, dtype=np.int8).reshape(8, -1).T
        rows = [table["".join(map(str, row))] for row in self.every]
        self.accuracy = np.array([row["test_acc"] for row in rows]) / 100  # [6561, 3 seeds]
        self.macs = np.array([row["flops"] for row in rows], dtype=np.float64)

    def index(self, choices):
        return choices.astype(np.intp) @ (3 ** np.arange(7, -1, -1))

    def look(self, choices, rng):
        index = self.index(choices)
        return rng.binomial(512, self.accuracy[index, rng.integers(3, size=len(index))]) / 512


@pytest.fixture(scope="module")
def macro():
    return Macro()


def _search(macro, reward, steps, seed, total=100.0):
    searcher = Reinforce(macro.decisions, seed=seed, schedule=Schedule(steps, delay=0.0, total=total))
    for step in range(steps):
        choices = searcher.ask(32)
        quality = macro.look(choices, np.random.default_rng([seed, step]))
        searcher.tell(choices, quality, reward(quality, macro.macs[macro.index(choices)]), progress=step / steps)
    return float(macro.macs[macro.index(searcher.favourite()[None])][0])


@pytest.mark.slow
@pytest.mark.parametrize("target", [50e6, 70e6])
def test_absolute_reward_lands_at_the_target(macro, target):
    found = [_search(macro, Reward(target, beta=-0.07), 5000, seed) for seed in range(3)]
    assert np.median(np.abs(np.array(found) / target - 1)) <= 0.05


@pytest.mark.slow
def test_soft_reward_does_not(macro):
    """Negative control: T0 only rescales it, so it ends far below whatever is asked for."""
    assert _search(macro, Reward(70e6, "soft", -0.07), 5000, 0) < 45e6


def test_a_short_search_lands_near_and_a_frozen_one_does_not(macro):
    reward = Reward(50e6, beta=-0.1)
    assert abs(_search(macro, reward, 500, 0) / 50e6 - 1) < 0.08
    assert abs(_search(macro, reward, 10, 0, total=0.0) / 50e6 - 1) > 0.5


@pytest.mark.parametrize("target", [50e6, 70e6])
def test_the_model_ranks_the_best_among_the_first(macro, target):
    """2,000 uniform looks: the best of the 40 ranked first of 500 is nearly the best, far above 40 random ones."""
    inside = np.flatnonzero((macro.macs >= 0.95 * target) & (macro.macs <= 1.01 * target))
    truth = macro.accuracy.mean(axis=1)
    regrets, random = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        choices = macro.decisions.sample(rng, 2000)
        model = Surrogate.fit(macro.decisions, Looks(choices, macro.look(choices, rng)))
        first = inside[model.predict(macro.every[inside]).argsort()[-40:]]
        regrets.append(truth[inside].max() - truth[first].max())
        random.append(truth[inside].max() - truth[rng.choice(inside, 40, replace=False)].max())
    assert np.mean(regrets) < 0.002
    assert np.mean(regrets) < np.mean(random) / 1.5
